"""The outcome table of the control loop."""

import threading
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from rollwarden.runtime.controller import Controller, Outcome, Reconciled
from rollwarden.runtime.errors import Retryable, Terminal
from rollwarden.runtime.queue import WorkQueue
from tests.runtime.clock import FakeClock


def raising(error: Exception) -> Callable[[str], float | None]:
    def reconcile(key: str) -> float | None:
        raise error

    return reconcile


@pytest.mark.parametrize(
    ("reconcile", "outcome", "comes_again_after", "failures", "level"),
    [
        pytest.param(lambda key: None, Outcome.SUCCESS, None, 0, None, id="None: done, back-off starts over"),
        pytest.param(lambda key: 7.0, Outcome.REQUEUE, 7.0, 0, None, id="seconds: done, and again later"),
        pytest.param(raising(Retryable("moved")), Outcome.RETRY, 2.0, 2, "warning", id="Retryable: rate limited"),
        pytest.param(
            raising(Retryable("slow down", after=30)), Outcome.RETRY, 30.0, 2, "warning", id="Retryable: waits as asked"
        ),
        pytest.param(raising(Terminal("hopeless")), Outcome.TERMINAL, None, 0, "error", id="Terminal: not again"),
        pytest.param(raising(KeyError("bug")), Outcome.ERROR, 2.0, 2, "error", id="anything else: a bug, rate limited"),
        pytest.param(lambda key: float("nan"), Outcome.ERROR, 1.0, 1, "error", id="a wait that is no number: a bug"),
    ],
)
def test_outcome_table(
    reconcile: Callable[[str], float | None],
    outcome: Outcome,
    comes_again_after: float | None,
    failures: int,
    level: str | None,
) -> None:
    clock = FakeClock()
    queue = WorkQueue[str](clock=clock, base_delay=1, max_delay=100)
    observed: list[Reconciled[str]] = []
    controller = Controller("test", reconcile, queue, observe=observed.append, clock=clock)
    queue.add_rate_limited("key")  # it failed once before
    clock.advance(1)
    assert queue.get(0) == "key"
    with capture_logs() as lines:
        result = controller.process("key")
    assert result.outcome is outcome
    assert observed == [result]
    assert queue.failures("key") == failures
    assert [line["log_level"] for line in lines] == ([level] if level else [])
    if outcome is Outcome.ERROR:
        assert lines[0].get("exc_info"), "a bug is logged with its traceback"
    if comes_again_after is None:
        clock.advance(1000)
        assert queue.get(0) is None
    else:
        clock.advance(comes_again_after - 0.001)
        assert queue.get(0) is None
        clock.advance(0.002)
        assert queue.get(0) == "key"


def test_workers_share_the_keys_and_stop_when_all_is_done() -> None:
    queue = WorkQueue[int]()
    done: list[int] = []
    names: set[str] = set()

    def reconcile(key: int) -> None:
        time.sleep(0.001)
        names.add(threading.current_thread().name)
        done.append(key)

    controller = Controller("test", reconcile, queue, workers=4, observe=lambda result: None)
    controller.start()
    for key in range(100):
        queue.add(key)
    assert controller.alive()
    assert controller.stop(10)
    assert sorted(done) == list(range(100)), "what was ready at the stop is still done"
    assert len(names) == 4
    assert not controller.alive()


def test_an_observer_that_fails_does_not_end_the_worker() -> None:
    queue = WorkQueue[str]()
    done = threading.Event()

    def observe(result: Reconciled[str]) -> None:
        if result.key == "second":
            done.set()
        raise RuntimeError("the observer's bug")

    controller = Controller("test", lambda key: None, queue, workers=1, observe=observe)
    controller.start()
    queue.add("first")
    queue.add("second")
    assert done.wait(5)
    assert controller.stop()
