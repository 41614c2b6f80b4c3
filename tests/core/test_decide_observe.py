"""Observe mode, as a table of sentences: everything is said, nothing is mutated, refused, aborted or promoted."""

from __future__ import annotations

from typing import Any

import pytest

from rollwarden.api.change import Change, ChangeStatus, Denial, Verdict
from rollwarden.api.enums import Autonomy, Mode, Origin, Phase, Tier, VerdictResult
from rollwarden.core.claims import Problem
from rollwarden.core.decide import decide
from rollwarden.core.observe import would_have
from rollwarden.core.seen import Seen
from rollwarden.core.times import timestamp
from rollwarden.core.writes import CreateChange, PatchReplicaSet, PatchRollout
from tests.builders import (
    NOW,
    OWNER_STEPS,
    argo_status,
    assessment,
    change,
    classification,
    decision,
    evidence,
    ground,
    new_set,
    release,
    rollout,
    seen,
    stable_set,
    template,
)

from .outcomes import Row, as_written, check, each, status_in, table

WATCHED = {"phase": Phase.CANARY, "reason": "Observed", "release": release()}
VERDICT = Verdict(result=VerdictResult.ROLLBACK, reason="Regression", message="18 of 612 failed")


def observes(
    *changes: Change, argo: dict[str, Any] | None = None, body: dict[str, Any] | None = None, **fields: Any
) -> Seen:
    """A namespace that only observes: no hold value stands; Argo brings ``shop:2`` up beside ``shop:1``."""
    reported = {"phase": "Progressing", "current_pod_hash": "bbb"} | (argo or {})
    of = rollout(hold="", steps=OWNER_STEPS, pod_template=body, status=argo_status(**reported))
    sets = (stable_set(hold=""), new_set(hold="", replicas=1, ready=1))
    return seen(of=of, mode=Mode.OBSERVE, changes=changes, **({"sets": sets} | fields))


def watched(attempt: str = "o6", body: dict[str, Any] | None = None, **status: Any) -> Change:
    """The Change that observes a template, as it stands while it is watched."""
    return as_written(change(attempt=attempt, uid=f"c-{attempt}", pod_template=body), **(WATCHED | status))


