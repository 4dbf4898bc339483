"""Fixture that runs commands."""

from __future__ import annotations

import pytest

from medcode import __main__


@pytest.fixture
def command(capsys, root, monkeypatch):
    """Run a command in the project's folder; return exit code, standard output and standard error."""
    monkeypatch.chdir(root)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = __main__.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
