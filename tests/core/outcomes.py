"""Rows of decision tables: what is seen, which rule speaks, what it writes and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from rollwarden.api import names
from rollwarden.api.argo import Rollout
from rollwarden.api.change import Change, ChangeStatus, Denial, GateStatus, Plan, PlannedGate
from rollwarden.api.enums import Decision, GateKind, Phase, Tier
from rollwarden.core.approvals import Vote
from rollwarden.core.decide import decide
from rollwarden.core.seen import Seen, change_name
from rollwarden.core.status import write_status
from rollwarden.core.times import timestamp
from rollwarden.core.writes import (
    CreateChange,
    Emit,
    Op,
    Outcome,
    PatchReplicaSet,
    PatchRollout,
    Write,
    WriteChangeStatus,
)
from tests.builders import (
    NOW,
    argo_status,
    assessment,
    change,
    decision,
    new_set,
    release,
    rollout,
    seen,
    stable_set,
    vote,
)

CHANGE_NAME = change_name(rollout(), "5")
RELEASED = ("Change 5: Canary Released", "rollout: release", "Normal Released")
OTHER_DIGEST = "sha256:" + 64 * "0"
OFF_LIMITS = Denial(rule="ledger-by-hand", message="ledger posting is off-limits to AI", guideline="https://g/ledger")
NEEDS_FRESH_READ = frozenset(
    {
        "release",
        "abort",
        "promote past the gate",
        "restore the owner's steps",
        "forget a full promotion asked for while held",
        "clear the abort that the hold itself caused",
    }
)
"""Purposes of the patches that may never rest on a cache."""


@dataclass(frozen=True)
class Row:
    """``sentence`` is the test's id; ``writes`` all that is written, in order; ``says`` words of what is said."""

    sentence: str
    seen: Seen
    rule: str
    writes: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


def table(*rows: Row) -> tuple[Row, ...]:
    return rows


def each(*tables: tuple[Row, ...]) -> pytest.MarkDecorator:
    """The test is run for every row, under the row's sentence."""
    rows = [row for one in tables for row in one]
    return pytest.mark.parametrize("row", rows, ids=[row.sentence for row in rows])


def check(row: Row) -> Outcome:
    """Holds the outcome against the row, and against what is true of every outcome."""
    outcome = decide(row.seen)
    assert outcome.rule == row.rule, outcome.sentence
    assert told(outcome) == row.writes
    for words in row.says:
        assert any(words in text for text in _texts(outcome)), f"{words!r} not in {list(_texts(outcome))}"
    check_form(outcome)
    return outcome


def check_form(outcome: Outcome) -> None:
    """Plain sentences, patches that test before they write, and a fresh read before anything that lets go."""
    for text in _texts(outcome):
        assert flaw(text) == "", text
    for write in outcome.writes:
        if isinstance(write, PatchRollout):
            kinds = [op["op"] for op in write.ops]
            assert write.ops[0]["path"] == "/metadata/uid", "a Rollout of this name made anew is another one"
            assert kinds == sorted(kinds, key=lambda kind: kind != "test"), "tests come first"
            assert outcome.critical or write.purpose not in NEEDS_FRESH_READ


def flaw(text: str) -> str:
    """What is wrong with the form of a sentence; empty when nothing is."""
    found = re.search(r"\n|  |\bNone\b|\.\.|,,|\( |\{|\}| [.,;:)]|^\s|[\s,;:(]$", text)
    return f"{found.group()!r} at {found.start()}" if found else ""


def told(outcome: Outcome) -> tuple[str, ...]:
    return tuple(_short(write) for write in outcome.writes)


def _short(write: Write) -> str:
    match write:
        case CreateChange(made):
            return f"create Change {made.spec.rollout.attempt}"
        case WriteChangeStatus(name, status=status):
            return f"Change {name.rpartition('-')[2]}: {status.phase} {status.reason}"
        case PatchRollout(subresource=part, purpose=purpose):
            return f"rollout{'/' if part else ''}{part}: {purpose}"
        case PatchReplicaSet(name, ops):
            return f"{name}: {', '.join(_spoken(op) for op in ops if op['op'] != 'test')}"
        case Emit(kind, reason):
            return f"{kind} {reason}"


def _spoken(op: Op) -> str:
    key = op["path"].rpartition("~1")[2]
    return f"{op['op']} {key}" + (f" {op['value']}" if op["op"] == "add" and key == "hold" else "")


def _texts(outcome: Outcome) -> Iterator[str]:
    yield outcome.sentence
    for write in outcome.writes:
        match write:
            case WriteChangeStatus(status=status):
                yield status.message
                yield status.waiting_for
            case Emit(message=message):
                yield message
            case _:
                pass


def status_in(outcome: Outcome, attempt: str = "5") -> ChangeStatus:
    """The status that is written for one attempt's Change."""
    (found,) = (w.status for w in outcome.writes if isinstance(w, WriteChangeStatus) and w.name.endswith(f"-{attempt}"))
    return found


def patch_in(outcome: Outcome, purpose: str) -> PatchRollout:
    (found,) = (w for w in outcome.writes if isinstance(w, PatchRollout) and w.purpose == purpose)
    return found


