"""``wait``: until a change is released or completed. Its exit codes are for pipelines, and stay."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Annotated

import typer

from rollwarden.api import names
from rollwarden.api.argo import Rollout
from rollwarden.api.change import Change
from rollwarden.api.enums import Phase
from rollwarden.cli.changes import UNPROVEN, find_change, short_name, spoken_phase, summary
from rollwarden.cli.cluster import Cluster, connected
from rollwarden.cli.errors import CommandError, InputError
from rollwarden.cli.session import Session, clean, say_error, with_session
from rollwarden.core.seen import change_name
from rollwarden.core.times import seconds
from rollwarden.kube.errors import Forbidden, KubeError, NotFound, ServerUnavailable, TooManyRequests
from rollwarden.kube.resources import CHANGES, ROLLOUTS
from rollwarden.runtime.errors import Retryable

POLL_SECONDS = 0.5


class Code(IntEnum):
    DONE = 0
    FAILED = 1
    WAITING_FOR_PEOPLE = 3
    REFUSED = 4
    ROLLED_BACK = 5
    UNPROVEN = 6
    TIME_OUT = 7


class Goal(Enum):
    RELEASED = "released"
    COMPLETED = "completed"


@with_session
def wait_command(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A change, <rollout>-rN, or a Rollout: its latest template.")
    ],
    goal: Annotated[Goal, typer.Option("--for", help="What to wait for.")] = Goal.COMPLETED,
    timeout: Annotated[str, typer.Option(help="For how long, such as 90s, 10m, 1h; 0s asks once.")] = "10m",
) -> None:
    """Wait until a change is released or completed.

    Exit codes: 0 done; 3 still waiting for people at the time-out; 4 rejected or denied; 5 rolled back; 6 unproven;
    7 time-out.
    """
    limit = _limit(timeout)
    with connected(session) as cluster:
        code, change = _wait(cluster, name, goal, limit, _teller(session))
    if change is not None and not session.is_table:
        session.write(summary(change) | {"exitCode": int(code)})
    if code is not Code.DONE:
        say_error(_why(code, change, name, goal, timeout))
        raise typer.Exit(int(code))


def _limit(text: str) -> float:
    try:
        limit = float(text) if text.replace(".", "", 1).isdigit() else seconds(text)
    except ValueError as error:
        raise InputError("--timeout", str(error)) from error
    if not math.isfinite(limit):
        raise InputError("--timeout", f"is {text}; write 90s, 10m or 1h")
    return limit


def _teller(session: Session) -> Callable[[Change], None]:
    """Says each new phase and sentence once: for people on stdout, beside JSON on stderr."""
    told: set[tuple[str, str]] = set()
    stream = sys.stdout if session.is_table else sys.stderr

    def tell(change: Change) -> None:
        key = (str(change.status.phase), change.status.message)
        if key not in told:
            told.add(key)
            line = f"{time.strftime('%H:%M:%S')}  {short_name(change)}  {key[0]}  {key[1]}"
            print(clean(line).rstrip(), file=stream, flush=True)

    return tell


def _wait(
    cluster: Cluster, name: str, goal: Goal, limit: float, tell: Callable[[Change], None]
) -> tuple[Code, Change | None]:
    deadline = time.monotonic() + limit
    change: Change | None = None
    while True:
        try:
            change = _follow(cluster, name, change)
        except KubeError as error:
            # A server that has just started also refuses for a moment what it will grant: its roles are not read yet.
            passing = isinstance(error, Retryable if change else ServerUnavailable | TooManyRequests)
            if not passing or (change is None and time.monotonic() >= deadline):
                raise
        else:
            if change is not None:
                tell(change)
                code = outcome(change, goal)
                if code is not None:
                    return code, change
        left = deadline - time.monotonic()
        if left <= 0:
            return at_time_out(change), change
        time.sleep(min(POLL_SECONDS, left))


def _follow(cluster: Cluster, name: str, known: Change | None) -> Change | None:
    """The change asked for, as it is now. Of a Rollout that is held or released it is the attempt its hold names, also
    if the operator has yet to write that Change: an older one must not be taken for it."""
    if known is not None:
        return cluster.client.get(CHANGES, known.metadata.name, namespace=cluster.namespace, type=Change)
    rollout = _rollout(cluster, name)
    if rollout is None:
        return find_change(cluster, name)
    attempt = names.attempt_of(rollout.metadata.annotations.get(names.HOLD, ""))
    if not attempt:
        return find_change(cluster, name)
    try:
        return cluster.client.get(CHANGES, change_name(rollout, attempt), namespace=cluster.namespace, type=Change)
    except NotFound:
        return None


def _rollout(cluster: Cluster, name: str) -> Rollout | None:
    try:
        return cluster.client.get(ROLLOUTS, name, namespace=cluster.namespace, type=Rollout)
    except (NotFound, Forbidden):
        return None
    except ValueError as error:
        raise CommandError(f'"{name}" is no name; name a change or a Rollout') from error


def outcome(change: Change, goal: Goal) -> Code | None:
    """The exit code if the waiting is over."""
    phase = change.status.phase
    match phase:
        case Phase.COMPLETED:
            return Code.UNPROVEN if change.status.unproven and goal is Goal.COMPLETED else Code.DONE
        case Phase.DENIED | Phase.REJECTED:
            return Code.REFUSED
        case Phase.ROLLED_BACK:
            return Code.ROLLED_BACK
        case Phase.SUPERSEDED | Phase.ABANDONED:
            return Code.FAILED
        case Phase.CANARY | Phase.BAKING if goal is Goal.RELEASED:
            return Code.DONE
        case _:
            return None


def at_time_out(change: Change | None) -> Code:
    if change is None:
        return Code.TIME_OUT
    if change.status.phase in (Phase.CANARY, Phase.BAKING) and change.status.reason == UNPROVEN:
        return Code.UNPROVEN
    return Code.WAITING_FOR_PEOPLE if change.status.waiting_for else Code.TIME_OUT


def _why(code: Code, change: Change | None, name: str, goal: Goal, timeout: str) -> str:
    """One clause; the change's own sentence was told before."""
    if change is None:
        return f"{name} has no change after {timeout}; is the operator running? kubectl rollwarden status {name}"
    short = short_name(change)
    match code:
        case Code.WAITING_FOR_PEOPLE:
            return f"{short} still waits for {change.status.waiting_for} after {timeout}"
        case Code.TIME_OUT:
            return f"{short} is not {goal.value} after {timeout}; it is {spoken_phase(change)}"
        case Code.UNPROVEN:
            return f"{short} is not proven safe; it is {spoken_phase(change)}"
        case _:
            return f"{short} is {spoken_phase(change)}"
