"""``approve``, ``reject``, ``retry``: a person's decision, as the caller, at a tier the caller holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from rollwarden.api.change import Change
from rollwarden.api.enums import Decision, Tier
from rollwarden.cli.bycommit import decide_commit
from rollwarden.cli.changes import find_change, is_waiting, short_name
from rollwarden.cli.cluster import Cluster, connected, sentence_of
from rollwarden.cli.commits import read_sha
from rollwarden.cli.deciding import MOST_REASON, Given, Wish, check, given_data, record, settled, spoken_need, tier_for
from rollwarden.cli.errors import CommandError
from rollwarden.cli.session import Session, facts, say_error, stdout, styled, with_session
from rollwarden.core.messages import spoken_origin
from rollwarden.kube.errors import KubeError

SHORT_DIGEST = 12

_NAMES = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Changes, <rollout>-rN, or Rollouts.", show_default=False),
]
_ONE_OR_MORE = Annotated[list[str], typer.Argument(metavar="NAME", help="Changes, <rollout>-rN, or Rollouts.")]
_COMMIT = Annotated[
    str,
    typer.Option(
        metavar="SHA", help="All that carry this commit, in every namespace or -n; with NAME: only if it does."
    ),
]
_REASON = Annotated[str, typer.Option("--message", "-m", help="Why; others will read it.")]
_YES = Annotated[bool, typer.Option("--yes", "-y", help="With --commit: do not ask after the list.")]


@with_session
def approve_command(
    session: Session,
    names: _NAMES = None,
    commit: _COMMIT = "",
    accept_unproven: Annotated[
        bool, typer.Option("--accept-unproven", help="Also let it go on if a gate ends without proof of safety.")
    ] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Approve knowing that this template was rolled back; needs -m.")
    ] = False,
    message: _REASON = "",
    yes: _YES = False,
) -> None:
    """Approve changes, at the lowest of your tiers that fills an open slot.

    By name, or all that carry one commit: approve --commit SHA.
    """
    if quarantined and not message.strip():
        raise CommandError('--quarantined needs a reason: add -m "why it may run although it was rolled back"')
    _decide(session, names, Wish(Decision.APPROVE, message, commit, accept_unproven, quarantined), yes=yes)


@with_session
def reject_command(
    session: Session, names: _NAMES = None, commit: _COMMIT = "", message: _REASON = "", yes: _YES = False
) -> None:
    """Reject changes: they stay at 0 pods; one that is already released is rolled back.

    By name, or all that carry one commit: reject --commit SHA -m "why".
    """
    if not message.strip():
        raise CommandError('a rejection needs a reason, which the author will read: add -m "why"')
    _decide(session, names, Wish(Decision.REJECT, message, commit), yes=yes)


@with_session
def retry_command(session: Session, names: _ONE_OR_MORE, message: _REASON = "") -> None:
    """Let a rolled-back template of a low-criticality service run again, as its owner."""
    if not message.strip():
        raise CommandError('a retry needs a reason: add -m "what is different now"')
    _decide_each(session, names, Wish(Decision.APPROVE, message, quarantined=True), only_low=True)


def _decide(session: Session, names: Sequence[str] | None, wish: Wish, *, yes: bool) -> None:
    if wish.commit:
        wish = replace(wish, commit=read_sha(wish.commit))
    if names:
        _decide_each(session, names, wish)
    elif wish.commit:
        decide_commit(session, wish, yes=yes)
    else:
        raise CommandError("name what you decide: a change, a Rollout, or --commit SHA; kubectl rollwarden inbox lists")


def _decide_each(session: Session, names: Sequence[str], wish: Wish, *, only_low: bool = False) -> None:
    """Each name by itself: one that fails does not keep the others from being decided."""
    if len(wish.reason) > MOST_REASON:
        raise CommandError(f"the reason has {len(wish.reason)} characters; {MOST_REASON} are kept")
    given: list[Given] = []
    failures: list[str] = []
    with connected(session) as cluster:
        for name in dict.fromkeys(names):
            try:
                given.append(_decide_one(session, cluster, name, wish, only_low=only_low))
            except CommandError as error:
                failures.append(str(error))
            except KubeError as error:
                failures.append(f"{name}: {sentence_of(error)}")
    if not session.is_table:
        session.write({"approvals": [given_data(one) for one in given], "errors": failures})
    for failure in failures[:-1]:
        say_error(failure)
    if failures:
        raise CommandError(failures[-1])
    if any(one.counted is False for one in given):
        raise typer.Exit(1)


def _decide_one(session: Session, cluster: Cluster, name: str, wish: Wish, *, only_low: bool) -> Given:
    change = find_change(cluster, name, is_waiting)
    check(cluster, change, wish, only_low=only_low)
    user = cluster.client.self_subject_review().username
    tier = tier_for(cluster, change, wish)
    if session.is_table:
        _announce(change, wish, user, tier)
    given = settled(cluster, change, wish, record(cluster, change, wish, user, tier))
    if session.is_table:
        if given.counted is False:
            say_error(given.message)
        else:
            stdout().print(styled(given.message))
    return given


def _announce(change: Change, wish: Wish, user: str, tier: Tier) -> None:
    console = stdout()
    doing = "approving" if wish.decision is Decision.APPROVE else "rejecting"
    spec = change.spec
    rules = ", ".join(f'"{rule}"' for rule in spec.decision.rules)
    needs = spoken_need(change) + (f" (rule{'s' if len(spec.decision.rules) > 1 else ''} {rules})" if rules else "")
    rows = [
        ("change", change.metadata.name),
        ("template", spec.template_digest[: len("sha256:") + SHORT_DIGEST]),
        ("images", ", ".join(dict.fromkeys(spec.images)) or "none"),
        ("origin", f"{spoken_origin(spec.classification)}, to a {spec.classification.criticality.lower} service"),
        ("submitter", spec.submitter.user or "unknown"),
        ("needs", needs),
        ("as", f"{tier.lower}, {user}"),
    ]
    if spec.classification.commits:
        rows.insert(3, ("commits", ", ".join(spec.classification.commits)))
    console.print(styled(f"{doing} {short_name(change)} in {change.metadata.namespace}", "bold"))
    console.print(facts(rows))
