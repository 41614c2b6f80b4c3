"""The life of changes against a model of the API server, of admission and of Argo, in any order, with crashes.

A hypothesis state machine plays people, autoscalers, Argo, kubelets and the operator, which may crash between any two
writes and believe an old cache. The oracle (``model.oracle``) judges every write. At the end everybody does their part:
what is under way must come to its end, and then nothing may be written any more.
"""

from __future__ import annotations

import copy
import sys
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rollwarden.api import names
from rollwarden.api.approval import Approval as ApprovalObject
from rollwarden.api.approval import ApprovalSpec, Approver, ChangeRef
from rollwarden.api.change import Requirements
from rollwarden.api.enums import Decision, Level, Origin, Phase, Tier
from rollwarden.api.meta import ObjectMeta
from rollwarden.api.policy import CanaryProfile, Deny, People, Require, Rule, When
from rollwarden.core.decide import decide
from rollwarden.core.policy import Policy
from rollwarden.core.times import timestamp
from tests.builders import NOW, policy, slots, template
from tests.strategies import examples

from .model import argo
from .model.admission import Refused, Request
from .model.apiserver import ApiServer, Json, Snapshot, digest_of
from .model.operator import Crash, Operator
from .model.oracle import OFTEN_FROZEN, STABLE_SCALES, Oracle, Wish, promise

IMAGES = ("shop:1", "shop:2", "shop:3")
STEPS: tuple[list[Json] | None, ...] = (
    None,
    [{"setWeight": 50}, {"pause": {"duration": "10s"}}],
    [{"setWeight": 25}, {"pause": {}}, {"setWeight": 60}, {"analysis": {"templates": []}}],
)
PEOPLE = {"pat@corp": Tier.PEER, "sam@corp": Tier.SENIOR, "pia@corp": Tier.PRINCIPAL, "jo@corp": Tier.SENIOR}
APPROVERS = ("pat@corp", "sam@corp", "pia@corp")
EMERGENCY = Request("sam@corp", breaks_glass=True)
SUBMITTER = Request("jo@corp")

_PEOPLE = (People(level=Level.SENIOR, users=("sam@corp", "pia@corp", "pat@corp")),)
_PACE = CanaryProfile(name="slow", weights=(10, 40), min_soak="30s", bake="60s")


def _policy(*tiers: Tier, deny: bool = False, gated: bool = True, freeze: bool = False) -> Policy:
    require = Require(
        approvals=slots(*tiers),
        profile="slow" if gated else None,
        freeze=(OFTEN_FROZEN,) if freeze else (),
        deny=Deny(message="off-limits to AI") if deny else None,
    )
    when = When(origins=(Origin.AI,)) if deny else When()
    return policy(rules=(Rule(name="rule", when=when, require=require),), profiles=(_PACE,), people=_PEOPLE)


POLICIES: dict[str, tuple[Policy, ...]] = {
    "memo": (),
    "free": (policy(people=_PEOPLE),),
    "senior": (_policy(Tier.SENIOR),),
    "two": (_policy(Tier.SENIOR, Tier.PEER),),
    "deny": (_policy(deny=True),),
    "frozen": (_policy(Tier.SENIOR, freeze=True),),
}


