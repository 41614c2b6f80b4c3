"""What admission is told about a namespace: exact keys and values, no more than fits, and how far a train is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.api import names
from rollwarden.api.argo import Rollout
from rollwarden.api.change import Change, ChangeStatus, GateStatus, Plan, PlannedGate
from rollwarden.api.enums import Criticality, GateKind, Mode, OnNewTemplate, Phase
from rollwarden.api.policy import Agents, GuardrailPolicySpec, ServiceAccountRef
from rollwarden.api.profile import ServiceProfile, ServiceProfileSpec
from rollwarden.core.governed import (
    MAX_BYTES,
    Governed,
    governed_map,
    on_new_template,
    train_phrase,
    trains_of,
    with_standing_trains,
)
from rollwarden.core.times import timestamp
from tests.builders import NOW, argo_status, change, classification, release, rollout, template

AGENTS = GuardrailPolicySpec(
    agents=Agents(
        users=("bot", "bad\nname"),
        groups=("coding-agents",),
        service_accounts=(ServiceAccountRef(namespace="ci", name="agent"),),
    )
)
STEPS: tuple[dict[str, Any], ...] = (
    {"setWeight": 25},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {"duration": "2m"}},
    {"setWeight": 100},
    {"pause": {}},
)


def planned(index: int, kind: GateKind = GateKind.EVIDENCE, eta: int | None = 300) -> PlannedGate:
    return PlannedGate(index=index, kind=kind, weight=25, eta_seconds=eta)


PLAN = Plan(steps=STEPS, gates=(planned(1), planned(5, GateKind.BAKE, 240)))


def told(*rollouts: Governed, policies: tuple[GuardrailPolicySpec, ...] = ()) -> dict[str, str]:
    return governed_map(rollouts, policies, NOW).data


def of(live: Rollout, **fields: Any) -> Governed:
    return Governed(live, fields.pop("criticality", Criticality.MEDIUM), **fields)


def with_spec(live: Rollout, **spec: Any) -> Rollout:
    return msgspec.structs.replace(live, spec=msgspec.structs.replace(live.spec, **spec))


def with_canary(**fields: Any) -> Rollout:
    live = rollout(hold="")
    assert live.spec.strategy.canary is not None
    canary = msgspec.structs.replace(live.spec.strategy.canary, **fields)
    return with_spec(live, strategy=msgspec.structs.replace(live.spec.strategy, canary=canary))


def test_agents_of_all_policies() -> None:
    other = GuardrailPolicySpec(agents=Agents(users=("bot", "helper")))
    assert told(policies=(AGENTS, other)) == {
        "agents.users": "\nbot\nhelper\nsystem:serviceaccount:ci:agent\n",
        "agents.groups": "\ncoding-agents\n",
    }


def test_a_namespace_about_which_there_is_nothing_to_say() -> None:
    assert told(policies=(GuardrailPolicySpec(),)) == {}


def test_what_a_rollout_is_known_by() -> None:
    body = {**template(), "metadata": {"labels": {"tier": "web", "app": "checkout"}}}
    live = with_spec(rollout(hold="", pod_template=body), selector={"matchLabels": {"app": "checkout"}})
    assert told(of(live, criticality=Criticality.HIGH)) == {
        "crit.checkout": "high",
        "pods.checkout": "\napp=checkout\ntier=web\n",
        "sel.checkout": "\napp=checkout\n",
    }


@pytest.mark.parametrize(
    ("live", "services", "routes"),
    [
        pytest.param(
            with_canary(canary_service="new", stable_service="old"), "\nnew\nold\n", None, id="a canary's services"
        ),
        pytest.param(
            with_canary(ping_pong={"pingService": "a", "pongService": "b"}), "\na\nb\n", None, id="ping and pong"
        ),
        pytest.param(
            with_spec(
                rollout(hold=""),
                strategy=msgspec.structs.replace(
                    rollout(blue_green=True).spec.strategy,
                    blue_green={"activeService": "live", "previewService": "next"},
                ),
            ),
            "\nlive\nnext\n",
            None,
            id="blueGreen's services",
        ),
        pytest.param(
            with_canary(
                traffic_routing={
                    "istio": {
                        "virtualService": {"name": "one.pay"},
                        "virtualServices": [{"name": "two"}, {"name": "far.elsewhere"}],
                        "destinationRule": {"name": "rule"},
                    }
                }
            ),
            None,
            "\none\ntwo\nfar.elsewhere\nrule\n",
            id="routes, those of its own namespace by their name alone",
        ),
        pytest.param(with_canary(traffic_routing={"istio": {"virtualServices": "x"}}), None, None, id="no list"),
    ],
)
def test_what_its_strategy_names(live: Rollout, services: str | None, routes: str | None) -> None:
    data = told(of(live))
    assert (data.get("svc.checkout"), data.get("vs.checkout")) == (services, routes)


def ended(phase: Phase) -> ChangeStatus:
    return ChangeStatus(phase=phase, finished_at=timestamp(NOW))


@pytest.mark.parametrize(
    ("hold", "changes", "live"),
    [
        pytest.param("", (), False, id="no revision was ever held"),
        pytest.param("held-5", (), True, id="held, its Change not written yet"),
        pytest.param("held-5", (change(),), True, id="held"),
        pytest.param("held-5", (change(status=ended(Phase.DENIED)),), True, id="denied and still standing there"),
        pytest.param("released-5", (change(status=ChangeStatus(phase=Phase.BAKING)),), True, id="under way"),
        pytest.param("released-5", (change(status=ended(Phase.COMPLETED)),), False, id="completed"),
        pytest.param("aborted-5", (change(status=ended(Phase.ROLLED_BACK)),), False, id="rolled back"),
        pytest.param("aborted-5", (change(status=ChangeStatus(phase=Phase.ROLLING_BACK)),), True, id="on its way back"),
        pytest.param("", (change(attempt="o5", mode=Mode.OBSERVE),), False, id="observed only"),
        pytest.param(
            "released-5",
            (change(status=ended(Phase.COMPLETED)), change(attempt="3", of=rollout(uid="gone-0000"))),
            False,
            id="another Rollout's of the same name before",
        ),
    ],
)
def test_live(hold: str, changes: tuple[Change, ...], live: bool) -> None:
    data = told(of(rollout(hold=hold), changes=changes))
    assert data.get("live.checkout") == ("true" if live else None)


def test_a_live_change_keeps_the_criticality_that_it_was_seen_with() -> None:
    seen = classification(criticality=Criticality.CRITICAL)
    lowered = of(rollout(), criticality=Criticality.LOW, changes=(change(classification=seen),))
    assert told(lowered)["crit.checkout"] == "critical"
    done = of(
        rollout(), criticality=Criticality.LOW, changes=(change(classification=seen, status=ended(Phase.DENIED)),)
    )
    assert told(done)["crit.checkout"] == "low"


# -- trains ------------------------------------------------------------------------------------------------------


def canary(index: int, *gates: GateStatus, plan: Plan = PLAN, **fields: Any) -> tuple[Rollout, Change]:
    live = rollout(
        hold="released-5",
        steps=plan.steps,
        status=argo_status(
            stable_rs=fields.pop("stable", "aaa"),
            current_pod_hash="bbb",
            current_step_index=index,
            abort=fields.pop("abort", False),
        ),
    )
    status = ChangeStatus(phase=Phase.CANARY, release=release(plan), gates=gates)
    return live, change(status=msgspec.structs.replace(status, **fields))


def gate(index: int = 1, age: float = 60, **fields: Any) -> GateStatus:
    return GateStatus(index=index, kind=GateKind.EVIDENCE, weight=25, started_at=timestamp(NOW - age), **fields)


WITHOUT_TIME = Plan(steps=STEPS, gates=(planned(1, eta=None),))
OWNED = Plan(steps=STEPS, owner_pauses=(5,))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(canary(0), "is at 25 %, about 11 min left", id="on the way to the first gate"),
        pytest.param(canary(1, gate()), "is at 25 %, about 10 min left", id="planned time from the gate's start"),
        pytest.param(canary(1, gate(eta=timestamp(NOW + 30))), "is at 25 %, about 7 min left", id="the time last told"),
        pytest.param(canary(1, gate(age=900)), "is at 25 %, how long is left is not known", id="longer than thought"),
        pytest.param(canary(3, gate(passed_at=timestamp(NOW))), "is at 50 %, about 6 min left", id="past the gate"),
        pytest.param(
            canary(5, gate(5, age=200), phase=Phase.BAKING), "is at 100 %, about 1 min left", id="almost baked"
        ),
        pytest.param(canary(6, phase=Phase.BAKING), "is at 100 %, about 1 min left", id="past all steps"),
        pytest.param(canary(0, plan=WITHOUT_TIME), "is at 25 %, how long is left is not known", id="no traffic known"),
        pytest.param(canary(0, plan=OWNED), "is at 25 %, how long is left is not known", id="a person promotes it"),
        pytest.param(
            canary(1, gate(), waiting_for="a senior to accept it unproven"),
            "is at 25 %, waiting for a senior to accept it unproven",
            id="waits for a person",
        ),
    ],
)
def test_train(found: tuple[Rollout, Change], said: str) -> None:
    live, under_way = found
    assert train_phrase(live, under_way, NOW) == f"checkout-1f2e3d4c-5 {said}"
    refusing = of(live, changes=(under_way,), on_new_template=OnNewTemplate.REFUSE)
    assert trains_of(told(refusing)) == {"train.checkout": f"checkout-1f2e3d4c-5 {said}"}
    assert trains_of(told(of(live, changes=(under_way,)))) == {}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param((rollout(), change()), id="held"),
        pytest.param(canary(1, gate(), abort=True), id="aborted"),
        pytest.param(canary(1, gate(), phase=Phase.ROLLING_BACK), id="rolling back"),
        pytest.param(canary(1, release=None), id="never released"),
        pytest.param(canary(6, phase=Phase.COMPLETED), id="completed"),
        pytest.param(canary(0, stable=""), id="a first revision"),
        pytest.param(canary(0, stable="bbb"), id="a first revision that Argo calls stable"),
        pytest.param((rollout(blue_green=True), canary(1)[1]), id="blueGreen"),
    ],
)
def test_no_train(found: tuple[Rollout, Change]) -> None:
    live, under_way = found
    assert train_phrase(live, under_way, NOW) == ""
    assert trains_of(told(of(live, changes=(under_way,), on_new_template=OnNewTemplate.REFUSE))) == {}


def test_one_profile_that_refuses_is_enough() -> None:
    refuse = ServiceProfile(spec=ServiceProfileSpec(on_new_template=OnNewTemplate.REFUSE))
    assert on_new_template([]) is OnNewTemplate.SUPERSEDE
    assert on_new_template([ServiceProfile(), refuse, ServiceProfile()]) is OnNewTemplate.REFUSE


def test_a_standing_phrase_is_kept_while_its_train_is_there() -> None:
    wanted = {"train.a": "new", "train.c": "first", "crit.a": "high"}
    standing = {"train.a": "old", "train.b": "gone", "crit.a": "low"}
    assert with_standing_trains(wanted, standing) == {"train.a": "old", "train.c": "first", "crit.a": "high"}


# -- what does not fit -------------------------------------------------------------------------------------------


def named(name: str, labels: Mapping[str, str]) -> Governed:
    live = rollout(hold="", pod_template={"metadata": {"labels": dict(labels)}, "spec": {}})
    return of(msgspec.structs.replace(live, metadata=msgspec.structs.replace(live.metadata, name=name)))


def test_the_largest_of_the_least_important_is_left_out() -> None:
    many = {f"label-{number}": "x" * 63 for number in range(100)}
    greedy = [named(f"greedy-{number}", many) for number in range(100)]
    found = governed_map([*greedy, named("modest", {"app": "modest"})], [AGENTS], NOW)
    assert found.left_out and all(key.startswith("pods.greedy-") for key in found.left_out)
    assert found.data["pods.modest"] == "\napp=modest\n"
    assert all(f"crit.greedy-{number}" in found.data for number in range(100))


def test_one_value_that_is_too_long_is_left_out_however_much_room_there_is() -> None:
    many = {f"label-{number}": "x" * 63 for number in range(150)}
    assert governed_map([named("greedy", many)], [AGENTS], NOW).left_out == ("pods.greedy",)
    listed = GuardrailPolicySpec(agents=Agents(users=tuple(f"agent-{number}@corp" for number in range(1000))))
    assert governed_map([], [listed], NOW).left_out == ()


def test_a_name_too_long_for_a_key_is_left_out() -> None:
    assert told(named("a" * 248, {"app": "a"})) == {f"crit.{'a' * 248}": "medium", f"pods.{'a' * 248}": "\napp=a\n"}
    assert told(named("a" * 249, {"app": "a"})) == {}


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), st.text(max_size=40), max_size=8),
    st.integers(0, 6),
)
def test_every_list_is_lines_between_line_ends_and_all_of_it_fits(labels: dict[str, str], count: int) -> None:
    data = told(*(named(f"r{n}", labels) for n in range(count)), policies=(AGENTS,))
    assert sum(len(key) + len(value.encode()) for key, value in data.items()) <= MAX_BYTES
    for key, value in data.items():
        if not key.startswith((names.GOVERNED_CRITICALITY, names.GOVERNED_LIVE, names.GOVERNED_TRAIN)):
            assert value.startswith("\n") and value.endswith("\n")
            assert "" not in value[1:-1].split("\n")
