"""``approve|reject --commit SHA``: one decision on one commit, as one Approval on each change that carries it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from rollwarden.api.approval import Approval
from rollwarden.api.change import Change
from rollwarden.api.enums import Decision, Tier
from rollwarden.cli.changes import (
    EVIDENCE_MISSING,
    QUARANTINED,
    UNPROVEN,
    by_urgency,
    is_waiting,
    reachable,
    short_name,
)
from rollwarden.cli.cluster import Cluster, connected, sentence_of
from rollwarden.cli.commits import carrying
from rollwarden.cli.deciding import (
    ANSWER_SECONDS,
    MOST_REASON,
    NOUNS,
    Given,
    Wish,
    choose_tier,
    given_data,
    record,
    settled,
    spoken_need,
)
from rollwarden.cli.errors import CommandError
from rollwarden.cli.fitting import may_decide, wrote
from rollwarden.cli.session import Session, heading, listing, plural, say_error, say_warning, stdout, styled
from rollwarden.kube.errors import KubeError

SHORT_DIGEST = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class Planned:
    """One change that carries the commit: the tier the caller decides at, or why it is left alone."""

    change: Change
    tier: Tier | None = None
    left: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    change: Change
    why: str

    def __str__(self) -> str:
        return f"{_where(self.change)}: {self.why}"


def decide_commit(session: Session, wish: Wish, *, yes: bool) -> None:
    """Shows what the commit is carried by, then decides each; exit code 1 where one of them failed."""
    if len(wish.reason) > MOST_REASON:
        raise CommandError(f"the reason has {len(wish.reason)} characters; {MOST_REASON} are kept")
    with connected(session) as cluster:
        reach = reachable(cluster, session.namespace)
        if reach.left_out:
            say_warning(reach.left_out)
        found = _found(reach.changes, wish, session.namespace)
        user = cluster.client.self_subject_review().username
        tiers = {space: cluster.at(space).tiers() for space in {c.metadata.namespace for c in found}}
        planned = [plan(change, user, tiers[change.metadata.namespace], wish) for change in found]
        if session.is_table:
            _show(planned, wish)
        mine = [one for one in planned if one.tier is not None]
        if not mine and not any(one.done for one in planned):
            raise CommandError(_nothing(planned, wish))
        if mine and session.is_table and not yes:
            _confirm(len(mine), wish)
        given, failed = _decide_all(session, cluster, mine, wish, user)
    if not session.is_table:
        session.write(_data(wish, given, planned, failed))
    if failed or any(one.counted is False for one in given):
        raise typer.Exit(1)


def _found(changes: Sequence[Change], wish: Wish, namespace: str | None) -> list[Change]:
    """What can still be decided, the most urgent first. CommandError says where the commit is instead."""
    rejects = wish.decision is Decision.REJECT
    open_ones = [c for c in changes if (not c.status.phase.final if rejects else is_waiting(c))]
    found = sorted(carrying(open_ones, wish.commit), key=by_urgency)
    if found:
        return found
    where = f"in namespace {namespace}" if namespace else "in the namespaces you may list"
    others = carrying(changes, wish.commit)
    if others:
        states = ", ".join(f"{_where(c)} is {c.status.phase}" for c in others[:5])
        raise CommandError(f"nothing that carries {wish.commit} waits {where}: {states}")
    raise CommandError(
        f"no change {where} carries {wish.commit}; kubectl rollwarden inbox --all shows which commits wait"
    )


def plan(change: Change, user: str, held: tuple[Tier, ...], wish: Wish) -> Planned:
    """What the caller's decision on this change would be."""
    if not held:
        return Planned(change, left=f"you hold no tier in namespace {change.metadata.namespace}")
    if wish.decision is Decision.REJECT:
        return Planned(change, max(held))
    why, done = _left(change, user, held, wish)
    return Planned(change, left=why, done=done) if why else Planned(change, choose_tier(held, change, wish))


def _left(change: Change, user: str, held: tuple[Tier, ...], wish: Wish) -> tuple[str, bool]:
    """Why an approval of the caller's would not bring it on, and whether that is because there is one already."""
    status, needs = change.status, spoken_need(change)
    if wrote(change, user):
        return f"you wrote or submitted it; it needs {needs}", False
    if status.reason == QUARANTINED and not wish.quarantined:
        return 'this template was rolled back; to approve it knowingly add --quarantined -m "why"', False
    if status.reason == UNPROVEN and not wish.accept_unproven:
        return "it is released and not proven safe; to take that on add --accept-unproven", False
    if status.reason == EVIDENCE_MISSING:
        return f"its author has to bring {status.waiting_for}", False
    if any(one.user == user for one in status.approvals) and status.reason not in (QUARANTINED, UNPROVEN):
        return f"you have approved it; it needs {needs} besides", True
    if not may_decide(change, user, held):
        return f"it needs {needs}; your highest tier there is {max(held).lower}", False
    return "", False


