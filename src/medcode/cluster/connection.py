"""A connection to a Ray cluster, or a cluster on this machine alone for the time of a command."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator

from medcode import __version__
from medcode.errors import UserError

AUTO = "auto"
INSTALL = "pip install 'medcode[ray]' has it"
PATIENCE = 10.0  # seconds until a cluster answers
ATTEMPTS = 4  # of what a lost worker did, before the command gives up


@contextlib.contextmanager
def connected(address: str, *, worker_output: bool = False) -> Iterator[None]:
    """Connect to Ray, and part from it at the end, which ends what still runs there for this command.

    Args:
        address: of the cluster, HOST:PORT; `auto` for the one that RAY_ADDRESS names or this machine is part of, and
            without such a one for a cluster on this machine.
        worker_output: show what workers print.

    Raises:
        UserError: Ray is not installed; there is no cluster at the address.
    """
    if address != AUTO:
        _check(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # they would be sent to Ray's authors
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of what Ray itself writes between the lines of a command
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UserError(f"--ray: Ray is not installed; {INSTALL}") from error
    # Workers find the medcode that runs here, even if it is not installed.
    environment = {"env_vars": {"PYTHONPATH": path}} if (path := os.environ.get("PYTHONPATH")) else {}
    with contextlib.redirect_stdout(sys.stderr):  # where Ray says that a worker was lost
        try:
            ray.init(
                None if address == AUTO else address,
                include_dashboard=False,
                log_to_driver=worker_output,
                logging_level="ERROR",
                runtime_env=environment,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"--ray: no Ray cluster answers at {address} ({_first_line(error)})") from error
        try:
            machines = [node for node in ray.nodes() if node["Alive"]]
            print(f"Ray: {len(machines)} machines, {int(ray.cluster_resources().get('CPU', 0))} CPUs")
            yield
        finally:
            ray.shutdown()


def _check(address: str) -> None:
    """Refuse an address at which nothing answers: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--ray: {AUTO}, or HOST:PORT, found {address}")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--ray: no Ray cluster answers at {address} ({error})") from error


def join(folder: str, version: str) -> None:
    """Enter the working directory of the command, in a worker.

    Args:
        folder: the directory.
        version: of the command's medcode.

    Raises:
        UserError: this machine does not have it; its medcode is another one.
    """
    if version != __version__:
        raise UserError(f"{socket.gethostname()}: has medcode {__version__}, the command is of {version}")
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"{socket.gethostname()}: cannot enter {folder} ({error.strerror}); all machines must see it there"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
