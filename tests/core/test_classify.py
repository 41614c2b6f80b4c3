"""What a change is: the strictest reading of every source."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api import names
from rollwarden.api.enums import Autonomy, Criticality, EvidenceLevel, Level, Origin, Touch, TreatUnknownAs
from rollwarden.api.meta import LabelSelector, ObjectMeta
from rollwarden.api.policy import Agents, CriticalityPin, GuardrailPolicySpec, People, ServiceAccountRef
from rollwarden.api.profile import ServiceProfile, ServiceProfileSpec
from rollwarden.core.classify import (
    MAX_NAMES,
    Subject,
    classify,
    criticality_of,
    is_agent,
    level_of,
    same_person,
    stamped_groups,
)
from tests.builders import template

AGENT = "system:serviceaccount:ci:coding-agent"
SPEC = GuardrailPolicySpec(
    agents=Agents(
        users=("bot@corp",),
        groups=("coding-agents", "CN=agents,OU=ci"),
        service_accounts=(ServiceAccountRef(namespace="ci", name="coding-agent"),),
    ),
    people=(
        People(level=Level.MID, users=("mia",), emails=("mia@corp",)),
        People(level=Level.SENIOR, users=("ada@corp",)),
    ),
)
VOUCHED = {names.SUBJECT: "shop:2"}


def subject(annotations: dict[str, str] | None = None, **fields: Any) -> Subject:
    defaults: dict[str, Any] = {
        "template": template("shop:2"),
        "stable_template": template("shop:1"),
        "labels": {},
        "namespace_labels": {},
        "submitter": "jo@corp",
    }
    return Subject(annotations=annotations or {}, **(defaults | fields))


@pytest.mark.parametrize(
    ("annotations", "submitter", "origin", "autonomy"),
    [
        pytest.param({}, "jo@corp", Origin.UNKNOWN, None, id="no marker is unknown, never human"),
        pytest.param({names.ORIGIN: "human"}, "jo@corp", Origin.UNKNOWN, None, id="human without a subject is unknown"),
        pytest.param({names.ORIGIN: "human", **VOUCHED}, "jo@corp", Origin.HUMAN, None, id="vouched human is human"),
        pytest.param({names.ORIGIN: "ai"}, "jo@corp", Origin.AI, Autonomy.ASSISTED, id="ai is assisted at least"),
        pytest.param(
            {names.AUTONOMY: "agent"}, "jo@corp", Origin.AI, Autonomy.AGENT, id="a degree of autonomy means ai"
        ),
        pytest.param(
            {names.AUTONOMY: "suggestion"},
            "jo@corp",
            Origin.AI,
            Autonomy.ASSISTED,
            id="suggestion without a subject is ai all the same",
        ),
        pytest.param(
            {names.AUTONOMY: "suggestion", **VOUCHED},
            "jo@corp",
            Origin.AI,
            Autonomy.SUGGESTION,
            id="vouched suggestion is a suggestion",
        ),
        pytest.param(
            {names.ORIGIN: "human", **VOUCHED},
            AGENT,
            Origin.AI,
            Autonomy.AGENT,
            id="what an agent submits is an agent's, whatever it claims",
        ),
        pytest.param({names.ORIGIN: "robot"}, "jo@corp", Origin.UNKNOWN, None, id="a malformed origin is unknown"),
    ],
)
def test_origin(annotations: dict[str, str], submitter: str, origin: Origin, autonomy: Autonomy | None) -> None:
    found = classify(subject(annotations, submitter=submitter), [SPEC]).classification
    assert (found.origin, found.autonomy) == (origin, autonomy)


def test_of_rollout_and_template_the_stricter_claim_counts() -> None:
    body = template("shop:2", annotations={names.ORIGIN: "ai"})
    found = classify(subject({names.ORIGIN: "human", **VOUCHED}, template=body), [SPEC]).classification
    assert found.origin is Origin.AI


def test_unknown_counts_as_ai_where_the_policy_says_so() -> None:
    spec = GuardrailPolicySpec(treat_unknown_as=TreatUnknownAs.AI)
    assert classify(subject(), [SPEC, spec]).classification.origin is Origin.AI


@pytest.mark.parametrize(
    ("user", "agent"),
    [("bot@corp", True), (AGENT, True), ("system:serviceaccount:ci:deployer", False), ("jo@corp", False)],
)
def test_agents_are_listed_by_user_or_service_account(user: str, agent: bool) -> None:
    assert is_agent(user, [GuardrailPolicySpec(), SPEC]) is agent


@pytest.mark.parametrize(
    ("stamped", "agent"),
    [
        pytest.param("juniors,coding-agents", True, id="one of several"),
        pytest.param("CN=agents,OU=ci,juniors", True, id="a group with a comma in its name"),
        pytest.param("coding", False, id="exactly"),
        pytest.param("", False, id="nothing stamped"),
    ],
)
def test_agents_are_listed_by_group(stamped: str, agent: bool) -> None:
    groups = stamped_groups({names.SUBMITTER_GROUPS: stamped})
    assert is_agent("jo@corp", [GuardrailPolicySpec(), SPEC], groups) is agent
    found = classify(subject(submitter="jo@corp", submitter_groups=groups), [SPEC]).classification
    assert found.agent_submitter is agent
    assert (found.autonomy is Autonomy.AGENT) is agent


@pytest.mark.parametrize(
    ("author", "level"),
    [
        pytest.param("mia", Level.MID, id="by user name"),
        pytest.param("mia@corp", Level.MID, id="by email"),
        pytest.param("Mia Berg <mia@corp>", Level.MID, id="by the email in a Git author"),
        pytest.param("MIA", Level.JUNIOR, id="exactly"),
        pytest.param("kim@corp", Level.JUNIOR, id="unmapped is junior"),
    ],
)
def test_levels(author: str, level: Level) -> None:
    assert level_of(author, [SPEC]) is level


def test_of_two_policies_the_lower_level_counts() -> None:
    other = GuardrailPolicySpec(people=(People(level=Level.PRINCIPAL, users=("mia",)),))
    assert level_of("mia", [other, SPEC]) is Level.MID


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({}, (("jo@corp", Level.JUNIOR),), id="nobody claimed: the submitter"),
        pytest.param({names.AUTHORS: "ada@corp"}, (("ada@corp", Level.JUNIOR),), id="a claimed level needs a subject"),
        pytest.param(
            {names.AUTHORS: "ada@corp", **VOUCHED}, (("ada@corp", Level.SENIOR),), id="a vouched author has a level"
        ),
    ],
)
def test_authors(annotations: dict[str, str], expected: tuple[tuple[str, Level], ...]) -> None:
    found = classify(subject(annotations), [SPEC]).classification
    assert tuple((author.name, author.level) for author in found.authors) == expected


def test_a_machine_is_no_author() -> None:
    assert classify(subject(submitter="system:serviceaccount:ci:deployer"), [SPEC]).classification.authors == ()


@pytest.mark.parametrize(
    ("annotations", "adopter"),
    [
        pytest.param({names.AUTHORS: "mia@corp", **VOUCHED}, "mia@corp", id="a named person adopts"),
        pytest.param({names.AUTHORS: "bot@corp, mia@corp", **VOUCHED}, "mia@corp", id="an agent cannot"),
        pytest.param({names.AUTHORS: "Bot <BOT@corp>", **VOUCHED}, None, id="an agent spelt otherwise cannot"),
        pytest.param({names.AUTHORS: AGENT, **VOUCHED}, None, id="a listed service account cannot"),
        pytest.param({names.AUTHORS: "system:serviceaccount:ci:x", **VOUCHED}, None, id="nor can any other account"),
        pytest.param({names.AUTHORS: "fixer[bot] <1+fixer@corp>", **VOUCHED}, None, id="a program's account cannot"),
        pytest.param(
            {names.AUTHORS: "Claude <noreply@corp>", names.TOOLS: "claude", **VOUCHED}, None, id="the tool cannot"
        ),
        pytest.param({names.AUTHORS: "mia@corp"}, None, id="nobody adopts without a subject"),
        pytest.param({}, None, id="the submitter alone is no adopter"),
    ],
)
def test_adopter(annotations: dict[str, str], adopter: str | None) -> None:
    assert classify(subject(annotations, submitter=AGENT), [SPEC]).classification.human_adopter == adopter


def test_who_is_an_agent_by_group_adopts_nothing_it_submits() -> None:
    named = {names.AUTHORS: "Jo <jo@corp>", **VOUCHED}
    by_agent = subject(named, submitter="jo@corp", submitter_groups=("coding-agents",))
    assert classify(by_agent, [SPEC]).classification.human_adopter is None
    assert classify(subject(named, submitter="jo@corp"), [SPEC]).classification.human_adopter == "Jo <jo@corp>"


def test_through_a_developers_identity_an_agent_still_needs_an_adopter() -> None:
    """The claim alone makes it an agent's; who merely submitted it has adopted nothing."""
    found = classify(subject({names.AUTONOMY: "agent"}, submitter="mia"), [SPEC]).classification
    assert (found.autonomy, found.agent_submitter, found.human_adopter) == (Autonomy.AGENT, False, None)


