"""Who is refused what, in which words, and what always works: on the real API server, as real users.

The Rollouts here are left alone by Argo's controller, so that nothing but the request at hand moves them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.install import install_rollwarden
from e2e.stage import (
    ADMIN,
    BARRIER,
    CI,
    HOLD,
    JUNIOR,
    ON_CALL,
    PREFIX,
    SENIOR,
    Stage,
    annotations_of,
    canary,
    hold_of,
    merged,
    pods,
    refusal,
    rollout,
    steps_of,
)

pytestmark = pytest.mark.e2e

WILDCARD = "agent"
STEPS: list[JsonObject] = [{"setWeight": 50}, {"pause": {}}]
PLAN: list[JsonObject] = [{"setWeight": 5}, {"pause": {}}, *STEPS]
UNMANAGED = {"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "nobody"}}}
DIGEST = "sha256:" + "ab" * 32
OWNER_PAUSE = 3

_numbers = itertools.count(1)

Ask = Callable[[Stage, str], JsonObject]


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[Stage]:
    install_rollwarden(control_plane)
    stage = Stage(control_plane, "guards", labels={PREFIX + "mode": "enforce"})
    stage.bind("wildcard", "ClusterRole", "cluster-admin", {"kind": "User", "name": WILDCARD})
    stage.client().create("/api/v1/namespaces/guards/serviceaccounts", {"metadata": {"name": "bot"}})
    bot = {"kind": "ServiceAccount", "name": "bot", "namespace": "guards"}
    for role in ("rollwarden-senior", "rollwarden-break-glass"):
        stage.bind(f"bot-{role}", "ClusterRole", role, bot)
    control_plane.wait_for("enforcement", stage.is_enforced)
    yield stage
    stage.close()


# -- a Rollout in each state ----------------------------------------------------------------------------------------


def held(stage: Stage) -> str:
    """A second revision waits behind the barrier."""
    name = f"shop-{next(_numbers)}"
    stage.client(CI).create(stage.path(), merged(rollout(name, "v1", canary(*STEPS)), UNMANAGED))
    stage.new_template(name, "v2")
    return name


def under_way(stage: Stage) -> str:
    """Released, at the second of the owner's steps in the plan."""
    name = held(stage)
    stage.release(name, PLAN)
    pauses = [{"op": "add", "path": "/metadata/annotations/rollwarden.dev~1owner-pauses", "value": f",{OWNER_PAUSE},"}]
    stage.json_patch(stage.operator, stage.path(name), pauses)
    paused = [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z"}]
    status = {"status": {"currentStepIndex": 1, "pauseConditions": paused, "controllerPause": True, "stableRS": "5c"}}
    stage.operator.patch(stage.path(name, "status"), status)
    return name


def rolled_back(stage: Stage) -> str:
    name = under_way(stage)
    value = hold_of(stage.live(name)).replace("released", "aborted")
    path = "/metadata/annotations/rollwarden.dev~1hold"
    stage.json_patch(stage.operator, stage.path(name), [{"op": "add", "path": path, "value": value}])
    stage.operator.patch(stage.path(name, "status"), {"status": {"abort": True}})
    return name


def at_owners_pause(stage: Stage) -> str:
    name = under_way(stage)
    stage.operator.patch(stage.path(name, "status"), {"status": {"currentStepIndex": OWNER_PAUSE}})
    return name


# -- Rollouts: refused ----------------------------------------------------------------------------------------------


def _annotating(key: str, value: str | None, user: str = CI) -> Ask:
    return lambda stage, name: stage.merge(name, {"metadata": {"annotations": {key: value}}}, user)


def _status(user: str = CI, **fields: object) -> Ask:
    return lambda stage, name: stage.status(name, dict(fields), user)


def _operator_marks_known_good(stage: Stage, name: str) -> JsonObject:
    path = "/metadata/annotations/rollwarden.dev~1known-good"
    return stage.json_patch(stage.operator, stage.path(name), [{"op": "add", "path": path, "value": "true"}])


def _bot_breaks_glass_for_junior(stage: Stage, name: str) -> JsonObject:
    changes = {"metadata": {"annotations": {PREFIX + "break-glass": "why"}}, "spec": {"template": pods(name, "fix")}}
    return stage.merge(name, changes, JUNIOR)


SWITCH: JsonObject = {"spec": {"strategy": {"canary": None, "blueGreen": {"activeService": "shop"}}}}
OPERATOR_ONLY = "only the operator writes rollwarden.dev/"
VERB = "needs the verb break-glass on holds (group rollwarden.dev) in namespace guards"

REFUSED: dict[str, tuple[Callable[[Stage], str], Ask, str]] = {
    "a hold is not lifted by hand": (held, _annotating(HOLD, "released-1"), OPERATOR_ONLY + "hold"),
    "a submitter is not rewritten": (held, _annotating(PREFIX + "submitted-by", "me"), OPERATOR_ONLY + "submitted-by"),
    "a change is not claimed": (held, _annotating(PREFIX + "change", "mine"), OPERATOR_ONLY + "change"),
    "a change is not renamed": (under_way, _annotating(PREFIX + "change", "mine"), OPERATOR_ONLY + "change"),
    "a message is not forged": (held, _annotating(PREFIX + "message", "fine"), OPERATOR_ONLY + "message"),
    "pauses are not claimed": (under_way, _annotating(PREFIX + "owner-pauses", ",1,"), OPERATOR_ONLY + "owner-pauses"),
    "nobody poses as having broken glass": (
        held,
        _annotating(PREFIX + "break-glass-by", ON_CALL),
        OPERATOR_ONLY + "break-glass-by",
    ),
    "remembered values are not planted": (
        held,
        _annotating(PREFIX + "base-rollback-window", "9"),
        OPERATOR_ONLY + "base-rollback-window",
    ),
    "on call may not lift a hold without a reason": (
        held,
        _annotating(HOLD, "released-1", ON_CALL),
        OPERATOR_ONLY + "hold",
    ),
    "known-good does not stand on a Rollout": (
        held,
        _annotating(PREFIX + "known-good", "true"),
        "stands on ReplicaSets only",
    ),
    "not even from the operator": (held, _operator_marks_known_good, "stands on ReplicaSets only"),
    "breaking glass takes its verb": (held, _annotating(PREFIX + "break-glass", "why", JUNIOR), VERB),
    "breaking glass with a template takes its verb": (held, _bot_breaks_glass_for_junior, VERB),
    "a wildcard role does not break glass": (held, _annotating(PREFIX + "break-glass", "why", WILDCARD), VERB),
    "nor does system:masters": (held, _annotating(PREFIX + "break-glass", "why", ADMIN), "a wildcard does not count"),
    "break-glass does not revive a rollback": (
        rolled_back,
        _annotating(PREFIX + "break-glass", "why", ON_CALL),
        "was rolled back, and break-glass does not start it again as it is",
    ),
    "the strategy stays while held": (
        held,
        lambda s, n: s.merge(n, SWITCH),
        "cannot be switched while a revision is held",
    ),
    "the strategy stays under way": (under_way, lambda s, n: s.merge(n, SWITCH), "cannot be switched while"),
    "the workload generation is Argo's": (
        held,
        _annotating("rollout.argoproj.io/workload-generation", "7"),
        "belongs to Argo's controller",
    ),
    "no full promotion while held": (held, _status(promoteFull=True), "is not promoted past its steps"),
    "no full promotion under way": (under_way, _status(promoteFull=True), "is not promoted past its steps"),
    "no step is skipped": (under_way, _status(currentStepIndex=2), "is skipped while a revision is held or under way"),
    "no step back": (under_way, _status(currentStepIndex=0), "is skipped while a revision is held or under way"),
    "a gate is not promoted": (
        under_way,
        _status(pauseConditions=None),
        "ends by approval or by evidence, not by promote",
    ),
    "a controller pause is not cleared": (
        under_way,
        _status(controllerPause=False),
        "ends by approval or by evidence, not by promote",
    ),
    "on call promotes no gate either": (
        under_way,
        _status(ON_CALL, pauseConditions=None),
        "kubectl rollwarden break-glass",
    ),
    "an owner's pause ends alone": (
        at_owners_pause,
        _status(pauseConditions=None, promoteFull=True),
        "is not promoted past its steps",
    ),
    "an abort is not taken back": (rolled_back, _status(abort=False), "fix forward with a new template"),
    "an abort is not removed": (rolled_back, _status(abort=None), "fix forward with a new template"),
    "stable is Argo's to name": (under_way, _status(stableRS="5d"), "belong to Argo's controller: stableRS"),
    "even by an administrator": (under_way, _status(ADMIN, promoteFull=True), "is not promoted past its steps"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(stage: Stage, case: str) -> None:
    state, ask, words = REFUSED[case]
    name = state(stage)
    before = stage.live(name)
    assert words in refusal(lambda: ask(stage, name))
    assert stage.live(name) == before


# -- Rollouts: put back silently ------------------------------------------------------------------------------------


def _replacing(stage: Stage, name: str) -> JsonObject:
    manifest = merged(rollout(name, "v2", canary(*STEPS)), UNMANAGED)
    manifest["metadata"]["resourceVersion"] = stage.live(name)["metadata"]["resourceVersion"]
    return stage.client(CI).request("PUT", stage.path(name), manifest)


def _stepping(*steps: JsonObject | None) -> Ask:
    value = None if None in steps else list(steps)
    return lambda stage, name: stage.merge(name, {"spec": {"strategy": {"canary": {"steps": value}}}})


PUT_BACK: dict[str, tuple[Callable[[Stage], str], Ask]] = {
    "the barrier cannot be taken off": (held, _stepping(*STEPS)),
    "nor all steps": (held, _stepping(None)),
    "nor turned into a timed pause": (held, _stepping({"setWeight": 0}, {"pause": {"duration": "1s"}}, *STEPS)),
    "the plan stays": (under_way, _stepping(*STEPS)),
    "the plan stays after a rollback": (rolled_back, _stepping(*STEPS)),
    "no analysis is slipped in": (
        held,
        lambda s, n: s.merge(
            n, {"spec": {"strategy": {"canary": {"analysis": {"templates": [{"templateName": "t"}]}}}}}
        ),
    ),
    "the rollback window stays off": (held, lambda s, n: s.merge(n, {"spec": {"rollbackWindow": {"revisions": 3}}})),
    "the hold comes back": (held, _annotating(HOLD, None)),
    "the submitter comes back": (held, _annotating(PREFIX + "submitted-by", None)),
    "the change comes back": (under_way, _annotating(PREFIX + "change", None)),
    "the pauses come back": (under_way, _annotating(PREFIX + "owner-pauses", None)),
    "a replace with the owner's manifest keeps it all": (under_way, _replacing),
    "an old reason left in a manifest does nothing": (held, _annotating(PREFIX + "break-glass", "", JUNIOR)),
}


@pytest.mark.parametrize("case", PUT_BACK)
def test_put_back(stage: Stage, case: str) -> None:
    state, ask = PUT_BACK[case]
    name = state(stage)
    before = stage.live(name)
    after = ask(stage, name)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    said = (PREFIX + "break-glass", PREFIX + "dropped-edit")
    kept = {key: value for key, value in annotations_of(after).items() if key not in said}
    assert kept == annotations_of(before)


# -- Rollouts: always possible --------------------------------------------------------------------------------------

ALLOWED: dict[str, tuple[Callable[[Stage], str], Ask]] = {
    "scaling while held": (held, lambda s, n: s.merge(n, {"spec": {"replicas": 9}})),
    "scaling under way": (under_way, lambda s, n: s.merge(n, {"spec": {"replicas": 9}})),
    "scaling after a rollback, through the subresource": (rolled_back, lambda s, n: s.scale(n, 9)),
    "aborting while held": (held, _status(abort=True)),
    "aborting under way": (under_way, _status(JUNIOR, abort=True)),
    "the owner's own pause": (at_owners_pause, _status(pauseConditions=None)),
    "saying how critical it is": (under_way, _annotating(PREFIX + "criticality", "high")),
    "a label": (held, lambda s, n: s.merge(n, {"metadata": {"labels": {"team": "pay"}}})),
    "returning to the stable template": (under_way, lambda s, n: s.new_template(n, "v1")),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_always_possible(stage: Stage, case: str) -> None:
    state, ask = ALLOWED[case]
    name = state(stage)
    before = stage.live(name)["metadata"]["resourceVersion"]
    ask(stage, name)
    assert stage.live(name)["metadata"]["resourceVersion"] != before


def test_a_template_write_rewrites_forged_annotations(stage: Stage) -> None:
    name = under_way(stage)
    generation = stage.live(name)["metadata"]["generation"]
    keys = (
        "hold",
        "change",
        "submitted-by",
        "message",
        "owner-pauses",
        "break-glass-by",
        "base-starting-step",
        "known-good",
    )
    forged = {"metadata": {"annotations": {PREFIX + key: "forged" for key in keys}}}
    live = stage.merge(name, merged(forged, {"spec": {"template": pods(name, "v3")}}), JUNIOR)
    ours = {key.removeprefix(PREFIX): value for key, value in annotations_of(live).items() if key.startswith(PREFIX)}
    assert ours == {
        "hold": f"held-{generation}",
        "submitted-by": JUNIOR,
        "submitter-groups": "juniors",
        "owner-steps": "weight 50, pause",
    }
    assert steps_of(live) == BARRIER + PLAN


# -- the starting step of a background analysis ---------------------------------------------------------------------


@pytest.mark.parametrize("own, remembered, moved", [(None, "unset", 2), (1, "1", 3)], ids=["unset", "1"])
def test_a_background_analysis_starts_behind_the_barrier(
    stage: Stage, own: int | None, remembered: str, moved: int
) -> None:
    name = f"analysed-{remembered}"
    analysis: JsonObject = {"templates": [{"templateName": "t"}]} | ({} if own is None else {"startingStep": own})

    def apply(tag: str) -> JsonObject:
        manifest = merged(rollout(name, tag, canary(*STEPS, analysis=analysis)), UNMANAGED)
        return stage.client(CI).apply(stage.path(name), manifest, "gitops")

    def starts_behind(live: JsonObject) -> bool:
        assert annotations_of(live)[PREFIX + "base-starting-step"] == remembered
        assert steps_of(live) == BARRIER + STEPS
        return bool(live["spec"]["strategy"]["canary"]["analysis"]["startingStep"] == moved)

    apply("v1")
    assert starts_behind(apply("v2"))
    assert starts_behind(apply("v2")), "applied again"
    assert starts_behind(apply("v3")), "a second template, applied"
    assert starts_behind(stage.new_template(name, "v4")), "a third one, patched"


# -- what people read at apply time ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode, words",
    [
        (
            "enforce",
            'rollout "noted" is held at 0 new pods until Rollwarden has decided; what runs keeps serving and scaling',
        ),
        ("observe", 'rollout "noted" runs as written: Rollwarden only watches namespace noted-observe (mode observe)'),
        (None, 'rollout "noted" runs as written: Rollwarden only watches namespace noted-none (mode observe)'),
        ("off", ""),
    ],
    ids=["enforce", "observe", "absent", "off"],
)
def test_one_line_at_apply_time(control_plane: ControlPlane, mode: str | None, words: str) -> None:
    namespace = f"noted-{str(mode).lower()}"
    control_plane.api.create(
        "/api/v1/namespaces", {"metadata": {"name": namespace, "labels": {PREFIX + "mode": mode} if mode else {}}}
    )

    def apply(tag: str) -> tuple[str, JsonObject]:
        manifest = json.dumps(merged(rollout("noted", tag, canary(*STEPS)), UNMANAGED))
        done = control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=manifest)
        assert done.ok, done.err
        live = control_plane.api.get(f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts/noted")
        return done.err, live

    first, _ = apply("v1")
    second, live = apply("v2")
    again, _ = apply("v2")
    control_plane.access.client(PLATFORM).delete(f"/api/v1/namespaces/{namespace}")
    assert [line.count("Warning:") for line in (first, second, again)] == ([1, 1, 0] if words else [0, 0, 0])
    assert words in second
    assert ("is new: its first revision is held at 0 pods" in first) == (mode == "enforce")
    if mode != "enforce":
        assert steps_of(live) == STEPS
        assert not [key for key in annotations_of(live) if key.startswith(PREFIX)]


def test_break_glass_is_read_at_apply_time(stage: Stage) -> None:
    name = held(stage)
    done = stage.cp.kubectl("annotate", "rollout", name, "-n", "guards", f"{PREFIX}break-glass=INC-7", user=ON_CALL)
    assert f'BREAK-GLASS: {ON_CALL} released rollout "{name}" without approval: "INC-7"' in done.err
    assert SENIOR not in done.err
