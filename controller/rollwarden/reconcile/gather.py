"""Gather: all that one decision needs, from the caches or, if it opens something, from the API server itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..api import names
from ..api.approval import Approval
from ..api.argo import Namespace, ReplicaSet, Rollout
from ..api.change import Change
from ..api.enums import Decision, Mode
from ..api.profile import ServiceProfile
from ..core.annotations import annotation_votes
from ..core.approvals import Vote, vote_of
from ..core.classify import Subject, classify, is_agent, level_of, stamped_groups
from ..core.digest import images, match_digest, template_digest
from ..core.numerals import whole_number
from ..core.observe import observed_change
from ..core.policy import Place, Policy, decide_policy, in_force
from ..core.restored import restored_template
from ..core.seen import Assessment, Seen, SeenSet
from ..kube.client import KubeClient
from ..kube.errors import NotFound
from ..kube.informers import ObjectKey
from ..kube.resources import APPROVALS, CHANGES, PODS, ROLLOUTS
from .ground import Grounds
from .holders import Holders
from .inforce import policies
from .integrity import Integrity
from .judging import Judging
from .mesh import routed
from .stores import Stores

CHANGE_OF_APPROVAL = "spec.changeRef.name"
"""The field by which the CRD lets Approvals be selected."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What was read about one Rollout, from one source."""

    rollout: Rollout
    sets: tuple[ReplicaSet, ...]
    changes: tuple[Change, ...]
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True)
class Gatherer:
    client: KubeClient
    stores: Stores
    judging: Judging
    grounds: Grounds
    integrity: Integrity
    holders: Holders
    clock: Callable[[], float]

    def gather(self, key: ObjectKey, *, fresh: bool) -> Seen | None:
        """Everything about one Rollout; None when it does not exist."""
        raw = self._read_fresh(key) if fresh else self._read_cached(key)
        return None if raw is None else self._guarded(self._seen(key, raw), raw, fresh=fresh)

    def changes_of(self, key: ObjectKey) -> tuple[Change, ...]:
        return tuple(self.stores.changes.store.by_index("rollout", key))

    def _read_cached(self, key: ObjectKey) -> Raw | None:
        rollout = self.stores.rollouts.store.get(key)
        if rollout is None:
            return None
        changes = self.changes_of(key)
        approvals = [
            approval
            for change in changes
            if not change.status.phase.final
            for approval in self.stores.approvals.store.by_index(
                "change", ObjectKey(key.namespace, change.metadata.name)
            )
        ]
        sets = tuple(self.stores.replica_sets.store.by_index("rollout", key))
        return Raw(rollout, sets, changes, tuple(approvals))

    def _read_fresh(self, key: ObjectKey) -> Raw | None:
        """Reads from the API server itself: what opens a gate may never rest on a cache.

        ReplicaSets come from the cache all the same: one that lags shows an earlier attempt's hold value, and then
        nothing is settled and nothing is decided.
        """
        try:
            rollout = self.client.get(ROLLOUTS, key.name, namespace=key.namespace, type=Rollout)
        except NotFound:
            return None
        of_it = f"{names.ROLLOUT_LABEL}={names.rollout_label(key.name)}"
        labelled = self.client.list(CHANGES, namespace=key.namespace, label_selector=of_it, type=Change)
        changes = tuple(c for c in labelled.items if c.spec.rollout.name == key.name)
        return Raw(
            rollout,
            tuple(self.stores.replica_sets.store.by_index("rollout", key)),
            changes,
            tuple(a for c in changes if not c.status.phase.final for a in self._approvals_of(c)),
        )

    def _approvals_of(self, change: Change) -> list[Approval]:
        """Only its own: a namespace may hold thousands."""
        of_it = f"{CHANGE_OF_APPROVAL}={change.metadata.name}"
        namespace = change.metadata.namespace
        return self.client.list(APPROVALS, namespace=namespace, field_selector=of_it, type=Approval).items

    def _seen(self, key: ObjectKey, raw: Raw) -> Seen:
        namespace = self.stores.namespaces.store.get(ObjectKey("", key.namespace))
        labels = namespace.metadata.labels if namespace else {}
        rollout = raw.rollout
        place = Place(labels=rollout.metadata.labels, namespace_labels=labels)
        used = in_force(policies(self.stores.policies.store.items()), place)
        profiles = matching_profiles(self.stores.profiles.store.by_index("namespace", key.namespace), rollout)
        template = rollout.spec.template
        assessment = _assess(rollout, raw.sets, labels, used, profiles)
        seen = Seen(
            now=self.clock(),
            mode=mode_of(namespace),
            rollout=rollout,
            digest=template_digest(template),
            match_digest=match_digest(template),
            images=images(template),
            sets=tuple(_seen_set(s) for s in raw.sets if _owned(s, rollout)),
            changes=raw.changes,
            assessment=assessment,
        )
        return self._with_evidence(seen, raw, used, profiles)

    def _guarded(self, seen: Seen, raw: Raw, *, fresh: bool) -> Seen:
        """What a release rests on besides: intact policies, and approvers who still hold their tier.

        Looked up after the approvals were read, so that one of a moment without its guard is known for that.
        """
        if not seen.hold.startswith(names.HELD):
            return replace(seen, guard=self.integrity.guard)
        namespace = seen.rollout.metadata.namespace
        groups = {a.metadata.name: a.spec.approver.groups for a in raw.approvals if a.spec.approver is not None}
        return replace(
            seen,
            guard=self.integrity.verified() if fresh else self.integrity.guard,
            holdings=self.holders.of(namespace),
            votes=self.holders.checked(seen.votes, groups, namespace, fresh=fresh),
        )

    def _with_evidence(
        self, seen: Seen, raw: Raw, used: tuple[Policy, ...], profiles: tuple[ServiceProfile, ...]
    ) -> Seen:
        change = seen.change or observed_change(seen)
        if change is None or change.status.phase.final:
            return seen
        votes = tuple(_votes(seen, change, raw.approvals, used))
        ground = None if change.status.release is not None else self.grounds.ground(seen, profiles)
        evidence = self.judging.evidence(change, seen)
        current = seen.current_set
        silent = change.status.release is not None and current is not None and current.replicas > 0 == current.ready
        looping = silent and current is not None and self._crash_looping(seen, current.pod_hash)
        shares = routed(self.client, seen)
        return replace(seen, votes=votes, ground=ground, evidence=evidence, routed=shares, crash_looping=looping)

    def _crash_looping(self, seen: Seen, pod_hash: str) -> bool:
        pods = self.client.list(
            PODS,
            namespace=seen.rollout.metadata.namespace,
            label_selector=f"{names.POD_TEMPLATE_HASH}={pod_hash}",
        )
        return any(_waits_in_crash_loop(pod) for pod in pods.items)


