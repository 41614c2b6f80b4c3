"""The control loop: worker threads take keys from a queue and reconcile them.

What a reconcile call may end with, and what follows:

    returns None       Success    the key's back-off starts over
    returns seconds    Requeue    the same, and the key comes again after that time
    raises Retryable   Retry      rate limited, at least the wait the other side asked for; one warning line
    raises Terminal    Terminal   nothing until the object changes; one error line
    raises any other   Error      a bug: logged with its traceback, rate limited

Not here: what is reconciled; where keys come from (`informer.py`).
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import structlog

from rollwarden.runtime.errors import QueueClosed, Retryable, Terminal
from rollwarden.runtime.queue import WorkQueue

K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How one reconcile call ended."""

    SUCCESS = "Success"
    REQUEUE = "Requeue"
    RETRY = "Retry"
    TERMINAL = "Terminal"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Reconciled(Generic[K]):
    """One finished reconcile call: its outcome, how many seconds it took, and what it raised, if anything."""

    controller: str
    key: K
    outcome: Outcome
    seconds: float
    error: Exception | None


class Controller(Generic[K]):
    """Runs `reconcile` for every key of the queue on `workers` threads; one key never on two threads at once.

    `observe` is told of every finished call, in the worker's thread; it must be quick. An exception it raises is
    logged and changes nothing else.
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], float | None],
        queue: WorkQueue[K],
        *,
        workers: int = 2,
        observe: Callable[[Reconciled[K]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.queue = queue
        self._reconcile = reconcile
        self._observe = observe
        self._clock = clock
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]

    def start(self) -> None:
        """Start the workers."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """Close the queue, let the workers finish what is ready; whether they all did within `timeout` seconds."""
        self.queue.shut_down()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def alive(self) -> bool:
        """Whether every worker thread is running."""
        return all(thread.is_alive() for thread in self._threads)

    def process(self, key: K) -> Reconciled[K]:
        """Reconcile one key now, act on the outcome, and give the key back to the queue."""
        started = self._clock()
        try:
            outcome, error = self._attempt(key)
        finally:
            self.queue.done(key)
        result = Reconciled(self.name, key, outcome, self._clock() - started, error)
        try:
            self._observe(result)
        except Exception:
            log.exception("the observer of reconcile calls failed", controller=self.name, key=str(key))
        return result

    def _work(self) -> None:
        while True:
            try:
                key = self.queue.get()
            except QueueClosed:
                return
            if key is not None:
                self.process(key)

    def _attempt(self, key: K) -> tuple[Outcome, Exception | None]:
        bound = log.bind(controller=self.name, key=str(key))
        try:
            requeue_after = self._reconcile(key)
            self.queue.forget(key)
            if requeue_after is None:
                return Outcome.SUCCESS, None
            self.queue.add_after(key, requeue_after)
            return Outcome.REQUEUE, None
        except Retryable as error:
            delay = self.queue.add_rate_limited(key, at_least=error.after or 0.0)
            bound.warning("will try again", reason=str(error), seconds=round(delay, 3))
            return Outcome.RETRY, error
        except Terminal as error:
            self.queue.forget(key)
            bound.error("cannot go on until the object changes", reason=str(error))
            return Outcome.TERMINAL, error
        except Exception as error:
            delay = self.queue.add_rate_limited(key)
            log.exception(
                "reconcile failed, will try again", controller=self.name, key=str(key), seconds=round(delay, 3)
            )
            return Outcome.ERROR, error
