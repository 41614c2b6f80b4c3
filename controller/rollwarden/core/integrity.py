"""Whether the admission policies are those that were installed, and since when without a gap.

No policy can protect the policies themselves: whoever may edit them can weaken one, forge an approval and restore it.
So they are witnessed. A row tells of one policy or binding: which object (uid, generation) was seen equal to its
rendering, and from when on. The generation moves with every edit of a spec and a recreated object has another uid, so
an unchanged pair proves that nothing happened meanwhile, however long nobody looked; generation 1 proves it from the
object's creation on. An approval counts if no row began after it.

Not here: reading the objects, writing the rows down (``reconcile/integrity.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..api import names
from ..api.meta import Model
from .times import timestamp, unix_or_never

ENFORCEMENT_LAG = 5.0
"""Seconds. API servers act on a policy a second or two after it was written; an approval of that time is unguarded."""

SCOPES = ("matchConstraints", "matchResources")
DEFAULTED: Mapping[str, Any] = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
RULE_LISTS = ("resourceRules", "excludeResourceRules")
DEFAULT_SCOPE = "*"
"""What the API server fills in where nothing was written: the closed list of what does not count as a difference."""

MOST_NAMED = 3


class Edit(Model, frozen=True, kw_only=True):
    """One entry of ``managedFields``: what wrote, and when. It names a program, never a person."""

    manager: str = ""
    time: str = ""
    subresource: str = ""


class LiveMeta(Model, frozen=True, kw_only=True):
    name: str
    uid: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    managed_fields: tuple[Edit, ...] = ()


class LivePiece(Model, frozen=True, kw_only=True):
    """A policy or a binding as the API server has it."""

    metadata: LiveMeta
    spec: dict[str, Any] = msgspec.field(default_factory=dict)


class Row(Model, frozen=True, kw_only=True, rename={"since": "from"}):
    """``since``: from when on it was seen equal, and in force, without a gap; ``until``: when it first was not.

    ``opens`` False: it came with a later version, when the ones before it had been witnessed already, so its arrival
    is no gap. ``print`` is the fingerprint of the spec that was seen.
    """

    uid: str
    generation: int
    since: str
    until: str = ""
    print: str = ""
    opens: bool = True


@dataclass(frozen=True, slots=True)
class Sight:
    """One policy or binding as it is now. Times are RFC 3339.

    ``labelled``: its label names its own spec, as each version's does. Anybody could see to that, so it only shapes
    the sentence.
    """

    uid: str
    generation: int
    created: str
    print: str
    edited: str = ""
    editor: str = ""
    labelled: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """What a decision needs to know: approvals of before ``since`` do not count; ``flaw`` says what is not intact."""

    since: float = 0.0
    flaw: str = ""
    last: str = ""

    @property
    def intact(self) -> bool:
        return not self.flaw


@dataclass(frozen=True, slots=True)
class Witnessed:
    """``outdated``: policies of an earlier version, witnessed as such and untouched since."""

    rows: Mapping[str, Row]
    guard: Guard
    flaws: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()


INTACT = Guard()
UNWITNESSED = Guard(
    since=float("inf"),
    flaw="the admission policies have not been looked at yet; new revisions wait until they have been, which takes "
    "a moment. Running services, scaling, aborts and rollbacks are not affected.",
)


def key_of(kind: str, name: str) -> str:
    """A piece's key, also in the record: ``ValidatingAdmissionPolicy.rollwarden-guard-rollout``."""
    return f"{kind}.{name}"


def spoken_piece(key: str) -> str:
    """``binding "rollwarden-guard-rollout"``."""
    kind, _, name = key.partition(".")
    return f'{"binding" if kind.endswith("Binding") else "policy"} "{name}"'


