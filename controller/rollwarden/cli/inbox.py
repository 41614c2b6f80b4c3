"""``inbox``: what waits for the caller, and what the caller's own changes wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.table import Table

from rollwarden.api.change import Change
from rollwarden.api.enums import Tier
from rollwarden.cli.changes import (
    EVIDENCE_MISSING,
    QUARANTINED,
    UNPROVEN,
    is_waiting,
    next_steps,
    order,
    short_name,
    summary,
)
from rollwarden.cli.cluster import Cluster, connected
from rollwarden.cli.errors import CommandError
from rollwarden.cli.session import Session, heading, listing, stdout, styled, with_session
from rollwarden.core.approvals import open_slots
from rollwarden.core.classify import same_person
from rollwarden.kube.errors import Forbidden
from rollwarden.kube.resources import CHANGES


@dataclass(frozen=True, slots=True)
class Sorted:
    """Waiting changes: ``mine`` to decide, ``own`` of the caller's that wait for others, and the number of the rest."""

    mine: tuple[Change, ...]
    own: tuple[Change, ...]
    others: int


@with_session
def inbox_command(
    session: Session, quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Names only.")] = False
) -> None:
    """What waits for you, in every namespace (or -n)."""
    with connected(session) as cluster:
        user = cluster.client.self_subject_review().username
        waiting = _waiting(cluster, session.namespace)
        tiers = {name: cluster.at(name).tiers() for name in {c.metadata.namespace for c in waiting}}
    found = sort(waiting, user, tiers)
    if not session.is_table:
        own = [summary(change) for change in found.own]
        session.write({"user": user, "items": [summary(c) for c in found.mine], "own": own, "others": found.others})
    elif quiet:
        stdout().print("\n".join(f"{c.metadata.namespace}/{c.metadata.name}" for c in found.mine), soft_wrap=True)
    else:
        _show(found)


def _waiting(cluster: Cluster, namespace: str | None) -> list[Change]:
    try:
        page = cluster.client.list(CHANGES, namespace=namespace, type=Change)
    except Forbidden as error:
        if namespace is not None:
            raise
        message = (
            f"you may not list changes in every namespace; name one with -n ({cluster.namespace} is your context's)"
        )
        raise CommandError(message) from error
    return sorted(filter(is_waiting, page.items), key=order)


def sort(waiting: list[Change], user: str, tiers: dict[str, tuple[Tier, ...]]) -> Sorted:
    mine = [c for c in waiting if may_decide(c, user, tiers.get(c.metadata.namespace, ()))]
    own = [c for c in waiting if c not in mine and wrote(c, user)]
    return Sorted(tuple(mine), tuple(own), len(waiting) - len(mine) - len(own))


def wrote(change: Change, user: str) -> bool:
    authors = change.spec.classification.authors
    return user == change.spec.submitter.user or any(same_person(author.name, user) for author in authors)


def may_decide(change: Change, user: str, held: tuple[Tier, ...]) -> bool:
    """Whether a decision of this person, at one of these tiers, would bring the change on."""
    status, requirements = change.status, change.spec.decision.requirements
    if not held or wrote(change, user) or status.reason == EVIDENCE_MISSING:
        return False
    highest = max((slot.tier for slot in requirements.approvals), default=Tier.PEER)
    if status.reason == UNPROVEN:
        return max(held) >= max(highest, Tier.SENIOR)
    if status.reason == QUARANTINED:
        return max(held) >= highest
    if any(approval.user == user for approval in status.approvals):
        return False
    return any(max(held) >= slot.tier for slot in open_slots(requirements.approvals, status.approvals))


def _show(found: Sorted) -> None:
    console = stdout()
    if found.mine:
        console.print(_table(found.mine))
        console.print()
        for change in found.mine:
            console.print(styled(next_steps(change)[0].action), soft_wrap=True)
    else:
        console.print(styled("nothing waits for you"))
    if found.own:
        console.print(heading("yours, waiting for others"))
        console.print(_table(found.own))
    if found.others:
        rest = "1 more waits" if found.others == 1 else f"{found.others} more wait"
        console.print(styled(f"{rest} for other people: kubectl rollwarden status -A", "dim"))


def _table(changes: tuple[Change, ...]) -> Table:
    table = listing("NAMESPACE", "CHANGE", "WHAT", "WAITING FOR", "SUBMITTER")
    for change in changes:
        c = change.spec.classification
        table.add_row(
            styled(change.metadata.namespace),
            styled(short_name(change), "bold"),
            styled(f"{c.origin}, {c.criticality.lower}"),
            styled(change.status.waiting_for or str(change.status.phase)),
            styled(change.spec.submitter.user),
        )
    return table