def matching_profiles(profiles: Iterable[ServiceProfile], rollout: Rollout) -> tuple[ServiceProfile, ...]:
    """The profiles that select this Rollout, the oldest first: its indicators win where several overlap."""
    matching = [profile for profile in profiles if profile.spec.rollout_selector.matches(rollout.metadata.labels)]
    return tuple(sorted(matching, key=lambda p: (p.metadata.creation_timestamp or "", p.metadata.name)))


def mode_of(namespace: Namespace | None) -> Mode:
    """Off where the namespace is not known yet (its arrival looks at everything in it again) or is being deleted."""
    if namespace is None or namespace.metadata.deletion_timestamp is not None:
        return Mode.OFF
    return Mode.parse(namespace.metadata.labels.get(names.MODE_LABEL, "")) or Mode.OBSERVE


def _owned(item: ReplicaSet, rollout: Rollout) -> bool:
    return any(owner.uid == rollout.metadata.uid for owner in item.metadata.owner_references)


def _seen_set(item: ReplicaSet) -> SeenSet:
    annotations = item.metadata.annotations
    revision = annotations.get(names.ARGO_REVISION, "")
    return SeenSet(
        name=item.metadata.name,
        pod_hash=item.metadata.labels.get(names.POD_TEMPLATE_HASH, ""),
        revision=whole_number(revision) or 0,
        hold=annotations.get(names.HOLD, ""),
        known_good=annotations.get(names.KNOWN_GOOD),
        replicas=item.spec.replicas,
        ready=item.status.ready_replicas,
        digest=template_digest(restored_template(item)),
        break_glass=annotations.get(names.BREAK_GLASS, ""),
        break_glass_by=annotations.get(names.BREAK_GLASS_BY, ""),
    )


def _assess(
    rollout: Rollout,
    sets: Iterable[ReplicaSet],
    labels: dict[str, str],
    used: tuple[Policy, ...],
    profiles: tuple[ServiceProfile, ...],
) -> Assessment:
    stable_hash = rollout.status.stable_rs
    by_hash = {s.metadata.labels.get(names.POD_TEMPLATE_HASH): s for s in sets}
    stable = by_hash.get(stable_hash) if stable_hash else None
    subject = subject_of(rollout, restored_template(stable) if stable else None, labels, profiles)
    found = classify(subject, [policy.spec for policy in used])
    place = Place(labels=rollout.metadata.labels, namespace_labels=labels)
    contacts = (p.spec.contact or ", ".join(p.spec.owners) for p in profiles)
    decision = decide_policy(found.classification, used, place)
    return Assessment(found.classification, found.claims, found.problems, decision, next(filter(None, contacts), ""))


def subject_of(
    rollout: Rollout,
    stable_template: dict[str, Any] | None,
    namespace_labels: dict[str, str],
    profiles: tuple[ServiceProfile, ...],
) -> Subject:
    """What a Rollout's template is classified by; ``profiles`` are those that select it."""
    annotations = rollout.metadata.annotations
    return Subject(
        annotations=annotations,
        template=rollout.spec.template,
        stable_template=stable_template,
        labels=rollout.metadata.labels,
        namespace_labels=namespace_labels,
        submitter=annotations.get(names.SUBMITTED_BY, ""),
        submitter_groups=stamped_groups(annotations),
        profiles=profiles,
    )


def _votes(seen: Seen, change: Change, approvals: Iterable[Approval], used: tuple[Policy, ...]) -> Iterable[Vote]:
    specs = [policy.spec for policy in used]
    for approval in approvals:
        mine = approval.spec.change_ref.name == change.metadata.name and approval.spec.decision is not Decision.REVIEW
        if mine and approval.spec.approver is not None:
            user, groups = approval.spec.approver.user, approval.spec.approver.groups
            yield vote_of(approval, level=level_of(user, specs), agent=is_agent(user, specs, groups))
    yield from annotation_votes(seen, change, specs)


def _waits_in_crash_loop(pod: dict[str, object]) -> bool:
    status = pod.get("status")
    containers = status.get("containerStatuses") if isinstance(status, dict) else None
    return any(
        isinstance(c, dict) and ((c.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
        for c in containers or ()
    )
