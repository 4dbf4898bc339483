"""Runs DVC as a child, and stops it with all that it started when a signal asks for it.

DVC does not listen to Ctrl-C while a stage works, and with --keep-going it begins the next stage after one that was
interrupted. So it runs in a process group apart, which the terminal's signals do not reach. The stages at work are
interrupted first; DVC itself is when it has none and listens again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import psutil

from medcode.errors import UserError

# A second DVC command at the wrong moment must not end a run that has trained for hours.
DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
# Leads the process group; when the pipe from its parent closes, for whatever reason, the whole group ends.
LEASH = "import os, signal, sys; sys.stdin.buffer.read(); os.killpg(0, signal.SIGKILL)"
PAUSE = 0.05  # seconds between two looks
FIRST_CALL, NEXT_CALL = 2, 200  # looks at an idle DVC until it is interrupted, and until it is interrupted again
SAME_REQUEST = 1.0  # seconds within which a second signal is the first one, sent to the process and to its group


class Runner:
    """Runs commands of DVC while it is entered; nothing that they started is left when it is over.

    The first SIGINT, SIGTERM or SIGHUP interrupts: a training saves a checkpoint. A second one kills.

    Args:
        program: what to run the commands with.
    """

    def __init__(self, program: Sequence[str] = DVC) -> None:
        self.program = program
        self.requested: float | None = None
        self.insisted = False

    def __enter__(self) -> Runner:
        heard = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is under nohup
            heard.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._note) for number in heard}
        command = [sys.executable, "-I", "-S", "-c", LEASH]
        self._leash = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
        return self

    def __exit__(self, *exception: object) -> None:
        self._leash.stdin.close()
        self._leash.wait()
        while self._members():  # killed, but not yet gone
            time.sleep(PAUSE)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, commands: Sequence[Sequence[str]], jobs: int = 1) -> None:
        """Runs the commands, as many at a time as there are jobs; one that fails lets the others go on.

        Raises:
            UserError: some failed; what they said stands above.
            KeyboardInterrupt: a signal asked to stop, and everything has.
        """
        waiting, running, failed = list(commands), [], 0
        while (waiting or running) and self.requested is None:
            while waiting and len(running) < jobs:
                running.append(self._start(waiting.pop(0)))
            time.sleep(PAUSE)
            ended = [one for one in running if one.poll() is not None]
            failed += sum(one.returncode != 0 for one in ended)
            running = [one for one in running if one not in ended]
        if self.requested is not None:
            self._stop(running)
            raise KeyboardInterrupt
        if failed:
            raise UserError(f"{failed} of {len(commands)} commands of DVC failed; what they said stands above")

    def _start(self, command: Sequence[str]) -> subprocess.Popen:
        # Stages are commands that begin with `python`: the one that runs this.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return subprocess.Popen(
            [*self.program, *command],
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            process_group=self._leash.pid,
        )

    def _stop(self, running: list[subprocess.Popen]) -> None:
        told: set[int] = set()
        idle = {one.pid: 0 for one in running}
        while not self.insisted and (members := self._members()):
            for pid in members - idle.keys() - told:
                _interrupt(pid)
                told.add(pid)
            for one in running:
                if one.poll() is None:
                    idle[one.pid] = 0 if _works(one.pid) else idle[one.pid] + 1
                    if idle[one.pid] == FIRST_CALL or idle[one.pid] % NEXT_CALL == NEXT_CALL - 1:
                        _interrupt(one.pid)
            time.sleep(PAUSE)

    def _members(self) -> set[int]:
        """The processes of the group, without the one that leads it."""
        found = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getpgid(process.pid) == self._leash.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process.pid)
        return found - {self._leash.pid}

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested is None:
            self.requested = now
        elif now - self.requested > SAME_REQUEST:
            self.insisted = True


def _interrupt(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)


def _works(pid: int) -> bool:
    """Whether DVC has a stage at work, or has not yet taken note of its end: until then it does not listen."""
    try:
        return bool(psutil.Process(pid).children())
    except psutil.Error:
        return False
