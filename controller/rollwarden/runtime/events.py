"""Events for people, written in the background.

`emit` only puts a record into a bounded queue: it never waits and never raises. One thread writes; the same thing said
again about the same object within a window raises the count of what was written, at most once per `bump_every` seconds.

Not here: what an event looks like on the server (the sink).
"""

import queue
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, Protocol, TypeVar

import structlog

from rollwarden.runtime.errors import Retryable, Terminal

O = TypeVar("O", bound=Hashable)  # noqa: E741 - the object an event is about
H = TypeVar("H")
A = TypeVar("A")

log = structlog.get_logger(__name__)

REMEMBERED = 4096  # series kept in memory; the one least recently heard of goes first
ATTEMPTS = 5
FIRST_WAIT = 0.5  # seconds before the second attempt, doubled each time: about 7 s in all


@dataclass(frozen=True, slots=True)
class Event(Generic[O]):
    """One statement about one object. `action` says what was being done, as one CamelCase word."""

    regarding: O
    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str


class EventSink(Protocol[O, H]):
    """Where events are written. Both calls raise Retryable when trying again may help, else Terminal."""

    def create(self, event: Event[O], at: datetime) -> H:
        """Write a new event; the handle is what `bump` needs to find it again."""
        ...

    def bump(self, handle: H, count: int, last: datetime) -> None:
        """Say that the event has by now been seen `count` times, most recently at `last`."""
        ...


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Totals since the start. `dropped`: the queue was full; `failed`: given up after the last attempt."""

    written: int = 0
    bumped: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Series(Generic[H]):
    handle: H
    last: datetime
    heard_at: float  # monotonic seconds, as written_at
    written_at: float
    count: int = 1
    written_count: int = 1


class EventRecorder(Generic[O, H]):
    """See the module's head. `window`, `bump_every`: seconds; `capacity`: events that may wait to be written."""

    def __init__(
        self,
        sink: EventSink[O, H],
        *,
        window: float = 600.0,
        bump_every: float = 30.0,
        capacity: int = 1000,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sink = sink
        self._window = window
        self._bump_every = bump_every
        self._clock = clock
        self._now = now
        self._waiting: queue.Queue[tuple[Event[O], datetime]] = queue.Queue(capacity)
        self._series: OrderedDict[Event[O], _Series[H]] = OrderedDict()
        self._totals: Counter[str] = Counter()
        self._dropping = threading.Lock()  # emit runs in many threads, everything else in one
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def emit(
        self, regarding: O, *, kind: Literal["Normal", "Warning"], reason: str, message: str, action: str = ""
    ) -> None:
        """Have the event written soon. When too many are waiting it is dropped and counted."""
        try:
            self._waiting.put_nowait((Event(regarding, kind, reason, message, action or reason), self._now()))
        except queue.Full:
            with self._dropping:
                self._totals["dropped"] += 1

    def start(self) -> None:
        """Start the writing thread."""
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> bool:
        """Write what is waiting, each with one attempt, and end; whether that was done within `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def counts(self) -> EventCounts:
        """Totals since the start."""
        return EventCounts(**self._totals)

    def run_once(self, timeout: float) -> bool:
        """Write one waiting event and the counts that are due; whether there was one within `timeout` seconds.

        For the recorder's own thread; tests call it without one.
        """
        try:
            event, at = self._waiting.get(timeout=timeout) if timeout > 0 else self._waiting.get_nowait()
        except queue.Empty:
            self._write_counts(everything=False)
            return False
        self._take(event, at)
        self._write_counts(everything=False)
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.run_once(timeout=0.2)
        while self.run_once(timeout=0.0):
            pass
        self._write_counts(everything=True)

    def _take(self, event: Event[O], at: datetime) -> None:
        series = self._series.get(event)
        now = self._clock()
        if series is not None and now - series.heard_at <= self._window:
            series.count += 1
            series.last = at
            series.heard_at = now
            self._series.move_to_end(event)
            return
        handle = self._attempt(event, lambda: self._sink.create(event, at))
        if handle is None:
            return
        self._totals["written"] += 1
        self._series[event] = _Series(handle, at, now, now)
        self._series.move_to_end(event)
        while len(self._series) > REMEMBERED:
            self._series.popitem(last=False)

    def _write_counts(self, *, everything: bool) -> None:
        now = self._clock()
        for event, series in list(self._series.items()):
            behind = series.count > series.written_count
            if behind and (everything or now - series.written_at >= self._bump_every):
                self._write_count(event, series, now)
            if now - series.heard_at > self._window:
                self._series.pop(event, None)

    def _write_count(self, event: Event[O], series: _Series[H], now: float) -> None:
        count, last = series.count, series.last
        done = self._attempt(event, lambda: self._bump(event, series.handle, count, last))
        series.written_at = now  # also after a failure: the next attempt waits its turn
        if done:
            series.written_count = count
            self._totals["bumped"] += 1

    def _bump(self, event: Event[O], handle: H, count: int, last: datetime) -> bool:
        try:
            self._sink.bump(handle, count, last)
        except Terminal:
            self._series.pop(event, None)  # what was written is gone: said again, it is a new event
            raise
        return True

    def _attempt(self, event: Event[O], write: Callable[[], A]) -> A | None:
        """What `write` returns; None if it failed for good, which is logged and counted."""
        wait = FIRST_WAIT
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return write()
            except Retryable as error:
                if attempt == ATTEMPTS or self._stopping.wait(wait):
                    log.warning("an event was not written", event_reason=event.reason, reason=str(error))
                wait *= 2
            except Terminal as error:
                log.warning("an event was not written", event_reason=event.reason, reason=str(error))
                break
            except Exception:
                log.exception("an event was not written", event_reason=event.reason)
                break
            if self._stopping.is_set():
                break
        self._totals["failed"] += 1
        return None
