"""No program of the project runs code that stands in a file of data: no pickle, no remote code, no eval."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    path for folder in ("src", "stages", "benchmarks", "tools") for path in sorted((ROOT / folder).rglob("*.py"))
]
# Modules whose files run code when they are read. Of pickle only the error is needed: torch.load raises it.
PICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
HARMLESS = {"pickle.UnpicklingError"}
SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader", "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen"}
FORBIDDEN_METHODS = {"read_pickle", "to_pickle", "full_load", "unsafe_load", "full_load_all", "unsafe_load_all"}
MUST_BE_FALSE = {"trust_remote_code", "allow_pickle", "shell"}


def dangers(code: str) -> list[str]:
    """List the lines of a program that may run code from data, `line: what`."""
    tree = ast.parse(code)
    assigned = {
        target.id: ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [f"{node.lineno}: {what}" for node in ast.walk(tree) for what in _of_node(node, assigned)]


def _of_node(node: ast.AST, assigned: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PICKLERS - {"pickle"})
        yield from (f"{alias.name} as" for alias in node.names if alias.name == "pickle" and alias.asname)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLERS:
        names = (f"{node.module}.{alias.name}" for alias in node.names)
        yield from (name for name in names if name not in HARMLESS)
    elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
        if ast.unparse(node) not in HARMLESS:
            yield ast.unparse(node)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value in MUST_BE_FALSE and not _is(value, False):
                yield str(key.value)
    elif isinstance(node, ast.Call):
        yield from _of_call(node, assigned)


def _of_call(call: ast.Call, assigned: dict[str, str]) -> Iterator[str]:
    name, keywords = ast.unparse(call.func), {keyword.arg: keyword.value for keyword in call.keywords}
    if name in FORBIDDEN_CALLS or name.split(".")[-1] in FORBIDDEN_METHODS:
        yield name
    yield from (key for key in MUST_BE_FALSE & set(keywords) if not _is(keywords[key], False))
    if name == "torch.load" and not _is(keywords.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if name in ("yaml.load", "yaml.load_all"):
        loader = keywords.get("Loader", call.args[1] if len(call.args) > 1 else None)
        text = "" if loader is None else ast.unparse(loader)
        if assigned.get(text, text) not in SAFE_LOADERS:
            yield f"{name} without a safe loader"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_program_runs_code_from_data(path):
    assert dangers(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.load(file)", "import pickle as p", "from pickle import loads", "import joblib",
        "import dill", "import torch\ntorch.load(file)", "torch.load(file, weights_only=False)",
        "torch.load(file, weights_only=flag)", "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "options = {'trust_remote_code': True}", "np.load(path, allow_pickle=True)", "yaml.load(text)",
        "yaml.load(text, yaml.Loader)", "LOADER = yaml.Loader\nyaml.load(text, LOADER)", "yaml.unsafe_load(text)",
        "pandas.read_pickle(path)", "eval(text)", "exec(text)", "os.system(text)", "subprocess.run(text, shell=True)",
    ],
)  # fmt: skip
def test_each_danger_is_found(code):
    assert dangers(code)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\ntry:\n    torch.load(file, weights_only=True)\nexcept pickle.UnpicklingError:\n    pass",
        "LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)\nyaml.load(text, LOADER)", "yaml.safe_load(text)",
        "model.eval()", "options = {'trust_remote_code': False}", "np.load(path, allow_pickle=False)",
    ],
)  # fmt: skip
def test_safe_code_is_accepted(code):
    assert dangers(code) == []


def test_the_sources_are_found():
    folders = {path.relative_to(ROOT).parts[0] for path in SOURCES}
    assert folders == {"src", "stages", "benchmarks", "tools"} and len(SOURCES) > 200