def fingerprint(spec: Mapping[str, Any]) -> str:
    """The same for specs that differ only in what the API server fills in by itself."""
    plain = {key: _scoped(value) if key in SCOPES else value for key, value in spec.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def _scoped(scope: Any) -> Any:
    if not isinstance(scope, Mapping):
        return scope
    kept = {key: value for key, value in scope.items() if DEFAULTED.get(key, object()) != value}
    return {key: [_rule(one) for one in value] if key in RULE_LISTS else value for key, value in kept.items()}


def _rule(rule: Any) -> Any:
    if not isinstance(rule, Mapping):
        return rule
    return {key: value for key, value in rule.items() if (key, value) != ("scope", DEFAULT_SCOPE)}


def wanted_prints(manifests: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The fingerprint of each rendered policy and binding, by key."""
    return {key_of(m["kind"], m["metadata"]["name"]): fingerprint(m["spec"]) for m in manifests}


def sight_of(piece: LivePiece) -> Sight:
    meta = piece.metadata
    edits = [edit for edit in meta.managed_fields if not edit.subresource]
    last = max(edits, key=lambda edit: edit.time, default=Edit())
    print_ = fingerprint(piece.spec)
    return Sight(
        uid=meta.uid,
        generation=meta.generation,
        created=meta.creation_timestamp,
        print=print_,
        edited=last.time,
        editor=last.manager,
        labelled=meta.labels.get(names.POLICY_VERSION) == print_,
    )


def witness(wanted: Mapping[str, str], live: Mapping[str, Sight], rows: Mapping[str, Row], now: float) -> Witnessed:
    """The rows after one look, and what they mean. Nothing is recorded before all pieces were seen good once."""
    seen: dict[str, Row] = {}
    flaws: list[str] = []
    outdated: list[str] = []
    for key, print_ in wanted.items():
        sight, row = live.get(key), rows.get(key)
        if sight is None or not (sight.print == print_ or _same(row, sight)):
            closed = row if row is None or row.until else replace_row(row, until=timestamp(now))
            flaws.append(_flaw(key, sight, closed))
            if closed is not None:
                seen[key] = closed
            continue
        if sight.print != print_:
            outdated.append(key)
        seen[key] = _row(row, sight, now, first=not rows)
    if flaws and not rows:
        seen = {}
    return Witnessed(seen, _guard(seen, tuple(flaws)), tuple(flaws), tuple(outdated))


def _same(row: Row | None, sight: Sight) -> bool:
    return row is not None and (row.uid, row.generation) == (sight.uid, sight.generation)


def _row(row: Row | None, sight: Sight, now: float, *, first: bool) -> Row:
    """The row of a piece that is as it should be."""
    if row is not None and (_same(row, sight) or _one_step(row, sight)):
        return replace_row(row, generation=sight.generation, print=sight.print, until="")
    untouched = sight.generation == 1 and bool(sight.created)
    began = unix_or_never(sight.created) if untouched else now
    # before the first look at a new installation there was no Change yet, so nothing that anybody could have approved
    since = began if untouched and first else began + ENFORCEMENT_LAG
    opens = first or row is not None
    return Row(uid=sight.uid, generation=sight.generation, since=timestamp(since), print=sight.print, opens=opens)


def _one_step(row: Row, sight: Sight) -> bool:
    """Exactly one edit, from what an operator knew as good straight to what this one does: an upgrade."""
    return sight.uid == row.uid and sight.generation == row.generation + 1 and sight.print != row.print


def replace_row(row: Row, **changes: Any) -> Row:
    return msgspec.structs.replace(row, **changes)


def _guard(rows: Mapping[str, Row], flaws: tuple[str, ...]) -> Guard:
    if flaws:
        return Guard(float("inf"), flaw_sentence(flaws))
    opened = {key: unix_or_never(row.since) for key, row in rows.items() if row.opens}
    last = max(opened, key=lambda key: opened[key], default="")
    if not last:
        return Guard()
    return Guard(opened[last], "", spoken_piece(last))


def _flaw(key: str, sight: Sight | None, row: Row | None) -> str:
    """What is wrong with one piece, and since when and through what as far as anyone can tell."""
    piece = spoken_piece(key)
    if sight is None:
        noticed = f" (noticed {_spoken_time(row.until)})" if row is not None and row.until else ""
        return f"{piece} is missing{noticed}" if row is None else f"{piece} was deleted{noticed}"
    through = f" with {sight.editor}" if sight.editor else ""
    at = f" at {_spoken_time(sight.edited)}" if sight.edited else ""
    whom = " (the audit log says by whom)" if through or at else ""
    if sight.labelled:
        return f"{piece} is of another version than this operator knows (written{through}{at})"
    return f"{piece} was changed{through}{at}{whom}"


def flaw_sentence(flaws: tuple[str, ...]) -> str:
    more = len(flaws) - MOST_NAMED
    named = ", ".join(flaws[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return (
        f"{named}; new revisions wait in enforced namespaces until the policies are as installed (kubectl replace -f "
        "deploy/admission.yaml, or kubectl create -f for what is gone). "
        "Running services, scaling, aborts and rollbacks are not affected."
    )


def unguarded(guard: Guard) -> str:
    """Why an approval does not count, for who gave it."""
    if not guard.intact:
        return f"it cannot be relied on now: {guard.flaw}"
    since = _spoken_time(timestamp(guard.since))
    return (
        f"it was given before {since}, and until then the admission policies were not shown to be intact "
        f"({guard.last} was changed); look at the change again and approve it again"
    )


def doubt(guard: Guard, at: float) -> str:
    """A sentence where what happened at that time may have passed without its guard; empty where it was guarded."""
    if not guard.intact:
        return f" The admission policies are not intact: {guard.flaw}"
    if at >= guard.since:
        return ""
    since = _spoken_time(timestamp(guard.since))
    return f" Until {since} the admission policies were not shown to be intact ({guard.last} was changed)."


def _spoken_time(stamp: str) -> str:
    return f"{stamp[:10]} {stamp[11:16]} UTC"


def encode_rows(rows: Mapping[str, Row]) -> dict[str, str]:
    """The record's data: one line per piece."""
    return {key: msgspec.json.encode(row, order="sorted").decode() for key, row in sorted(rows.items())}


def decode_rows(data: Mapping[str, str]) -> dict[str, Row]:
    """What cannot be read proves nothing: such a piece has a row that fits no object, so what it is now is a gap."""
    rows: dict[str, Row] = {}
    for key, text in data.items():
        try:
            row = _ROWS.decode(text)
        except msgspec.MsgspecError:
            row = UNREADABLE
        rows[key] = row if unix_or_never(row.since) else UNREADABLE
    return rows


UNREADABLE = Row(uid="", generation=0, since="")
_ROWS = msgspec.json.Decoder(Row)
