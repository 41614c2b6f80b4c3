"""Events are written once, counted when repeated, and never in the way of who emits them."""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from rollwarden.runtime import events
from rollwarden.runtime.errors import Retryable, Terminal
from rollwarden.runtime.events import Event, EventRecorder
from tests.runtime.clock import FakeClock

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclass
class Sink:
    """Keeps what is written; raises the errors queued first."""

    errors: list[Exception] = field(default_factory=list)
    created: list[Event[str]] = field(default_factory=list)
    bumps: list[tuple[int, int, datetime]] = field(default_factory=list)

    def create(self, event: Event[str], at: datetime) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.created.append(event)
        return len(self.created)

    def bump(self, handle: int, count: int, last: datetime) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.bumps.append((handle, count, last))


def recorder_of(sink: Sink, clock: FakeClock, capacity: int = 1000) -> EventRecorder[str, int]:
    return EventRecorder(
        sink,
        window=600,
        bump_every=30,
        capacity=capacity,
        clock=clock,
        now=lambda: NOON + timedelta(seconds=clock() - 1000),
    )


def say(recorder: EventRecorder[str, int], message: str = "held", regarding: str = "checkout") -> None:
    recorder.emit(regarding, kind="Normal", reason="Held", message=message)


def drain(recorder: EventRecorder[str, int]) -> None:
    while recorder.run_once(0.0):
        pass


def test_repeats_are_counted_and_the_count_written_once_per_interval() -> None:
    sink, clock = Sink(), FakeClock()
    recorder = recorder_of(sink, clock)
    for _ in range(5):
        say(recorder)
    drain(recorder)
    assert len(sink.created) == 1 and sink.bumps == []
    clock.advance(30)
    drain(recorder)
    assert sink.bumps == [(1, 5, NOON)]
    clock.advance(300)
    drain(recorder)
    assert len(sink.bumps) == 1, "no writes when nothing is said"
    counts = recorder.counts()
    assert (counts.written, counts.bumped, counts.dropped, counts.failed) == (1, 1, 0, 0)


def test_another_message_object_or_window_is_another_event() -> None:
    sink, clock = Sink(), FakeClock()
    recorder = recorder_of(sink, clock)
    say(recorder)
    say(recorder, message="released")
    say(recorder, regarding="cart")
    drain(recorder)
    clock.advance(601)
    say(recorder)
    drain(recorder)
    assert len(sink.created) == 4


def test_a_full_queue_drops_and_counts_and_does_not_wait() -> None:
    recorder = recorder_of(Sink(), FakeClock(), capacity=2)
    started = time.monotonic()
    for _ in range(5):
        say(recorder)
    assert time.monotonic() - started < 1
    assert recorder.counts().dropped == 3


def test_a_write_that_may_succeed_later_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FIRST_WAIT", 0.001)
    sink = Sink(errors=[Retryable("down"), Retryable("down")])
    recorder = recorder_of(sink, FakeClock())
    say(recorder)
    drain(recorder)
    assert len(sink.created) == 1


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param([Terminal("the namespace is going away")], id="Terminal: at once"),
        pytest.param([KeyError("a bug")], id="a bug: at once"),
        pytest.param([Retryable("down")] * events.ATTEMPTS, id="Retryable: after the last attempt"),
    ],
)
def test_a_write_that_fails_for_good_is_counted_and_the_next_one_goes_on(
    errors: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "FIRST_WAIT", 0.001)
    sink = Sink(errors=errors)
    recorder = recorder_of(sink, FakeClock())
    say(recorder, message="lost")
    say(recorder, message="written")
    drain(recorder)
    assert [event.message for event in sink.created] == ["written"]
    assert recorder.counts().failed == 1


def test_a_count_that_could_not_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FIRST_WAIT", 0.001)
    sink, clock = Sink(), FakeClock()
    recorder = recorder_of(sink, clock)
    say(recorder)
    say(recorder)
    drain(recorder)
    sink.errors = [Retryable("away") for _ in range(events.ATTEMPTS)]
    clock.advance(30)
    drain(recorder)
    assert sink.bumps == []
    clock.advance(30)
    drain(recorder)
    assert sink.bumps == [(1, 2, NOON)]


def test_an_event_that_is_gone_is_not_counted_on_but_written_anew() -> None:
    sink, clock = Sink(), FakeClock()
    recorder = recorder_of(sink, clock)
    say(recorder)
    say(recorder)
    drain(recorder)
    sink.errors = [Terminal("not found")]
    clock.advance(30)
    drain(recorder)
    clock.advance(30)
    drain(recorder)
    assert (len(sink.created), sink.bumps, recorder.counts().failed) == (1, [], 1)
    say(recorder)
    drain(recorder)
    assert len(sink.created) == 2


def test_stop_writes_what_is_waiting_with_its_counts() -> None:
    sink = Sink()
    recorder = EventRecorder(sink)
    recorder.start()

    def say_ten_times() -> None:
        for _ in range(10):
            say(recorder)

    threads = [threading.Thread(target=say_ten_times) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.stop(5)
    assert len(sink.created) == 1
    assert [(handle, count) for handle, count, _ in sink.bumps] == [(1, 30)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 3)
    sink = Sink()
    recorder = recorder_of(sink, FakeClock())
    for message in ("1", "2", "3", "4", "1"):
        say(recorder, message=message)
    drain(recorder)
    assert [event.message for event in sink.created] == ["1", "2", "3", "4", "1"], "the oldest was forgotten"
