"""The oracle: what must never happen, judged at the write that would make it happen, from the oracle's own books.

Each broken promise raises Broken with the invariant's name first. The books are kept from what people and Argo did,
never from what the operator says it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollwarden.api import names
from rollwarden.api.approval import Approval
from rollwarden.api.change import Change, Requirements
from rollwarden.api.enums import Decision, Phase, Tier
from rollwarden.api.policy import FreezeWindow
from rollwarden.core.classify import same_person
from rollwarden.core.digest import match_digest
from rollwarden.core.policy import join

from .apiserver import ApiServer, Json, digest_of, hold_of
from .argo import pod_hash

NO_UNAPPROVED_POD = "no pod of an unapproved revision"
APPROVAL_SERVES_ONE = "an approval never serves another attempt or digest"
NEVER_LOOSER = "the plan is never looser than the owner's steps"
QUARANTINE = "a quarantined template never runs"
NO_EDIT_WHILE_ABORTED = "no step edit while an abort stands"
NOTHING_IN_A_FREEZE = "nothing is released in a freeze"
STABLE_SCALES = "stable always scales"
STEPS_ARE_BACK = "after completion the owner's steps are back exactly"


OFTEN_FROZEN = FreezeWindow(name="often", schedule="*/5 * * * *", duration="2m")


class Broken(AssertionError):
    """A promise was broken."""


def promise(held: object, name: str, why: str) -> None:
    if not held:
        raise Broken(f"{name}: {why}")


@dataclass
class Wish:
    """What the owner wrote last, and what must stand again when a change is done."""

    steps: list[Json] | None = None
    analysis: Json | None = None
    window: int | None = None


@dataclass
class Oracle:
    """``good``: templates that ran as stable and were not rolled back since. ``released``: attempts let go rightly."""

    wish: Wish = field(default_factory=Wish)
    good: set[str] = field(default_factory=set)
    released: set[tuple[str, str]] = field(default_factory=set)
    rolled_back: dict[str, set[str]] = field(default_factory=dict)
    needs_now: Callable[[], Requirements] = Requirements
    api: ApiServer = field(init=False)

    # what is watched

    def rollout_written(self, old: Json | None, new: Json, *, by_operator: bool) -> None:
        before, after = hold_of(old) if old else "", hold_of(new)
        if after.startswith(names.RELEASED) and after != before:
            if by_operator:
                promise(before == names.HELD + names.attempt_of(after), APPROVAL_SERVES_ONE, f"{before} → {after}")
                self._check_release(new)
            self.released.add(_attempt(new))
        if by_operator and old and _steps(old) != _steps(new):
            promise(not _stands_aborted(old), NO_EDIT_WHILE_ABORTED, f"{_steps(old)} → {_steps(new)}")

    def pods_start(self, replica_set: Json) -> None:
        rollout, digest = self.api.rollout, digest_of(replica_set)
        current = _attempt(rollout) in self.released and digest == digest_of(rollout)
        name = QUARANTINE if match_digest(replica_set["spec"]["template"]) in self.rolled_back else NO_UNAPPROVED_POD
        promise(current or digest in self.good, name, f"{replica_set['metadata']['name']} with {hold_of(rollout)}")
        if replica_set["metadata"]["labels"][names.POD_TEMPLATE_HASH] == rollout["status"].get("stableRS"):
            self.good.add(digest)

    def scale_refused(self, replica_set: Json) -> None:
        label = replica_set["metadata"]["labels"][names.POD_TEMPLATE_HASH]
        stable = label == self.api.rollout["status"].get("stableRS") and digest_of(replica_set) in self.good
        promise(not stable, STABLE_SCALES, f"{replica_set['metadata']['annotations']}")

    def change_written(self, old: Change, new: Change) -> None:
        digest, phase = new.spec.template_digest, new.status.phase
        if phase is old.status.phase:
            return
        if phase is Phase.ROLLED_BACK:
            self.rolled_back.setdefault(new.spec.match_digest, set()).add(new.metadata.name)
            self.good.discard(digest)
        if phase is Phase.COMPLETED:
            self.good.add(digest)
            self._check_restored(new)

    def promoted(self) -> None:
        """Told after every step of Argo's: what serves as stable is good."""
        rollout = self.api.live.rollout
        if rollout is None:
            return
        for item in self.api.live.sets.values():
            label = item["metadata"]["labels"][names.POD_TEMPLATE_HASH]
            if label == rollout["status"].get("stableRS") and item["status"]["readyReplicas"] > 0:
                self.good.add(digest_of(item))

    # what is judged

    def _check_release(self, rollout: Json) -> None:
        change = self._change_of(rollout)
        digest = digest_of(rollout)
        promise(change.spec.template_digest == digest, APPROVAL_SERVES_ONE, f"{change.metadata.name}: other template")
        if digest not in self.good:
            self._check_approved(change)
        stable = self._stable_serves(rollout)
        if stable:
            why = never_looser(self.wish.steps or [], _steps(rollout))
            promise(not why, NEVER_LOOSER, why)

    def _check_approved(self, change: Change) -> None:
        needs = join(change.spec.decision.requirements, self.needs_now())
        frozen = bool(needs.freezes) and self.api.now % 300 < 120
        promise(not frozen, NOTHING_IN_A_FREEZE, f"{change.metadata.name} at {self.api.now}")
        votes = [a for a in self.api.live.approvals if _is_for(a, change)]
        rejected = any(a.spec.decision is Decision.REJECT for a in votes)
        promise(not rejected and not needs.denials, NO_UNAPPROVED_POD, f"{change.metadata.name} is refused")
        best: dict[str, Tier] = {}
        for a in votes:
            user = a.spec.approver.user if a.spec.approver else ""
            if not _may_approve(user, change):
                continue
            best[user] = max(a.spec.tier, best.get(user, a.spec.tier))
        promise(_fill(needs, list(best.values())), NO_UNAPPROVED_POD, f"{change.metadata.name}: {best} for {needs}")
        marks = self.rolled_back.get(change.spec.match_digest)
        if marks:
            knowing = any(
                a.spec.acknowledges_quarantine and a.spec.approver and a.spec.approver.user in best for a in votes
            )
            promise(knowing, QUARANTINE, f"{change.metadata.name}: {votes}")
            del self.rolled_back[change.spec.match_digest]

    def _check_restored(self, change: Change) -> None:
        spec = self.api.rollout["spec"]
        promise(_steps(self.api.rollout) == (self.wish.steps or []), STEPS_ARE_BACK, f"{_steps(self.api.rollout)}")
        canary = spec["strategy"]["canary"]
        promise(canary.get("analysis") == self.wish.analysis, STEPS_ARE_BACK, f"{canary.get('analysis')}")
        window = spec.get("rollbackWindow", {}).get("revisions")
        promise(window == self.wish.window, STEPS_ARE_BACK, f"rollbackWindow {window}")
        standing = names.CHANGE in self.api.rollout["metadata"]["annotations"]
        promise(not standing, STEPS_ARE_BACK, f"{change.metadata.name} still marked")

    def _change_of(self, rollout: Json) -> Change:
        meta = rollout["metadata"]
        name = f"{meta['name']}-{meta['uid'][:8]}-{names.attempt_of(hold_of(rollout))}"
        found = {c.metadata.name: c for c in self.api.live.typed_changes()}
        promise(name in found, NO_UNAPPROVED_POD, f"released without a Change {name}")
        return found[name]

    def _stable_serves(self, rollout: Json) -> bool:
        label = rollout["status"].get("stableRS")
        sets = self.api.live.sets.values()
        return any(
            s["metadata"]["labels"][names.POD_TEMPLATE_HASH] == label and digest_of(s) in self.good for s in sets
        )