NEW = ("create Change o6", "Normal Observed")
HARM = evidence(VerdictResult.ROLLBACK)
WOULD = ("Change o6: Canary WouldRollBack", "Warning WouldRollBack")
PROMOTED = {"phase": "Healthy", "stable_rs": "bbb"}
SIGHT = table(
    Row(
        "the template is stable's again: what was observed in between has ended",
        observes(watched("o4", template("shop:9")), body=template("shop:1")),
        "observed-return",
        ("Change o4: Superseded NewTemplate",),
    ),
    Row(
        "a new template: what enforcing would have done",
        observes(),
        "observed",
        NEW,
        ('"checkout" is observed only: in enforce mode this', "would be released at once"),
    ),
    Row(
        "a claim that cannot be read is said too",
        observes(assessment=assessment(problems=(Problem("a", 'annotation "a" is "x"; it is ignored'),))),
        "observed",
        ("create Change o6", "Warning MalformedClaim", "Normal Observed"),
    ),
    Row("stable's own template is nothing new", observes(body=template("shop:1")), "nothing-to-do"),
    Row("where nothing is stable nothing is compared", observes(sets=(new_set(hold=""),)), "nothing-to-do"),
    Row(
        "the template before it is superseded",
        observes(watched("o4", template("shop:9"))),
        "observed",
        ("Change o4: Superseded NewTemplate", *NEW),
    ),
    Row(
        "a template that comes back is a new attempt, not the old one",
        observes(watched("o2"), watched("o4", template("shop:9"))),
        "observed",
        ("Change o2: Superseded NewTemplate", "Change o4: Superseded NewTemplate", *NEW),
    ),
    Row(
        "an enforced Change of before is none of an observed template",
        observes(change(status=ChangeStatus(phase=Phase.COMPLETED))),
        "observed",
        NEW,
    ),
    Row(
        "seen first: from now on it is watched",
        observes(change(attempt="o6")),
        "watching",
        ("Change o6: Canary Observed",),
        ("is observed only",),
    ),
)
WATCHING = table(
    Row("on its way", observes(watched()), "observing"),
    Row(
        "a proven regression is said, and nothing is aborted",
        observes(watched(), evidence=HARM),
        "would-roll-back",
        WOULD,
        ('"checkout" would have been rolled back: 18 of 612',),
    ),
    Row("once", observes(watched(reason="WouldRollBack", verdict=VERDICT), evidence=HARM), "observing"),
    Row("no proof decides nothing", observes(watched(), evidence=evidence()), "observing"),
    Row("proof of safety neither", observes(watched(), evidence=evidence(VerdictResult.PROMOTE)), "observing"),
    Row(
        "Argo aborted it",
        observes(watched(), argo={"abort": True, "message": "metric failed"}),
        "observed-abort",
        ("Change o6: RolledBack AbortedInArgo",),
        ('"checkout" was aborted in Argo: metric failed',),
    ),
    Row(
        "without a reason",
        observes(watched(), argo={"abort": True}),
        "observed-abort",
        ("Change o6: RolledBack AbortedInArgo",),
        ("no reason given",),
    ),
    Row(
        "Argo promoted it",
        observes(watched(), argo=PROMOTED),
        "observed-promotion",
        ("Change o6: Completed Promoted",),
        ('"checkout" was promoted by Argo',),
    ),
    Row(
        "against the verdict",
        observes(watched(verdict=VERDICT), argo=PROMOTED),
        "observed-promotion",
        ("Change o6: Completed Promoted",),
        ("promoted by Argo against the verdict",),
    ),
    Row("promoted, not healthy yet", observes(watched(), argo=PROMOTED | {"phase": "Progressing"}), "observing"),
    Row("what is over is over", observes(watched(phase=Phase.COMPLETED), argo=PROMOTED), "nothing-to-do"),
    Row(
        "also where harm is proven later",
        observes(watched(phase=Phase.COMPLETED), argo=PROMOTED, evidence=HARM),
        "nothing-to-do",
    ),
)


@each(SIGHT, WATCHING)
def test_observing(row: Row) -> None:
    outcome = check(row)
    assert not any(isinstance(write, PatchRollout | PatchReplicaSet) for write in outcome.writes)
    assert not outcome.critical


def test_an_observed_change_is_named_by_the_generation() -> None:
    created = next(w for w in decide(observes()).writes if isinstance(w, CreateChange))
    assert created.change.metadata.name == "checkout-1f2e3d4c-o6"
    assert created.change.spec.mode is Mode.OBSERVE


def test_what_is_watched_are_the_owners_own_steps() -> None:
    made = status_in(decide(observes(change(attempt="o6"), ground=ground())), "o6").release
    assert made is not None
    assert (made.base.steps, made.plan.steps, made.plan.gates) == (OWNER_STEPS, OWNER_STEPS, ())
    assert (made.time, made.replicas) == (timestamp(NOW), 4)


AGENT = classification(autonomy=Autonomy.AGENT, tools=("Copilot",))


@pytest.mark.parametrize(
    ("needed", "found", "words"),
    [
        pytest.param(decision(), classification(), "AI-assisted change to a medium service would be released at once"),
        pytest.param(
            decision(Tier.SENIOR), AGENT, "agent-written change (Copilot) to a medium service would wait for 1 senior"
        ),
        pytest.param(
            decision(Tier.SENIOR, denials=(Denial(rule="r", message="ledger is off-limits to AI"),)),
            classification(),
            "would be denied: ledger is off-limits to AI",
        ),
        pytest.param(decision(), classification(origin=Origin.UNKNOWN), "change of unknown origin"),
    ],
    ids=["free", "people", "a denial", "unknown"],
)
def test_what_would_have_been(needed: Any, found: Any, words: str) -> None:
    assert words in would_have(observes(assessment=assessment(decision=needed, classification=found)))