def _decide_all(
    session: Session, cluster: Cluster, planned: Iterable[Planned], wish: Wish, user: str
) -> tuple[list[Given], list[Failed]]:
    """All Approvals first, then their answers: what the operator is slow with does not keep the next from being given.
    One that fails does not keep the others from being decided."""
    recorded: list[tuple[Change, Approval]] = []
    given: list[Given] = []
    failed: list[Failed] = []
    for one in planned:
        assert one.tier is not None
        try:
            recorded.append((one.change, record(_at(cluster, one.change), one.change, wish, user, one.tier)))
        except (CommandError, KubeError) as error:
            failed.append(_failed(session, one.change, error))
    patience = time.monotonic() + ANSWER_SECONDS
    for change, approval in recorded:
        left = max(0.0, patience - time.monotonic())
        try:
            given.append(settled(_at(cluster, change), change, wish, approval, left))
        except KubeError as error:
            failed.append(_failed(session, change, error))
            continue
        if session.is_table:
            _say(given[-1])
    return given, failed


def _at(cluster: Cluster, change: Change) -> Cluster:
    return cluster.at(change.metadata.namespace)


def _failed(session: Session, change: Change, error: CommandError | KubeError) -> Failed:
    why = sentence_of(error) if isinstance(error, KubeError) else str(error)
    failed = Failed(change, why)
    if session.is_table:
        say_error(str(failed))
    return failed


def _say(given: Given) -> None:
    if given.counted is False:
        say_error(f"{_where(given.change)}: {given.message}")
    else:
        stdout().print(styled(f"{_where(given.change)}: {given.message}"), soft_wrap=True)


def _where(change: Change) -> str:
    return f"{change.metadata.namespace}/{short_name(change)}"


def _show(planned: Sequence[Planned], wish: Wish) -> None:
    console = stdout()
    mine = [one for one in planned if one.tier is not None]
    left = [one for one in planned if one.tier is None]
    verb = "approve" if wish.decision is Decision.APPROVE else "reject"
    if mine:
        console.print(heading(f"{wish.commit}: you {verb} {plural(len(mine), 'change')}"))
        fills = "FILLS" if wish.decision is Decision.APPROVE else "AS"
        table = listing("NAMESPACE", "ROLLOUT", "CHANGE", "WHAT", "TEMPLATE", "IMAGES", fills)
        for one in mine:
            c, spec = one.change.spec.classification, one.change.spec
            table.add_row(
                styled(one.change.metadata.namespace),
                styled(spec.rollout.name, "bold"),
                styled(one.change.metadata.name),
                styled(f"{c.origin}, {c.criticality.lower}{'' if one.change.status.phase.waiting else ', released'}"),
                styled(spec.template_digest[:SHORT_DIGEST]),
                styled(", ".join(dict.fromkeys(spec.images)) or "none"),
                styled(one.tier.lower if one.tier else ""),
            )
        console.print(table)
    if left:
        console.print(heading("left alone"))
        table = listing("NAMESPACE", "CHANGE", "WHY")
        for one in left:
            table.add_row(
                styled(one.change.metadata.namespace), styled(short_name(one.change), "bold"), styled(one.left)
            )
        console.print(table)
    console.print()


def _nothing(planned: Sequence[Planned], wish: Wish) -> str:
    noun, first = NOUNS[wish.decision], planned[0]
    more = f" (and {len(planned) - 1} more)" if len(planned) > 1 else ""
    return f"no {noun} of yours counts for {wish.commit}: {_where(first.change)}: {first.left}{more}"


def _confirm(number: int, wish: Wish) -> None:
    """Asked of people at a terminal only."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    verb = "approve" if wish.decision is Decision.APPROVE else "reject"
    if not typer.confirm(f"{verb} {'these ' if number > 1 else 'this '}{plural(number, 'change')}?"):
        raise CommandError("nothing was decided")


def _data(wish: Wish, given: Sequence[Given], planned: Sequence[Planned], failed: Sequence[Failed]) -> dict[str, Any]:
    left = [
        {**_named(one.change), "reason": one.left, "alreadyDecided": one.done} for one in planned if one.tier is None
    ]
    return {
        "commit": wish.commit,
        "approvals": [given_data(one) for one in given],
        "left": left,
        "failed": [{**_named(one.change), "error": one.why} for one in failed],
        "errors": [str(one) for one in failed],
    }


def _named(change: Change) -> dict[str, str]:
    return {
        "change": change.metadata.name,
        "shortName": short_name(change),
        "namespace": change.metadata.namespace,
        "rollout": change.spec.rollout.name,
    }
