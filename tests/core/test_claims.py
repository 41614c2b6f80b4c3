"""What annotations claim, and which of it counts."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api import names
from rollwarden.api.enums import Autonomy, Criticality, Origin
from rollwarden.core.claims import MAX_VALUE, read_claims, subject_names

IMAGE = "shop@sha256:" + 64 * "a"
SUBJECT = {names.SUBJECT: IMAGE}


@pytest.mark.parametrize(
    ("subject", "images", "matches"),
    [
        pytest.param(IMAGE, (IMAGE,), True, id="the full reference names an image"),
        pytest.param("sha256:" + 64 * "a", (IMAGE,), True, id="so does its digest"),
        pytest.param(f"{IMAGE}, proxy:7", (IMAGE, "proxy:7"), True, id="several are separated by commas or spaces"),
        pytest.param(IMAGE, (IMAGE, "proxy:7"), False, id="every container must be named"),
        pytest.param("shop", (IMAGE,), False, id="a part of a reference names nothing"),
        pytest.param("shop:1", ("shop:2",), False, id="yesterday's image covers nothing"),
        pytest.param("", (IMAGE,), False, id="no subject names nothing"),
        pytest.param(IMAGE, (), False, id="a template without containers is never named"),
    ],
)
def test_subject(subject: str, images: tuple[str, ...], matches: bool) -> None:
    assert subject_names(subject, images) is matches


@pytest.mark.parametrize(
    ("annotations", "field", "without", "with_subject"),
    [
        pytest.param({names.ORIGIN: "human"}, "origin", None, Origin.HUMAN, id="human loosens"),
        pytest.param({names.ORIGIN: "Automation"}, "origin", None, Origin.AUTOMATION, id="automation loosens"),
        pytest.param({names.ORIGIN: "AI"}, "origin", Origin.AI, Origin.AI, id="ai tightens"),
        pytest.param({names.ORIGIN: "unknown"}, "origin", Origin.UNKNOWN, Origin.UNKNOWN, id="unknown tightens"),
        pytest.param({names.AUTONOMY: "agent"}, "autonomy", Autonomy.AGENT, Autonomy.AGENT, id="agent tightens"),
        pytest.param(
            {names.AUTONOMY: "assisted"}, "autonomy", Autonomy.ASSISTED, Autonomy.ASSISTED, id="assisted is the usual"
        ),
        pytest.param({names.AUTONOMY: "suggestion"}, "autonomy", None, Autonomy.SUGGESTION, id="suggestion loosens"),
        pytest.param({names.SHARE: "40 %"}, "share", None, 40, id="a share loosens"),
        pytest.param({names.SHARE: "100"}, "share", 100, 100, id="all of it does not"),
        pytest.param({names.TESTS: "passed"}, "tests_passed", False, True, id="passed tests loosen"),
        pytest.param({names.TESTS: "failed"}, "tests_passed", False, False, id="failed tests never help"),
        pytest.param(
            {names.CRITICALITY: "high"}, "criticality", Criticality.HIGH, Criticality.HIGH, id="criticality counts"
        ),
        pytest.param({names.AREAS: "ledger, search"}, "areas", ("ledger", "search"), ("ledger", "search"), id="areas"),
        pytest.param({names.TOOLS: "Copilot"}, "tools", ("Copilot",), ("Copilot",), id="tools count"),
        pytest.param({names.AUTHORS: "jo, jo, ada"}, "authors", ("jo", "ada"), ("jo", "ada"), id="authors count"),
    ],
)
def test_what_loosens_counts_only_with_its_subject(
    annotations: dict[str, str], field: str, without: Any, with_subject: Any
) -> None:
    assert getattr(read_claims(annotations, (IMAGE,)), field) == without
    assert getattr(read_claims({**annotations, **SUBJECT}, (IMAGE,)), field) == with_subject


def test_a_claim_that_does_not_count_says_why() -> None:
    (claim,) = read_claims({names.ORIGIN: "human"}, (IMAGE,)).claims
    assert not claim.counts
    assert names.SUBJECT in claim.note


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        pytest.param(names.ORIGIN, "robot", id="an origin of no known name"),
        pytest.param(names.ORIGIN, "", id="an empty origin"),
        pytest.param(names.AUTONOMY, "autopilot", id="an autonomy of no known name"),
        pytest.param(names.SHARE, "101", id="a share above all"),
        pytest.param(names.SHARE, "-1", id="a share below none"),
        pytest.param(names.SHARE, "half", id="a share in words"),
        pytest.param(names.SHARE, "٥٠", id="a share in other digits"),
        pytest.param(names.TESTS, "green", id="tests of no known outcome"),
        pytest.param(names.COVERAGE, "nan", id="a coverage that is no number"),
        pytest.param(names.COVERAGE, "120%", id="a coverage above all"),
        pytest.param(names.CRITICALITY, "urgent", id="a criticality of no known name"),
        pytest.param(names.AUTHORS, " , ", id="a list of nothing"),
        pytest.param(names.AREAS, "x" * (MAX_VALUE + 1), id="a value that is too long"),
    ],
)
def test_a_malformed_claim_is_ignored_and_named(annotation: str, value: str) -> None:
    found = read_claims({annotation: value, **SUBJECT}, (IMAGE,))
    (problem,) = found.problems
    assert problem.annotation == annotation
    assert annotation in problem.sentence
    assert found.claims == ()


def test_words_are_read_in_any_case() -> None:
    assert read_claims({names.ORIGIN: " aI "}, ()).origin is Origin.AI


def test_nothing_claimed_is_nothing() -> None:
    found = read_claims({"other/annotation": "x"}, (IMAGE,))
    assert (found.claims, found.problems, found.origin) == ((), (), None)
