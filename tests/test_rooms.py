"""The packages of src/medcode are layered: each imports only lower ones, and there are no circular imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/medcode"
# From the lowest to the highest. Packages of one line do not import each other.
ROOMS = (
    ("errors",),
    ("config", "dvc_runner", "identifiers", "io", "table_files", "workspace"),
    ("download", "reruns", "text"),
    ("codes", "layers"),
    ("corpora", "dataset"),
    ("engine",),
    ("encoders",),
    ("models",),
    ("inference",),
    ("evaluation",),
    ("evidence",),
    ("calibration", "open_codes", "report", "training"),
    ("coder", "studies"),
    ("bulk",),
    ("cluster", "review"),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def modules() -> dict[str, Path]:
    names = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = modules()


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports anywhere, for type checking too."""
    targets = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "medcode":
            dotted = {f"{node.module}.{alias.name}" for alias in node.names}
            targets |= {name if name in MODULES else node.module for name in dotted}
    return targets


GRAPH = {module: imports(module) for module in MODULES}


def test_every_package_has_a_place_in_the_order():
    assert {room(module) for module in MODULES} - {""} == LEVEL.keys()


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"medcode"}))
def test_a_module_imports_only_its_package_and_lower_ones(module):
    upwards = {
        target for target in GRAPH[module]
        if room(target) not in ("", room(module)) and LEVEL[room(target)] >= LEVEL[room(module)]
    }  # fmt: skip
    assert not upwards


def test_no_circular_imports():
    for module in MODULES:
        reached, waiting = set(), list(GRAPH[module])
        while waiting:
            current = waiting.pop()
            if current not in reached:
                reached.add(current)
                waiting += GRAPH[current]
        assert module not in reached


def test_circular_imports_are_detected(monkeypatch):
    monkeypatch.setitem(GRAPH, "medcode.errors", {"medcode.cli.check"})
    with pytest.raises(AssertionError):
        test_no_circular_imports()
    with pytest.raises(AssertionError):
        test_a_module_imports_only_its_package_and_lower_ones("medcode.errors")
