"""The connection to a cluster: one line for what is wrong, before anything starts. Ray itself is not needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from free_ports import free_port

from medcode import __version__
from medcode.cluster.connection import connected, join
from medcode.errors import UserError


@pytest.mark.parametrize("address", ["here", "host:", ":6379", "host:port", "local"])
def test_an_address_has_a_host_and_a_port(address):
    with pytest.raises(UserError, match=f"--ray: auto, or HOST:PORT, found {address}"), connected(address):
        pass


def test_nothing_answers():
    address = f"127.0.0.1:{free_port()}"
    for wrong in (address, "127.0.0.1:99999"):
        with pytest.raises(UserError, match=f"--ray: no Ray cluster answers at {wrong} "), connected(wrong):
            pass


def test_a_worker_enters_the_folder_of_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    join(str(tmp_path), __version__)
    assert Path.cwd() == tmp_path


def test_a_machine_without_the_folder_or_with_another_medcode_says_so(tmp_path):
    with pytest.raises(UserError, match=r"cannot enter .*/none .*; all machines must see it there"):
        join(str(tmp_path / "none"), __version__)
    with pytest.raises(UserError, match=f"has medcode {__version__}, the command is of 0.0.1"):
        join(str(tmp_path), "0.0.1")
