"""Manifests as the kinds of the API; what does not fit is named by its field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.cli.errors import CommandError, InputError
from rollwarden.cli.explain_view import as_data
from rollwarden.cli.explanation import Question, explain
from rollwarden.cli.manifests import decode_rollout, read_manifests
from tests.cli.builders import claiming, rollout

CONTAINER = {"name": "shop", "image": "a:1"}


def canary(*steps: Any) -> dict[str, Any]:
    return {"canary": {"steps": list(steps)}}


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "no strategy": (rollout(strategy=None), "spec.strategy: has neither canary nor blueGreen"),
    "a strategy that is null": (rollout(strategy={"canary": None}), "spec.strategy: has neither"),
    "two strategies": (rollout(strategy={"canary": {}, "blueGreen": {}}), "spec.strategy: has both"),
    "no template": (rollout(template=None), "spec.template: is missing"),
    "an empty template": (rollout(template={}), "spec.template: is missing"),
    "a template without a spec": (rollout(template={"metadata": {}}), "spec.template.spec: is null"),
    "no containers": (rollout(template={"spec": {}}), "spec.template.spec.containers: is null"),
    "containers that are no list": (rollout(template={"spec": {"containers": "x"}}), 'spec.containers: is "x"'),
    "a container that is text": (rollout(template={"spec": {"containers": ["x"]}}), 'containers[0]: is "x"'),
    "init containers that are no list": (
        rollout(template={"spec": {"containers": [CONTAINER], "initContainers": {}}}),
        "spec.initContainers: is {}",
    ),
    "a template that is text": (rollout(template="x"), "spec.template: must be an object, and is text"),
    "steps that are no list": (rollout(strategy={"canary": {"steps": {}}}), "canary.steps: must be a list"),
    "a step that is text": (rollout(strategy=canary("pause")), "steps[0]: must be an object"),
    "an empty step": (rollout(strategy=canary({})), "steps[0]: is {}"),
    "a step with two things": (
        rollout(strategy=canary({"setWeight": 1, "pause": {}})),
        "steps[0]: has setWeight and pause",
    ),
    "a weight in quotes": (rollout(strategy=canary({"setWeight": "20"})), 'steps[0].setWeight: is "20"'),
    "a weight that is true": (rollout(strategy=canary({"setWeight": True})), "steps[0].setWeight: is true"),
    "a weight above 100": (rollout(strategy=canary({"setWeight": 120})), "from 0 to 100"),
    "a negative weight": (rollout(strategy=canary({"setWeight": -1})), "steps[0].setWeight: is -1"),
    "a pause that is a number": (rollout(strategy=canary({"pause": 3})), "steps[0].pause: is 3"),
    "a duration nobody can read": (
        rollout(strategy=canary({"pause": {"duration": "soon"}})),
        'steps[0].pause.duration: is "soon"',
    ),
    "a negative duration": (rollout(strategy=canary({"pause": {"duration": -1}})), "pause.duration: is -1"),
    "replicas in quotes": (rollout(replicas="3"), "spec.replicas: must be a whole number, and is text"),
    "a spec that is a list": ({**rollout(), "spec": []}, "spec: must be an object, and is a list"),
    "metadata that is text": ({**rollout(), "metadata": "x"}, "metadata: must be an object"),
    "an annotation that is no text": (
        claiming(rollout(), share=40),  # type: ignore[arg-type]
        'metadata.annotations["provenance.rollwarden.dev/share"]: is 40; write it in quotes',
    ),
    "a label that is no text": (
        {**rollout(), "metadata": {"name": "shop", "labels": {"tier": 1}}},
        'metadata.labels["tier"]: is 1',
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_rollout_is_refused_by_the_name_of_the_field(name: str) -> None:
    manifest, said = MALFORMED[name]
    with pytest.raises(InputError) as error:
        decode_rollout(manifest, "f.yaml")
    assert said in str(error.value)
    assert str(error.value).startswith("f.yaml, ")


FINE: dict[str, dict[str, Any]] = {
    "no steps": rollout(strategy={"canary": {}}),
    "nulls that the API server drops": rollout(strategy={"canary": {"steps": None, "maxSurge": None}}, paused=None),
    "a hundred steps": rollout(strategy=canary(*({"setWeight": n} for n in range(1, 101)))),
    "blueGreen": rollout(strategy={"blueGreen": {"activeService": "shop"}}),
    "a workloadRef": rollout(template=None, workloadRef={"kind": "Deployment", "name": "shop"}),
    "steps of kinds to come": rollout(strategy=canary({"setFuture": {"x": 1}}, {"setWeight": 10})),
    "a route and a scale in one step": rollout(
        strategy=canary({"setCanaryScale": {"replicas": 1}, "setHeaderRoute": {"name": "debug"}, "pause": {}})
    ),
    "durations as Argo takes them": rollout(
        strategy=canary(*({"pause": {"duration": d}} for d in (0, 5, "5", "1.5h", "1h30m", "250ms")))
    ),
    "a router's own largest weight": rollout(
        strategy={"canary": {"trafficRouting": {"maxTrafficWeight": 1000}, "steps": [{"setWeight": 500}]}}
    ),
    "no replicas at all": rollout(replicas=0),
    "resources that cannot be": rollout(
        template={"spec": {"containers": [{**CONTAINER, "resources": {"requests": {"memory": "invalid"}}}]}}
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_what_argo_takes_is_explained(name: str) -> None:
    decoded = decode_rollout(FINE[name], "f.yaml")
    data = as_data(explain(Question(rollout=decoded)))
    own = ((FINE[name]["spec"]["strategy"].get("canary") or {}).get("steps")) or []
    assert data["plan"]["ownerSteps"] == own


KEYS = (
    *("spec", "metadata", "annotations", "labels", "template", "strategy", "canary", "blueGreen", "steps", "pause"),
    *("setWeight", "duration", "analysis", "trafficRouting", "replicas", "containers", "image", "workloadRef"),
    *("provenance.rollwarden.dev/origin", "provenance.rollwarden.dev/share", "rollwarden.dev/criticality"),
    *("rollwarden.dev/hold", "rollwarden.dev/base-starting-step", "startingStep", "rollbackWindow", "revisions"),
)
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
PATHS = (
    ("metadata",),
    ("metadata", "annotations"),
    ("spec",),
    ("spec", "replicas"),
    ("spec", "strategy"),
    ("spec", "strategy", "canary"),
    ("spec", "strategy", "canary", "steps"),
    ("spec", "template"),
    ("spec", "template", "metadata"),
    ("spec", "template", "spec"),
    ("status",),
)


@given(st.sampled_from(PATHS), JSONISH)
def test_no_value_anywhere_ends_in_anything_but_an_explanation_or_a_sentence(path: tuple[str, ...], value: Any) -> None:
    manifest: Any = rollout()
    inner = manifest
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    try:
        decoded = decode_rollout(manifest, "f.yaml")
    except CommandError as error:
        assert str(error).startswith("f.yaml, ")
        return
    as_data(explain(Question(rollout=decoded, rps=50)))


def policy_file(tmp_path: Any, spec: str) -> str:
    file = tmp_path / "policy.yaml"
    head = "apiVersion: rollwarden.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {name: p}\nspec:\n"
    file.write_text(head + spec)
    return str(file)


BAD_POLICIES = {
    "a misspelt requirement": (
        "  rules: [{name: a, require: {approval: [{tier: Senior}]}}]",
        "spec.rules[0].require.approval: is not a field of a GuardrailPolicy",
    ),
    "a tier that is none": (
        "  rules: [{name: a, require: {approvals: [{tier: Boss}]}}]",
        'spec.rules[0].require.approvals[0].tier: is "Boss"',
    ),
    "a count of none": (
        "  rules: [{name: a, require: {approvals: [{tier: Senior, count: 0}]}}]",
        "spec.rules[0].require.approvals[0].count: ",
    ),
    "a profile that is not there": (
        "  rules: [{name: a, require: {profile: slow}}]",
        'spec.rules[0].require.profile: is "slow", which spec.profiles does not have',
    ),
    "a rule without requirements": ("  rules: [{name: a}]", "spec.rules[0].require: is missing"),
    "a duration nobody can read": ("  profiles: [{name: a, minSoak: soon}]", "spec.profiles[0].minSoak: "),
    "a rule that denies and asks": (
        "  rules: [{name: a, require: {deny: {message: never}, approvals: [{tier: Senior}]}}]",
        "spec.rules[0]: denies and asks for approvals",
    ),
    "weights that descend": ("  profiles: [{name: a, weights: [50, 5]}]", "spec.profiles[0].weights: must ascend"),
    "two rules of one name": (
        "  rules: [{name: a, require: {}}, {name: a, require: {}}]",
        'spec.rules[1]: is the second of name "a"',
    ),
}


@pytest.mark.parametrize("name", BAD_POLICIES)
def test_a_policy_that_cannot_be_used_is_refused_by_the_name_of_the_field(tmp_path: Any, name: str) -> None:
    text, said = BAD_POLICIES[name]
    with pytest.raises(InputError) as error:
        read_manifests([policy_file(tmp_path, text)])
    assert said in str(error.value)


def test_a_preset_brings_its_profiles(tmp_path: Any) -> None:
    found = read_manifests([policy_file(tmp_path, "  preset: Memo\n  rules: [{name: a, require: {profile: careful}}]")])
    assert [policy.metadata.name for policy in found.policies] == ["p"]
