"""What a service mesh really sends to the canary: the weights that stand in Istio's VirtualServices.

Argo writes them, and a tool that applies an older manifest of the VirtualService writes them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.argo import Rollout


@dataclass(frozen=True, slots=True)
class RouterRef:
    """A VirtualService that a Rollout routes by. ``namespace`` is empty where it is the Rollout's own."""

    name: str
    namespace: str
    routes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoutedWeight:
    """The share, 0..100, that one HTTP route of a VirtualService sends to the canary."""

    router: str
    route: str
    weight: int


def routers(rollout: Rollout) -> tuple[RouterRef, ...]:
    """The VirtualServices of the strategy; none where something else routes, or the spec names none."""
    istio = _routing(rollout).get("istio")
    if not isinstance(istio, Mapping):
        return ()
    one, several = istio.get("virtualService"), istio.get("virtualServices")
    given = [one, *(several if isinstance(several, list) else ())]
    return tuple(_ref(item) for item in given if isinstance(item, Mapping) and item.get("name"))


def _ref(item: Mapping[str, Any]) -> RouterRef:
    """Argo takes ``name``, ``name.namespace`` and the full name within the cluster."""
    name, _, rest = str(item["name"]).partition(".")
    routes = item.get("routes")
    return RouterRef(name, rest.partition(".")[0], tuple(map(str, routes)) if isinstance(routes, list) else ())


def routed_weights(rollout: Rollout, ref: RouterRef, service: Mapping[str, Any]) -> tuple[RoutedWeight, ...]:
    """What each HTTP route that Argo keeps in this VirtualService sends to the canary."""
    managed = {r.get("name") for r in _items(_routing(rollout).get("managedRoutes"))}
    found = []
    for route in _items(_mapping(service.get("spec")).get("http")):
        name = str(route.get("name", ""))
        destinations = _items(route.get("route"))
        mine = [d for d in destinations if _is_canary(rollout, _mapping(d.get("destination")))]
        if mine and name not in managed and (not ref.routes or name in ref.routes):
            weight = mine[0].get("weight", 100 if len(destinations) == 1 else 0)
            found.append(RoutedWeight(ref.name, name, weight if isinstance(weight, int) else 0))
    return tuple(found)


def _is_canary(rollout: Rollout, destination: Mapping[str, Any]) -> bool:
    """By subset where a DestinationRule tells the arms apart, else by the canary's Service."""
    rule = _mapping(_mapping(_routing(rollout).get("istio")).get("destinationRule"))
    if rule:
        return bool(destination.get("subset") and destination.get("subset") == rule.get("canarySubsetName"))
    canary = rollout.spec.strategy.canary
    service = canary.canary_service if canary else ""
    return bool(service) and str(destination.get("host", "")).partition(".")[0] == service


def _routing(rollout: Rollout) -> Mapping[str, Any]:
    canary = rollout.spec.strategy.canary
    return (canary.traffic_routing if canary else None) or {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
