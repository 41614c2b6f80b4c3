"""``status``: the changes of a namespace, live ones first; or one change with all that is known of it."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from rollwarden.api.change import BreakGlass, Change, CountedApproval, GateStatus, PlannedGate, Verdict
from rollwarden.api.enums import GateKind, Phase
from rollwarden.api.meta import Condition
from rollwarden.api.names import POLICIES_NOT_INTACT
from rollwarden.cli.changes import detail, find_change, next_steps, order, short_name, summary, waited
from rollwarden.cli.cluster import connected
from rollwarden.cli.errors import CommandError
from rollwarden.cli.explain_view import classification_rows, show_next
from rollwarden.cli.session import Session, clean, facts, heading, listing, stdout, styled, with_session
from rollwarden.core.reviews import is_overdue, open_review
from rollwarden.core.times import spoken, unix
from rollwarden.kube.errors import Forbidden
from rollwarden.kube.resources import CHANGES

PHASE_STYLES = {
    Phase.AWAITING_APPROVAL: "yellow",
    Phase.HELD: "yellow",
    Phase.FROZEN: "blue",
    Phase.DENIED: "red",
    Phase.REJECTED: "red",
    Phase.CANARY: "cyan",
    Phase.BAKING: "cyan",
    Phase.ROLLING_BACK: "red",
    Phase.ROLLED_BACK: "red",
    Phase.COMPLETED: "green",
}
SHOWN_FINISHED = 20


@with_session
def status_command(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A change, <rollout>-rN, or a Rollout.")] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of every namespace.")] = False,
) -> None:
    """The changes of a namespace, live ones first; with a name, one change in detail."""
    with connected(session) as cluster:
        if name is not None:
            change = find_change(cluster, name)
            if session.is_table:
                show_change(change, stdout(), time.time())
            else:
                session.write(detail(change))
            return
        try:
            page = cluster.client.list(CHANGES, namespace=None if everywhere else cluster.namespace, type=Change)
        except Forbidden as error:
            if not everywhere:
                raise
            message = "you may not list changes in every namespace; name one with -n"
            raise CommandError(message) from error
        changes = live_first(page.items)
        if not session.is_table:
            session.write({"items": [summary(change) for change in changes]})
        else:
            _show_table(changes, None if everywhere else cluster.namespace)


def live_first(changes: list[Change]) -> list[Change]:
    """Live changes, then finished ones that owe a review, then the rest; the newest first in each."""
    rank = {True: 1, False: 2}
    newest = sorted(changes, key=order, reverse=True)
    return sorted(newest, key=lambda c: 0 if not c.status.phase.final else rank[asks(c)])


def asks(change: Change) -> bool:
    """Something of it is still to be done: it has not ended, or it owes a review."""
    return not change.status.phase.final or open_review(change) is not None


def unguarded(changes: list[Change]) -> str | None:
    """What is wrong with the admission policies, as a change says that waits for nothing else."""
    waiting = (c.status for c in changes if not c.status.phase.final)
    return next((status.message for status in waiting if status.reason == POLICIES_NOT_INTACT), None)


def _show_table(changes: list[Change], namespace: str | None) -> None:
    console = stdout()
    if not changes:
        where = f"namespace {namespace}" if namespace else "any namespace"
        console.print(styled(f"no changes in {where}: no new template was written since Rollwarden looks after it"))
        return
    if (waiting := unguarded(changes)) is not None:
        console.print(styled(waiting, "red"))
    asking = [change for change in changes if asks(change)]
    shown = changes[: len(asking) + SHOWN_FINISHED]
    headers = ("CHANGE", "PHASE", "WAITING FOR", "ORIGIN", "CRITICALITY", "AGE")
    table = listing(*(headers if namespace else ("NAMESPACE", *headers)))
    now = time.time()
    for change in shown:
        c = change.spec.classification
        cells: list[RenderableType] = [
            styled(short_name(change), "bold" if not change.status.phase.final else ""),
            styled(_phase(change), PHASE_STYLES.get(change.status.phase, "dim")),
            styled(_waiting_for(change, now)),
            styled(c.origin),
            styled(c.criticality.lower),
            age(change, now),
        ]
        table.add_row(*(cells if namespace else [styled(change.metadata.namespace), *cells]))
    console.print(table)
    if len(changes) > len(shown):
        console.print(styled(f"… and {len(changes) - len(shown)} finished ones; -o json has all of them", "dim"))


def _waiting_for(change: Change, now: float) -> str:
    glass = open_review(change)
    owed = f"a review by {glass.review_due[:10]}{', overdue' if is_overdue(glass, now) else ''}" if glass else ""
    return "; ".join(filter(None, (change.status.waiting_for, owed)))


def _phase(change: Change) -> str:
    unproven = " (unproven)" if change.status.unproven else ""
    return f"{change.status.phase}{unproven}"


def age(change: Change, now: float) -> str:
    return spoken(waited(change, now)) if change.metadata.creation_timestamp else ""


def show_change(change: Change, console: Console, now: float, *, follow: bool = True) -> None:
    """The change as it stands; ``follow``: what comes next, too."""
    status = change.status
    style = PHASE_STYLES.get(status.phase, "")
    title = Text.assemble(
        (clean(short_name(change)), "bold"),
        (f"  in {clean(change.metadata.namespace)}  ", "dim"),
        (_phase(change), f"bold {style}"),
    )
    console.print(title)
    if status.message:
        console.print(styled(status.message))
    console.print(facts(_about(change, now)))
    console.print(heading("What it is"))
    console.print(facts(classification_rows(change.spec.classification, change.spec.images)))
    _show_gates(change, console, now)
    if status.verdict is not None:
        console.print(heading("The judge's verdict"))
        console.print(facts(_verdict_rows(status.verdict)))
    if status.approvals:
        console.print(heading("Approvals"))
        console.print(facts((a.user, _spoken_approval(a)) for a in status.approvals))
    if status.conditions:
        console.print(heading("Conditions"))
        console.print(facts((c.type, _spoken_condition(c, status.message)) for c in status.conditions))
    if follow:
        show_next(console, next_steps(change))


def _spoken_condition(condition: Condition, said: str) -> str:
    """Without the sentence that already stands above."""
    message = "" if condition.message == said else condition.message
    return ", ".join(filter(None, (condition.status, condition.reason, message)))


def _spoken_approval(approval: CountedApproval) -> str:
    """As what it counts, and what gave the approver that tier."""
    unproven = "accepts it unproven" if approval.accept_unproven else ""
    by = f"by {approval.evidence}" if approval.evidence else ""
    return ", ".join(filter(None, (approval.tier.lower, unproven, by)))


def _about(change: Change, now: float) -> list[tuple[str, RenderableType]]:
    status = change.status
    rows: list[tuple[str, RenderableType]] = [("change", change.metadata.name), ("age", age(change, now))]
    if status.waiting_for:
        rows.append(("waiting for", status.waiting_for))
    if change.spec.submitter.user:
        rows.append(("submitter", change.spec.submitter.user))
    if change.spec.decision.rules:
        rows.append(("rules", ", ".join(change.spec.decision.rules)))
    if status.stable_revision:
        rows.append(("stable", f"r{status.stable_revision}"))
    if status.quarantine.active:
        rows.append(("quarantine", f"since {status.quarantine.since}: {status.quarantine.reason}"))
    if status.break_glass:
        rows.append(("break-glass", f'{status.break_glass.user}: "{status.break_glass.reason}"'))
        rows.append(("review", _spoken_review(status.break_glass, now)))
    return rows


def _spoken_review(glass: BreakGlass, now: float) -> str:
    if glass.review is not None:
        return f'closed by {glass.review.closed_by} on {glass.review.time[:10]}: "{glass.review.note}"'
    late = f"overdue since {glass.review_due[:10]}" if is_overdue(glass, now) else f"due by {glass.review_due[:10]}"
    return f"open, {late}; a principal closes it"


def _verdict_rows(verdict: Verdict) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = [("result", f"{verdict.result}, {verdict.reason}")]
    if verdict.message:
        rows.append(("why", verdict.message))
    if verdict.canary_rate:
        rows.append(("failing", f"canary {_percent(verdict.canary_rate)}, stable {_percent(verdict.stable_rate)}"))
    rows.append(("harmed", f"about {verdict.harmed:,} requests"))
    return rows


def _percent(rate: str) -> str:
    return f"{100 * float(rate):.2g} %" if rate else "unknown"


def _show_gates(change: Change, console: Console, now: float) -> None:
    release = change.status.release
    planned = release.plan.gates if release else ()
    if not planned:
        return
    console.print(heading("Gates"))
    reached = {gate.index: gate for gate in change.status.gates}
    table = listing("AT", "STATE", "PROGRESS")
    for gate in planned:
        state, style, progress = _gate_cells(gate, reached.get(gate.index), now)
        label = "bake" if gate.kind is GateKind.BAKE else f"{gate.weight} %"
        table.add_row(label, Text(state, style), styled(progress))
    console.print(Padding(table, (0, 0, 0, 2)))


def _gate_cells(gate: PlannedGate, reached: GateStatus | None, now: float) -> tuple[str, str, str]:
    """State, its style, and how far it is."""
    if reached is None:
        eta = f"about {spoken(gate.eta_seconds)}" if gate.eta_seconds is not None else ""
        return "ahead", "dim", eta
    needed = reached.needed_requests or gate.needed_requests
    got = f"{reached.canary_requests:,}" + (f" of about {needed:,} requests" if needed else " requests")
    counted = "" if gate.kind is GateKind.BAKE else got
    if reached.passed_at:
        took = spoken(max(0.0, unix(reached.passed_at) - unix(reached.started_at)))
        return "passed", "green", ", ".join(filter(None, (f"after {took}", counted, reached.reason)))
    left = f"about {spoken(max(0.0, unix(reached.eta) - now))} more" if reached.eta else ""
    since = f"for {spoken(max(0.0, now - unix(reached.started_at)))}"
    return "here", "cyan", ", ".join(filter(None, (since, counted, left)))
