"""The writes a decision consists of, as values. Every write to a Rollout is a JSON Patch with tests; never a merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..api.change import Change, ChangeStatus

Op = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CreateChange:
    change: Change


@dataclass(frozen=True, slots=True)
class WriteChangeStatus:
    """Replaces the status of one Change, if it still is the one that was read."""

    name: str
    uid: str
    resource_version: str
    status: ChangeStatus


@dataclass(frozen=True, slots=True)
class PatchRollout:
    ops: tuple[Op, ...]
    subresource: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class PatchReplicaSet:
    name: str
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Emit:
    """An Event on the Rollout. ``kind`` is Normal or Warning."""

    kind: str
    reason: str
    message: str


Write = CreateChange | WriteChangeStatus | PatchRollout | PatchReplicaSet | Emit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule decided. Writes are made in order and stop at the first that is refused.

    ``critical``: opens, promotes or aborts something, so it may rest only on what was read just now, never on a cache.
    """

    rule: str
    sentence: str = ""
    writes: tuple[Write, ...] = ()
    requeue: float | None = None
    critical: bool = False


def test(path: str, value: Any) -> Op:
    return {"op": "test", "path": path, "value": value}


def add(path: str, value: Any) -> Op:
    return {"op": "add", "path": path, "value": value}


def remove(path: str) -> Op:
    return {"op": "remove", "path": path}


def annotation(key: str) -> str:
    """The JSON pointer of an annotation."""
    return "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")
