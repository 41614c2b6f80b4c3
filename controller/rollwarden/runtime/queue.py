"""A work queue of keys, for several worker threads.

Promises, whatever the order of calls:
- a key waits at most once, however often it was added;
- a key is never handed to two workers at the same time; added while being worked on, it comes again after `done`;
- of several delayed adds of one key only the earliest is kept;
- after `shut_down` nothing is accepted, what waits is still handed out, then `get` raises QueueClosed.

Not here: what a key means, and what to do with it (`controller.py`).
"""

import heapq
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rollwarden.runtime.errors import QueueClosed

K = TypeVar("K", bound=Hashable)

BASE_DELAY = 0.05
MAX_DELAY = 300.0
LONGEST_WAIT = 3600.0  # a Condition refuses an endless number of seconds
MAX_DOUBLINGS = 60  # 2.0 ** n stays far from overflow


@dataclass(frozen=True, slots=True)
class Lengths:
    """Sizes at one moment. `oldest_wait` is how long the key at the head has been waiting, in seconds."""

    ready: int
    processing: int
    delayed: int
    oldest_wait: float


class WorkQueue(Generic[K]):
    """See the module's head. `clock` returns monotonic seconds; delays are seconds."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        base_delay: float = BASE_DELAY,
        max_delay: float = MAX_DELAY,
    ) -> None:
        self._clock = clock
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._changed = threading.Condition()
        self._ready: OrderedDict[K, float] = OrderedDict()  # key -> since when it waits; ordered by arrival
        self._processing: set[K] = set()
        self._again: set[K] = set()  # added while being processed
        self._due: dict[K, tuple[float, int]] = {}  # key -> the start of its timer
        self._timers: list[tuple[float, int, K]] = []  # heap; an entry that disagrees with _due is outdated
        self._serial = 0  # orders timers of the same moment, keys need not be comparable
        self._failures: dict[K, int] = {}
        self._closed = False

    def add(self, key: K) -> None:
        """Hand the key to a worker as soon as one is free. Ignored after shut_down."""
        with self._changed:
            self._add(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key that many seconds from now; an earlier pending time of the same key stays.

        Raises ValueError if `seconds` is not a number.
        """
        with self._changed:
            self._add_after(key, seconds)

    def add_rate_limited(self, key: K, at_least: float = 0.0) -> float:
        """Count a failure of the key and add it after a wait that doubles with each; returns the wait in seconds."""
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            backoff = min(self._base_delay * 2.0 ** min(failures, MAX_DOUBLINGS), self._max_delay)
            delay = max(backoff, at_least)
            self._add_after(key, delay)
            return delay

    def forget(self, key: K) -> None:
        """Start the key's back-off over. A pending delayed add stays."""
        with self._changed:
            self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often the key was rate limited since it was last forgotten."""
        with self._changed:
            return self._failures.get(key, 0)

    def get(self, timeout: float | None = None) -> K | None:
        """The next key, marked as being processed; None if none came within `timeout` seconds.

        Raises QueueClosed once the queue is shut down and drained. Every key got must be given back with `done`.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                self._promote_due()
                if self._ready:
                    key, _ = self._ready.popitem(last=False)
                    self._processing.add(key)
                    return key
                if self._closed and not self._again:
                    raise QueueClosed("the work queue is shut down")
                wait = self._seconds_to_next_timer()
                if give_up is not None:
                    left = give_up - time.monotonic()
                    if left <= 0:
                        return None
                    wait = left if wait is None else min(wait, left)
                self._changed.wait(wait)

    def done(self, key: K) -> None:
        """The worker is finished with the key; it comes again if it was added meanwhile."""
        with self._changed:
            self._processing.discard(key)
            if key in self._again:
                self._again.discard(key)
                self._ready[key] = self._clock()
            self._changed.notify_all()

    def shut_down(self) -> None:
        """Accept nothing more and drop delayed keys; keys that are ready are still handed out."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._timers.clear()
            self._changed.notify_all()

    def wait_drained(self, timeout: float) -> bool:
        """Whether, within `timeout` seconds, nothing is ready and nothing is being processed any more."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._ready or self._again or self._processing), timeout)

    def lengths(self) -> Lengths:
        """Sizes now; keys whose delay is over count as ready."""
        with self._changed:
            self._promote_due()
            oldest = max(0.0, self._clock() - next(iter(self._ready.values()))) if self._ready else 0.0
            return Lengths(len(self._ready) + len(self._again), len(self._processing), len(self._due), oldest)

    def _add(self, key: K) -> None:
        if self._closed or key in self._ready:
            return
        if key in self._processing:
            self._again.add(key)
            return
        self._ready[key] = self._clock()
        self._changed.notify_all()

    def _add_after(self, key: K, seconds: float) -> None:
        if math.isnan(seconds):
            message = f"the delay of key {key} is not a number"
            raise ValueError(message)
        if self._closed:
            return
        if seconds <= 0:
            self._add(key)
            return
        due = self._clock() + seconds
        if key in self._due and self._due[key][0] <= due:
            return
        self._serial += 1
        self._due[key] = (due, self._serial)
        heapq.heappush(self._timers, (due, self._serial, key))
        self._changed.notify_all()  # a waiting worker may have to wake earlier

    def _promote_due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            due, serial, key = heapq.heappop(self._timers)
            if self._due.get(key) == (due, serial):
                del self._due[key]
                self._add(key)

    def _seconds_to_next_timer(self) -> float | None:
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][:2]:
            heapq.heappop(self._timers)
        return min(max(0.0, self._timers[0][0] - self._clock()), LONGEST_WAIT) if self._timers else None
