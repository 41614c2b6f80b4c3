"""What a decision is made from: everything about one Rollout, read before and frozen."""

from __future__ import annotations

from dataclasses import dataclass

from ..api import names
from ..api.argo import Rollout
from ..api.change import Change, Claim, Classification, JudgeSettings, PolicyDecision
from ..api.enums import Mode, VerdictResult
from .approvals import Vote
from .claims import Problem
from .classify import stamped_groups
from .holders import Holding
from .integrity import INTACT, Guard
from .mesh import RoutedWeight
from .plan import Ground

PROGRESS_DEADLINE_SECONDS = 600
"""Argo's default for ``spec.progressDeadlineSeconds``."""


@dataclass(frozen=True, slots=True)
class SeenSet:
    """One ReplicaSet of the Rollout. ``known_good`` is the annotation's value, None where it does not stand."""

    name: str
    pod_hash: str
    revision: int
    hold: str
    known_good: str | None
    replicas: int
    ready: int
    digest: str
    break_glass: str = ""
    break_glass_by: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the change is and needs by the policies in force now."""

    classification: Classification
    claims: tuple[Claim, ...]
    problems: tuple[Problem, ...]
    decision: PolicyDecision
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The judge's answer for the live change at its last judged tick."""

    result: VerdictResult
    reason: str
    message: str
    at: float
    gate_index: int | None = None
    indicator: str = ""
    hard: bool = False
    page: bool = False
    canary_requests: int = 0
    canary_bad: int = 0
    canary_rate: float | None = None
    stable_rate: float | None = None
    harmed: float = 0.0
    needed: float | None = None
    eta_seconds: float | None = None
    log_safety: float | None = None
    blind_since: float | None = None
    no_indicators: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseGround:
    """What a plan and a judge are fixed from at release. ``problem``: why traffic could not be measured, if so."""

    ground: Ground
    judge: JudgeSettings | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """``holdings``: who holds a tier in the namespace, None where that was not looked up."""

    now: float
    mode: Mode
    rollout: Rollout
    digest: str
    match_digest: str
    images: tuple[str, ...]
    sets: tuple[SeenSet, ...]
    changes: tuple[Change, ...]
    assessment: Assessment
    votes: tuple[Vote, ...] = ()
    ground: ReleaseGround | None = None
    evidence: Evidence | None = None
    routed: tuple[RoutedWeight, ...] = ()
    crash_looping: bool = False
    guard: Guard = INTACT
    holdings: tuple[Holding, ...] | None = None

    @property
    def hold(self) -> str:
        return self.rollout.metadata.annotations.get(names.HOLD, "")

    @property
    def attempt(self) -> str:
        """The attempt that the hold value names; empty where it has no form that admission writes."""
        attempt = names.attempt_of(self.hold)
        return attempt if attempt.isascii() and attempt.isdigit() else ""

    @property
    def submitter(self) -> str:
        return self.rollout.metadata.annotations.get(names.SUBMITTED_BY, "")

    @property
    def submitter_groups(self) -> tuple[str, ...]:
        return stamped_groups(self.rollout.metadata.annotations)

    @property
    def change_name(self) -> str:
        return change_name(self.rollout, self.attempt)

    @property
    def change(self) -> Change | None:
        """The Change of the attempt that stands now."""
        return next((c for c in self.changes if c.metadata.name == self.change_name), None)

    @property
    def current_set(self) -> SeenSet | None:
        return self._set(self.rollout.status.current_pod_hash)

    @property
    def stable_set(self) -> SeenSet | None:
        """The set Argo calls stable and that really was: a held first revision is reported as stable at 0 pods."""
        found = self._set(self.rollout.status.stable_rs)
        if found is None or found.known_good is not None or found.ready > 0:
            return found
        return None if found.hold.startswith((names.HELD, names.ABORTED)) else found

    @property
    def lags(self) -> bool:
        """What serves is not known: its ReplicaSet is missing in the cache, or the cache is older than Argo's word.

        Argo counts the ready pods of all sets: those of a revision that was superseded on its way serve too.
        """
        status = self.rollout.status
        if self.stable_set is not None or not status.stable_rs:
            return False
        return self._set(status.stable_rs) is None or sum(s.ready for s in self.sets) < status.ready_replicas

    @property
    def settled(self) -> bool:
        """Argo has seen this attempt: the current ReplicaSet carries its hold value."""
        current = self.current_set
        status = self.rollout.status
        caught_up = status.observed_generation == str(self.rollout.metadata.generation)
        return caught_up and current is not None and current.hold == self.hold and bool(self.hold)

    @property
    def this_revision(self) -> bool:
        """What Argo's status says is about this attempt: the current ReplicaSet carries its hold value."""
        current = self.current_set
        return current is not None and current.hold == self.hold

    @property
    def runs_stable(self) -> bool:
        """The current revision is the stable one, so there is nothing to abort and nothing to return to."""
        status = self.rollout.status
        return bool(status.stable_rs) and status.stable_rs == status.current_pod_hash

    @property
    def promoted(self) -> bool:
        """Argo has finished: the current revision is stable and healthy; an abort that came too late means nothing."""
        status, current = self.rollout.status, self.current_set
        if not self.settled or not self.runs_stable:
            return False
        return status.phase == "Healthy" or (status.abort and current is not None and current.ready > 0)

    @property
    def strayed(self) -> bool:
        """The template is not the one the Change is about: it was written where admission did not see it.

        The generation tells that from a digest that only an earlier version made in another way.
        """
        change = self.change
        if change is None or change.spec.template_digest == self.digest:
            return False
        return self.rollout.metadata.generation - 1 > int(self.attempt)

    @property
    def is_blue_green(self) -> bool:
        return self.rollout.spec.strategy.blue_green is not None

    @property
    def replicas(self) -> int:
        return 1 if self.rollout.spec.replicas is None else self.rollout.spec.replicas

    def _set(self, pod_hash: str) -> SeenSet | None:
        return next((s for s in self.sets if s.pod_hash == pod_hash), None) if pod_hash else None


def change_name(rollout: Rollout, attempt: str) -> str:
    """Deterministic, so that creating it twice is the same as once."""
    return f"{rollout.metadata.name[:220].rstrip('-.')}-{rollout.metadata.uid[:8]}-{attempt}"