def test_an_author_of_other_code_adopts_nothing() -> None:
    """Named without a subject in the template, while the subject stands beside another author."""
    body = template("shop:2", annotations={names.AUTHORS: "kim@corp"})
    found = classify(subject({names.AUTHORS: "bot@corp", **VOUCHED}, template=body), [SPEC]).classification
    assert found.human_adopter is None


PIN = CriticalityPin(
    name="payments", minimum=Criticality.HIGH, namespace_selector=LabelSelector(match_labels={"team": "pay"})
)
PROFILE = ServiceProfile(metadata=ObjectMeta(name="checkout"), spec=ServiceProfileSpec(criticality=Criticality.LOW))


@pytest.mark.parametrize(
    ("namespace", "annotation", "profiles", "expected"),
    [
        pytest.param({}, "", (), Criticality.MEDIUM, id="nobody says: medium"),
        pytest.param({}, "", (PROFILE,), Criticality.LOW, id="a profile may say low"),
        pytest.param({}, "critical", (PROFILE,), Criticality.CRITICAL, id="the highest counts"),
        pytest.param({"team": "pay"}, "low", (PROFILE,), Criticality.HIGH, id="a pin cannot be lowered from below"),
        pytest.param({names.CRITICALITY: "high"}, "low", (), Criticality.HIGH, id="the namespace's label counts"),
        pytest.param({names.CRITICALITY: "urgent"}, "", (), Criticality.MEDIUM, id="a label of no known word does not"),
    ],
)
def test_criticality_is_the_highest_that_anybody_says(
    namespace: dict[str, str], annotation: str, profiles: tuple[ServiceProfile, ...], expected: Criticality
) -> None:
    annotations = {names.CRITICALITY: annotation} if annotation else {}
    spec = GuardrailPolicySpec(criticality_pins=(PIN,))
    found = classify(subject(annotations, namespace_labels=namespace, profiles=profiles), [spec])
    assert found.classification.criticality is expected
    assert criticality_of(subject(annotations, namespace_labels=namespace, profiles=profiles), [spec]) is expected
    assert found.classification.criticality_from
    assert bool(found.problems) is (namespace.get(names.CRITICALITY) == "urgent")


