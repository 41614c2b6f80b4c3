"""The main loop's one function: get, gather, decide, apply, for one Rollout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ..core.decide import decide, decide_gone
from ..core.seen import Seen
from ..core.writes import Outcome
from ..kube.errors import Conflict, NotFound, PatchTestFailed
from ..kube.informers import ObjectKey
from .apply import Applier
from .gather import Gatherer

log = structlog.get_logger(__name__)

STEPS_AT_ONCE = 8
"""Decisions of one reconcile that follow each other at once; more wait for their turn in the queue."""
TRY_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RolloutReconciler:
    gatherer: Gatherer
    applier: Applier
    observe: Callable[[ObjectKey, Seen, Outcome], None]

    def reconcile(self, key: ObjectKey) -> float | None:
        """Decides until nothing is to be done at once. What opens something is decided again on fresh reads."""
        fresh = False
        for _ in range(STEPS_AT_ONCE):
            seen = self.gatherer.gather(key, fresh=fresh)
            if seen is None:
                if fresh:
                    return self._gone(key)
                fresh = True
                continue
            outcome = decide(seen)
            if outcome.critical and not fresh:
                fresh = True
                continue
            self.observe(key, seen, outcome)
            if not outcome.writes:
                return outcome.requeue
            if self._applied(key, seen, outcome) and outcome.requeue != 0:
                return outcome.requeue
            fresh = True
        return TRY_AGAIN_SECONDS

    def _applied(self, key: ObjectKey, seen: Seen, outcome: Outcome) -> bool:
        """False where the object moved on under the decision: look again, soon."""
        try:
            self.applier.apply(key, seen.rollout, outcome.writes)
        except (PatchTestFailed, Conflict, NotFound) as error:
            log.info("moved on before the write", rollout=_spoken(key), rule=outcome.rule, why=str(error))
            return False
        log.info("applied", rollout=_spoken(key), rule=outcome.rule, why=outcome.sentence)
        return True

    def _gone(self, key: ObjectKey) -> float | None:
        changes = self.gatherer.changes_of(key)
        outcome = decide_gone(changes, self.gatherer.clock())
        try:
            self.applier.apply(key, None, outcome.writes)
        except (PatchTestFailed, Conflict, NotFound):
            return TRY_AGAIN_SECONDS
        return None


def _spoken(key: ObjectKey) -> str:
    return f"{key.namespace}/{key.name}"
