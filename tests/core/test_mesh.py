"""What a VirtualService sends to the canary, and a gate whose share is not sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rollwarden.api.argo import Rollout
from rollwarden.api.enums import VerdictResult
from rollwarden.core.mesh import RoutedWeight, RouterRef, routed_weights, routers
from rollwarden.core.seen import Seen
from tests.builders import evidence, rollout

from .outcomes import Row, at_gate, check, each, gate_entry, table


def behind(istio: Any = None, **canary: Any) -> Rollout:
    """A Rollout whose canary is told apart by its Service unless ``istio`` says otherwise."""
    of = rollout()
    assert of.spec.strategy.canary is not None
    fields: dict[str, Any] = {
        "canary_service": "checkout-canary",
        "traffic_routing": {"istio": {"virtualService": {"name": "checkout"}} if istio is None else istio},
    }
    strategy = msgspec.structs.replace(of.spec.strategy.canary, **(fields | canary))
    spec = msgspec.structs.replace(of.spec, strategy=msgspec.structs.replace(of.spec.strategy, canary=strategy))
    return msgspec.structs.replace(of, spec=spec)


def virtual(*routes: Any) -> dict[str, Any]:
    return {"spec": {"http": list(routes)}}


def split(weight: int, name: str = "primary", canary: Any = None) -> dict[str, Any]:
    destinations = [
        {"destination": {"host": "checkout-stable"}, "weight": 100 - weight},
        {"destination": canary or {"host": "checkout-canary"}, "weight": weight},
    ]
    return {"name": name, "route": destinations}


@pytest.mark.parametrize(
    ("istio", "expected"),
    [
        pytest.param({}, (), id="nothing is named"),
        pytest.param("odd", (), id="not an object"),
        pytest.param({"virtualService": {"name": "a"}}, (RouterRef("a", "", ()),), id="one, in the same namespace"),
        pytest.param(
            {
                "virtualServices": [
                    {"name": "a", "routes": ["r"]},
                    {"name": "b.mesh"},
                    {"name": "c.mesh.svc.cluster.local"},
                ]
            },
            (RouterRef("a", "", ("r",)), RouterRef("b", "mesh", ()), RouterRef("c", "mesh", ())),
            id="several, with routes and other namespaces",
        ),
    ],
)
def test_routers(istio: Any, expected: tuple[RouterRef, ...]) -> None:
    assert routers(behind(istio)) == expected


BY_SUBSET = {
    "virtualService": {"name": "checkout"},
    "destinationRule": {"name": "checkout", "canarySubsetName": "canary", "stableSubsetName": "stable"},
}


@pytest.mark.parametrize(
    ("of", "service", "expected"),
    [
        pytest.param(behind(), virtual(split(20)), {"primary": 20}, id="by the canary's Service"),
        pytest.param(
            behind(),
            virtual(split(5, canary={"host": "checkout-canary.pay.svc.cluster.local"})),
            {"primary": 5},
            id="the Service by its full name",
        ),
        pytest.param(
            behind(BY_SUBSET),
            virtual(split(7, canary={"host": "checkout", "subset": "canary"})),
            {"primary": 7},
            id="by the subset of a DestinationRule",
        ),
        pytest.param(
            behind({"virtualService": {"name": "checkout", "routes": ["b"]}}),
            virtual(split(10, "a"), split(20, "b")),
            {"b": 20},
            id="only the routes that the strategy names",
        ),
        pytest.param(
            behind(traffic_routing={"managedRoutes": [{"name": "beta"}], "istio": {"virtualService": {"name": "x"}}}),
            virtual({"name": "beta", "route": [{"destination": {"host": "checkout-canary"}, "weight": 100}]}, split(3)),
            {"primary": 3},
            id="routes for some requests do not count",
        ),
        pytest.param(
            behind(),
            virtual({"name": "all", "route": [{"destination": {"host": "checkout-canary"}}]}),
            {"all": 100},
            id="the only destination gets everything",
        ),
        pytest.param(behind(canary_service=None), virtual(split(20)), {}, id="no Service tells the canary apart"),
        pytest.param(behind(), virtual({"name": "x", "route": "odd"}, "odd"), {}, id="odd routes"),
        pytest.param(behind(), {}, {}, id="an empty object"),
    ],
)
def test_routed_weights(of: Rollout, service: dict[str, Any], expected: dict[str, int]) -> None:
    found = routed_weights(of, RouterRef("checkout", "", (routers(of) or (RouterRef("", "", ()),))[0].routes), service)
    assert {one.route: one.weight for one in found} == expected


def sends(weight: int, **fields: Any) -> Seen:
    """At the gate of 25 %, proven, with that weight in the VirtualService."""
    proof = evidence(VerdictResult.PROMOTE, gate_index=1, message="safe to 50 %")
    return at_gate(evidence=proof, routed=(RoutedWeight("checkout", "primary", weight),), **fields)


SAID = 'holds at 25 %: VirtualService "checkout" (route "primary") sends 0 % to the canary instead'


@each(
    table(
        Row(
            "proof at another share than the gate's is none",
            sends(0),
            "misrouted",
            ("Change 5: Canary WeightNotRouted", "Warning WeightNotRouted"),
            (SAID,),
        ),
        Row(
            "it is said once",
            sends(0, status={"gates": (gate_entry(),), "reason": "WeightNotRouted"}),
            "misrouted",
            ("Change 5: Canary WeightNotRouted",),
            (SAID,),
        ),
        Row(
            "at the gate's own share it is proof",
            sends(25),
            "gate-passed",
            ("Change 5: Canary Proven", "rollout/status: promote past the gate", "Normal GatePassed"),
        ),
    )
)
def test_gates(row: Row) -> None:
    check(row)