def never_looser(owner: Sequence[Json], plan: Sequence[Json]) -> str:
    """Why ``plan`` is looser than ``owner``; empty when it is not.

    The owner's steps stand in it, in order, and at each of them, and just before, no higher weight was ever reached
    than the owner's own highest so far.
    """
    position, highest, allowed = 0, 0, 0
    for step in owner:
        allowed = max(allowed, step.get("setWeight", 0))
        while position < len(plan) and plan[position] != step:
            highest = max(highest, plan[position].get("setWeight", 0))
            position += 1
        if position == len(plan):
            return f"{step} of the owner is missing in {list(plan)}"
        highest = max(highest, step.get("setWeight", 0))
        position += 1
        if highest > allowed:
            return f"weight {highest} before {step}, where the owner had {allowed}: {list(plan)}"
    return ""


def _stands_aborted(rollout: Json) -> bool:
    """An abort of the template that stands; where stable or another one is current, Argo forgets it anyway."""
    status = rollout["status"]
    current = status.get("currentPodHash")
    of_this = current == pod_hash(rollout["spec"]["template"]) != status.get("stableRS")
    return bool(status.get("abort")) and of_this


def _attempt(rollout: Json) -> tuple[str, str]:
    return rollout["metadata"]["uid"], names.attempt_of(hold_of(rollout))


def _steps(rollout: Json) -> list[Json]:
    return list(rollout["spec"]["strategy"]["canary"].get("steps") or [])


def _is_for(approval: Approval, change: Change) -> bool:
    spec = approval.spec
    return (spec.change_ref.uid, spec.template_digest) == (change.metadata.uid, change.spec.template_digest)


def _may_approve(user: str, change: Change) -> bool:
    authors: list[Any] = [author.name for author in change.spec.classification.authors]
    involved = user == change.spec.submitter.user or any(same_person(name, user) for name in authors)
    return not involved and not user.startswith("system:")


def _fill(needs: Requirements, tiers: list[Tier]) -> bool:
    """Whether the people fill the slots, by trying: the highest slot takes the lowest tier that suffices."""
    left = sorted(tiers, key=lambda tier: tier.rank)
    for slot in sorted(needs.approvals, key=lambda slot: -slot.tier.rank):
        for _ in range(slot.count):
            fits = [tier for tier in left if tier >= slot.tier]
            if not fits:
                return False
            left.remove(fits[0])
    return True
