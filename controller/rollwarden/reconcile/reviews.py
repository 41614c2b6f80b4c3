"""What break-glasses owe, one Change at a time: also of Changes that have ended, and of Rollouts that are gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ..core.approvals import vote_of
from ..core.classify import is_agent
from ..core.reviews import decide_review, open_review
from ..kube.errors import Conflict, NotFound, PatchTestFailed
from ..kube.informers import ObjectKey
from .apply import Applier
from .inforce import policies
from .stores import Stores

log = structlog.get_logger(__name__)

TRY_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Reviewing:
    """A review opens nothing and stops nothing, so cached reads do; the write tests the version that was read."""

    stores: Stores
    applier: Applier
    clock: Callable[[], float]

    def reconcile(self, key: ObjectKey) -> float | None:
        """Closes or keeps open what the Change owes; the answer is when to look again, None for never."""
        change = self.stores.changes.store.get(key)
        if change is None or open_review(change) is None:
            return None
        specs = [policy.spec for policy in policies(self.stores.policies.store.items())]
        given = self.stores.approvals.store.by_index("change", key)
        votes = [
            vote_of(approval, agent=is_agent(by.user, specs, by.groups))
            for approval in given
            if (by := approval.spec.approver) is not None
        ]
        outcome = decide_review(change, votes, self.clock())
        rollout = ObjectKey(key.namespace, change.spec.rollout.name)
        try:
            self.applier.apply(rollout, self.stores.rollouts.store.get(rollout), outcome.writes)
        except (PatchTestFailed, Conflict):
            return TRY_AGAIN_SECONDS
        except NotFound:
            return None
        if outcome.writes:
            log.info("applied", change=f"{key.namespace}/{key.name}", rule=outcome.rule, why=outcome.sentence)
        return outcome.requeue
