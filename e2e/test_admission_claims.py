"""Claims while a change lives, who submitted it, and edits of steps that were not taken: on the real API server."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

import pytest

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.governed import AGENT, STEPS, UNMANAGED, GovernedStage
from e2e.stage import (
    BARRIER,
    CI,
    JUNIOR,
    PREFIX,
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

IMAGE = "registry.example.com/shop:v2"
PLAN: list[JsonObject] = [{"setWeight": 5}, {"pause": {}}, *STEPS]
OTHER_STEPS: list[JsonObject] = [{"setWeight": 30}, {"pause": {"duration": "10m"}}]
CLAIMS = {
    "provenance.rollwarden.dev/origin": "ai",
    "provenance.rollwarden.dev/autonomy": "assisted",
    "provenance.rollwarden.dev/tools": "Copilot",
    "provenance.rollwarden.dev/share": "60",
    "provenance.rollwarden.dev/authors": "jun@example.com, ada@example.com",
    "provenance.rollwarden.dev/subject": IMAGE,
    "provenance.rollwarden.dev/areas": "Ledger",
    "evidence.rollwarden.dev/tests": "passed",
    "evidence.rollwarden.dev/coverage": "80",
    "rollwarden.dev/criticality": "medium",
}
STAYS = "the claim {} stays: it changes "
LATE = "the claim {} comes too late: it is added "

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane) -> Iterator[GovernedStage]:
    stage = GovernedStage(control_plane, "claims")
    yield stage
    stage.close()


# -- a Rollout in each phase ------------------------------------------------------------------------------------------


def held(stage: GovernedStage, claims: dict[str, str] = CLAIMS) -> str:
    name = f"shop-{next(_numbers)}"
    stage.owned(name)
    changes = {"metadata": {"annotations": dict(claims)}, "spec": {"template": pods(name, "v2")}}
    stage.merge(name, changes, JUNIOR)
    return name


def under_way(stage: GovernedStage) -> str:
    name = held(stage)
    stage.release(name, PLAN)
    return name


def rolled_back(stage: GovernedStage) -> str:
    name = under_way(stage)
    value = hold_of(stage.live(name)).replace("released", "aborted")
    path = "/metadata/annotations/rollwarden.dev~1hold"
    stage.json_patch(stage.operator, stage.path(name), [{"op": "add", "path": path, "value": value}])
    return name


def completed(stage: GovernedStage) -> str:
    name = under_way(stage)
    operations: list[JsonObject] = [
        {"op": "remove", "path": "/metadata/annotations/rollwarden.dev~1change"},
        {"op": "add", "path": "/spec/strategy/canary/steps", "value": STEPS},
    ]
    stage.json_patch(stage.operator, stage.path(name), operations)
    return name


PHASES: dict[str, Callable[[GovernedStage], str]] = {"held": held, "under way": under_way, "rolled back": rolled_back}


@pytest.fixture(scope="module")
def places(stage: GovernedStage) -> dict[str, str]:
    """One Rollout in each phase; what is refused leaves it as it was."""
    return {phase: enter(stage) for phase, enter in PHASES.items()}


# -- claims -----------------------------------------------------------------------------------------------------------

WEAKER: dict[str, tuple[str, str | None, str]] = {
    "origin": ("provenance.rollwarden.dev/origin", "human", "only to ai"),
    "origin gone": ("provenance.rollwarden.dev/origin", None, "only to ai"),
    "origin unknown": ("provenance.rollwarden.dev/origin", "unknown", "only to ai"),
    "autonomy": ("provenance.rollwarden.dev/autonomy", "suggestion", "only to a higher one"),
    "autonomy unreadable": ("provenance.rollwarden.dev/autonomy", "robot", "only to a higher one"),
    "tool gone": ("provenance.rollwarden.dev/tools", "", "only by more entries"),
    "author swapped": ("provenance.rollwarden.dev/authors", "ada@example.com", "only by more entries"),
    "authors unread": ("provenance.rollwarden.dev/authors", "jun@example.com, ada@example.com" + ",x" * 512, "only by"),
    "authors too many": (
        "provenance.rollwarden.dev/authors",
        ",".join(str(i) for i in range(64)) + ", jun@example.com, ada@example.com",
        "only by more entries",
    ),
    "area in another case": ("provenance.rollwarden.dev/areas", "ledger", "only by more entries"),
    "subject": ("provenance.rollwarden.dev/subject", IMAGE + ", other", "only with a new template"),
    "share": ("provenance.rollwarden.dev/share", "5", "only with a new template"),
    "tests gone": ("evidence.rollwarden.dev/tests", None, "only to failed"),
    "coverage": ("evidence.rollwarden.dev/coverage", "99", "only with a new template"),
    "criticality": ("rollwarden.dev/criticality", "low", "only to a higher one"),
    "criticality gone": ("rollwarden.dev/criticality", None, "only to a higher one"),
}


def claim(key: str, value: str | None) -> JsonObject:
    return {"metadata": {"annotations": {key: value}}}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("what", WEAKER)
def test_no_claim_is_weakened(stage: GovernedStage, places: dict[str, str], phase: str, what: str) -> None:
    key, value, rule = WEAKER[what]
    said = refusal(lambda: stage.merge(places[phase], claim(key, value), JUNIOR))
    assert STAYS.format(key) + rule in said
    assert "other claims together with a new template" in said


STRICTER: dict[str, tuple[str, str]] = {
    "autonomy": ("provenance.rollwarden.dev/autonomy", "Agent"),
    "one more tool": ("provenance.rollwarden.dev/tools", "Cursor, Copilot"),
    "an adopter": ("provenance.rollwarden.dev/authors", "jun@example.com,ada@example.com, pia@example.com"),
    "an area": ("provenance.rollwarden.dev/areas", "Ledger, Tax"),
    "commits": ("provenance.rollwarden.dev/commits", "3f2c1ab"),
    "tests failed": ("evidence.rollwarden.dev/tests", "failed"),
    "criticality": ("rollwarden.dev/criticality", "critical"),
    "another kind of evidence": ("evidence.rollwarden.dev/scan", "clean"),
    "something that is no claim": ("example.com/note", "x"),
}


def test_more_may_be_said(stage: GovernedStage) -> None:
    name = held(stage)
    for key, value in STRICTER.values():
        live = stage.merge(name, claim(key, value), JUNIOR)
        assert annotations_of(live)[key] == value
    live = stage.merge(held(stage, {"provenance.rollwarden.dev/origin": "human"}), claim(*CAUGHT), JUNIOR)
    assert annotations_of(live)[CAUGHT[0]] == "ai"


CAUGHT = ("provenance.rollwarden.dev/origin", "ai")
EXCUSES: dict[str, tuple[str, str]] = {
    "origin": ("human", "only as ai"),
    "autonomy": ("suggestion", "only as assisted or agent"),
    "share": ("5", "only with a new template"),
}


@pytest.mark.parametrize("what", EXCUSES)
def test_no_excuse_comes_late(stage: GovernedStage, what: str) -> None:
    value, rule = EXCUSES[what]
    key = f"provenance.rollwarden.dev/{what}"
    assert LATE.format(key) + rule in refusal(lambda: stage.merge(held(stage, {}), claim(key, value), JUNIOR))


def test_low_and_a_subject_come_with_their_template(stage: GovernedStage) -> None:
    bare = held(stage, {})
    assert "only as medium or higher" in refusal(lambda: stage.merge(bare, claim(PREFIX + "criticality", "low"), CI))
    subject = claim("provenance.rollwarden.dev/subject", IMAGE)
    human = held(stage, {"provenance.rollwarden.dev/origin": "human"})
    assert "only where it lends no weight" in refusal(lambda: stage.merge(human, subject, CI))
    stage.merge(bare, subject, CI)


def test_a_new_template_and_an_ended_change_carry_other_claims(stage: GovernedStage) -> None:
    name = held(stage)
    human = {"provenance.rollwarden.dev/origin": "human", "evidence.rollwarden.dev/tests": None}
    stage.merge(name, {"metadata": {"annotations": human}, "spec": {"template": pods(name, "v3")}}, JUNIOR)
    stage.merge(completed(stage), {"metadata": {"annotations": human}}, JUNIOR)


@pytest.mark.parametrize("phase", PHASES)
def test_the_same_again_always_passes(stage: GovernedStage, phase: str) -> None:
    name = PHASES[phase](stage)
    manifest = merged(rollout(name, "v2", canary(*STEPS)), {"metadata": {"annotations": dict(CLAIMS)}})
    manifest = merged(manifest, UNMANAGED)
    before = stage.client(CI).apply(stage.path(name), manifest, "owner")
    after = stage.client(CI).apply(stage.path(name), manifest, "owner")
    assert after["spec"] == before["spec"]
    assert annotations_of(after) == annotations_of(before)


def test_agents_never_lower_criticality(stage: GovernedStage) -> None:
    name = f"shop-{next(_numbers)}"
    both = {"annotations": {PREFIX + "criticality": "high"}, "labels": {PREFIX + "criticality": "high"}}
    stage.owned(name, **both)
    stage.release(name, STEPS)
    stage.json_patch(
        stage.operator,
        stage.path(name),
        [{"op": "remove", "path": "/metadata/annotations/rollwarden.dev~1change"}],
    )
    for where in ("annotations", "labels"):
        for value in ("low", "medium", None, "highest"):
            changes = {"metadata": {where: {PREFIX + "criticality": value}}, "spec": {"template": pods(name, "v2")}}
            said = refusal(lambda changes=changes: stage.merge(name, changes, AGENT))  # type: ignore[misc]
            assert 'lowering rollwarden.dev/criticality of rollout "' + name + '" is not for AI agents' in said
    stage.merge(name, {"metadata": {"annotations": {PREFIX + "criticality": "critical"}}}, AGENT)
    stage.merge(name, {"metadata": {"labels": {PREFIX + "criticality": None}}}, JUNIOR)


# -- the submitter ----------------------------------------------------------------------------------------------------


def test_the_submitters_groups_are_stamped_and_stay(stage: GovernedStage) -> None:
    name = f"shop-{next(_numbers)}"
    forged = {"annotations": {PREFIX + "submitter-groups": "principals"}}
    assert annotations_of(stage.owned(name, **forged))[PREFIX + "submitter-groups"] == "ci"
    live = stage.merge(name, {"metadata": forged, "spec": {"template": pods(name, "v2")}}, JUNIOR)
    assert annotations_of(live)[PREFIX + "submitter-groups"] == "juniors"
    said = refusal(lambda: stage.merge(name, {"metadata": forged}, CI))
    assert "only the operator writes rollwarden.dev/submitter-groups" in said
    live = stage.merge(name, {"metadata": {"annotations": None}}, CI)
    assert annotations_of(live)[PREFIX + "submitter-groups"] == "juniors"


# -- edits that were not taken ----------------------------------------------------------------------------------------


def apply(
    stage: GovernedStage, name: str, steps: list[JsonObject], *more: str, tag: str = "v2"
) -> tuple[str, JsonObject]:
    """What kubectl says, and the Rollout afterwards."""
    manifest = json.dumps(merged(rollout(name, tag, canary(*steps)), UNMANAGED))
    done = stage.cp.kubectl("apply", "-n", stage.namespace, "-f", "-", *more, user=CI, input=manifest)
    assert done.ok, done.err
    return done.err, stage.live(name)


@pytest.mark.parametrize("how", [(), ("--server-side", "--force-conflicts")], ids=["client", "server"])
@pytest.mark.parametrize("released", [False, True], ids=["held", "under way"])
def test_a_dropped_edit_of_steps_is_said_once(stage: GovernedStage, how: tuple[str, ...], released: bool) -> None:
    name = f"shop-{next(_numbers)}"
    apply(stage, name, STEPS, *how, tag="v1")
    apply(stage, name, STEPS, *how)
    if released:
        stage.release(name, PLAN)
    standing = steps_of(stage.live(name))
    assert standing == (PLAN if released else BARRIER + STEPS)

    def drift(steps: list[JsonObject]) -> str:
        manifest = json.dumps(merged(rollout(name, "v2", canary(*steps)), UNMANAGED))
        return stage.cp.kubectl(
            "diff", "--server-side", "--force-conflicts", "-n", stage.namespace, "-f", "-", user=CI, input=manifest
        ).out

    said, live = apply(stage, name, STEPS, *how)
    assert "Warning" not in said, "the owner's own steps"
    assert PREFIX + "dropped-edit" not in annotations_of(live)
    if how:
        assert drift(STEPS) == ""

    said, live = apply(stage, name, OTHER_STEPS, *how)
    assert f'your edit of the steps of rollout "{name}" was not taken (weight 30, pause 10m)' in said
    assert steps_of(live) == standing
    generation = live["metadata"]["generation"]
    said, live = apply(stage, name, OTHER_STEPS, *how)
    assert "Warning" not in said
    assert live["metadata"]["generation"] == generation
    assert annotations_of(live)[PREFIX + "dropped-edit"] == "weight 30, pause 10m"
    if how:
        assert drift(OTHER_STEPS) == ""

    _, live = apply(stage, name, STEPS, *how)
    assert PREFIX + "dropped-edit" not in annotations_of(live), "taken back"
    apply(stage, name, OTHER_STEPS, *how)
    operations: list[JsonObject] = [{"op": "add", "path": "/spec/strategy/canary/steps", "value": STEPS}]
    if not released:
        stage.release(name, PLAN)
    operations.append({"op": "remove", "path": "/metadata/annotations/rollwarden.dev~1change"})
    stage.json_patch(stage.operator, stage.path(name), operations)
    said, live = apply(stage, name, OTHER_STEPS, *how)
    assert "Warning" not in said
    assert steps_of(live) == OTHER_STEPS, "applied again, it converges"


def test_steps_are_told_apart_in_short(stage: GovernedStage) -> None:
    name = held(stage)
    kinds: list[JsonObject] = [
        {"setWeight": 5},
        {"pause": {"duration": 30}},
        {"setCanaryScale": {"replicas": 3}},
        {"setCanaryScale": {"weight": 40}},
        {"analysis": {"templates": [{"templateName": "rate"}]}},
        {"experiment": {"templates": [{"name": "a", "specRef": "canary"}]}},
        {"pause": {}},
    ]
    live = stage.merge(name, {"spec": {"strategy": {"canary": {"steps": kinds}}}}, CI)
    short = "weight 5, pause 30, scale 3, scale 40 %, analysis rate, experiment, pause"
    assert annotations_of(live)[PREFIX + "dropped-edit"] == short
    live = stage.merge(name, {"spec": {"strategy": {"canary": {"steps": None}}}}, CI)
    assert annotations_of(live)[PREFIX + "dropped-edit"] == "no steps"
    many: list[JsonObject] = [{"setWeight": 1}] * 2000
    live = stage.merge(name, {"spec": {"strategy": {"canary": {"steps": many}}}}, CI)
    assert len(annotations_of(live)[PREFIX + "dropped-edit"]) == 1024
