"""Definitions of a file, code that runs on import, and files that cannot be parsed."""

from __future__ import annotations

import pytest

from medcode.errors import UserError


def test_importing_a_module_reaches_all_import_time_code(reached):
    assert reached({
        "run": "from pkg.sub.a import f\nf()\n",
        "pkg": "print(1)\n",
        "pkg.sub.__init__": "for n in range(3): print(n)\n",
        "pkg.sub.a": "from pkg import b\nimport pkg.c\nclass K:\n    from pkg.d import X\ndef f(): pass\n",
        "pkg.b": "TABLE = {}\nTABLE['a'] = 1\nunused = 2\n",
        "pkg.c": "try:\n    import pkg.e\nexcept ImportError:\n    raise\ndef unused(): pass\n",
        "pkg.d": "X = 1\nX.y = 2\n",
        "pkg.e": "def used(): pass\nused()\n",
        "pkg.f": "print('never imported')\n",
    }) == {
        "on import", "sub.on import", "sub.n", "sub.a.f", "b.on import", "b.TABLE", "c.on import", "e.on import",
        "e.used", "d.on import", "d.X",
    }  # fmt: skip


def test_an_import_in_a_function_counts_only_if_the_function_is_reached(reached):
    files = {
        "pkg.a": "def f():\n    import pkg.b\n    from pkg.c import unused\ndef g(): import pkg.d\n",
        "pkg.b": "print('b')\n",
        "pkg.c": "print('c')\nunused = 1\n",
        "pkg.d": "print('d')\n",
    }
    assert reached({"run": "from pkg.a import f\nf()\n", **files}) == {"a.f", "b.on import", "c.on import"}
    assert reached({"run": "from pkg.a import g\ng()\n", **files}) == {"a.g", "d.on import"}
    assert reached({"run": "import pkg.a\n", **files}) == set()


def test_code_for_type_checkers_is_ignored(reached):
    assert reached({
        "run": "from pkg.a import f\nf()\n",
        "pkg.a": """
            from typing import TYPE_CHECKING
            import typing as t
            if TYPE_CHECKING:
                from pkg.b import X
            if t.TYPE_CHECKING:
                import pkg.b
            else:
                import pkg.c
            if not TYPE_CHECKING:
                import pkg.d
            def f(a: X) -> X: pass
        """,
        "pkg.b": "print(1)\nX = 1\n",
        "pkg.c": "print(1)\n",
        "pkg.d": "print(1)\n",
    }) == {"a.f", "c.on import", "d.on import"}  # fmt: skip


def test_definitions_inside_conditions_and_loops_are_found(reached):
    files = {
        "pkg.a": """
            import sys
            if sys.platform == "linux":
                def f(): return LINUX
            for name in ("x", "y"):
                last = name
            LINUX = 1
            with open("a") as file:
                text = file
            first = [found := n for n in range(3)]
            unused = 1
        """
    }
    run = "from pkg.a import f, last, text, found\nf(last, text, found)\n"
    assert reached({"run": run, **files}) == {
        "a.f", "a.LINUX", "a.last", "a.name", "a.text", "a.file", "a.found", "a.first", "a.on import",
    }  # fmt: skip


def test_a_constant_includes_all_statements_that_build_it(tiny):
    tiny.write({"run": "from pkg.a import X\nprint(X)\n", "pkg.a": "X = [1]\nY = 2\nX += [3]\nZ, W = Y, 1\n"})
    before = tiny.digests()
    assert before.keys() == {"run.on import", "pkg.a.X"}
    tiny.write({"pkg.a": "X = [1]\nX += [4]\n"})
    assert tiny.digests()["pkg.a.X"] != before["pkg.a.X"]
    tiny.write({"pkg.a": "X = [3]\nX += [1]\n"})
    assert tiny.digests()["pkg.a.X"] != before["pkg.a.X"]  # in another order


def test_a_function_that_changes_a_name_of_its_module_depends_on_it(reached):
    assert reached({
        "run": "from pkg.a import count\ncount()\n",
        "pkg.a": "total = 0\ndef count():\n    global total\n    total += 1\n",
    }) == {"a.count", "a.total"}  # fmt: skip


def test_a_decorator_of_the_project_has_an_effect_on_import(reached):
    assert reached({
        "run": "from pkg.a import KINDS\nprint(KINDS)\n",
        "pkg.a": """
            import functools
            from dataclasses import dataclass
            KINDS = []
            def kind(cls): KINDS.append(cls); return cls
            @kind
            class Noted: pass
            @dataclass(frozen=True)
            class Plain: pass
            @functools.cache
            def cached(): pass
            class Speaks:
                print("defined")
        """,
    }) == {"a.KINDS", "a.on import", "a.kind"}  # fmt: skip


