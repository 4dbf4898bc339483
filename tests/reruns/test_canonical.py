"""Digests change if and only if the behavior of the code may change."""

from __future__ import annotations

import ast
import functools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from medcode.reruns.canonical import digest

ROOT = Path(__file__).resolve().parents[2]
CODE = '''
def f(a: int, b: str = "x", *c: float, d: bool = True) -> list[int]:
    """Say something."""
    # A remark.
    total: int = 0
    for n in range(a):
        total += n * 2
    return [total if d else -1, f"{b}: {total:>{a}}", len(c)]
'''


def digest_of(code: str) -> str:
    return digest(*ast.parse(textwrap.dedent(code)).body)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('    """Say something."""\n', ""),
        ('"""Say something."""', '"""Say something else.\n\n    At length."""'),
        ("    # A remark.\n", ""),
        ("a: int", "a"),
        (" -> list[int]", " -> list"),
        ("*c: float", "*c: complex"),
        ("total: int = 0", "total: float = 0"),
        ('"x"', "'x'"),
        ('"x"', 'u"x"'),
        ("n * 2", "(n * 2)"),
        ("    for n in range(a):\n        total += n * 2\n", "    for n in range(a): total += n*2  # quickly\n"),
        ("[total if d else -1, f", "[\n        total if d else -1,\n        f"),
        ('f"{b}: {total:>{a}}"', 'f"{b}" f": {total:>{a}}"'),
        ('f"{b}: {total:>{a}}"', "f'{b}' ': ' f'{total:>{a}}'"),
    ],
)
def test_edits_without_effect_keep_the_digest(old, new):
    assert old in CODE
    assert digest_of(CODE.replace(old, new)) == digest_of(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("n * 2", "n * 3"),
        ("n * 2", "n * 2.0"),
        ("n * 2", "n + 2"),
        ("n * 2", "2 * n"),
        ("range(a)", "range(b)"),
        ('"x"', '"y"'),
        ('"x"', 'b"x"'),
        ('"x"', "None"),
        ("d: bool = True", "d: bool = 1"),
        ("d: bool = True", "d: bool"),
        ("*c: float, d", "c: float = 0, d"),
        ("def f", "def g"),
        ("def f", "async def f"),
        ("total: int = 0", "total: int = 0; a = a"),
        (
            "    for n in range(a):\n        total += n * 2\n",
            "    for n in range(a):\n        pass\n    total += n * 2\n",
        ),
        ('{b}: {total:>{a}}"', '{b}; {total:>{a}}"'),
        ("{total:>{a}}", "{total:<{a}}"),
        ("{b}: ", "{b!r}: "),
        ("[total", "(total"),
        ("-1", "~1"),
    ],
)
def test_edits_with_an_effect_change_the_digest(old, new):
    assert old in CODE
    code = CODE.replace(old, new)
    assert digest_of(code.replace("len(c)]", "len(c))") if new == "(total" else code) != digest_of(CODE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("class K:\n a: int", "class K:\n a: float"),
        ("class K:\n if 1:\n  a: int", "class K:\n if 1:\n  a: float"),
        ("class K:\n a: Literal['x']", "class K:\n a: Literal['y']"),
        ("def f():\n class K:\n  a: int", "def f():\n class K:\n  a: float"),
        ("class K(A): pass", "class K(B): pass"),
        ("@a\ndef f(): pass", "@b\ndef f(): pass"),
        ("x = 'a' 'b'", "x = 'a', 'b'"),
        ("x = {**a}", "x = {a: a}"),
        ("x = None", "x = ..."),
        ("x = 'é'", "x = 'e'"),
        ("x = 1e400", "x = 1e4"),
        ("for x in y: pass\nelse: z()", "for x in y: pass\nz()"),
        ("match x:\n case 1: pass", "match x:\n case 2: pass"),
        ("match x:\n case None: pass", "match x:\n case True: pass"),
    ],
)
def test_different_code_has_different_digests(one, other):
    assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x: int = 3", "x: float = 3"),
        ("class K:\n a = 1\n 'about a'", "class K:\n a = 1"),
        ("class K:\n def f(self, a: int): pass", "class K:\n def f(self, a): pass"),
        ("class K:\n def f(self):\n  a: int = 1", "class K:\n def f(self):\n  a: str = 1"),
        ("if x:\n 'remark'\n y()", "if x:\n y()"),
    ],
)
def test_equivalent_code_has_the_same_digest(one, other):
    assert digest_of(one) == digest_of(other)


DRIVER = """
import ast, importlib.util, json, sys, types
folder, *files = sys.argv[1:]
for name in ("medcode", "medcode.reruns"):
    sys.modules[name] = types.ModuleType(name)
for name in ("references", "canonical"):
    spec = importlib.util.spec_from_file_location(f"medcode.reruns.{name}", f"{folder}/{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
digest, references = module.digest, sys.modules["medcode.reruns.references"].references
class Bindings(dict):
    def get(self, name, default=None):
        return {name}
found = {}
for file in files:
    body = ast.parse(open(file, "rb").read()).body
    found[file] = [[digest(node), sorted(references(node, Bindings()))] for node in body]
print(json.dumps(found))
"""
TRICKY = """
def f(x, y, *, z=(1, 2.5, -0.0, 1e-7, 3j, b"a\\xff", "\\u0378 \\U0001fae8 \\ud7ff\\x7f é \\n", ..., None, True, 10**3)):
    a = f"{x}" "b" f"{y!r:>{x}.{y}}" f'c{{}}' rf"\\d{x=}" f"{x = :5}" + f"{f'{y}'}" f"{{{x}}}" + f"" + f"plain"
    return [*a, {**x}, {n: m for n, m in y if (w := n)}, lambda q=1, /, *r, s: (yield), w, x[1:2, ...], x if y else z]
class K(object, metaclass=type): x: "int" = 1; y: list[int]
"""


def interpreter(version: str) -> str | None:
    """Find a working Python of a version on the path or in pyenv; None without one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python")
    for candidate in (shutil.which(f"python{version}"), *sorted(map(str, pyenv))):
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def digests_by(tmp_path_factory):
    """Return the digests and references that a Python computes for all files of the project and a tricky one."""
    tricky = tmp_path_factory.mktemp("tricky") / "tricky.py"
    tricky.write_text(TRICKY, encoding="utf-8")
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("stages/*.py"), *ROOT.glob("tests/**/*.py"), tricky]

    @functools.cache
    def find(python: str) -> list:
        command = [python, "-I", "-W", "ignore", "-c", DRIVER, ROOT / "src/medcode/reruns", *files]
        digests = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert len(digests) == len(files) > 200
        return digests

    return find


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_digests_and_references_are_the_same_under_every_python(digests_by, version):
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip("what the others are compared with")
    if (other := interpreter(version)) is None:
        pytest.skip(f"Python {version} is not installed")
    assert digests_by(other) == digests_by(sys.executable)