class Lifecycle(RuleBasedStateMachine):
    """``believed``: the operator's cache, some time old."""

    decide = staticmethod(decide)

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.api = ApiServer(NOW, self.oracle)
        self.oracle.api = self.api
        self.operator = Operator(self.api, type(self).decide)
        self.oracle.needs_now = self._needs_now
        self.believed: Snapshot | None = None
        self.votes = 0

    def _needs_now(self) -> Requirements:
        return self.operator.assess(self.api.live).decision.requirements

    # the world as it begins

    @initialize(
        steps=st.sampled_from(STEPS),
        window=st.sampled_from([None, 2]),
        analysed=st.booleans(),
        serving=st.booleans(),
        rules=st.sampled_from(sorted(POLICIES)),
    )
    def begin(self, steps: list[Json] | None, window: int | None, analysed: bool, serving: bool, rules: str) -> None:
        self.operator.policies = POLICIES[rules]
        analysis = {"templates": [{"templateName": "t"}], "startingStep": 1} if analysed else None
        self.oracle.wish = Wish(copy.deepcopy(steps), analysis, window)
        if not serving:
            self.api.create_rollout(self._manifest(IMAGES[0]), SUBMITTER)
            return
        body = self._manifest(IMAGES[0])
        body["metadata"] |= {"uid": "00000000-0000", "generation": 1, "resourceVersion": "1"}
        self.api.live.rollout = {**body, "status": {}}
        self.oracle.good.add(digest_of(body))
        self._settle()

    def _manifest(self, image: str) -> Json:
        wish = self.oracle.wish
        canary: Json = {}
        if wish.steps is not None:
            canary["steps"] = copy.deepcopy(wish.steps)
        if wish.analysis is not None:
            canary["analysis"] = copy.deepcopy(wish.analysis)
        spec: Json = {"replicas": 4, "strategy": {"canary": canary}, "template": template(image)}
        if wish.window is not None:
            spec["rollbackWindow"] = {"revisions": wish.window}
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "checkout", "namespace": "pay", "annotations": {}},
            "spec": spec,
        }

    @property
    def exists(self) -> bool:
        return self.api.live.rollout is not None

    # people

    @rule(
        image=st.sampled_from(IMAGES),
        stamp=st.sampled_from(["", "a"]),
        own=st.booleans(),
        replicas=st.sampled_from([None, 2, 6]),
        origin=st.sampled_from(["", "ai", "human"]),
        level=st.sampled_from(["", "low", "critical"]),
    )
    @precondition(lambda self: self.exists)
    def write_template(self, image: str, stamp: str, own: bool, replicas: int | None, origin: str, level: str) -> None:
        """By whatever tool: with the owner's own strategy, or leaving alone what stands there."""
        self._write(image, stamp, own, replicas, {names.ORIGIN: origin, names.CRITICALITY: level}, SUBMITTER)

    @rule(image=st.sampled_from(IMAGES), own=st.booleans(), reason=st.sampled_from(["INC-1", "INC-2", "INC-3"]))
    @precondition(lambda self: self.exists)
    def write_under_break_glass(self, image: str, own: bool, reason: str) -> None:
        with suppress(Refused):
            self._write(image, "", own, None, {names.BREAK_GLASS: reason}, EMERGENCY)

    @rule(reason=st.sampled_from(["INC-1", "INC-2", "INC-3"]))
    @precondition(lambda self: self.exists)
    def break_glass(self, reason: str) -> None:
        new = copy.deepcopy(self.api.rollout)
        new["metadata"]["annotations"][names.BREAK_GLASS] = reason
        with suppress(Refused):
            self.api.update_rollout(new, EMERGENCY)

    @rule()
    @precondition(lambda self: self.exists)
    def apply_the_manifest_again(self) -> None:
        """The owner's steps come along with an unchanged template."""
        new = copy.deepcopy(self.api.rollout)
        self._put_own(new)
        self.api.update_rollout(new, SUBMITTER)

    def _write(
        self, image: str, stamp: str, own: bool, replicas: int | None, marks: dict[str, str], request: Request
    ) -> None:
        new = copy.deepcopy(self.api.rollout)
        annotations = new["metadata"].setdefault("annotations", {})
        for key, value in marks.items():
            annotations.pop(key, None)
            if value:
                annotations[key] = value
        new["spec"]["template"] = template(image, annotations={"at": stamp} if stamp else None)
        if own:
            self._put_own(new)
        if replicas is not None:
            new["spec"]["replicas"] = replicas
        self.api.update_rollout(new, request)

    def _put_own(self, body: Json) -> None:
        own = self._manifest("any")["spec"]
        body["spec"]["strategy"] = own["strategy"]
        body["spec"].pop("rollbackWindow", None)
        if "rollbackWindow" in own:
            body["spec"]["rollbackWindow"] = own["rollbackWindow"]

    @rule(replicas=st.sampled_from([1, 3, 5]))
    @precondition(lambda self: self.exists)
    def autoscale(self, replicas: int) -> None:
        self.api.scale(replicas)

    @rule(what=st.sampled_from(["abort", "retry", "promoteFull", "promote"]))
    @precondition(lambda self: self.exists)
    def kubectl_argo_rollouts(self, what: str) -> None:
        self._argo_command(what)

    def _argo_command(self, what: str) -> None:
        status = copy.deepcopy(self.api.rollout["status"])
        match what:
            case "abort":
                status["abort"] = True
            case "retry":
                status.pop("abort", None)
            case "promoteFull":
                status["promoteFull"] = True
            case _:
                status.pop("pauseConditions", None)
        with suppress(Refused):
            self.api.update_status(status)

    @rule(
        user=st.sampled_from(sorted(PEOPLE)),
        which=st.integers(0, 5),
        of=st.integers(0, 5),
        reject=st.sampled_from([False, False, False, True]),
        knowing=st.booleans(),
    )
    def vote(self, user: str, which: int, of: int, reject: bool, knowing: bool) -> None:
        """On any Change there ever was, with its digest or, by mistake, that of another."""
        changes = sorted(self.api.live.typed_changes(), key=lambda c: c.metadata.creation_timestamp or "")
        if not changes:
            return
        about, other = changes[-1 - which % len(changes)], changes[-1 - of % len(changes)]
        digest = about.spec.template_digest if of < 3 else other.spec.template_digest
        self._vote(user, about.metadata.name, about.metadata.uid, digest, reject=reject, knowing=knowing)

    def _vote(self, user: str, name: str, uid: str, digest: str, *, reject: bool = False, knowing: bool) -> None:
        self.votes += 1
        spec = ApprovalSpec(
            change_ref=ChangeRef(name=name, uid=uid),
            template_digest=digest,
            decision=Decision.REJECT if reject else Decision.APPROVE,
            tier=PEOPLE[user],
            reason="because",
            acknowledges_quarantine=knowing,
            approver=Approver(user=user),
        )
        meta = ObjectMeta(name=f"vote-{self.votes}", namespace="pay", creation_timestamp=timestamp(self.api.now))
        self.api.approve(ApprovalObject(metadata=meta, spec=spec))

    @rule(rules=st.sampled_from(sorted(POLICIES)))
    def policy_changes(self, rules: str) -> None:
        self.operator.policies = POLICIES[rules]

    @rule()
    @precondition(lambda self: self.exists)
    def delete(self) -> None:
        self.api.delete_rollout()
        self.oracle.good.clear()

    @rule()
    @precondition(lambda self: not self.exists)
    def create(self) -> None:
        self.api.create_rollout(self._manifest(IMAGES[0]), SUBMITTER)

    # the cluster

    @rule(image=st.sampled_from(IMAGES), answer=st.sampled_from(["promote", "hold", "rollback", "blind", "none"]))
    def metrics(self, image: str, answer: str) -> None:
        self.operator.evidence[image] = answer

    @rule(seconds=st.sampled_from([1.0, 31.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.api.now += seconds

    @rule(writes=st.integers(1, 3))
    def argo_writes(self, writes: int) -> None:
        for _ in range(writes):
            argo.step(self.api)
            self.oracle.promoted()

    @rule()
    def pods_become_ready(self) -> None:
        argo.kubelets(self.api)
        self.oracle.promoted()

    @rule()
    def settle_argo(self) -> None:
        self._settle()

    def _settle(self) -> None:
        argo.settle(self.api)
        self.oracle.promoted()
        self._check_capacity()

    def _check_capacity(self) -> None:
        """Once Argo rests, everything that was asked for serves, if anything ever may."""
        if not self.exists or not self.oracle.good:
            return
        wanted = self.api.rollout["spec"]["replicas"]
        serving = sum(s["status"]["readyReplicas"] for s in self.api.live.sets.values())
        promise(serving >= wanted, STABLE_SCALES, f"{serving} of {wanted} pods serve")

    # the operator

    @rule()
    def cache_is_filled(self) -> None:
        self.believed = self.api.snapshot()

    @rule(
        cache=st.sampled_from(["fresh", "stale", "stale rollout"]),
        crash_after=st.sampled_from([None, None, 1, 2, 3, 4]),
    )
    def operator_turns(self, cache: str, crash_after: int | None) -> None:
        believed = self.believed if cache != "fresh" else None
        if believed is not None and cache == "stale rollout":
            live = self.api.live
            believed = Snapshot(believed.rollout, live.sets, live.changes, live.approvals)
        with suppress(Crash):
            self.operator.reconcile(believed, crash_after)

    @rule(turns=st.integers(1, 8))
    def everybody_works(self, turns: int) -> None:
        """The usual course of things, so that late states are reached."""
        self._work(turns)

    def _work(self, turns: int) -> None:
        for _ in range(turns):
            self.operator.reconcile()
            self._settle()
            self.api.now += 31.0

    @rule(knowing=st.booleans())
    def everybody_approves(self, knowing: bool) -> None:
        self._approve(knowing=knowing)

    def _approve(self, users: tuple[str, ...] = APPROVERS, digest: str = "", *, knowing: bool = False) -> None:
        """The latest attempt: a stale operator may have made the Change of an earlier one after it."""
        uid_now = self.api.rollout["metadata"]["uid"] if self.exists else ""
        known = self.api.live.typed_changes()
        changes = sorted(known, key=lambda c: (c.spec.rollout.uid == uid_now, int(c.spec.rollout.attempt)))
        for change in changes[-1:]:
            for user in users:
                name, uid = change.metadata.name, change.metadata.uid
                self._vote(user, name, uid, digest or change.spec.template_digest, knowing=knowing)

    @rule(
        image=st.sampled_from(IMAGES),
        own=st.booleans(),
        origin=st.sampled_from(["", "ai", "human"]),
        turns=st.integers(0, 9),
        votes=st.sampled_from(["all", "all knowing", "author", "other digest"]),
        answer=st.sampled_from(["promote", "promote", "rollback"]),
    )
    @precondition(lambda self: self.exists)
    def a_change_is_made(self, image: str, own: bool, origin: str, turns: int, votes: str, answer: str) -> None:
        """A story of its own: written, seen, voted on, and some way or all the way through its canary."""
        self.operator.evidence[image] = answer
        self._write(image, "", own, None, {names.ORIGIN: origin, names.CRITICALITY: ""}, SUBMITTER)
        self._work(2)
        match votes:
            case "author":
                self._approve(("jo@corp",))
            case "other digest":
                self._approve(digest="sha256:" + 64 * "0")
            case _:
                self._approve(knowing=votes == "all knowing")
        self._work(turns)

    @rule(image=st.sampled_from(IMAGES), other=st.sampled_from(IMAGES), stamp=st.sampled_from(["", "a"]))
    @precondition(lambda self: self.exists)
    def a_bad_change_comes_back(self, image: str, other: str, stamp: str) -> None:
        """Rolled back, replaced, and applied once more, as a GitOps tool would do."""
        self.a_change_is_made(image, True, "", 4, "all", "rollback")
        self._write(other, "", True, None, {}, SUBMITTER)
        self._work(2)
        self._write(image, stamp, True, None, {}, SUBMITTER)
        self._work(2)
        self._approve()
        self._work(3)

    @rule(image=st.sampled_from(IMAGES), turns=st.integers(3, 8))
    @precondition(lambda self: self.exists)
    def a_revert_with_the_operator_down(self, image: str, turns: int) -> None:
        """From anywhere in a canary, from weight 100 too, back to what Argo calls stable."""
        self.a_change_is_made(image, True, "", turns, "all", "promote")
        stable = self.api.rollout["status"].get("stableRS")
        for item in self.api.live.sets.values():
            if item["metadata"]["labels"][names.POD_TEMPLATE_HASH] == stable:
                body = item["spec"]["template"]
                stamp = body["metadata"].get("annotations", {}).get("at", "")
                self._write(body["spec"]["containers"][0]["image"], stamp, True, None, {}, SUBMITTER)
        self._settle()

    # at the end

    def teardown(self) -> None:
        if sys.exc_info()[0] is not None:
            return
        if not self.exists:
            self.operator.rest()
            self._check_no_live_change()
            return
        self.operator.policies = POLICIES["two"]
        self.operator.evidence = {}
        for _ in range(60):
            self.operator.rest()
            self._approve(knowing=True)
            self._settle()
            self._argo_command("promote")
            self.api.now += 130.0
            if self._at_rest():
                break
        self._check_ended()

    def _at_rest(self) -> bool:
        before = self.operator.writes
        self.operator.reconcile()
        self._settle()
        self.operator.reconcile()
        return self.operator.writes == before and self._ended() == ""

    def _ended(self) -> str:
        """Why the current attempt has not come to its end; empty when it has."""
        annotations = self.api.rollout["metadata"]["annotations"]
        hold = annotations.get(names.HOLD, "")
        name = f"checkout-{self.api.rollout['metadata']['uid'][:8]}-{names.attempt_of(hold)}"
        change = next((c for c in self.api.live.typed_changes() if c.metadata.name == name), None)
        if not hold:
            return ""
        if change is None:
            return f"{hold} has no Change"
        held_for_good = (Phase.DENIED, Phase.REJECTED, Phase.ROLLED_BACK)
        if hold.startswith(names.HELD):
            return "" if change.status.phase in held_for_good else f"{hold} in {change.status.phase}"
        ended = {names.RELEASED: Phase.COMPLETED, names.ABORTED: Phase.ROLLED_BACK}
        wanted: Any = next(phase for prefix, phase in ended.items() if hold.startswith(prefix))
        return "" if change.status.phase is wanted else f"{hold} in {change.status.phase}: {change.status.message}"

    def _check_ended(self) -> None:
        why = self._ended()
        assert not why, f"liveness: {why}; {self.api.rollout}"
        self._check_no_live_change()
        before = self.operator.writes
        for _ in range(4):
            self.api.now += 30.0
            self.operator.reconcile()
        assert self.operator.writes == before, "something is written although nothing changed"

    def _check_no_live_change(self) -> None:
        live = [c.metadata.name for c in self.api.live.typed_changes() if not c.status.phase.final]
        assert not live, f"liveness: {live} never end"


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=examples(300), stateful_step_count=30, deadline=None)
