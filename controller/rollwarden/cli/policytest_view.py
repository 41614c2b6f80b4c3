"""The result of ``policy test`` in print: for people, and as the JSON whose names stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table

from rollwarden.api.enums import Phase
from rollwarden.cli.changes import short_name, spoken_phase
from rollwarden.cli.explain_view import show_notes
from rollwarden.cli.hindsight import Ask, Effect, Hindsight
from rollwarden.cli.plain import plain
from rollwarden.cli.session import heading, listing, plural, styled
from rollwarden.core.approvals import spoken_slots
from rollwarden.core.policy import Policy, expanded

MOST_ROWS = 50
"""Rows printed for people; JSON has all of them."""
_STYLES = {Effect.RELEASED: "green", Effect.FROZEN: "blue", Effect.HELD: "yellow", Effect.DENIED: "red"}


def data_of(
    found: Sequence[Hindsight], tested: Sequence[Policy], summary: dict[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    """The JSON form. Names may be added; none is taken away or changes its meaning."""
    return {
        **summary,
        "changes": len(found),
        "would": {effect.value: number for effect, number in _counts(one.would for one in found).items()},
        "was": {effect.value: number for effect, number in _counts(one.was for one in found).items()},
        "differing": sum(one.differs for one in found),
        "rules": [_rule_data(name, found) for name in _rules(found, tested)],
        "items": [_item(one) for one in found],
        "withoutApprover": [_lonely(one) for one in found if one.nobody is not None],
        "tiersNeeded": _tiers(found),
        "notes": list(notes),
    }


def _counts(asks: Any) -> dict[Effect, int]:
    counted = Counter(one.effect for one in asks)
    return {effect: counted[effect] for effect in Effect}


def _rules(found: Sequence[Hindsight], tested: Sequence[Policy]) -> list[str]:
    """The tested policies' rules, also those that match nothing, then the others' that matched."""
    own = [rule.name for policy in tested for rule in expanded(policy.spec).rules]
    return list(dict.fromkeys([*own, *(rule for one in found for rule in one.decision.rules)]))


def _rule_data(name: str, found: Sequence[Hindsight]) -> dict[str, Any]:
    counted = Counter(one.would.effect for one in found if name in one.decision.rules)
    return {"rule": name, "matched": counted.total(), **{effect.value.lower(): counted[effect] for effect in Effect}}


def _item(one: Hindsight) -> dict[str, Any]:
    change = one.change
    return {
        "name": change.metadata.name,
        "namespace": change.metadata.namespace,
        "shortName": short_name(change),
        "created": change.metadata.creation_timestamp,
        "phase": change.status.phase.value,
        "was": {"effect": one.was.effect.value, "needs": one.was.needs},
        "would": {"effect": one.would.effect.value, "needs": one.would.needs},
        "differs": one.differs,
        "rules": list(one.decision.rules),
        "lacking": plain(one.lacking),
        "nobodyHolds": one.nobody.value if one.nobody else None,
    }


def _lonely(one: Hindsight) -> dict[str, Any]:
    meta = one.change.metadata
    return {
        "name": meta.name,
        "namespace": meta.namespace,
        "needs": one.would.needs,
        "nobodyHolds": one.nobody.value if one.nobody else "",
    }


def _tiers(found: Sequence[Hindsight]) -> dict[str, list[str]]:
    """Which tiers it asks for in each namespace."""
    asked: dict[str, set[str]] = {}
    for one in found:
        if one.would.effect is Effect.HELD:
            slots = one.would.requirements.approvals
            asked.setdefault(one.change.metadata.namespace, set()).update(slot.tier.lower for slot in slots)
    return {namespace: sorted(tiers) for namespace, tiers in sorted(asked.items()) if tiers}


def show(
    console: Console,
    found: Sequence[Hindsight],
    tested: Sequence[Policy],
    summary: dict[str, Any],
    notes: Sequence[str],
) -> None:
    names = " and ".join(f'"{name}"' for name in summary["policies"])
    beside = f", beside {', '.join(summary['beside'])}" if summary["beside"] else ""
    over = f"over {plural(len(found), 'change')} of the last {summary['last']} in {summary['where']}"
    console.print(styled(f"GuardrailPolicy {names} {over}{beside}", "bold"))
    console.print(_padded(_totals(found)))
    console.print(heading("By rule"))
    console.print(_padded(_rule_table(found, tested)))
    _show_different(console, found)
    _show_lonely(console, found)
    if asked := _tiers(found):
        console.print(heading("Tiers it asks for"))
        for namespace, tiers in asked.items():
            console.print(_padded(styled(f"{namespace}: {', '.join(tiers)}")))
    show_notes(console, notes)


def _padded(what: RenderableType) -> RenderableType:
    return Padding(what, (0, 0, 0, 2))


def _totals(found: Sequence[Hindsight]) -> Table:
    would, was = _counts(one.would for one in found), _counts(one.was for one in found)
    table = listing("AT SIGHT", "WOULD HAVE BEEN", "WAS")
    for effect in Effect:
        table.add_row(styled(effect.value.lower(), _STYLES[effect]), str(would[effect]), str(was[effect]))
    return table


def _rule_table(found: Sequence[Hindsight], tested: Sequence[Policy]) -> Table:
    table = listing("RULE", "MATCHED", *(effect.value.upper() for effect in Effect))
    for name in _rules(found, tested):
        data = _rule_data(name, found)
        table.add_row(styled(name), str(data["matched"]), *(str(data[effect.value.lower()]) for effect in Effect))
    return table


def _show_different(console: Console, found: Sequence[Hindsight]) -> None:
    different = [one for one in found if one.differs]
    if not different:
        console.print(styled("\nNothing would have been different."))
        return
    console.print(heading(f"What would have been different ({plural(len(different), 'change')})"))
    table = listing("DAY", "CHANGE", "WHAT", "WAS", "WOULD HAVE BEEN", "RULES")
    for one in different[-MOST_ROWS:]:
        c = one.change.spec.classification
        table.add_row(
            (one.change.metadata.creation_timestamp or "")[:10],
            styled(_named(one)),
            styled(f"{c.origin}, {c.criticality.lower}"),
            styled(f"{_spoken(one.was)}{_end(one)}"),
            styled(f"{_spoken(one.would)}{_short(one)}", _STYLES[one.would.effect]),
            styled(", ".join(one.decision.rules)),
        )
    console.print(_padded(table))
    if len(different) > MOST_ROWS:
        console.print(styled(f"  … and {len(different) - MOST_ROWS} older ones; -o json has all of them", "dim"))


def _show_lonely(console: Console, found: Sequence[Hindsight]) -> None:
    alone = [one for one in found if one.nobody is not None]
    if not alone:
        return
    console.print(heading("Nobody could have approved"))
    table = listing("CHANGE", "NEEDS", "NOBODY ELSE HOLDS")
    for one in alone[-MOST_ROWS:]:
        table.add_row(styled(_named(one)), styled(one.would.needs), styled(one.nobody.lower if one.nobody else ""))
    console.print(_padded(table))
    if len(alone) > MOST_ROWS:
        console.print(styled(f"  … and {len(alone) - MOST_ROWS} older ones; -o json has all of them", "dim"))


def _named(one: Hindsight) -> str:
    return f"{one.change.metadata.namespace}/{short_name(one.change)}"


def _spoken(ask: Ask) -> str:
    return f"{ask.effect.value.lower()}{f': {ask.needs}' if ask.needs else ''}"


def _end(one: Hindsight) -> str:
    """How it went on, where that is more than its being released."""
    status = one.change.status
    glass = ", broke the glass" if status.break_glass else ""
    ended = status.phase in (Phase.ROLLED_BACK, Phase.REJECTED, Phase.SUPERSEDED)
    return glass + (f", {spoken_phase(one.change)}" if ended else "")


def _short(one: Hindsight) -> str:
    """What the approvals it got would not have filled, where it was released on them."""
    got = one.change.status.release is not None and one.change.status.approvals
    return f" (it got all but {spoken_slots(one.lacking)})" if got and one.lacking else ""
