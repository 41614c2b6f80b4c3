"""Processes are started, stopped and killed as whole groups, and the watchdog ends what a dead parent left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.processes import Command, ProcessFailedError, Supervisor, wait_until_ready
from e2e.watchdog import end_groups, start_time

SLEEP = ("sh", "-c", "echo started; sleep 60 & wait")


def test_a_stopped_process_can_be_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    process = supervisor.start(Command("sleep", SLEEP))
    first = process.pid
    wait_until_ready(process, lambda: "started" in process.log_since_start(), 5)
    process.restart()
    assert process.pid != first
    assert start_time(first) is None
    process.kill()
    with pytest.raises(ProcessFailedError, match="sleep ended with code -9"):
        process.check()
    supervisor.close()
    assert start_time(supervisor.watchdog.pid) is None


def test_a_process_that_ends_before_it_is_ready_shows_its_log(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    process = supervisor.start(Command("broken", ("sh", "-c", "echo no such port; exit 3")))
    with pytest.raises(ProcessFailedError, match=r"broken ended with code 3(.|\n)*no such port"):
        wait_until_ready(process, lambda: False, 5)
    supervisor.close()


def test_the_watchdog_ends_whole_groups_and_leaves_reused_ids_alone() -> None:
    ours = subprocess.Popen(SLEEP, start_new_session=True, stdout=subprocess.DEVNULL)
    other = subprocess.Popen(SLEEP, start_new_session=True, stdout=subprocess.DEVNULL)
    end_groups({ours.pid: start_time(ours.pid), other.pid: "1"})
    assert start_time(ours.pid) is None
    assert start_time(other.pid) is not None
    end_groups({other.pid: start_time(other.pid)})
    ours.wait(5)
    other.wait(5)


def test_the_watchdog_ends_everything_when_its_input_ends(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    script = Path(sys.modules["e2e.watchdog"].__file__ or "")
    watchdog = subprocess.Popen([sys.executable, "-I", "-S", str(script)], stdin=subprocess.PIPE, text=True)
    child = subprocess.Popen(SLEEP, start_new_session=True, stdout=subprocess.DEVNULL)
    watchdog.communicate(f"process {child.pid}\ndirectory {directory}\n", timeout=10)
    child.wait(5)
    assert not directory.exists()
