"""Small pure steps on a Change's status: conditions that follow from it, and the write that stores it."""

from __future__ import annotations

from typing import Any

import msgspec

from ..api.change import Change, ChangeStatus
from ..api.enums import Phase, VerdictResult
from ..api.meta import Condition
from .times import timestamp
from .writes import WriteChangeStatus

MAX_MESSAGE = 2048
MAX_WAITING_FOR = 1024
"""Lengths that the Change's schema takes; Argo's own messages have none."""


def write_status(change: Change, now: float, **updates: Any) -> tuple[WriteChangeStatus, ...]:
    """The write that brings the status to ``updates``; none when nothing would change."""
    wanted = msgspec.structs.replace(change.status, **updates)
    wanted = msgspec.structs.replace(
        wanted, message=wanted.message[:MAX_MESSAGE], waiting_for=wanted.waiting_for[:MAX_WAITING_FOR]
    )
    if wanted.phase.final and wanted.finished_at is None:
        wanted = msgspec.structs.replace(wanted, finished_at=timestamp(now))
    wanted = msgspec.structs.replace(wanted, conditions=_conditions(change.status, wanted, now))
    if wanted == change.status:
        return ()
    meta = change.metadata
    return (WriteChangeStatus(meta.name, meta.uid, meta.resource_version, wanted),)


def _conditions(old: ChangeStatus, new: ChangeStatus, now: float) -> tuple[Condition, ...]:
    previous = {condition.type: condition for condition in old.conditions}
    result = []
    for kind, status, reason, message in _facts(new):
        before = previous.get(kind)
        same = before is not None and before.status == status
        at = before.last_transition_time if same and before else timestamp(now)
        result.append(Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=at))
    return tuple(result)


def _facts(s: ChangeStatus) -> list[tuple[str, str, str, str]]:
    approved = s.release is not None or s.break_glass is not None
    refused = s.phase in (Phase.DENIED, Phase.REJECTED)
    facts = [
        (
            "Approved",
            "True" if approved else "False",
            "BreakGlass" if s.break_glass else "Approved" if approved else s.reason or str(s.phase),
            "" if approved else s.message if refused or s.waiting_for else "",
        )
    ]
    if approved:
        facts.append(("Released", "True", "Released", ""))
    if s.verdict is not None and s.verdict.result is VerdictResult.ROLLBACK:
        facts.append(("Safe", "False", s.verdict.reason or "Regression", s.verdict.message))
    elif s.phase is Phase.COMPLETED:
        facts.append(("Safe", "Unknown" if s.unproven else "True", "Unproven" if s.unproven else "Promoted", ""))
    if s.phase is Phase.COMPLETED:
        facts.append(("Restored", "True", "OwnerStepsBack", ""))
    return facts
