"""``policy test`` over Changes from a file: what it counts, what differs, what it cannot know, and clear errors."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from rollwarden.api.change import Change, Claim, Classification, PolicyRef, Submitter
from rollwarden.api.enums import ClaimField, ClaimSource, Criticality, Origin, Phase, Tier
from rollwarden.api.policy import GuardrailPolicySpec
from rollwarden.cli.hindsight import Hindsight, Known, reclassified, replay
from rollwarden.core.classify import Subject, classify
from rollwarden.core.holders import Holding
from rollwarden.core.holders import Subject as Holder
from rollwarden.core.policy import Place, Policy
from rollwarden.core.times import timestamp
from tests.cli.builders import change
from tests.cli.running import Result, rollwarden

IMAGE = "registry.example.com/shop:2"
DAY = 86400


def claimed(**values: str) -> tuple[Claim, ...]:
    """Claims of one source, in the order in which they are read, all under a subject that matches."""
    return tuple(
        Claim(about=ClaimField[name.upper()], value=value, source=ClaimSource.ANNOTATION, subject_matches=True)
        for name, value in values.items()
    )


def recorded(
    name: str = "shop-1f2e3d4c-7",
    *tiers: Tier,
    days_ago: float = 1,
    claims: tuple[Claim, ...] = (),
    submitter: Submitter | None = None,
    classification: Classification | None = None,
    namespace: str = "market",
    **fields: Any,
) -> Change:
    """A Change of an AI-assisted template for a service of high criticality, as the cluster has it."""
    made = change(*tiers, name=name, **fields)
    c = classification or Classification(origin=Origin.AI, criticality=made.spec.classification.criticality)
    spec = msgspec.structs.replace(
        made.spec,
        claims=claims or claimed(origin="AI", authors="jun@example.com"),
        images=(IMAGE,),
        submitter=submitter or made.spec.submitter,
        classification=c,
    )
    meta = msgspec.structs.replace(
        made.metadata, creation_timestamp=timestamp(time.time() - days_ago * DAY), namespace=namespace
    )
    return msgspec.structs.replace(made, spec=spec, metadata=meta)


def manifest(name: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "rollwarden.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


TWO_SENIORS = {"name": "two", "when": {"origins": ["AI"]}, "require": {"approvals": [{"tier": "Senior", "count": 2}]}}


@pytest.fixture
def tried(tmp_path: Path) -> Any:
    """Runs the command over those objects with a policy of that spec."""

    def run(objects: Sequence[Any], *more: str, rules: Any = (TWO_SENIORS,), **spec: Any) -> Result:
        policy, past = tmp_path / "policy.yaml", tmp_path / "changes.json"
        policy.write_text(yaml.safe_dump(manifest(rules=list(rules), **spec)))
        past.write_bytes(msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        return rollwarden("policy", "test", str(policy), "--changes", str(past), *more)

    return run


def data(result: Result) -> dict[str, Any]:
    assert result.code == 0, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


def test_what_it_would_have_held_denied_and_released(tried: Any) -> None:
    human = Classification(origin=Origin.HUMAN, criticality=Criticality.LOW)
    ledger = Classification(origin=Origin.AI, criticality=Criticality.HIGH)
    past = [
        recorded("shop-1f2e3d4c-1", Tier.SENIOR, approved=(("ada", Tier.SENIOR),), phase=Phase.COMPLETED),
        recorded("shop-1f2e3d4c-2", claims=claimed(origin="Human"), classification=human, phase=Phase.COMPLETED),
        recorded(
            "shop-1f2e3d4c-3", Tier.SENIOR, claims=claimed(origin="AI", areas="ledger, ui"), classification=ledger
        ),
    ]
    deny = {"name": "ledger-by-hand", "when": {"areas": ["ledger"]}, "require": {"deny": {"message": "hands off"}}}
    unused = {"name": "unused", "when": {"origins": ["Automation"]}, "require": {"tests": "Passed"}}
    found = data(tried(past, "-o", "json", rules=[TWO_SENIORS, deny, unused]))
    assert found["would"] == {"Released": 1, "Frozen": 0, "Held": 1, "Denied": 1}
    assert found["was"] == {"Released": 1, "Frozen": 0, "Held": 2, "Denied": 0}
    assert (found["changes"], found["differing"]) == (3, 2)
    assert found["rules"] == [
        {"rule": "two", "matched": 2, "released": 0, "frozen": 0, "held": 1, "denied": 1},
        {"rule": "ledger-by-hand", "matched": 1, "released": 0, "frozen": 0, "held": 0, "denied": 1},
        {"rule": "unused", "matched": 0, "released": 0, "frozen": 0, "held": 0, "denied": 0},
    ]
    first = found["items"][0]
    assert first["would"] == {"effect": "Held", "needs": "2 seniors"}
    assert first["was"] == {"effect": "Held", "needs": "1 senior"}
    assert first["lacking"] == [{"tier": "Senior", "count": 1}]
    assert found["tiersNeeded"] == {"market": ["senior"]}


def test_for_people(tried: Any) -> None:
    past = [recorded("shop-1f2e3d4c-1", Tier.SENIOR, phase=Phase.ROLLED_BACK, revision=4)]
    result = tried(past)
    assert result.code == 0, result.err
    said = " ".join(result.out.split())
    for words in (
        'GuardrailPolicy "default" over 1 change of the last 30 days in',
        "By rule",
        "What would have been different (1 change)",
        "market/shop-r4",
        "AI, high",
        "2 seniors",
        "market: senior",
        "who could have approved is not known from a file",
        "labels not known, so every selector counts as selecting: Rollout market/shop",
    ):
        assert words in said
    same = tried(past, rules=[{**TWO_SENIORS, "require": {"approvals": [{"tier": "Senior"}]}}])
    assert "Nothing would have been different." in same.out


def test_the_policies_people_agents_and_pins_count_anew(tried: Any) -> None:
    """Nothing of that is taken from the recorded classification."""
    junior_only = {
        "name": "juniors",
        "when": {"origins": ["AI"], "maxAuthorLevel": "Mid"},
        "require": {"approvals": [{"tier": "Senior"}]},
    }
    by_ada = recorded(claims=claimed(origin="AI", authors="Ada <ada@example.com>"))
    assert data(tried([by_ada], "-o", "json", rules=[junior_only]))["would"]["Held"] == 1
    people = [{"level": "Senior", "emails": ["ada@example.com"]}]
    assert data(tried([by_ada], "-o", "json", rules=[junior_only], people=people))["would"]["Released"] == 1

    critical = {**junior_only, "when": {"minCriticality": "Critical"}}
    pins = [{"name": "all", "minimum": "Critical"}]
    assert data(tried([by_ada], "-o", "json", rules=[critical]))["would"]["Released"] == 1
    assert data(tried([by_ada], "-o", "json", rules=[critical], criticalityPins=pins))["would"]["Held"] == 1

    by_agent = recorded(
        claims=claimed(origin="Human"),
        submitter=Submitter(user="system:serviceaccount:ci:coder", groups=("robots",)),
        classification=Classification(origin=Origin.HUMAN, criticality=Criticality.HIGH),
    )
    assert data(tried([by_agent], "-o", "json"))["would"]["Released"] == 1
    for agents in ({"groups": ["robots"]}, {"serviceAccounts": [{"namespace": "ci", "name": "coder"}]}):
        assert data(tried([by_agent], "-o", "json", agents=agents))["would"]["Held"] == 1


def test_a_freeze_is_held_against_the_day_of_the_change(tried: Any) -> None:
    day = time.gmtime(time.time() - 3 * DAY)
    window = {"name": "that-day", "schedule": f"0 0 {day.tm_mday} {day.tm_mon} *", "duration": "24h"}
    rule = {"name": "calm", "require": {"freeze": [window]}}
    past = [recorded(f"shop-1f2e3d4c-{n}", days_ago=n) for n in (1, 3, 5)]
    found = data(tried(past, "-o", "json", rules=[rule]))
    assert [item["would"]["effect"] for item in found["items"]] == ["Released", "Frozen", "Released"]
    assert found["items"][1]["would"]["needs"].startswith('freeze "that-day" to end ')


def test_selectors_go_by_the_labels_of_now_and_select_where_nobody_knows_them(tried: Any) -> None:
    rule = {**TWO_SENIORS, "when": {"rolloutSelector": {"matchLabels": {"app": "shop"}}}}
    in_team = {**TWO_SENIORS, "when": {"namespaceSelector": {"matchLabels": {"team": "pay"}}}}
    live = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "market", "labels": {"app": "other"}},
    }
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "market", "labels": {"team": "search"}}}
    past = recorded()
    assert data(tried([past], "-o", "json", rules=[rule]))["would"]["Held"] == 1
    assert data(tried([past, live], "-o", "json", rules=[rule]))["would"]["Released"] == 1
    assert data(tried([past], "-o", "json", rules=[in_team]))["would"]["Held"] == 1
    assert data(tried([past, space], "-o", "json", rules=[in_team]))["would"]["Released"] == 1
    elsewhere = {"matchLabels": {"kubernetes.io/metadata.name": "x"}}
    other = [{"name": "elsewhere", "minimum": "Critical", "namespaceSelector": elsewhere}]
    critical = {**TWO_SENIORS, "when": {"minCriticality": "Critical"}}
    assert data(tried([past], "-o", "json", rules=[critical], criticalityPins=other))["would"]["Released"] == 1


def test_it_stands_in_for_the_policy_of_its_name_beside_the_others(tried: Any) -> None:
    strict = {"name": "principal", "require": {"approvals": [{"tier": "Principal"}]}}
    old, other = manifest("default", rules=[strict]), manifest("other", rules=[strict])
    past = recorded()
    alone = data(tried([past, old], "-o", "json"))
    assert (alone["beside"], alone["items"][0]["would"]["needs"]) == ([], "2 seniors")
    both = data(tried([past, old, other], "-o", "json"))
    assert (both["beside"], both["items"][0]["would"]["needs"]) == (["other"], "1 principal and 1 senior")


def test_a_return_to_known_good_is_never_held(tried: Any) -> None:
    past = recorded()
    known = msgspec.structs.replace(past, spec=msgspec.structs.replace(past.spec, known_good=True))
    assert data(tried([known], "-o", "json"))["would"]["Released"] == 1


ERRORS: list[tuple[list[str], str]] = [
    (["--last", "30"], '--last: "30" is no length of time; write 30d, 12h or 90m'),
    (["--last", "0d"], "write 30d, 12h or 90m"),
    (["--last", "1h"], "no Change was recorded in the last 1h in"),
    (["-n", "elsewhere"], "no Change was recorded in the last 30d in namespace elsewhere of"),
]


@pytest.mark.parametrize(("more", "words"), ERRORS, ids=lambda value: str(value))
def test_options_that_lead_nowhere(tried: Any, more: list[str], words: str) -> None:
    result = tried([recorded()], *more)
    assert result.code == 1 and words in result.err


def test_the_newest_change_is_named_where_none_is_recent(tried: Any) -> None:
    old = recorded(days_ago=40)
    result = tried([old])
    day = (old.metadata.creation_timestamp or "")[:10]
    assert result.code == 1 and f"the newest is of {day}, look further back with --last" in result.err
    assert tried([old], "--last", "60d").code == 0


BAD_CRON = {"name": "f", "schedule": "61 * * * *", "duration": "1h"}
BAD_FILES: list[tuple[Any, str]] = [
    (manifest(rules=[{**TWO_SENIORS, "when": {"origin": ["AI"]}}]), "spec.rules[0].when.origin: is not a field"),
    (
        manifest(rules=[{"name": "x", "require": {"freeze": [BAD_CRON]}}]),
        'spec.rules[0].require.freeze[0].schedule: is "61 * * * *", which is no cron schedule (bad minute)',
    ),
    ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}, "has no GuardrailPolicy"),
]


@pytest.mark.parametrize(("document", "words"), BAD_FILES, ids=lambda value: str(value)[:50])
def test_a_policy_that_cannot_be_used(tmp_path: Path, document: Any, words: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(document))
    result = rollwarden("policy", "test", str(file), "--changes", str(file))
    assert result.code == 1 and words in result.err


BAD_CHANGES: list[tuple[str, str]] = [
    ("{", "is not JSON"),
    ("7", "is no list of objects"),
    ('{"items": []}', "has no Change; write it with kubectl get changes"),
    ('{"items": [{"apiVersion": "rollwarden.dev/v1alpha1", "kind": "Change", "spec": {}}]}', "item 1"),
]


@pytest.mark.parametrize(("text", "words"), BAD_CHANGES, ids=lambda value: str(value)[:40])
def test_changes_that_cannot_be_read(tmp_path: Path, text: str, words: str) -> None:
    file, policy = tmp_path / "c.json", tmp_path / "p.yaml"
    file.write_text(text)
    policy.write_text(yaml.safe_dump(manifest(preset="Memo")))
    result = rollwarden("policy", "test", str(policy), "--changes", str(file))
    assert result.code == 1 and words in result.err and str(file) in result.err


def test_a_change_without_its_time_is_named(tried: Any) -> None:
    past = recorded()
    timeless = msgspec.structs.replace(past, metadata=msgspec.structs.replace(past.metadata, creation_timestamp=None))
    result = tried([timeless])
    assert result.code == 1 and "metadata.creationTimestamp: is missing" in result.err


# Whom it leaves without an approver

SENIORS = frozenset({Tier.SENIOR})


def held_by(*users: str, kind: str = "User") -> tuple[Holding, ...]:
    return tuple(Holding(Holder(kind, user), SENIORS, "a binding") for user in users)


def replayed(past: Change, holders: tuple[Holding, ...] | None) -> Hindsight:
    spec = msgspec.convert({"rules": [TWO_SENIORS]}, GuardrailPolicySpec)
    known = Known(rollouts={}, namespaces={}, holdings=lambda _: holders)
    (found,) = replay([past], [Policy(PolicyRef(name="default"), spec)], known)
    return found


@pytest.mark.parametrize(
    ("holders", "nobody"),
    [
        (held_by("ada", "sam"), None),
        (held_by("ada"), Tier.SENIOR),
        (held_by("ada", "jun@example.com"), Tier.SENIOR),
        (held_by("ada", "ci-bot"), Tier.SENIOR),
        (held_by("seniors", kind="Group"), None),
        ((), Tier.SENIOR),
        (None, None),
    ],
    ids=["two", "one", "an author", "the submitter", "a group", "nobody", "not known"],
)
def test_whom_it_leaves_without_an_approver(holders: tuple[Holding, ...] | None, nobody: Tier | None) -> None:
    assert replayed(recorded(), holders).nobody is nobody


# The classification made anew is the one made at sight


@pytest.mark.parametrize(
    ("own", "of_template"),
    [
        ({"origin": "human", "authors": "ada@corp", "subject": IMAGE}, {}),
        ({"origin": "ai", "autonomy": "agent", "tools": "Copilot", "share": "40", "authors": "Jo <jo@corp>"}, {}),
        ({"origin": "human", "subject": IMAGE}, {"origin": "ai", "share": "30"}),
        ({"areas": "ledger"}, {"origin": "ai", "authors": "ada@corp", "subject": IMAGE}),
        ({}, {"origin": "automation", "commits": "3f2c1ab"}),
        ({}, {}),
    ],
)
def test_claims_are_read_again_as_they_were(own: dict[str, str], of_template: dict[str, str]) -> None:
    def keys(claims: dict[str, str]) -> dict[str, str]:
        return {f"provenance.rollwarden.dev/{key}": value for key, value in claims.items()}

    specs = [
        msgspec.convert(
            {"people": [{"level": "Senior", "users": ["ada@corp"]}], "agents": {"groups": ["robots"]}},
            GuardrailPolicySpec,
        )
    ]
    subject = Subject(
        annotations=keys(own),
        template={"metadata": {"annotations": keys(of_template)}, "spec": {"containers": [{"image": IMAGE}]}},
        stable_template={"spec": {"containers": [{"image": "registry.example.com/shop:1"}]}},
        labels={},
        namespace_labels={},
        submitter="jun@corp",
        submitter_groups=("juniors",),
    )
    at_sight = classify(subject, specs)
    past = recorded(
        claims=at_sight.claims or (),
        submitter=Submitter(user="jun@corp", groups=("juniors",)),
        classification=at_sight.classification,
    )
    if not at_sight.claims:
        past = msgspec.structs.replace(past, spec=msgspec.structs.replace(past.spec, claims=()))
    assert reclassified(past, Place(labels={}, namespace_labels={}), specs) == at_sight.classification
