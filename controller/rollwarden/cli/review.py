"""``review``: a principal closes what a break-glass owes, also after its change has ended."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from rollwarden.api.approval import Approval
from rollwarden.api.change import Change
from rollwarden.api.enums import GROUP, Decision, Tier
from rollwarden.api.meta import Condition
from rollwarden.cli.changes import detail, find_change, newest, of_rollout, short_name
from rollwarden.cli.cluster import Cluster, connected
from rollwarden.cli.deciding import ANSWER_SECONDS, MOST_REASON, POLL_SECONDS, Wish, await_answer, record
from rollwarden.cli.errors import CommandError
from rollwarden.cli.session import Session, facts, stdout, styled, with_session
from rollwarden.core.classify import same_person
from rollwarden.core.reviews import open_review


@with_session
def review_command(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A change, <rollout>-rN, or a Rollout.")],
    message: Annotated[str, typer.Option("--message", "-m", help="What was found; it stays on record.")] = "",
) -> None:
    """Close the review that a break-glass owes, as a principal who did not break it."""
    note = message.strip()
    if not note:
        raise CommandError('a review says what was found, and that stays on record: add -m "what was found"')
    if len(note) > MOST_REASON:
        raise CommandError(f"the note has {len(note)} characters; {MOST_REASON} are kept")
    with connected(session) as cluster:
        change = find_change(cluster, name, lambda one: open_review(one) is not None)
        user = cluster.client.self_subject_review().username
        _check(cluster, change, user)
        if session.is_table:
            _announce(change)
        created = record(cluster, change, Wish(Decision.REVIEW, note), user, Tier.PRINCIPAL)
        answer = await_answer(cluster, created, time.monotonic() + ANSWER_SECONDS)
        live = _await_close(cluster, change, created, answer)
    sentence = _spoken(live, created, answer)
    if session.is_table:
        stdout().print(styled(sentence))
    else:
        session.write(detail(live) | {"approval": created.metadata.name, "message": sentence})


def _check(cluster: Cluster, change: Change, user: str) -> None:
    """What can be said before anything is sent. Raises CommandError."""
    name, namespace, glass = short_name(change), cluster.namespace, change.status.break_glass
    if glass is None:
        other = newest(one for one in of_rollout(cluster, change.spec.rollout.name) if open_review(one))
        owed = (
            f"{short_name(other)} owes a review: kubectl rollwarden review {short_name(other)} -n {namespace}"
            if other
            else f"kubectl rollwarden inbox -n {namespace} shows which reviews are open"
        )
        raise CommandError(f"nobody broke the glass for {name}, so there is nothing to review; {owed}")
    if glass.review is not None:
        raise CommandError(
            f"{glass.review.closed_by} has closed the review of {name} on {glass.review.time[:10]}: "
            f'"{glass.review.note}"'
        )
    if same_person(glass.user, user):
        raise CommandError(f"you broke the glass for {name} yourself; another principal reviews it")
    if any(same_person(author.name, user) for author in change.spec.classification.authors):
        raise CommandError(f"you are an author of {name}; another principal reviews it")
    if cluster.holds_everything:
        raise CommandError(
            "you may do everything here, and a wildcard is not a tier: have the ClusterRole rollwarden-principal "
            "bound to you"
        )
    if Tier.PRINCIPAL not in cluster.tiers():
        raise CommandError(f"a principal closes a review, and you do not hold that tier in namespace {namespace}")
    if not cluster.may("review", "holds"):
        raise CommandError(f"you do not hold the verb review on holds (group {GROUP}) in namespace {namespace}")


def _announce(change: Change) -> None:
    glass = change.status.break_glass
    assert glass is not None
    console = stdout()
    console.print(styled(f"reviewing the break-glass of {short_name(change)} in {change.metadata.namespace}", "bold"))
    images = ", ".join(dict.fromkeys(change.spec.images)) or "none"
    rows = [("by", glass.user), ("why", glass.reason), ("when", glass.time), ("due", glass.review_due)]
    console.print(facts([*rows, ("images", images), ("ended", str(change.status.phase))]))


def _await_close(cluster: Cluster, change: Change, created: Approval, answer: Condition | None) -> Change:
    """The change once its review is closed, or as it is after a few seconds."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        live = find_change(cluster, change.metadata.name)
        if open_review(live) is None or answer is None or answer.status != "True" or time.monotonic() >= deadline:
            return live
        time.sleep(POLL_SECONDS)


def _spoken(live: Change, created: Approval, answer: Condition | None) -> str:
    """What became of it. CommandError where it does not count."""
    glass, name = live.status.break_glass, short_name(live)
    if glass is not None and glass.review is not None and glass.review.ref == created.metadata.name:
        return f"the review of {name} is closed"
    if answer is not None and answer.status != "True":
        why = answer.message.partition("does not count: ")[2] or answer.message or answer.reason
        raise CommandError(f"review refused: {why}")
    return f"recorded; the operator closes the review of {name} when it sees it"
