"""Texts and numbers that no honest owner writes: read as what they are, or as nothing, and never as an error."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import pytest

from rollwarden.api import names
from rollwarden.api.argo import CanaryStrategy, Rollout, RolloutSpec, Strategy
from rollwarden.api.meta import ObjectMeta
from rollwarden.core.attempt import make_change
from rollwarden.core.base import resolve_base
from rollwarden.core.decide import decide
from rollwarden.core.digest import template_digest
from rollwarden.core.held import too_many_steps
from rollwarden.core.numerals import whole_number
from rollwarden.core.plan import MOST_STEPS
from rollwarden.core.seen import change_name
from rollwarden.core.times import argo_seconds
from tests.builders import argo_status, rollout, seen, stable_set

ODD = [
    "",
    " ",
    "²",
    "٣",
    "-1",
    "+1",
    "1_000",
    "0x10",
    "9" * 19,
    "9" * 5000,
    "NaN",
    "Infinity",
    "1e999999999",
    "\u202e1",
]


@pytest.mark.parametrize("text", ODD)
def test_a_number_is_ascii_and_short(text: str) -> None:
    assert whole_number(text) is None


def test_numbers() -> None:
    assert [whole_number(text) for text in ("0", "007", "9" * 18)] == [0, 7, 10**18 - 1]


@pytest.mark.parametrize("value", [*ODD, 10**400, -(10**400), True, None, [], {}, "9" * 400 + "h", "9" * 5000 + "s"])
def test_a_pause_of_no_known_length(value: object) -> None:
    assert argo_seconds(value) is None


@pytest.mark.parametrize("quantity", [*ODD, "1e999998", "1e-999998", "1e999999999Gi", "9" * 5000 + "m"])
def test_a_quantity_of_any_size_has_a_digest_at_once(quantity: str) -> None:
    container = {"name": "a", "image": "b", "resources": {"requests": {"cpu": quantity}}}
    began = time.perf_counter()
    assert template_digest({"spec": {"containers": [container] * 50}}).startswith("sha256:")
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "applied", ["[" * 100_000, '{"spec":' * 50_000, "\x00", "null", "[]", '{"spec":{"strategy":7}}']
)
@pytest.mark.parametrize("remembered", ODD)
def test_an_owners_part_is_found_whatever_the_annotations_say(applied: str, remembered: str) -> None:
    annotations = {
        "kubectl.kubernetes.io/last-applied-configuration": applied,
        names.BASE_ROLLBACK_WINDOW: remembered,
        names.BASE_STARTING_STEP: remembered,
    }
    canary = CanaryStrategy(steps=({"setWeight": 5},), analysis={"startingStep": 2})
    rollout = Rollout(
        metadata=ObjectMeta(name="shop", annotations=annotations), spec=RolloutSpec(strategy=Strategy(canary=canary))
    )
    base = resolve_base(rollout, ())
    assert (base.steps, base.rollback_window) == (({"setWeight": 5},), None)


@pytest.mark.parametrize("count, held", [(MOST_STEPS, False), (MOST_STEPS + 1, True), (5000, True)])
def test_steps_without_end_are_held_with_a_sentence(count: int, held: bool) -> None:
    endless = tuple({"setWeight": n % 100} for n in range(count))
    outcome = too_many_steps(seen(of=rollout(steps=endless)))
    assert (outcome is not None) == held
    if outcome is not None:
        assert f"its canary has {count} steps, and at most {MOST_STEPS}" in outcome.sentence


def test_an_abort_of_a_set_not_seen_yet_is_not_cleared_by_a_release() -> None:
    aborted = msgspec.structs.replace(argo_status(), abort=True, current_pod_hash="new")
    unseen = seen(of=rollout(status=aborted), sets=(stable_set(),))
    assert decide(unseen).rule == "sets-not-seen"


def test_a_change_shows_as_many_images_as_it_can_hold() -> None:
    found = make_change(replace(seen(), images=("i" * 5000,) * 800), "7").spec.images
    assert (len(found), len(found[0])) == (64, 512)


@pytest.mark.parametrize("name", ["a" * 253, "a" * 219 + ".b", "a" * 219 + "-b", "a" * 218 + ".-b"])
def test_a_change_of_a_long_name_is_a_name(name: str) -> None:
    rollout = Rollout(metadata=ObjectMeta(name=name, uid="1f2e3d4c-0000"))
    assert len(change_name(rollout, "9" * 12)) <= 253
    assert not any(label.startswith("-") or label.endswith("-") for label in change_name(rollout, "1").split("."))
