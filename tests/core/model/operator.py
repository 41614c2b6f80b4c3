"""The operator around the core: gather from what it believes, decide, make the writes, maybe crash between two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from rollwarden.api import names
from rollwarden.api.approval import Approval
from rollwarden.api.change import Change, JudgeSettings, Plan
from rollwarden.api.enums import Mode, VerdictResult
from rollwarden.core.approvals import Vote, vote_of
from rollwarden.core.classify import Subject, classify, is_agent, level_of
from rollwarden.core.decide import decide_gone
from rollwarden.core.digest import images, match_digest, template_digest
from rollwarden.core.plan import Ground
from rollwarden.core.policy import Place, Policy, decide_policy, in_force
from rollwarden.core.seen import Assessment, Evidence, ReleaseGround, Seen, SeenSet
from rollwarden.core.writes import CreateChange, Emit, Outcome, PatchReplicaSet, PatchRollout, Write, WriteChangeStatus

from .admission import Refused
from .apiserver import ApiServer, Json, Snapshot
from .jsonpatch import PatchFailed

STEPS_AT_ONCE = 8
Decide = Callable[[Seen], Outcome]


class Crash(Exception):
    """The process is gone; what was written stands."""


@dataclass
class Operator:
    """``evidence``: the judge's answer per image, ``promote`` unless set. ``writes`` counts all that were made."""

    api: ApiServer
    decide: Decide
    policies: tuple[Policy, ...] = ()
    evidence: dict[str, str] = field(default_factory=dict)
    writes: int = 0

    def reconcile(self, believed: Snapshot | None = None, crash_after: int | None = None) -> str:
        """One turn of the work queue, as the real loop takes it; the last rule that spoke.

        ``believed``: a stale cache. What opens something is decided again on what stands, but for the ReplicaSets,
        which the real gatherer takes from its cache always.
        """
        fresh, rule = believed is None, ""
        budget = _Budget(crash_after)
        for _ in range(STEPS_AT_ONCE):
            source = self._source(believed, fresh=fresh)
            seen = self.gather(source)
            outcome = self._gone(source) if seen is None else self.decide(seen)
            if outcome.critical and not fresh:
                fresh = True
                continue
            rule = outcome.rule
            if not outcome.writes or not self._apply(outcome.writes, budget):
                return rule
            if seen is None or outcome.requeue != 0:
                return rule
            fresh = True
        return rule

    def _source(self, believed: Snapshot | None, *, fresh: bool) -> Snapshot:
        live = self.api.live
        if believed is None:
            return live
        return Snapshot(live.rollout, believed.sets, live.changes, live.approvals) if fresh else believed

    def rest(self, most: int = 12) -> None:
        """Turns until nothing is written any more; AssertionError where it goes on writing."""
        rules = []
        for _ in range(most):
            before = self.writes
            rules.append(self.reconcile())
            if self.writes == before:
                return
        raise AssertionError(f"the operator goes on writing: {rules}")

    def gather(self, source: Snapshot) -> Seen | None:
        rollout = source.typed_rollout()
        if rollout is None:
            return None
        template = rollout.spec.template
        changes = source.typed_changes()
        seen = Seen(
            now=self.api.now,
            mode=Mode.ENFORCE,
            rollout=rollout,
            digest=template_digest(template),
            match_digest=match_digest(template),
            images=images(template),
            sets=tuple(
                _seen_set(s)
                for s in source.sets.values()
                if s["metadata"]["ownerReferences"][0]["uid"] == rollout.metadata.uid
            ),
            changes=changes,
            assessment=self.assess(source),
        )
        change = seen.change
        if change is None or change.status.phase.final:
            return seen
        votes = tuple(self._vote(a) for a in source.approvals if a.spec.change_ref.name == change.metadata.name)
        ground = None if change.status.release else self._ground(seen)
        return replace(seen, votes=votes, ground=ground, evidence=self._evidence(seen, change))

    def assess(self, source: Snapshot) -> Assessment:
        rollout = source.typed_rollout()
        assert rollout is not None
        stable_hash = rollout.status.stable_rs
        sets = source.sets.values()
        stable = next((s for s in sets if s["metadata"]["labels"][names.POD_TEMPLATE_HASH] == stable_hash), None)
        place = Place(labels={}, namespace_labels={})
        used = in_force(self.policies, place)
        subject = Subject(
            annotations=rollout.metadata.annotations,
            template=rollout.spec.template,
            stable_template=stable["spec"]["template"] if stable else None,
            labels={},
            namespace_labels={},
            submitter=rollout.metadata.annotations.get(names.SUBMITTED_BY, ""),
        )
        found = classify(subject, [policy.spec for policy in used])
        decision = decide_policy(found.classification, used, place)
        return Assessment(found.classification, found.claims, found.problems, decision)

    def _vote(self, approval: Approval) -> Vote:
        assert approval.spec.approver is not None
        specs = [policy.spec for policy in in_force(self.policies, Place(labels={}, namespace_labels={}))]
        user = approval.spec.approver.user
        return vote_of(approval, level=level_of(user, specs), agent=is_agent(user, specs))

    def _ground(self, seen: Seen) -> ReleaseGround:
        judge = JudgeSettings(tick_seconds="5", parameters={})
        return ReleaseGround(Ground(replicas=seen.replicas, routed=False), judge)

    def _evidence(self, seen: Seen, change: Change) -> Evidence | None:
        """The judge speaks about the gate that Argo stands at, once it was entered."""
        answer = self.evidence.get(seen.images[0], "promote")
        if change.status.release is None or answer == "none":
            return None
        entered = {gate.index for gate in change.status.gates}
        plan: Plan = change.status.release.plan
        index = seen.rollout.status.current_step_index
        gate = index if index in entered and any(g.index == index for g in plan.gates) else None
        blind = self.api.now - 10_000 if answer == "blind" else None
        result = {"promote": VerdictResult.PROMOTE, "rollback": VerdictResult.ROLLBACK}.get(answer, VerdictResult.HOLD)
        return Evidence(result, "NotProven", answer, self.api.now, gate_index=gate, blind_since=blind)

    def _gone(self, source: Snapshot) -> Outcome:
        return decide_gone(source.typed_changes(), self.api.now)

    def _apply(self, writes: tuple[Write, ...], budget: _Budget) -> bool:
        """False where a write was refused: those before it stand, and it is decided again later."""
        for write in writes:
            try:
                self._write(write)
            except (Refused, PatchFailed):
                return False
            self.writes += 1
            budget.spend()
        return True

    def _write(self, write: Write) -> None:
        match write:
            case CreateChange():
                self.api.create_change(write.change)
            case WriteChangeStatus():
                self.api.patch_change_status(write.name, write.uid, write.resource_version, write.status)
            case PatchRollout():
                self.api.patch_rollout(write.ops, write.subresource)
            case PatchReplicaSet():
                self.api.patch_set(write.name, write.ops)
            case Emit():
                pass


@dataclass
class _Budget:
    left: int | None

    def spend(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left <= 0:
            raise Crash


def _seen_set(item: Json) -> SeenSet:
    annotations = item["metadata"]["annotations"]
    return SeenSet(
        name=item["metadata"]["name"],
        pod_hash=item["metadata"]["labels"][names.POD_TEMPLATE_HASH],
        revision=int(annotations[names.ARGO_REVISION]),
        hold=annotations.get(names.HOLD, ""),
        known_good=annotations.get(names.KNOWN_GOOD),
        replicas=item["spec"]["replicas"],
        ready=item["status"]["readyReplicas"],
        digest=template_digest(item["spec"]["template"]),
    )
