"""Answers in the status of what people write: policies, profiles and approvals. No authority in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..api import names
from ..api.approval import Approval, ApprovalStatus, Approver
from ..api.change import Author, Change, Requirements
from ..api.enums import Decision, Phase
from ..api.meta import Condition
from ..api.policy import AcceptedPolicy, GuardrailPolicySpec, GuardrailPolicyStatus, PolicyRevision
from ..api.profile import ServiceProfile, ServiceProfileStatus
from ..core.approvals import answer, may_not_approve, open_slots, rollouts_meant, vote_of, what_to_type
from ..core.classify import classify, is_agent, level_of
from ..core.holders import eligible, spoken_subjects
from ..core.integrity import INTACT
from ..core.policy import Place, in_force
from ..core.reviews import review_answer
from ..core.times import timestamp
from ..kube.client import KubeClient
from ..kube.errors import Conflict, NotFound, PatchTestFailed
from ..kube.informers import ObjectKey
from ..kube.resources import APPROVALS, GUARDRAILPOLICIES, SERVICEPROFILES, Resource
from ..prometheus import SelectorError, template_for
from .estimates import frozen_indicators
from .gather import subject_of
from .holders import Holders
from .indicators import prometheus_indicator
from .inforce import policies, read_policy, status_of
from .integrity import Integrity
from .stores import RawPolicy, Stores

HISTORY = 20
MAX_USER = 1024
REJECTED = (Phase.REJECTED, Phase.ROLLING_BACK, Phase.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Answering:
    client: KubeClient
    stores: Stores
    integrity: Integrity
    holders: Holders
    clock: Callable[[], float]

    def policy(self, key: ObjectKey) -> float | None:
        """``Accepted``, the last good spec, and the history of generations."""
        raw = self.stores.policies.store.get(key)
        if raw is None:
            return None
        reading = read_policy(raw)
        old = status_of(raw)
        generation = raw.metadata.generation
        good = not reading.problem
        condition = self._condition(
            old.conditions, "Accepted", good, "Valid" if good else "Unusable", reading.problem, generation
        )
        accepted = AcceptedPolicy(generation=generation, spec=raw.spec) if good else old.accepted
        known = any(one.generation == generation for one in old.history)
        revision = PolicyRevision(
            generation=generation,
            time=timestamp(self.clock()),
            user=raw.metadata.annotations.get(names.EDITED_BY, "")[:MAX_USER],
            rules=_changed_rules(raw, old) if good and not known else (),
        )
        history = old.history if known or not good else (*old.history, revision)[-HISTORY:]
        new = GuardrailPolicyStatus(
            observed_generation=generation, accepted=accepted, history=history, conditions=(condition,)
        )
        return self._write(GUARDRAILPOLICIES, key, raw.metadata.resource_version, old, new)

    def profile(self, key: ObjectKey) -> float | None:
        """``IndicatorsUsable`` and ``Overlapping``, and how many Rollouts it selects."""
        profile = self.stores.profiles.store.get(key)
        if profile is None:
            return None
        rollouts = self.stores.rollouts.store.by_index("namespace", key.namespace)
        mine = [r for r in rollouts if profile.spec.rollout_selector.matches(r.metadata.labels)]
        others = [p for p in self.stores.profiles.store.by_index("namespace", key.namespace) if p != profile]
        overlapping = sorted(
            {
                p.metadata.name
                for p in others
                for r in mine
                if p.metadata.name != key.name and p.spec.rollout_selector.matches(r.metadata.labels)
            }
        )
        problem = _indicator_problem(profile)
        old, generation = profile.status, profile.metadata.generation
        listed = ", ".join(overlapping)
        shared = f"also selected by {listed}: the oldest profile's indicators are used" if listed else ""
        conditions = (
            self._condition(
                old.conditions, "IndicatorsUsable", not problem, "Unusable" if problem else "Valid", problem, generation
            ),
            self._condition(
                old.conditions, "Overlapping", bool(shared), "Overlapping" if shared else "Alone", shared, generation
            ),
        )
        new = ServiceProfileStatus(observed_generation=generation, matched=len(mine), conditions=conditions)
        return self._write(SERVICEPROFILES, key, profile.metadata.resource_version, old, new)

    def approval(self, key: ObjectKey) -> float | None:
        """``Counted``: whether it counts, and if not, what to do instead."""
        approval = self.stores.approvals.store.get(key)
        if approval is None:
            return None
        if approval.spec.approver is None:
            counts, reason, message = False, "NoApprover", "the API server stamped no approver"
        else:
            counts, reason, message = self._judge(key, approval)
        old = approval.status
        condition = self._condition(old.conditions, "Counted", counts, reason, message, 0)
        new = ApprovalStatus(conditions=(condition,))
        return self._write(APPROVALS, key, approval.metadata.resource_version, old, new)

    def _judge(self, key: ObjectKey, approval: Approval) -> tuple[bool, str, str]:
        ref = approval.spec.change_ref
        change = self.stores.changes.store.get(ObjectKey(key.namespace, ref.name))
        if change is None:
            there = self._waiting(key.namespace, rollouts_meant(ref.name))
            return False, "UnknownChange", f'no Change "{ref.name}" in {key.namespace}; {there}'
        if approval.spec.decision is not Decision.REVIEW and (ended := self._of_finished(key, approval, change)):
            return ended
        namespace = self.stores.namespaces.store.get(ObjectKey("", key.namespace))
        labels = namespace.metadata.labels if namespace else {}
        used = in_force(policies(self.stores.policies.store.items()), Place(labels={}, namespace_labels=labels))
        specs = [policy.spec for policy in used]
        approver = approval.spec.approver or Approver(user="")
        agent = is_agent(approver.user, specs, approver.groups)
        vote = vote_of(approval, level=level_of(approver.user, specs), agent=agent)
        if vote.decision is Decision.REVIEW:
            found = review_answer(vote, change)
        else:
            authors = self._authors_now(change, specs)
            waits = change.status.phase.waiting
            if waits:
                groups = {key.name: approver.groups}
                (vote,) = self.holders.checked((vote,), groups, key.namespace, fresh=False)
            guard = self.integrity.guard if waits else INTACT
            found = answer(vote, change, change.spec.decision.requirements, self.clock(), authors, guard)
            if waits and not found.counts:
                return False, found.reason, found.message + self._eligible(change, authors)
        return found.counts, found.reason, found.message

    def _eligible(self, change: Change, authors: tuple[Author, ...]) -> str:
        """Who may still approve the change, as the end of a sentence; empty where nobody has to."""
        given = change.status.approvals
        missing = open_slots(change.spec.decision.requirements.approvals, given)
        if not missing:
            return ""
        users = {one.user for one in given}
        held = self.holders.of(change.metadata.namespace)
        highest = max(slot.tier for slot in missing)
        may = eligible(held, highest, lambda user: user in users or may_not_approve(user, change, authors))
        return f". Eligible: {spoken_subjects(may)}." if may else ""

    def _authors_now(self, change: Change, specs: Sequence[GuardrailPolicySpec]) -> tuple[Author, ...]:
        """Whoever is an author by what stands on the Rollout now: adopters too, who came after the change was seen."""
        ref = change.spec.rollout
        rollout = self.stores.rollouts.store.get(ObjectKey(change.metadata.namespace, ref.name))
        if rollout is None or rollout.metadata.uid != ref.uid:
            return ()
        return classify(subject_of(rollout, None, {}, ()), specs).classification.authors

    def _of_finished(self, key: ObjectKey, approval: Approval, change: Change) -> tuple[bool, str, str] | None:
        """The answer to a decision on a change that has ended, None while it has not."""
        phase, name = change.status.phase, change.metadata.name
        if approval.spec.decision is Decision.REJECT and phase in REJECTED:
            return True, "Counted", f'reject counts: Change "{name}" is {phase}'
        if not phase.final or any(one.ref == key.name for one in change.status.approvals):
            return None
        there = self._waiting(key.namespace, (change.spec.rollout.name,))
        return False, "ChangeFinished", f'Change "{name}" is {phase}; {there}'

    def _waiting(self, namespace: str, rollouts: Iterable[str]) -> str:
        """Which change of one of these Rollouts waits, and what to type."""
        for rollout in rollouts:
            for change in self.stores.changes.store.by_index("rollout", ObjectKey(namespace, rollout)):
                if change.status.phase.waiting and not change.status.phase.final:
                    return what_to_type(change)
        return f"kubectl rollwarden inbox -n {namespace} shows what waits"

    def _condition(
        self, old: tuple[Condition, ...], kind: str, status: bool, reason: str, message: str, generation: int
    ) -> Condition:
        word = "True" if status else "False"
        before = next((c for c in old if c.type == kind), None)
        at = before.last_transition_time if before and before.status == word else timestamp(self.clock())
        return Condition(
            type=kind,
            status=word,
            reason=reason,
            message=message[:4096],
            last_transition_time=at,
            observed_generation=generation,
        )

    def _write(self, resource: Resource, key: ObjectKey, version: str, old: Any, new: Any) -> float | None:
        if old == new:
            return None
        ops = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": msgspec.to_builtins(new)},
        ]
        namespace = key.namespace or None
        try:
            self.client.json_patch(resource, key.name, ops, namespace=namespace, subresource="status")
        except (PatchTestFailed, Conflict, NotFound):
            return 1.0
        return None


def _changed_rules(raw: RawPolicy, old: GuardrailPolicyStatus) -> tuple[str, ...]:
    """The rules that the accepted spec before did not have, or had otherwise."""
    earlier = _rules(old.accepted.spec if old.accepted else {})
    return tuple(name for name, rule in _rules(raw.spec).items() if earlier.get(name) != rule)


def _rules(spec: dict[str, Any]) -> dict[str, Any]:
    return {rule["name"]: rule for rule in spec.get("rules", ())}


def _indicator_problem(profile: ServiceProfile) -> str:
    for one in frozen_indicators([profile], Requirements()):
        try:
            template_for(prometheus_indicator(one))
        except SelectorError as error:
            return f'indicators["{one.name}"]: {error}'
    return ""
