"""Each stage loads exactly the sections of params.yaml that dvc.yaml lists for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from medcode.config.files import BY_LABEL_SET, FOR_ALL

ROOT = Path(__file__).resolve().parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ASK = """
import importlib, json, sys
from pathlib import Path
from medcode.config import Section
sys.path.insert(0, "stages")
found = {}
for path in sorted(Path("stages").glob("*.py")):
    module = importlib.import_module(path.stem)
    sections = {
        name: sorted(field.annotation.model_fields) if isinstance(field.annotation, type)
        and issubclass(field.annotation, Section) else None
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Section) and cls.__name__ in ("Parameters", "Shown")
        for name, field in cls.model_fields.items()
    }
    found[path.stem] = sections
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, dict[str, list[str] | None]]:
    """Return the parameters of each script, {script: {key of params.yaml: keys of a section, else None}}."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def script_of(stage: dict) -> str:
    return Path(stage["cmd"].split()[1]).stem


def test_a_stage_depends_on_each_section_that_it_loads(loaded):
    checked = 0
    for name, stage in STAGES.items():
        listed = [key for key in stage.get("params", []) if isinstance(key, str)]
        for section, keys in loaded[script_of(stage)].items():
            whole = section in listed
            parts = {key.removeprefix(f"{section}.") for key in listed if key.startswith(f"{section}.")}
            # One block of several, by its name, or some keys of a section that are all that the stage loads.
            by_name = any(part.startswith("${") for part in parts)
            in_path = f"${{{section}}}" in stage["cmd"] or any(f".${{{section}}}" in key for key in listed)
            assert whole or by_name or in_path or (keys and set(keys) <= parts), f"{name}: {section}"
            checked += 1
    assert checked > 20


def test_a_stage_lists_no_section_that_it_does_not_load(loaded):
    for name, stage in STAGES.items():
        if not loaded[script_of(stage)]:
            continue
        for key in stage.get("params", []):
            if isinstance(key, str):
                assert key.split(".")[0] in loaded[script_of(stage)], f"{name}: {key}"


def test_stages_with_values_by_label_set_load_the_label_set(loaded):
    for script, sections in loaded.items():
        for section in set(BY_LABEL_SET) & sections.keys():
            if set(sections[section]) - set(FOR_ALL.get(section, ())):
                assert "label_set" in sections, f"{script}: {section}"
