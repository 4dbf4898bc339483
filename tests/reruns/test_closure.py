"""Closure of a script over all forms of imports, in small projects."""

from __future__ import annotations

import pytest

from medcode.reruns.closure import Project

MAIN = "\nif __name__ == '__main__':\n    main()\n"


def test_a_function_reaches_only_what_it_uses(reached):
    assert reached({
        "run": "from pkg.a import f\ndef main(): f()\n" + MAIN,
        "pkg.a": "from pkg.b import g\nLIMIT = 1\nOTHER = 2\ndef f(): return g(LIMIT)\ndef unused(): return OTHER\n",
        "pkg.b": "def g(x): return h(x)\ndef h(x): return x\ndef unused(): pass\n",
    }) == {"a.f", "a.LIMIT", "b.g", "b.h"}  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "use"),
    [
        ("from pkg.a import f", "f()"),
        ("from pkg.a import f as g", "g()"),
        ("import pkg.a", "pkg.a.f()"),
        ("import pkg.a as m", "m.f()"),
        ("from pkg import a", "a.f()"),
        ("from pkg import a as m", "m.f.attribute.other()"),
        ("import pkg.a", "[f() for f in [pkg.a.f]]"),
    ],
)
def test_a_function_is_reached_by_every_form_of_import(reached, statement, use):
    files = {"pkg.a": "def f(): pass\ndef g(): pass\n"}
    assert reached(files | {"run": f"{statement}\ndef main(): {use}\n{MAIN}"}) == {"a.f"}
    assert reached(files | {"run": f"def main():\n    {statement}\n    {use}\n{MAIN}"}) == {"a.f"}


def test_reexported_names_are_followed_to_their_definition(reached):
    assert reached({
        "run": "from pkg.sub import f\nimport pkg\nf(pkg.renamed)\n",
        "pkg": "from pkg.sub.deep import g as renamed\n",
        "pkg.sub.__init__": "from pkg.sub.deep import f, unused\nfrom pkg.sub import deep\n",
        "pkg.sub.deep": "def f(): pass\ndef g(): pass\ndef unused(): pass\n",
    }) == {"sub.deep.f", "sub.deep.g"}  # fmt: skip


def test_circular_reexports_terminate(reached):
    assert reached({
        "run": "from pkg.a import f\nf()\n",
        "pkg.a": "from pkg.b import f\n",
        "pkg.b": "from pkg.a import f\n",
    }) == set()  # fmt: skip


def test_mutual_recursion_terminates(reached):
    assert reached({
        "run": "from pkg.a import f\nf()\n",
        "pkg.a": "def f(): g()\ndef g(): f(); g()\n",
    }) == {"a.f", "a.g"}  # fmt: skip


def test_scripts_import_each_other_by_bare_names(tiny):
    tiny.write({"run": "from common import stage\nstage()\n", "common": "def stage(): pass\ndef unused(): pass\n"})
    definitions = tiny.closure().definitions
    assert definitions == {"run": {"on import"}, "common": {"stage"}}


@pytest.mark.parametrize(
    "code",
    [
        "if x:\n    from pkg.fast import f\nelse:\n    from pkg.slow import f\n",
        "try:\n    from pkg.fast import f\nexcept ImportError:\n    from pkg.slow import f\n",
        "match x:\n    case 1:\n        from pkg.fast import f\n    case _:\n        from pkg.slow import f\n",
    ],
)
def test_a_conditional_import_reaches_both_modules(reached, code):
    files = {"pkg.fast": "def f(): pass\n", "pkg.slow": "def f(): pass\n", "pkg.a": f"x = 1\n{code}def g(): f()\n"}
    assert reached({"run": "from pkg.a import g\ng()\n", **files}) >= {"fast.f", "slow.f", "a.g"}
    assert reached({"run": "from pkg.a import f\nf()\n", **files}) >= {"fast.f", "slow.f"}


def test_an_import_with_a_fallback_definition_reaches_both(reached):
    definitions = reached({
        "run": "from pkg.a import f\nf()\n",
        "pkg.a": "try:\n    from pkg.fast import f\nexcept ImportError:\n    f = None\n",
        "pkg.fast": "def f(): pass\n",
    })  # fmt: skip
    assert definitions == {"a.f", "a.on import", "fast.f"}