def value_at(patch: PatchRollout, path: str) -> Any:
    """What the patch adds at ``path``."""
    (found,) = (op["value"] for op in patch.ops if op["op"] == "add" and op["path"] == path)
    return found


def waits(reason: str, phase: str = "AwaitingApproval", kind: str = "Normal") -> tuple[str, ...]:
    return (f"Change 5: {phase} {reason}", f"{kind} {reason}", "rollout: say why it waits")


MISSING = waits("ApprovalsMissing")

# Moments in a life


def asks(*tiers: Tier, **fields: Any) -> dict[str, Any]:
    """Fields of a Seen whose change needs this, at sight and now."""
    needed = decision(*tiers, **fields)
    return {"changes": (change(decision=needed),), "assessment": assessment(decision=needed)}


def needs(*tiers: Tier, votes: tuple[Vote, ...] = (), now: dict[str, Any] | None = None, **fields: Any) -> Seen:
    """A held change that needs this; ``now``: more of what is assessed now."""
    asked = asks(*tiers, **fields)
    if now is not None:
        asked["assessment"] = assessment(**({"decision": decision(*tiers, **fields)} | now))
    return seen(**asked, votes=votes)


def elsewhere(hold: str = "held-5", marks: dict[str, str] | None = None) -> Rollout:
    """A Rollout whose template is that of a Deployment."""
    of = rollout(hold=hold, annotations=marks)
    spec = msgspec.structs.replace(of.spec, workload_ref={"kind": "Deployment", "name": "checkout"})
    return msgspec.structs.replace(of, spec=spec)


def no(**fields: Any) -> Vote:
    """A rejection."""
    return vote(decision=Decision.REJECT, reason="breaks refunds", **fields)


PLAN = Plan(
    steps=(
        {"setWeight": 25},
        {"pause": {}},
        {"setWeight": 50},
        {"pause": {"duration": "10s"}},
        {"pause": {}},
        {"setWeight": 100},
        {"pause": {}},
    ),
    gates=(
        PlannedGate(
            index=1,
            kind=GateKind.EVIDENCE,
            weight=25,
            next_weight=50,
            min_soak=30,
            max_seconds=600,
            needed_requests=1000,
        ),
        PlannedGate(index=4, kind=GateKind.EVIDENCE, weight=50, min_soak=30, max_seconds=600),
        PlannedGate(index=6, kind=GateKind.BAKE, weight=100, min_soak=120, max_seconds=600),
    ),
)
PAUSED = ({"reason": "CanaryPauseStep", "startTime": timestamp(NOW - 60)},)


def released(
    *,
    plan: Plan = PLAN,
    steps: Any = None,
    argo: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    of: Mapping[str, Any] | None = None,
    marks: Mapping[str, str] | None = None,
    **fields: Any,
) -> Seen:
    """Attempt 5 on its way: released half a minute ago onto ``plan``, one canary pod ready, stable serving."""
    reported: dict[str, Any] = {"phase": "Progressing", "current_pod_hash": "bbb", "current_step_index": 0}
    body: dict[str, Any] = {
        "hold": "released-5",
        "steps": plan.steps if steps is None else steps,
        "annotations": {names.CHANGE: CHANGE_NAME} if marks is None else marks,
        "status": argo_status(**(reported | dict(argo or {}))),
    }
    known: dict[str, Any] = {
        "phase": Phase.CANARY,
        "reason": "Released",
        "release": release(plan),
        "revision": 2,
        "stable_revision": 1,
        "pod_hash": "bbb",
    }
    current: dict[str, Any] = {"hold": "released-5", "replicas": 1, "ready": 1}
    defaults: dict[str, Any] = {
        "sets": (stable_set(), new_set(**(current | dict(new or {})))),
        "changes": (as_written(change(**dict(about or {})), **(known | dict(status or {}))),),
    }
    return seen(of=rollout(**(body | dict(of or {}))), **(defaults | fields))


def as_written(about: Change, **status: Any) -> Change:
    """The Change with a status as it was stored, conditions included."""
    (written,) = write_status(about, NOW - 30, **status)
    return msgspec.structs.replace(about, status=written.status)


def gate_entry(index: int = 1, age: float = 60, **fields: Any) -> GateStatus:
    """Gate ``index`` of the plan as it stands in the Change, reached ``age`` seconds ago."""
    gate = next(g for g in PLAN.gates if g.index == index)
    defaults: dict[str, Any] = {"kind": gate.kind, "weight": gate.weight, "needed_requests": gate.needed_requests}
    return GateStatus(index=index, started_at=timestamp(NOW - age), **(defaults | fields))


def at_gate(index: int = 1, age: float | None = 60, *, entry: Mapping[str, Any] | None = None, **fields: Any) -> Seen:
    """Argo pauses at a gate, reached ``age`` seconds ago; None: nobody has noticed yet."""
    status: dict[str, Any] = dict(fields.pop("status", {}))
    kind = next(g.kind for g in PLAN.gates if g.index == index)
    if age is not None:
        status = {"reason": str(kind), "gates": (gate_entry(index, age, **dict(entry or {})),)} | status
    argo = {"phase": "Paused", "current_step_index": index, "pause_conditions": PAUSED} | fields.pop("argo", {})
    return released(status=status, argo=argo, **fields)
