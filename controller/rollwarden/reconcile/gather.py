"""Gather: all that one decision needs, from the caches or, if it opens something, from the API server itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..api import names
from ..api.approval import Approval
from ..api.argo import Namespace, ReplicaSet, Rollout
from ..api.change import Change
from ..api.enums import ApprovalSource, Decision, Mode, Tier
from ..api.profile import ServiceProfile
from ..core.approvals import Vote, vote_of
from ..core.classify import Subject, classify, is_agent, level_of
from ..core.digest import images, match_digest, template_digest
from ..core.observe import observed_change
from ..core.policy import Place, Policy, decide_policy, in_force
from ..core.restored import restored_template
from ..core.seen import Assessment, Seen, SeenSet
from ..kube.client import KubeClient
from ..kube.errors import NotFound
from ..kube.informers import ObjectKey
from ..kube.resources import APPROVALS, CHANGES, PODS, ROLLOUTS
from .ground import Grounds
from .inforce import policies
from .judging import Judging
from .stores import Stores

ANNOTATION_FORM = 2
"""``<user> <digest>``: the parts of an approval annotation."""
LEAST_DIGEST = 32


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
    clock: Callable[[], float]

    def gather(self, key: ObjectKey, *, fresh: bool) -> Seen | None:
        """Everything about one Rollout; None when it does not exist."""
        raw = self._read_fresh(key) if fresh else self._read_cached(key)
        return None if raw is None else self._seen(key, raw)

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
        changes = self.client.list(CHANGES, namespace=key.namespace, label_selector=of_it, type=Change)
        approvals = self.client.list(APPROVALS, namespace=key.namespace, type=Approval)
        return Raw(
            rollout,
            tuple(self.stores.replica_sets.store.by_index("rollout", key)),
            tuple(c for c in changes.items if c.spec.rollout.name == key.name),
            tuple(approvals.items),
        )

    def _seen(self, key: ObjectKey, raw: Raw) -> Seen:
        namespace = self.stores.namespaces.store.get(ObjectKey("", key.namespace))
        labels = namespace.metadata.labels if namespace else {}
        rollout = raw.rollout
        place = Place(labels=rollout.metadata.labels, namespace_labels=labels)
        used = in_force(policies(self.stores.policies.store.items()), place)
        profiles = self._profiles(key.namespace, rollout)
        template = rollout.spec.template
        assessment = _assess(rollout, raw.sets, labels, used, profiles)
        seen = Seen(
            now=self.clock(),
            mode=_mode(namespace),
            rollout=rollout,
            digest=template_digest(template),
            match_digest=match_digest(template),
            images=images(template),
            sets=tuple(_seen_set(s) for s in raw.sets if _owned(s, rollout)),
            changes=raw.changes,
            assessment=assessment,
        )
        return self._with_evidence(seen, raw, used, profiles)

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
        return replace(seen, votes=votes, ground=ground, evidence=evidence, crash_looping=looping)

    def _profiles(self, namespace: str, rollout: Rollout) -> tuple[ServiceProfile, ...]:
        """The profiles that select this Rollout, the oldest first: its indicators win where several overlap."""
        matching = [
            profile
            for profile in self.stores.profiles.store.by_index("namespace", namespace)
            if profile.spec.rollout_selector.matches(rollout.metadata.labels)
        ]
        return tuple(sorted(matching, key=lambda p: (p.metadata.creation_timestamp or "", p.metadata.name)))

    def _crash_looping(self, seen: Seen, pod_hash: str) -> bool:
        pods = self.client.list(
            PODS,
            namespace=seen.rollout.metadata.namespace,
            label_selector=f"{names.POD_TEMPLATE_HASH}={pod_hash}",
        )
        return any(_waits_in_crash_loop(pod) for pod in pods.items)


def _mode(namespace: Namespace | None) -> Mode:
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
        revision=int(revision) if revision.isdigit() else 0,
        hold=annotations.get(names.HOLD, ""),
        known_good=annotations.get(names.KNOWN_GOOD),
        replicas=item.spec.replicas,
        ready=item.status.ready_replicas,
        digest=template_digest(restored_template(item)),
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
    subject = Subject(
        annotations=rollout.metadata.annotations,
        template=rollout.spec.template,
        stable_template=restored_template(stable) if stable else None,
        labels=rollout.metadata.labels,
        namespace_labels=labels,
        submitter=rollout.metadata.annotations.get(names.SUBMITTED_BY, ""),
        profiles=profiles,
    )
    found = classify(subject, [policy.spec for policy in used])
    place = Place(labels=rollout.metadata.labels, namespace_labels=labels)
    contacts = (p.spec.contact or ", ".join(p.spec.owners) for p in profiles)
    decision = decide_policy(found.classification, used, place)
    return Assessment(found.classification, found.claims, found.problems, decision, next(filter(None, contacts), ""))


def _votes(seen: Seen, change: Change, approvals: Iterable[Approval], used: tuple[Policy, ...]) -> Iterable[Vote]:
    specs = [policy.spec for policy in used]
    for approval in approvals:
        if approval.spec.change_ref.name == change.metadata.name and approval.spec.approver is not None:
            user = approval.spec.approver.user
            yield vote_of(approval, level=level_of(user, specs), agent=is_agent(user, specs))
    for tier in Tier:
        value = seen.rollout.metadata.annotations.get(names.approval_annotation(tier), "").split()
        if len(value) == ANNOTATION_FORM and _names_digest(value[1], change):
            yield Vote(
                user=value[0],
                tier=tier,
                decision=Decision.APPROVE,
                source=ApprovalSource.ANNOTATION,
                ref=names.approval_annotation(tier),
                change_uid=change.metadata.uid,
                digest=change.spec.template_digest,
                at=seen.now,
                level=level_of(value[0], specs),
                agent=is_agent(value[0], specs),
            )


def _names_digest(text: str, change: Change) -> bool:
    """An annotation may shorten the digest to 32 hex digits; it is stripped by admission when the template changes."""
    digest = text.removeprefix("sha256:")
    return len(digest) >= LEAST_DIGEST and change.spec.template_digest.removeprefix("sha256:").startswith(digest)


def _waits_in_crash_loop(pod: dict[str, object]) -> bool:
    status = pod.get("status")
    containers = status.get("containerStatuses") if isinstance(status, dict) else None
    return any(
        isinstance(c, dict) and ((c.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
        for c in containers or ()
    )
