"""Which spec of a GuardrailPolicy is in force, and what is said of one that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api.meta import ObjectMeta
from rollwarden.reconcile.inforce import policies, read_policy
from rollwarden.reconcile.stores import RawPolicy

GOOD: dict[str, Any] = {"rules": [{"name": "a", "require": {"approvals": [{"tier": "Senior"}]}}]}

UNUSABLE = [
    pytest.param({"rules": [{"name": "a"}]}, "require", id="a rule without a requirement"),
    pytest.param(
        {"rules": [{"name": "a", "when": {"origins": ["Robot"]}, "require": {}}]}, "Robot", id="an unknown word"
    ),
    pytest.param(
        {"rules": [{"name": "a", "require": {"profile": "slow"}}]},
        'spec.rules[0].require.profile is "slow"',
        id="a profile that does not exist",
    ),
    pytest.param(
        {"rules": [{"name": "a", "require": {"deny": {"message": "no"}, "approvals": [{"tier": "Peer"}]}}]},
        "spec.rules[0] denies and asks for approvals",
        id="a denial that asks for approvals",
    ),
    pytest.param(
        {"preset": "Memo", "rules": [{"name": "ai-on-high", "require": {}}]},
        'spec.rules[0] is the second of name "ai-on-high"',
        id="a rule of a preset's name",
    ),
    pytest.param(
        {"profiles": [{"name": "p", "weights": [50, 5]}]},
        "spec.profiles[0].weights must ascend",
        id="weights that fall",
    ),
]


def raw(spec: dict[str, Any], status: dict[str, Any] | None = None) -> RawPolicy:
    return RawPolicy(metadata=ObjectMeta(name="default", uid="u", generation=4), spec=spec, status=status or {})


def test_a_usable_spec_is_in_force() -> None:
    reading = read_policy(raw(GOOD))
    assert reading.problem == ""
    assert reading.policy is not None
    assert (reading.policy.ref.generation, reading.policy.spec.rules[0].name) == (4, "a")


@pytest.mark.parametrize(("spec", "words"), UNUSABLE)
def test_an_unusable_spec_is_named_and_the_accepted_one_stays_in_force(spec: dict[str, Any], words: str) -> None:
    reading = read_policy(raw(spec, {"accepted": {"generation": 3, "spec": GOOD}}))
    assert words in reading.problem
    assert reading.policy is not None
    assert reading.policy.ref.generation == 3


@pytest.mark.parametrize(("spec", "words"), UNUSABLE)
def test_without_an_accepted_spec_an_unusable_policy_is_not_in_force(spec: dict[str, Any], words: str) -> None:
    assert read_policy(raw(spec)).policy is None
    assert policies([raw(spec), raw(GOOD)])[0].spec.rules[0].name == "a"


def test_an_accepted_spec_that_cannot_be_read_is_said_too() -> None:
    reading = read_policy(raw({"rules": [{"name": "a"}]}, {"accepted": {"generation": 3, "spec": {"rules": [{}]}}}))
    assert reading.policy is None
    assert "last accepted spec cannot be read either" in reading.problem
