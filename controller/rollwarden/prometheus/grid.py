"""The ticks all changes share: t_k = k·step since the epoch, so that one query serves every change at one instant.

A tick may be asked once its settle time has passed: a sample carries the time its scrape began and is stored when it
ends, so an earlier question could miss what a later one, for the same instant, would see. Pure: the clock is the
caller's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grid:
    """Step and settle time in seconds, kept to whole milliseconds (Prometheus' own resolution).

    Raises ValueError for a step below 1 ms or a negative settle time.
    """

    step_seconds: float
    settle_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.step_seconds) or self.step_seconds < 0.001:
            raise ValueError(f"the tick must be at least 0.001 s, not {self.step_seconds:g}")
        if not math.isfinite(self.settle_seconds) or self.settle_seconds < 0:
            raise ValueError(f"the settle time must be 0 s or more, not {self.settle_seconds:g}")

    def time_of(self, number: int) -> float:
        """Epoch seconds of tick `number`."""
        return number * self._step_ms / 1000

    def number_at(self, time: float) -> int:
        """The last tick at or before epoch second `time`, taken to the nearest millisecond."""
        return round(time * 1000) // self._step_ms

    def first_after(self, time: float) -> int:
        """The first tick strictly after epoch second `time`."""
        return self.number_at(time) + 1

    def due(self, now: float, after: int) -> range:
        """The ticks after number `after` whose settle time has passed at epoch second `now`; empty if none."""
        return range(after + 1, max(self.number_at(now - self.settle_seconds), after) + 1)

    def askable_at(self, number: int) -> float:
        """Epoch second from which tick `number` may be asked."""
        return self.time_of(number) + self.settle_seconds

    @property
    def _step_ms(self) -> int:
        return round(self.step_seconds * 1000)
