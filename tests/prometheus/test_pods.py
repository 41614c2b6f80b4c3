"""Pod names, arms and the regular expressions made of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.prometheus.arms import LONGEST_SAFE_ROLLOUT_NAME, arms_by_base, indistinguishable, scope_of
from rollwarden.prometheus.pods import Scope, alternatives, base_of, pod_base
from tests.prometheus.builders import subscription

SET_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,80}[a-z0-9])?", fullmatch=True)
SUFFIXES = st.text("bcdfghjklmnpqrstvwxz2456789", min_size=5, max_size=5)


def generated_name(replica_set: str, suffix: str) -> str:
    """What the ReplicaSet controller and the API server's name generator make together."""
    return f"{replica_set}-"[:58] + suffix


@given(SET_NAMES, SUFFIXES)
def test_a_generated_pod_name_leads_back_to_its_set(name: str, suffix: str) -> None:
    """Also for names that Kubernetes cuts; and no pod name is longer than 63."""
    pod = generated_name(name, suffix)
    assert base_of(pod) == pod_base(name)
    assert len(pod) <= 63


@given(st.lists(SET_NAMES, min_size=1, max_size=5), SET_NAMES, SUFFIXES)
def test_a_scope_matches_exactly_the_pods_of_its_sets(names: list[str], other: str, suffix: str) -> None:
    """The pattern, anchored as Prometheus anchors it, knows own pods from all others."""
    bases = tuple(pod_base(name) for name in names)
    pattern = re.compile(Scope(("pay",), bases).matchers()[1].value)
    for name in names:
        assert pattern.fullmatch(generated_name(name, suffix))
    assert bool(pattern.fullmatch(generated_name(other, suffix))) == (pod_base(other) in bases)


@given(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), min_size=1, max_size=5))
def test_alternatives_match_the_literal_texts_only(texts: list[str]) -> None:
    """Every character that means something in a regular expression is escaped."""
    pattern = re.compile(alternatives(texts))
    assert all(pattern.fullmatch(text) for text in texts)
    assert all(bool(pattern.fullmatch(text + "x")) == (text + "x" in texts) for text in texts)


def test_a_dot_in_a_name_is_no_wildcard() -> None:
    """ReplicaSet names may hold dots."""
    pattern = Scope(("pay",), ("web.v1-",)).matchers()[1].value
    assert re.fullmatch(pattern, "web.v1-abcde")
    assert not re.fullmatch(pattern, "webxv1-abcde")


def test_arms_of_a_change() -> None:
    """One base per arm; an arm that does not exist has none."""
    assert arms_by_base(subscription(canary="web-b", stable="web-a")) == {"web-a-": "stable", "web-b-": "canary"}
    assert arms_by_base(subscription(canary="", stable="web-a")) == {"web-a-": "stable"}


@pytest.mark.parametrize("length", [1, 45, LONGEST_SAFE_ROLLOUT_NAME])
def test_arms_of_rollouts_with_safe_names_are_distinguishable(length: int) -> None:
    """Up to the length that the sentence names, hashes of ten characters survive whole."""
    rollout = "r" * length
    pair = subscription(canary=f"{rollout}-6b8f9d7c5b", stable=f"{rollout}-6b8f9d7c5d")
    assert indistinguishable(pair) is None


def test_arms_whose_hash_is_cut_off_are_not_guessed() -> None:
    """Both pods would be called the same; the sentence says what to do."""
    rollout = "r" * 60
    sentence = indistinguishable(subscription(canary=f"{rollout}-6b8f9d7c5b", stable=f"{rollout}-5d9c7b6f4d"))
    assert sentence is not None
    assert "at most 46 characters" in sentence


def test_a_scope_is_the_same_in_whatever_order_changes_come() -> None:
    """Equal scopes make equal query texts, which Prometheus and its proxies can cache."""
    one, two = subscription("a", canary="x-1", stable="x-2"), subscription("b", namespace="b", canary="y", stable="x-2")
    assert scope_of([one, two]) == scope_of([two, one]) == Scope(("b", "pay"), ("x-1-", "x-2-", "y-"))
