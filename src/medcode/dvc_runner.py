"""Run DVC in a child process group, and stop the whole group on a signal.

DVC ignores Ctrl-C while a stage runs, and with --keep-going it starts the next stage after an interrupted one. So it
runs in its own process group, which the terminal's signals do not reach. Running stages are interrupted first. DVC
itself is interrupted once no stage runs, when it handles signals again.
"""

from __future__ import annotations

import contextlib
import json
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

# A concurrent DVC command that holds the lock must not fail a run after hours of training.
DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
# Leader of the process group: kills the whole group as soon as the pipe from its parent closes.
LEASH = "import os, signal, sys; sys.stdin.buffer.read(); os.killpg(0, signal.SIGKILL)"
PAUSE = 0.05  # seconds between two polls
# While stopping polls are closer, because an idle DVC starts its next stage within a tenth of a second.
STOP_PAUSE = 0.01
FIRST_INTERRUPT, NEXT_INTERRUPT = 2, 500  # polls of an idle DVC before the first interrupt, and between later ones
SAME_REQUEST = 1.0  # seconds; a repeated signal within this time is one request, sent to process and group


RWLOCK = Path(".dvc/tmp/rwlock")


class Runner:
    """Context manager that runs DVC commands and leaves no child process behind.

    The first SIGINT, SIGTERM or SIGHUP interrupts: a training saves a checkpoint. A second one kills.

    Args:
        program: the command line in front of each DVC command.
    """

    def __init__(self, program: Sequence[str] = DVC) -> None:
        self.program = program
        self.stop_requested_at: float | None = None
        self.kill_requested = False

    def __enter__(self) -> Runner:
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is under nohup
            signals.append(signal.SIGHUP)
        self._previous_handlers = {number: signal.signal(number, self._on_signal) for number in signals}
        command = [sys.executable, "-I", "-S", "-c", LEASH]
        self._leash = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
        return self

    def __exit__(self, *exception: object) -> None:
        self._leash.stdin.close()
        self._leash.wait()
        while self._group_members():  # killed, but still exiting
            time.sleep(PAUSE)
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def run(self, commands: Sequence[Sequence[str]], jobs: int = 1) -> None:
        """Run the commands, at most `jobs` at a time; a failure does not stop the others.

        Raises:
            UserError: some commands failed; their output stands above.
            KeyboardInterrupt: a signal asked to stop, and all processes have ended.
        """
        waiting, running, failed = list(commands), [], 0
        while (waiting or running) and self.stop_requested_at is None:
            while waiting and len(running) < jobs:
                running.append(self._start(waiting.pop(0)))
            time.sleep(PAUSE)
            ended = [process for process in running if process.poll() is not None]
            failed += sum(process.returncode != 0 for process in ended)
            running = [process for process in running if process not in ended]
        if self.stop_requested_at is not None:
            self._stop(running)
            raise KeyboardInterrupt
        if failed:
            raise UserError(f"{failed} of {len(commands)} commands of DVC failed; what they said stands above")

    def _start(self, command: Sequence[str]) -> subprocess.Popen:
        # Commands of stages begin with `python`: make it the interpreter that runs this.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return subprocess.Popen(
            [*self.program, *command],
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            process_group=self._leash.pid,
        )

    def _stop(self, running: list[subprocess.Popen]) -> None:
        interrupted: set[int] = set()
        idle = {process.pid: 0 for process in running}
        while not self.kill_requested and (members := self._group_members()):
            for pid in members - idle.keys() - interrupted:
                _interrupt(pid)
                interrupted.add(pid)
            for process in running:
                if process.poll() is None:
                    idle[process.pid] = 0 if _is_busy(process.pid) else idle[process.pid] + 1
                    if idle[process.pid] == FIRST_INTERRUPT or idle[process.pid] % NEXT_INTERRUPT == NEXT_INTERRUPT - 1:
                        _interrupt(process.pid)
            time.sleep(STOP_PAUSE)
        _remove_damaged_lock(RWLOCK)

    def _group_members(self) -> set[int]:
        """Return the ids of live processes in the group, without its leader."""
        pids = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getpgid(process.pid) == self._leash.pid and process.status() != psutil.STATUS_ZOMBIE:
                    pids.add(process.pid)
        return pids - {self._leash.pid}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.stop_requested_at is None:
            self.stop_requested_at = now
        elif now - self.stop_requested_at > SAME_REQUEST:
            self.kill_requested = True


def _remove_damaged_lock(file: Path) -> None:
    """Remove DVC's table of locks if an interrupt cut its writing short: every later command of DVC would fail."""
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        file.unlink(missing_ok=True)


def _interrupt(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)


def _is_busy(pid: int) -> bool:
    """Whether DVC has a child, a stage that runs or is not yet reaped; until then it ignores signals."""
    try:
        return bool(psutil.Process(pid).children())
    except psutil.Error:
        return False