def test_modifying_an_imported_object_keeps_its_reference(reached):
    definitions = reached({
        "run": "from pkg.a import g\ng()\n",
        "pkg.a": "from pkg.b import TABLE, other\nTABLE[other.KEY] = 1\ndef g(): return TABLE, other.h()\n",
        "pkg.b": "TABLE = {}\n",
        "pkg.other": "KEY = 1\ndef h(): pass\n",
        "pkg": "from pkg import other\n",
    })  # fmt: skip
    assert {"a.g", "a.TABLE", "b.TABLE", "a.on import"} <= definitions


@pytest.mark.parametrize("use", ["getattr(a, 'f')", "vars(a)", "a.__dict__", "g(a)", "a.made_while_it_runs"])
def test_a_module_used_as_a_whole_reaches_all_its_definitions(reached, use):
    assert reached({
        "run": f"from pkg import a\n{use}\n",
        "pkg.a": "from pkg.b import handed_on\nfrom pkg import c\nX = 1\ndef f(): pass\n",
        "pkg.b": "def handed_on(): pass\ndef unused(): pass\n",
        "pkg.c": "def unused(): pass\n",
    }) == {"a.X", "a.f", "b.handed_on"}  # fmt: skip


@pytest.mark.parametrize("use", ["a.__file__", "a.__name__", "a.__doc__"])
def test_standard_module_attributes_reach_nothing(reached, use):
    assert reached({"run": f"from pkg import a\nprint({use})\n", "pkg.a": "X = 1\n"}) == set()


def test_globals_reaches_the_whole_module(reached):
    assert reached({
        "run": "from pkg.a import f\nf('g')\n",
        "pkg.a": "def f(name): return globals()[name]\ndef g(): pass\n",
    }) == {"a.f", "a.g"}  # fmt: skip


def test_modules_chosen_at_run_time_are_reached_through_the_function_that_imports_them(reached):
    files = {
        "run": "from pkg.models import find\nfind('b')\n",
        "pkg.models.__init__": "def find(name): return __import__(name)\n",
        "pkg.models.a": "class A: pass\n",
        "pkg.models.b": "from pkg.layer import Layer\nimport pkg.effect\nclass B(Layer): pass\n",
        "pkg.layer": "class Layer: pass\n",
        "pkg.effect": "print(1)\n",
    }
    assert reached(files) == {"models.find"}
    definitions = reached(files, chosen=lambda name: ["pkg.models.b"] if name == "pkg.models.find" else [])
    assert definitions == {"models.find", "models.b.B", "layer.Layer", "effect.on import"}


def test_data_files_named_by_a_definition_are_reached(tiny):
    tiny.write({
        "run": "from pkg.a import page, table, facts, every, one\nprint(page, table, facts(), every(), one('x'))\n",
        "pkg.a": """
            from pathlib import Path
            page = Path(__file__).with_name("page.html")
            table = Path(__file__).parent / "tables/codes.csv"
            def facts(): return Path(__file__).parent / "facts"
            def every(): return Path(__file__).parent.glob("*.txt")
            def one(name): return f"{name}.dat"
            unused = "unused.html"
        """,
        "pkg/page.html": "", "pkg/unused.html": "", "pkg/tables/codes.csv": "", "pkg/facts/a.yaml": "",
        "pkg/facts/deep/b.yaml": "", "pkg/a.txt": "", "pkg/b.txt": "", "pkg/x.dat": "", "pkg.code.__init__": "",
        "pkg/code/c.yaml": "",
    })  # fmt: skip
    files = {path.relative_to(tiny.folder / "src/pkg").as_posix() for path in tiny.closure().files}
    assert files == {
        "page.html", "tables/codes.csv", "facts/a.yaml", "facts/deep/b.yaml", "a.txt", "b.txt", "x.dat",
    }  # fmt: skip


def test_other_packages_are_left_out(tiny):
    tiny.write({"run": "import json, yaml\nfrom os import path\njson.dumps(path.join('a'))\n"})
    assert tiny.closure().definitions == {"run": {"on import"}}
    assert Project(tiny.folder / "src", "pkg").module("run") is None
