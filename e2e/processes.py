"""Starting, stopping and restarting child processes, and never leaving one behind.

Every child is the leader of its own process group, so a Ctrl-C at the terminal reaches only the parent, which then
stops them in reverse order. A watchdog (``watchdog.py``) does it when the parent was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

STOP_SECONDS = 3.0

ReadyCheck = Callable[[], bool]


class ProcessFailedError(Exception):
    """A child ended or never became ready; the text has the end of its log."""


@dataclass(frozen=True)
class Command:
    """What to run. ``environment`` is added to the parent's; ``input_pipe`` keeps a pipe open on standard input."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    input_pipe: bool = False


class ManagedProcess:
    """One child that can be stopped, killed, started again. Not thread-safe: one owner at a time."""

    def __init__(self, command: Command, log: Path, watchdog: Watchdog) -> None:
        self.command = command
        self.log = log
        self._watchdog = watchdog
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        if self._process is None:
            raise ProcessFailedError(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def input(self) -> IO[bytes]:
        """The pipe to its standard input."""
        if self._process is None or self._process.stdin is None:
            raise ProcessFailedError(f"{self.name} has no input pipe")
        return self._process.stdin

    def start(self) -> None:
        """Starts it; its output is appended to the log."""
        if self.running:
            raise ProcessFailedError(f"{self.name} is running already (process {self.pid})")
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                self.command.arguments,
                env={**os.environ, **self.command.environment},
                stdin=subprocess.PIPE if self.command.input_pipe else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog.tell(f"process {self._process.pid}")

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """SIGTERM, then SIGKILL after ``grace`` seconds; does nothing when it does not run."""
        self._end(signal.SIGTERM, grace)

    def kill(self) -> None:
        """SIGKILL, at once, to the whole group."""
        self._end(signal.SIGKILL, STOP_SECONDS)

    def restart(self) -> None:
        """Stops it and starts it with the same command; readiness is the caller's to await."""
        self.stop()
        self.start()

    def check(self) -> None:
        """Raises ProcessFailedError, with the end of the log, unless it runs."""
        if not self.running:
            code = "never started" if self._process is None else f"ended with code {self._process.returncode}"
            raise ProcessFailedError(f"{self.name} {code}; the end of {self.log}:\n{self.log_tail()}")

    def log_tail(self, characters: int = 2000) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def log_since_start(self) -> str:
        """What it wrote since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _end(self, number: signal.Signals, grace: float) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            _signal_group(process.pid, number)
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                _signal_group(process.pid, signal.SIGKILL)
                process.wait(STOP_SECONDS)
        if process.stdin is not None:
            process.stdin.close()
        self._watchdog.tell(f"gone {process.pid}")


class Watchdog:
    """The parent's end of ``watchdog.py``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py"))],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, order: str) -> None:
        """Sends one order of ``watchdog.py``."""
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(f"{order}\n".encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """Says that all is stopped, and waits for its end."""
        self.tell("done")
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(STOP_SECONDS)


class Supervisor:
    """Starts processes and stops them in reverse order. The directory holds one log per name."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = logs
        self.watchdog = Watchdog()
        self._started: list[ManagedProcess] = []

    def start(self, command: Command) -> ManagedProcess:
        """Starts ``command`` and takes charge of it."""
        process = ManagedProcess(command, self.logs / f"{command.name}.log", self.watchdog)
        self._started.append(process)
        process.start()
        return process

    def close(self) -> None:
        """Stops everything, last started first, and the watchdog. Stopping what is already stopped does nothing."""
        for process in reversed(self._started):
            process.stop(grace=STOP_SECONDS)
        self.watchdog.close()


def wait_until_ready(process: ManagedProcess, ready: ReadyCheck, seconds: float) -> None:
    """Polls ``ready`` every 20 ms while ``process`` runs; ProcessFailedError when it ends or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        process.check()
        if time.monotonic() > deadline:
            raise ProcessFailedError(f"{process.name} not ready in {seconds:g} s; its log:\n{process.log_tail()}")
        time.sleep(0.02)


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # it ended by itself meanwhile
