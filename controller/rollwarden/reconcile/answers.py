"""Answers in the status of what people write: policies, profiles and approvals. No authority in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ..api.approval import Approval, ApprovalStatus
from ..api.change import Change, Requirements
from ..api.enums import Decision, Phase
from ..api.meta import Condition
from ..api.policy import AcceptedPolicy, GuardrailPolicyStatus, PolicyRevision
from ..api.profile import ServiceProfile, ServiceProfileStatus
from ..core.approvals import Answer, answer, vote_of
from ..core.classify import is_agent, level_of
from ..core.times import timestamp
from ..kube.client import KubeClient
from ..kube.errors import Conflict, NotFound, PatchTestFailed
from ..kube.informers import ObjectKey
from ..kube.resources import APPROVALS, GUARDRAILPOLICIES, SERVICEPROFILES, Resource
from ..prometheus import SelectorError, template_for
from .estimates import frozen_indicators
from .indicators import prometheus_indicator
from .inforce import policies, read_policy
from .stores import RawPolicy, Stores

msgspec.json.Decoder(GuardrailPolicyStatus)  # learnt before any thread, as in `inforce.py`

HISTORY = 20
REJECTED = (Phase.REJECTED, Phase.ROLLING_BACK, Phase.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Answering:
    client: KubeClient
    stores: Stores
    clock: Callable[[], float]

    def policy(self, key: ObjectKey) -> float | None:
        """``Accepted``, the last good spec, and the history of generations."""
        raw = self.stores.policies.store.get(key)
        if raw is None:
            return None
        reading = read_policy(raw)
        old = _policy_status(raw)
        generation = raw.metadata.generation
        good = not reading.problem
        condition = self._condition(
            old.conditions, "Accepted", good, "Valid" if good else "Unusable", reading.problem, generation
        )
        accepted = AcceptedPolicy(generation=generation, spec=raw.spec) if good else old.accepted
        known = any(one.generation == generation for one in old.history)
        revision = PolicyRevision(generation=generation, time=timestamp(self.clock()))
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
        names = ", ".join(overlapping)
        shared = f"also selected by {names}: the oldest profile's indicators are used" if names else ""
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
            return False, "UnknownChange", f'no Change "{ref.name}" in {key.namespace}; {self._waiting(key.namespace)}'
        counted = any(one.ref == key.name for one in change.status.approvals)
        if approval.spec.decision is Decision.REJECT and change.status.phase in REJECTED:
            return True, "Counted", f'reject counts: Change "{ref.name}" is {change.status.phase}'
        if change.status.phase.final and not counted:
            return (
                False,
                "ChangeFinished",
                (f'Change "{ref.name}" is {change.status.phase}; {self._waiting(key.namespace, change)}'),
            )
        specs = [policy.spec for policy in policies(self.stores.policies.store.items())]
        user = approval.spec.approver.user if approval.spec.approver else ""
        vote = vote_of(approval, level=level_of(user, specs), agent=is_agent(user, specs))
        found: Answer = answer(vote, change, change.spec.decision.requirements, self.clock())
        return found.counts, found.reason, found.message

    def _waiting(self, namespace: str, of: Change | None = None) -> str:
        """Which change waits instead, and what to type."""
        for change in self.stores.changes.store.items():
            same = of is None or change.spec.rollout.name == of.spec.rollout.name
            waits = change.status.phase.waiting and not change.status.phase.final
            if change.metadata.namespace == namespace and waits and same:
                name = change.metadata.name
                return f"{name} waits; kubectl rollwarden approve {name} -n {namespace}"
        return "nothing waits now"

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


def _policy_status(raw: RawPolicy) -> GuardrailPolicyStatus:
    try:
        return msgspec.convert(raw.status, GuardrailPolicyStatus)
    except msgspec.ValidationError:
        return GuardrailPolicyStatus()


def _indicator_problem(profile: ServiceProfile) -> str:
    for one in frozen_indicators([profile], Requirements()):
        try:
            template_for(prometheus_indicator(one))
        except SelectorError as error:
            return f'indicators["{one.name}"]: {error}'
    return ""
