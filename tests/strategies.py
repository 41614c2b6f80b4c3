"""Hypothesis strategies for the values of the API and of the core, and how much of them a run tries."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from hypothesis import strategies as st

from rollwarden.api.change import Author, Classification, Denial, Freeze, Pace, Requirements
from rollwarden.api.enums import (
    AtMaximum,
    Autonomy,
    Criticality,
    EvidenceLevel,
    IndicatorType,
    Level,
    OnBlind,
    OnNoIndicators,
    Origin,
    Tests,
    Tier,
    Touch,
)
from rollwarden.api.policy import ApprovalSlot, CanaryProfile, FreezeWindow, Require, Rule, When
from rollwarden.core.freeze import required

THOROUGH = "HYPOTHESIS_PROFILE"
"""The environment variable that makes property tests try 20 times as much: ``HYPOTHESIS_PROFILE=ci``."""

Path = tuple[str | int, ...]


def examples(few: int) -> int:
    """How many examples a property test tries: ``few`` for everybody, more in CI."""
    return few * 20 if os.environ.get(THOROUGH) == "ci" else few


_NAMES = st.sampled_from(["app", "sidecar", "init", "data"])
_WORDS = st.sampled_from(["a", "b", "--fast", "value"])


def templates() -> st.SearchStrategy[dict[str, Any]]:
    """Pod templates of one to three containers, as people write them."""
    env = st.lists(st.fixed_dictionaries({"name": _WORDS, "value": _WORDS}), max_size=2)
    container = st.fixed_dictionaries(
        {"name": _NAMES, "image": st.sampled_from(["shop:1", "shop:2", "proxy:7", "shop@sha256:00"])},
        optional={
            "command": st.lists(_WORDS, min_size=1, max_size=2),
            "env": env,
            "ports": st.just([{"containerPort": 8080}]),
            "resources": st.just({"limits": {"cpu": "2", "memory": "1Gi"}}),
            "readinessProbe": st.just({"httpGet": {"port": 8080, "path": "/ready"}}),
            "volumeMounts": st.just([{"name": "data", "mountPath": "/data"}]),
        },
    )
    spec = st.fixed_dictionaries(
        {"containers": st.lists(container, min_size=1, max_size=3)},
        optional={
            "nodeSelector": st.just({"pool": "fast"}),
            "serviceAccountName": _WORDS,
            "volumes": st.just([{"name": "data", "configMap": {"name": "c"}}]),
            "restartPolicy": st.just("Always"),
        },
    )
    metadata = st.fixed_dictionaries(
        {"labels": st.just({"app": "shop"})}, optional={"annotations": st.just({"at": "1"})}
    )
    return st.fixed_dictionaries({"metadata": metadata, "spec": spec})


def json_paths(value: Any, above: Path = ()) -> list[Path]:
    """The paths of every leaf."""
    if isinstance(value, dict):
        return [path for key in value for path in json_paths(value[key], (*above, key))]
    if isinstance(value, list):
        return [path for place, item in enumerate(value) for path in json_paths(item, (*above, place))]
    return [above]


def put(document: Any, path: Path, value: Any) -> Any:
    """``document`` with another leaf."""
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return document


def paces() -> st.SearchStrategy[Pace]:
    profiled = st.builds(
        Pace,
        profiles=st.sampled_from([("fast",), ("slow",), ("fast", "slow")]),
        weights=st.lists(st.integers(1, 99), max_size=3, unique=True).map(lambda w: tuple(sorted(w))),
        min_soak=st.integers(0, 600),
        max_step=st.integers(0, 9000),
        bake=st.integers(0, 3600),
        warm_up=st.integers(0, 120),
        cold_phi=st.integers(1, 12),
        at_maximum=st.sampled_from(AtMaximum),
        on_blind=st.sampled_from(OnBlind),
        on_no_indicators=st.sampled_from(OnNoIndicators),
    )
    return st.just(Pace()) | profiled


def slot_sets() -> st.SearchStrategy[tuple[ApprovalSlot, ...]]:
    counts = st.dictionaries(st.sampled_from(Tier), st.integers(1, 3), max_size=3)
    return counts.map(_slots)


def _slots(counts: dict[Tier, int]) -> tuple[ApprovalSlot, ...]:
    return tuple(ApprovalSlot(tier=tier, count=counts[tier]) for tier in sorted(counts))


def requirement_sets() -> st.SearchStrategy[Requirements]:
    denial = st.builds(
        Denial, rule=st.sampled_from(["a", "b"]), message=st.just("off-limits"), set_by=st.sampled_from(["", "pia"])
    )
    return st.builds(
        Requirements,
        approvals=slot_sets(),
        approval_ttl=st.sampled_from([0, 3600, 86400]),
        min_evidence_level=st.sampled_from(EvidenceLevel),
        tests=st.sampled_from(Tests),
        human_adopter=st.booleans(),
        gated=st.booleans(),
        pace=paces(),
        denials=st.lists(denial, max_size=2, unique_by=lambda one: one.rule).map(
            lambda d: tuple(sorted(d, key=lambda one: one.rule))
        ),
        freezes=freezes(),
        objective_floor=st.sampled_from(["", "98", "99", "99.9"]),
        required_indicators=st.sampled_from([(), (IndicatorType.ERRORS,), (IndicatorType.LATENCY,)]),
    )


_FREEZES = (
    FreezeWindow(name="weekend", schedule="0 18 * * 5", duration="60h", time_zone="Europe/Berlin"),
    FreezeWindow(name="nights", schedule="0 20 * * *", duration="10h"),
    FreezeWindow(name="year-end", schedule="0 0 20 12 *", duration="384h", time_zone="America/New_York"),
)


def windows() -> st.SearchStrategy[tuple[FreezeWindow, ...]]:
    return st.lists(st.sampled_from(_FREEZES), max_size=2, unique=True).map(tuple)


def freezes() -> st.SearchStrategy[tuple[Freeze, ...]]:
    """The freezes of one or two rules, as requirements hold them."""
    asked = st.dictionaries(st.sampled_from(["a", "b"]), windows(), max_size=2)
    return asked.map(
        lambda found: tuple(
            sorted((f for rule, w in found.items() for f in required(rule, w)), key=msgspec.structs.astuple)
        )
    )


def profiles(name: str = "slow") -> st.SearchStrategy[CanaryProfile]:
    return st.builds(
        CanaryProfile,
        name=st.just(name),
        weights=st.lists(st.integers(1, 99), max_size=4, unique=True).map(lambda w: tuple(sorted(w))),
        min_soak=st.sampled_from(["0s", "30s", "5m"]),
        max_step=st.sampled_from(["10m", "2h"]),
        bake=st.sampled_from([None, "0s", "10m"]),
    )


def rules() -> st.SearchStrategy[Rule]:
    """Rules under one name each, requiring anything but a profile of a policy of their own."""
    when = st.builds(
        When,
        origins=st.lists(st.sampled_from(Origin), max_size=2, unique=True).map(tuple),
        min_autonomy=st.none() | st.sampled_from(Autonomy),
        min_share=st.sampled_from([0, 50]),
        min_criticality=st.none() | st.sampled_from(Criticality),
        max_author_level=st.none() | st.sampled_from(Level),
        touches=st.lists(st.sampled_from(Touch), max_size=2, unique=True).map(tuple),
        areas=st.sampled_from([(), ("ledger",)]),
    )
    require = st.builds(
        Require,
        approvals=slot_sets(),
        approval_ttl=st.sampled_from([None, "1h", "168h"]),
        min_evidence_level=st.sampled_from(EvidenceLevel),
        tests=st.sampled_from(Tests),
        human_adopter=st.booleans(),
        profile=st.sampled_from(["careful", "standard"]),
        freeze=windows(),
    )
    return st.builds(Rule, name=st.sampled_from(["one", "two", "three"]), when=when, require=require)


def classifications() -> st.SearchStrategy[Classification]:
    author = st.builds(Author, name=st.sampled_from(["jo@corp", "ada@corp"]), level=st.sampled_from(Level))
    return st.builds(
        Classification,
        origin=st.sampled_from(Origin),
        autonomy=st.none() | st.sampled_from(Autonomy),
        share=st.none() | st.integers(0, 100),
        authors=st.lists(author, max_size=2).map(tuple),
        criticality=st.sampled_from(Criticality),
        touches=st.lists(st.sampled_from(Touch), max_size=3, unique=True).map(tuple),
        areas=st.sampled_from([(), ("ledger",), ("ledger", "search")]),
    )


def owner_steps() -> st.SearchStrategy[list[dict[str, Any]]]:
    """An owner's canary steps: any weights in any order, pauses with and without end, steps of others."""
    weight: st.SearchStrategy[dict[str, Any]] = st.integers(0, 100).map(lambda w: {"setWeight": w})
    other: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        [
            {"pause": {}},
            {"pause": {"duration": "5m"}},
            {"pause": {"duration": 0}},
            {"analysis": {"templates": [{"templateName": "t"}]}},
            {"setCanaryScale": {"weight": 25}},
            {"setHeaderRoute": {"name": "beta"}},
            {"plugin": {"name": "x"}},
        ]
    )
    return st.lists(weight | other, max_size=12)