def test_of_two_statements_about_tests_the_worse_counts() -> None:
    body = template("shop:2", annotations={names.TESTS: "failed"})
    passed = {names.TESTS: "passed", **VOUCHED}
    assert classify(subject(passed), [SPEC]).classification.tests_passed
    assert not classify(subject(passed, template=body), [SPEC]).classification.tests_passed


@pytest.mark.parametrize(
    ("annotations", "level"),
    [
        pytest.param({}, EvidenceLevel.E0, id="nothing said is no evidence"),
        pytest.param({names.ORIGIN: "ai"}, EvidenceLevel.E1, id="a claim that counts is"),
        pytest.param({names.ORIGIN: "human"}, EvidenceLevel.E0, id="one that does not count is not"),
        pytest.param({names.CRITICALITY: "high"}, EvidenceLevel.E0, id="criticality says nothing about origin"),
    ],
)
def test_evidence_level(annotations: dict[str, str], level: EvidenceLevel) -> None:
    assert classify(subject(annotations), [SPEC]).classification.evidence_level is level


def test_as_many_names_as_a_change_can_hold() -> None:
    many = {names.COMMITS: ",".join(f"c{i}" for i in range(60))}
    body = template("shop:2", annotations={names.COMMITS: ",".join(f"d{i}" for i in range(60))})
    assert len(classify(subject(many, template=body), [SPEC]).classification.commits) == MAX_NAMES


@pytest.mark.parametrize(
    ("author", "user", "same"),
    [
        ("jo@corp", "jo@corp", True),
        ("Jo Doe <Jo@corp>", "jo@corp", True),
        ("jo@corp", "JO@corp", True),
        ("joan@corp", "jo@corp", False),
        ("Jo Doe", "jo@corp", False),
    ],
)
def test_same_person(author: str, user: str, same: bool) -> None:
    assert same_person(author, user) is same


def test_touches_are_those_of_the_diff_against_stable() -> None:
    assert classify(subject(), [SPEC]).classification.touches == (Touch.IMAGE,)
