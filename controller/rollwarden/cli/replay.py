"""``replay``: what the judge would have said about recorded counters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rollwarden.cli.errors import InputError
from rollwarden.cli.session import Output, Session, heading, listing, stdout, styled, with_session
from rollwarden.cli.yamlfile import STDIN
from rollwarden.core.times import spoken

_STYLES = {"rollback": "bold red", "promote": "bold green", "hold": "bold yellow"}


def _replay(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON Lines of counters, or - for stdin.")],
    origin: Annotated[str, typer.Option(help="ai, human, unknown or automation.")] = "unknown",
    criticality: Annotated[str, typer.Option(help="low, medium, high or critical.")] = "medium",
    slo: Annotated[float, typer.Option(help="The objective, in percent of good requests.")] = 99.0,
    planned_seconds: Annotated[
        float | None, typer.Option(help="How long the canary is to last; the default judges the whole recording.")
    ] = None,
) -> None:
    """Judge a recording as a live change would have been judged.

    Each line: {"t": seconds, "arm": "canary"|"stable", "pod", "indicator", "total", "bad"}, cumulative counters.
    """
    from rollwarden.judge.replay import ReplayOptions, replay
    from rollwarden.judge.replay_input import ReplayInputError, parse_rows

    name = "stdin" if file == STDIN else file
    options = ReplayOptions(origin=origin, criticality=criticality, slo_percent=slo, planned_seconds=planned_seconds)
    try:
        result = replay(parse_rows(_lines(file, name)), options)
    except ReplayInputError as error:
        raise InputError(name, str(error)) from error
    if session.output is Output.TABLE:
        _show(stdout(), name, result)
    else:
        session.write(result)


replay_command = with_session(_replay, cluster=False)


def _lines(file: str, name: str) -> list[str]:
    try:
        text = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise InputError(name, f"cannot be read ({error.strerror}); name a file of JSON Lines") from error
    try:
        return text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(name, f"is not UTF-8 text (byte {error.start}); name a file of JSON Lines") from error


def _show(console: Console, name: str, result: dict[str, Any]) -> None:
    verdict = str(result["verdict"])
    at = result["decided_at"]
    when = f" at t={at:g}" if at is not None else ""
    console.print(styled(f"{verdict}{when}", _STYLES.get(verdict, "bold")))
    console.print(styled(f"{name}: {result['detail']} ({result['reason']}); about {result['harm']:,} requests harmed"))
    if result["indicators"]:
        console.print(heading("Indicators"))
        table = listing("INDICATOR", "CANARY", "STABLE", "PROOF")
        for own, found in result["indicators"].items():
            table.add_row(styled(own), _rate(found["canary"]), _rate(found["stable"]), _proof(found))
        console.print(table)


def _rate(counts: dict[str, float]) -> str:
    requests, bad = counts["requests"], counts["bad"]
    share = f" ({100 * bad / requests:.2g} %)" if requests else ""
    return f"{bad:,.0f} of {requests:,.0f} bad{share}"


def _proof(found: dict[str, Any]) -> str:
    if found["passed"]:
        return "shown safe"
    needed = found["needed"]
    if needed is None:
        return "not shown"
    eta = f", about {spoken(found['eta_seconds'])} more" if found["eta_seconds"] else ""
    return f"needs about {needed:,.0f} requests{eta}"