def test_comments_layout_order_and_annotations_keep_all_digests(tiny):
    code = '''
        """A module."""
        import os
        import sys
        A = 1
        B = (A, os.sep)
        class K:
            """A class."""
            x: int = A
            def m(self, a: int = 1) -> int:
                """A method."""
                return f(a)
        def f(a, b=2): return a + b + len(sys.argv)
    '''
    run = "from pkg.a import K, B\nK().m(B)\n"
    tiny.write({"run": run, "pkg.a": code})
    before = tiny.digests()
    assert before.keys() == {"run.on import", *(f"pkg.a.{name}" for name in ("A", "B", "K", "f"))}
    changed = '''
        # Another module.
        import sys, os

        def f(a: float, b: float = 2) -> float:
            """Add."""
            return a + b + len(sys.argv)  # a remark

        class K:
            x: int = A  # a remark

            def m(self, a=1):
                return f(
                    a,
                )

        B = (A, os.sep)
        A = 1
        UNUSED = 3
    '''
    tiny.write({"pkg.a": changed})
    assert tiny.digests() == before
    for old, new, name in (("a + b", "a - b", "f"), ("float = 2", "float = 3", "f"), (" A = 1", " A = 2", "A")):
        tiny.write({"pkg.a": changed.replace(old, new)})
        after = tiny.digests()
        assert {key for key in before if after[key] != before[key]} == {f"pkg.a.{name}"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(:\n", r"pkg/a\.py: line 2: not valid Python"),
        ("from . import b\n", r"pkg/a\.py: line 2: import by full names, and each by its name"),
        ("from pkg.b import *\n", r"pkg/a\.py: line 2: import by full names"),
        ("def f():\n    from .b import c\n", r"pkg/a\.py: line 3: import by full names"),
        ("\0", r"pkg/a\.py: "),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(tiny, code, message):
    tiny.write({"run": "from pkg.a import f\nf()\n", "pkg.a": code})
    with pytest.raises(UserError, match=message) as mistake:
        tiny.closure()
    (line,) = mistake.value.args
    assert "\n" not in line


def test_an_unreached_file_may_be_invalid(tiny):
    tiny.write({"run": "from pkg.a import f\nf()\n", "pkg.a": "def f(): pass\n", "pkg.b": "def f(:\n"})
    assert tiny.closure().definitions["pkg.a"] == {"f"}


def test_function_annotations_are_never_references(tiny):
    tiny.write({"run": "from pkg.a import f\nf()\n"})
    path = tiny.folder / "src/pkg/a.py"
    path.write_text("def f(a): pass\n")
    plain = tiny.digests()
    for code in ("def f(a: int): pass\n", "def f(a) -> str: pass\n"):
        path.write_text(code)
        assert tiny.digests() == plain


def changed(tiny, module: str, old: str, new: str) -> bool:
    """Whether an edit of `pkg.a` changes the definitions that the script reaches, or a digest of one."""
    tiny.write({"run": "from pkg.a import f\nf()\n", "pkg.a": module})
    before = tiny.digests()
    assert old in module
    tiny.write({"pkg.a": module.replace(old, new)})
    return tiny.digests() != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        # A name stands for something else.
        ("import re\ndef f(): re.sub()\n", "import re", "import regex as re"),
        ("from lib import g\ndef f(): g()\n", "import g", "import h as g"),
        ("from lib import g\ndef f(): g()\n", "from lib", "from other"),
        ("from lib import g, h\ndef f(): return g, h\n", "g, h\ndef", "h as g, g as h\ndef"),
        ("import lib\nclass K(lib.B): pass\ndef f(): K()\n", "import lib", "import other as lib"),
        # Imported, or called, for what that does.
        ("import re\ndef f(): re.sub()\n", "import re\n", "import re\nimport patches_everything\n"),
        ("import torch\ndef f(): torch.rand()\n", "def", "_G = torch.manual_seed(0)\ndef"),
        ("import os\ndef f(): os.getpid()\n", "def", "OLD = os.environ.setdefault('A', '1')\ndef"),
        ("RULES = {1: 2}\ndef f(): return RULES\n", "def", "GONE = RULES.pop(1)\ndef"),
        # Found by name.
        ("import sys\ndef f(): getattr(sys.modules[__name__], 'g' + 'h')()\ndef gh(): pass\n", "): pass", "): 1"),
    ],
)
def test_an_edit_that_may_change_a_result_is_detected(tiny, module, old, new):
    assert changed(tiny, module, old, new)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("import re\ndef f(): re.sub()\ndef g(): pass\n", "def g(): pass", "import os\ndef g(): os.getpid()"),
        (
            "import re\ndef f(): re.sub()\n",
            "import re",
            "import re\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import x",
        ),
        ("def f():\n    x = 1\n    return x\n", "x = 1", "x: int = 1"),
        ("N = 6\ndef f(): return N\n", "N = 6", "N: int = 6"),
        ("def f(): pass\n", "pass\n", "pass\nif __name__ == '__main__':\n    f()\n"),
        ("import re\ndef f(): re.sub()\n", "def", "WORDS = re.compile('a')\ndef"),
        ("def f(): pass\n", "def", "_TABLE = {1: 2}\ndef"),
    ],
)
def test_an_edit_without_effect_is_not_detected(tiny, module, old, new):
    assert not changed(tiny, module, old, new)
