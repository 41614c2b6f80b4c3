"""``inbox``: what waits for the caller, by commit, and what the caller's own changes wait for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rollwarden.api.change import Change
from rollwarden.api.enums import Tier
from rollwarden.cli.changes import by_urgency, is_waiting, next_of_phase, reachable, short_name, summary, waited
from rollwarden.cli.cluster import connected
from rollwarden.cli.commits import Group, grouped
from rollwarden.cli.fitting import may_decide, may_review, wrote
from rollwarden.cli.session import Session, heading, listing, plural, say_warning, stdout, styled, with_session
from rollwarden.core.reviews import is_overdue, open_review
from rollwarden.core.times import spoken

SHOWN_COMMIT = 12


@dataclass(frozen=True, slots=True)
class Sorted:
    """Waiting changes: ``mine`` to decide, ``own`` of the caller's that wait for others, and ``others``; and the open
    reviews of break-glasses that the caller may close. The most urgent first in each."""

    mine: tuple[Change, ...]
    own: tuple[Change, ...]
    others: tuple[Change, ...]
    reviews: tuple[Change, ...]


@with_session
def inbox_command(
    session: Session,
    everything: Annotated[bool, typer.Option("--all", help="Also what waits for other people.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Names only.")] = False,
) -> None:
    """What waits for you, in every namespace (or -n), by commit: the most critical first, then the oldest."""
    with connected(session) as cluster:
        reach = reachable(cluster, session.namespace)
        if reach.left_out:
            say_warning(reach.left_out)
        user = cluster.client.self_subject_review().username
        asking = [change for change in reach.changes if is_waiting(change) or open_review(change)]
        tiers = {name: cluster.at(name).tiers() for name in {c.metadata.namespace for c in asking}}
    found = sort(asking, user, tiers, everything=everything)
    if not session.is_table:
        session.write(inbox_data(found, user))
    elif quiet:
        names = [f"{c.metadata.namespace}/{c.metadata.name}" for c in (*found.mine, *found.reviews)]
        stdout().print("\n".join(names), soft_wrap=True)
    else:
        _show(stdout(), found, everything)


def sort(
    asking: Iterable[Change], user: str, tiers: Mapping[str, tuple[Tier, ...]], *, everything: bool = False
) -> Sorted:
    """``everything``: with the reviews, too, that are others' to close."""

    def held(change: Change) -> tuple[Tier, ...]:
        return tiers.get(change.metadata.namespace, ())

    urgent = sorted(asking, key=by_urgency)
    waiting = [c for c in urgent if is_waiting(c)]
    mine = [c for c in waiting if may_decide(c, user, held(c))]
    own = [c for c in waiting if c not in mine and wrote(c, user)]
    others = [c for c in waiting if c not in mine and c not in own]
    reviews = [c for c in urgent if open_review(c) and (everything or may_review(c, user, held(c)))]
    return Sorted(tuple(mine), tuple(own), tuple(others), tuple(sorted(reviews, key=_due)))


def _due(change: Change) -> str:
    glass = open_review(change)
    return glass.review_due if glass else ""


def inbox_data(found: Sorted, user: str) -> dict[str, Any]:
    groups = [{"commit": g.commit, "changes": [c.metadata.name for c in g.changes]} for g in grouped(found.mine)]
    return {
        "user": user,
        "items": [summary(c) for c in found.mine],
        "commits": groups,
        "own": [summary(c) for c in found.own],
        "others": len(found.others),
        "waitingForOthers": [summary(c) for c in found.others],
        "reviews": [_review_data(c) for c in found.reviews],
    }


def _review_data(change: Change) -> dict[str, Any]:
    glass = open_review(change)
    assert glass is not None
    return {
        "name": change.metadata.name,
        "namespace": change.metadata.namespace,
        "rollout": change.spec.rollout.name,
        "shortName": short_name(change),
        "by": glass.user,
        "reason": glass.reason,
        "time": glass.time,
        "due": glass.review_due,
        "overdue": is_overdue(glass, time.time()),
    }


def _show(console: Console, found: Sorted, everything: bool) -> None:
    if not found.mine and not found.reviews:
        console.print(styled("nothing waits for you"))
    for group in grouped(found.mine):
        _show_group(console, group)
    if found.reviews:
        console.print(heading("break-glasses to review"))
        _show_reviews(console, found.reviews)
    if found.own:
        console.print(heading("yours, waiting for others"))
        console.print(_table(found.own))
    if found.others and everything:
        console.print(heading("waiting for other people"))
        for group in grouped(found.others):
            console.print(styled(_title(group), "dim"))
            console.print(_table(group.changes))
    elif found.others:
        rest = "1 more waits" if len(found.others) == 1 else f"{len(found.others)} more wait"
        console.print(styled(f"{rest} for other people: kubectl rollwarden inbox --all", "dim"))


def _show_group(console: Console, group: Group) -> None:
    console.print(heading(_title(group)))
    console.print(_table(group.changes))
    together = [c for c in group.changes if c.status.reason in ("", "ApprovalsMissing")]
    if group.commit and len(together) > 1:
        console.print(styled(f"kubectl rollwarden approve --commit {group.commit[:SHOWN_COMMIT]}", "bold"))
        alone = [c for c in group.changes if c not in together]
    else:
        alone = list(group.changes)
    for change in alone:
        console.print(styled(next_of_phase(change).action), soft_wrap=True)


def _title(group: Group) -> str:
    what = f"commit {group.commit[:SHOWN_COMMIT]}" if group.commit else "no commit named"
    return f"{what}: {plural(len(group.changes), 'change')}"


def _table(changes: Iterable[Change]) -> Table:
    table = listing("NAMESPACE", "CHANGE", "WHAT", "NEEDS", "AGE", "SUBMITTER")
    now = time.time()
    for change in changes:
        c = change.spec.classification
        table.add_row(
            styled(change.metadata.namespace),
            styled(short_name(change), "bold"),
            styled(f"{c.origin}, {c.criticality.lower}"),
            styled(change.status.waiting_for or str(change.status.phase)),
            styled(spoken(waited(change, now))),
            styled(change.spec.submitter.user),
        )
    return table


def _show_reviews(console: Console, changes: Iterable[Change]) -> None:
    table = listing("NAMESPACE", "CHANGE", "BY", "WHY", "DUE")
    now = time.time()
    for change in changes:
        glass = open_review(change)
        assert glass is not None
        late = is_overdue(glass, now)
        table.add_row(
            styled(change.metadata.namespace),
            styled(short_name(change), "bold"),
            styled(glass.user),
            styled(glass.reason),
            styled(f"{glass.review_due[:10]}{', overdue' if late else ''}", "red" if late else ""),
        )
    console.print(table)
    for change in changes:
        where = f"{short_name(change)} -n {change.metadata.namespace}"
        console.print(styled(f'kubectl rollwarden review {where} -m "what was found"'), soft_wrap=True)
