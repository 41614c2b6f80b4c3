"""A light circuit breaker: a dead Prometheus costs one short try now and then, not a worker thread each tick."""

from __future__ import annotations

import threading


class Breaker:
    """Closed until `threshold` calls in a row failed; then one call is let through per pause, which doubles to a cap.

    Times are seconds of one monotonic clock, given by the caller. Safe for threads.
    """

    def __init__(self, *, threshold: int = 3, pause_seconds: float = 5.0, longest_seconds: float = 60.0) -> None:
        self._threshold, self._first, self._longest = threshold, pause_seconds, longest_seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at = 0.0

    @property
    def failures(self) -> int:
        """Failed calls in a row."""
        with self._lock:
            return self._failures

    def admits(self, now: float) -> bool:
        """Whether a call may be made; while open, True claims the one try of this pause."""
        with self._lock:
            if self._failures < self._threshold:
                return True
            if now < self._retry_at:
                return False
            self._retry_at = now + self._pause()
            return True

    def succeeded(self) -> None:
        """The endpoint answered, be it with a refusal."""
        with self._lock:
            self._failures = 0

    def failed(self, now: float) -> None:
        """The endpoint did not answer."""
        with self._lock:
            self._failures += 1
            self._retry_at = now + self._pause()

    def _pause(self) -> float:
        doublings = min(max(self._failures - self._threshold, 0), 16)
        return min(self._first * 2.0**doublings, self._longest)
