"""`fetch` on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from medcode.cli import fetch as command


@pytest.mark.parametrize(
    ("name", "module", "expected"),
    [
        ("codiesp", command.corpora, ("codiesp", Path("to"), Path("a.zip"))),
        ("reference", command.codes, (Path("to"), Path("a.zip"))),
    ],
)
def test_fetch_passes_its_options_on(monkeypatch, capsys, name, module, expected):
    calls = []
    monkeypatch.setattr(module, "fetch", lambda *arguments: calls.append(arguments) or 12)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["fetch", name, "--from", "a.zip", "--to", "to"])
    arguments.run(arguments)
    assert calls == [expected]
    assert capsys.readouterr().out == "to: 12 files, all as published\n"
