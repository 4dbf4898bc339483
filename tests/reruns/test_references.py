"""What a piece of code refers to: names of its module and of its imports, and no local variable."""

from __future__ import annotations

import ast
import textwrap

import pytest

from medcode.reruns.references import docstring, imported, references, texts

MODULE = {name: {f"m.{name}"} for name in ("f", "g", "x", "y", "C", "deco")} | {"lib": {"pkg.lib"}, "np": {"numpy"}}


def references_in(code: str) -> set[str]:
    """Return the references of all statements, without the prefix `m.` of the module."""
    body = ast.parse(textwrap.dedent(code)).body
    return {name.removeprefix("m.") for statement in body for name in references(statement, MODULE)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # Plain uses.
        ("def h(): return f(x)", {"f", "x"}),
        ("def h(): return lib.part.f(1)", {"pkg.lib.part.f"}),
        ("def h(): return np.zeros(3)", {"numpy.zeros"}),
        ("def h(): return lib", {"pkg.lib"}),
        ("def h(): return getattr(lib, 'f')", {"pkg.lib"}),
        ("def h(): return f().x.y", {"f"}),
        ("def h(): return lib.f[x].y", {"pkg.lib.f", "x"}),
        ("def h(): return unknown(len)", set()),
        ("def h(): lib.f = x", {"pkg.lib.f", "x"}),
        ("def h(): del lib.f", {"pkg.lib.f"}),
        ("async def h(): await f()", {"f"}),
        # Local names shadow those of the module.
        ("def h(f): return f(x)", {"x"}),
        ("def h(*f, **x): return f, x", set()),
        ("def h(f, /, x, *, y): return f, x, y", set()),
        ("def h():\n f = 1\n return f", set()),
        ("def h():\n print(f)\n f = 1", set()),
        ("def h():\n for f, (x, *y) in []: pass\n return f, x, y", set()),
        ("def h():\n with open('a') as f: return f", set()),
        ("def h():\n try: pass\n except OSError as f: return f", set()),
        ("def h():\n if (f := 1): return f", set()),
        ("def h():\n def f(): pass\n return f", set()),
        ("def h():\n class f: pass\n return f", set()),
        ("def h():\n f += 1", set()),
        ("def h():\n f: int\n return f", set()),
        ("def h(f): return f.x.y", set()),
        # Functions within functions, and lambda.
        ("def h(f):\n def inner(): return f, x\n return inner", {"x"}),
        ("def h():\n def inner(): return f\n f = 1\n return inner", set()),
        ("def h():\n def inner():\n  f = 1\n return f", {"f"}),
        ("def h():\n def inner():\n  nonlocal f\n  f = 2\n f = 1", set()),
        ("h = lambda f, x=y: f(x)", {"y"}),
        ("h = lambda: f(lambda x: x + y)", {"f", "y"}),
        ("def h(): return (lambda f: f)(f)", {"f"}),
        # `global`.
        ("def h():\n global x\n x = 1", {"x"}),
        ("def h():\n global x\n x += 1", {"x"}),
        ("def h():\n x = 1\n def inner():\n  global x\n  return x\n return x", {"x"}),
        ("def h():\n global x\n def inner(): return x\n return inner", {"x"}),
        # Default arguments and decorators are evaluated outside.
        ("def h(x=x): return x", {"x"}),
        ("def h(*, f=f, y=g(1)): return f, y", {"f", "g"}),
        ("def h(*args, f=x): return args", {"x"}),
        ("@deco\ndef h(): pass", {"deco"}),
        ("@lib.deco(x)\ndef h(x): pass", {"pkg.lib.deco", "x"}),
        ("@deco\nclass K(C, metaclass=lib.M, flag=x): pass", {"deco", "C", "pkg.lib.M", "x"}),
        # Comprehensions have names of their own, but for the first thing that they go through.
        ("def h(): return [f for f in range(3)]", set()),
        ("def h(): return [x for x in x]", {"x"}),
        ("def h(): return {f: g for f in y if f > x for g in f}", {"y", "x"}),
        ("def h(): return [x for y in f for x in y] + [x]", {"f", "x"}),
        ("def h(): return [[x for x in y] + [x] for y in f]", {"f", "x"}),
        ("def h(): return [f(y) for y in x if (g := y)], g", {"f", "x"}),
        ("def h(): return sum(f for f in [1]) + f", {"f"}),
        ("def h(x): return {y for y in x}", set()),
        ("class K:\n a = [x for x in x]", {"x"}),
        # Classes: what the body binds is not seen in methods; in the body itself it may come too late.
        ("class K:\n x = 1\n def h(self): return x", {"x"}),
        ("class K:\n x = x", {"x"}),
        ("class K:\n z = 1\n w = z", set()),
        ("class K:\n def f(self): return f()", {"f"}),
        ("class K:\n a = lambda self: f(self)", {"f"}),
        ("class K:\n import pkg.other as lib\n a = lib.f", {"pkg.lib.f", "pkg.other.f"}),
        # Annotations: read by classes, comments elsewhere.
        ("def h(a: C, *b: x) -> y: pass", set()),
        ("def h():\n a: C = f()\n return a", {"f"}),
        ("a: C = f()", {"f"}),
        ("class K:\n a: C\n b: list[x] = y", {"C", "x", "y"}),
        ("class K:\n a: 'C'\n b: Literal['f g', 'x']", {"C", "x"}),
        ("class K:\n def h(self, a: C) -> x: pass", set()),
        ("class K:\n def h(self):\n  a: C = 1", set()),
        # Imports inside functions.
        ("def h():\n from pkg.other import f\n return f(x)", {"pkg.other.f", "x"}),
        ("def h():\n from pkg.other import f as g\n return g, f", {"pkg.other.f", "f"}),
        ("def h():\n import pkg.other\n return pkg.other.f", {"pkg.other.f"}),
        ("def h():\n import pkg.other as f\n return f.g", {"pkg.other.g"}),
        ("def h():\n if x: from pkg.a import f\n else: from pkg.b import f\n return f", {"pkg.a.f", "pkg.b.f", "x"}),
        ("def h():\n from pkg.other import f\n return [f(y) for y in x]", {"pkg.other.f", "x"}),
        # `match`.
        ("def h(a):\n match a:\n  case C(y=1): return f", {"C", "f"}),
        ("def h(a):\n match a:\n  case lib.x: return 1", {"pkg.lib.x"}),
        ("def h(a):\n match a:\n  case {'k': f, **x}: return f, x", set()),
        ("def h(a):\n match a:\n  case [f, *x] | [f, x] as y: return f, x, y", set()),
        # Everything may be meant.
        ("def h(n): return globals()[n]", {"f", "g", "x", "y", "C", "deco", "pkg.lib", "numpy"}),
        ("def h(n): return eval(n)", {"f", "g", "x", "y", "C", "deco", "pkg.lib", "numpy"}),
        # f-strings.
        ("def h(y): return f'{f(y):>{x}}'", {"f", "x"}),
    ],
)
def test_names_are_resolved_as_by_python(code, expected):
    assert references_in(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import a", [("a", "a")]),
        ("import a.b, c", [("a", "a"), ("c", "c")]),
        ("import a.b as d", [("d", "a.b")]),
        ("from a.b import c, d as e", [("c", "a.b.c"), ("e", "a.b.d")]),
    ],
)
def test_an_import_binds_names(code, expected):
    assert imported(ast.parse(code).body[0]) == expected


@pytest.mark.parametrize("code", ["from . import a", "from .b import a", "from a import *"])
def test_star_and_relative_imports_are_refused(code):
    with pytest.raises(ValueError, match="line 1: import by full names, and each by its name"):
        imported(ast.parse(code).body[0])


def test_texts_are_string_constants_without_docstrings():
    tree = ast.parse('"""a"""\ndef f():\n """b"""\n return "c", f"d{1}"\nclass K:\n """e"""\n x = "g"\n """h"""\n')
    assert texts(tree) == {"c", "d", "g"}
    assert docstring(tree.body[0]).value == "a" and docstring(tree.body[1]) is None
