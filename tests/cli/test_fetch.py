"""`fetch` on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from medcode.cli import fetch as command
from medcode.corpora import fetch


def test_options_reach_the_library(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(fetch, "fetch", lambda *arguments: calls.append(arguments) or 12)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["fetch", "codiesp", "--from", "a.zip", "--to", "data/raw/codiesp"])
    arguments.run(arguments)
    assert calls == [("codiesp", Path("data/raw/codiesp"), Path("a.zip"))]
    assert capsys.readouterr().out == "data/raw/codiesp: 12 files, all as published\n"
