"""Ends what the control plane started when the control plane's own process is gone, however it went.

Run as a child (``python -I -S watchdog.py``) that reads its orders from standard input:

    process PID      watch over this process group
    gone PID         it was stopped in the ordinary way
    directory PATH   remove this directory at the end
    done             everything was stopped in the ordinary way

The end of input without ``done`` means that the parent was killed: every group still watched is ended, last started
first, and the directories are removed. The standard library only, so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

GRACE_SECONDS = 3.0


def start_time(pid: int) -> str | None:
    """When the kernel started ``pid`` (clock ticks since boot), None when there is no such process or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def end_groups(watched: dict[int, str | None]) -> None:
    """SIGTERM last started first, SIGKILL after three seconds; a process id that was reused is left alone."""
    ours = [pid for pid, started in reversed(watched.items()) if started and start_time(pid) == started]
    for pid in ours:
        _signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(start_time(pid) == watched[pid] for pid in ours):
        time.sleep(0.05)
    for pid in ours:
        if start_time(pid) == watched[pid]:
            _signal_group(pid, signal.SIGKILL)


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # it ended by itself meanwhile


def main() -> None:
    """Reads orders until the end of input."""
    watched: dict[int, str | None] = {}
    directories: list[str] = []
    for line in sys.stdin:
        order, _, argument = line.rstrip("\n").partition(" ")
        if order == "process":
            watched[int(argument)] = start_time(int(argument))
        elif order == "gone":
            watched.pop(int(argument), None)
        elif order == "directory":
            directories.append(argument)
        elif order == "done":
            return
    end_groups(watched)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
