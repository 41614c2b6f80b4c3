"""Freezes in what ``explain`` prints: which are on, and when each of the others comes next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from rollwarden.api.change import Freeze
from rollwarden.cli.session import facts, heading
from rollwarden.core.freeze import Window, current_or_next, spoken_at
from rollwarden.core.times import spoken, timestamp


def coming(freezes: Iterable[Freeze], now: float) -> list[Window]:
    """The window of each freeze that is open or comes next, the earliest first."""
    found = [window for freeze in freezes if (window := current_or_next(freeze, now)) is not None]
    return sorted(found, key=lambda window: (window.start, window.freeze.name))


def freezes_data(freezes: Iterable[Freeze], now: float) -> list[dict[str, Any]]:
    return [
        {
            "name": window.freeze.name,
            "rule": window.freeze.rule,
            "schedule": window.freeze.schedule,
            "duration": window.freeze.duration,
            "timeZone": window.freeze.time_zone,
            "open": window.start <= now,
            "start": timestamp(window.start),
            "end": timestamp(window.end),
        }
        for window in coming(freezes, now)
    ]


def show_freezes(console: Console, freezes: Iterable[Freeze], now: float) -> None:
    windows = coming(freezes, now)
    if windows:
        console.print(heading("Freezes"))
        console.print(facts((f'"{window.freeze.name}"', _spoken(window, now)) for window in windows))


def _spoken(window: Window, now: float) -> str:
    zone, rule = window.freeze.time_zone, f'rule "{window.freeze.rule}"'
    end = spoken_at(window.end, zone)
    if window.start <= now:
        return f"on now, to {end} ({rule})"
    lasting = spoken(window.end - window.start)
    return f"next in {spoken(window.start - now)}: {spoken_at(window.start, zone)} to {end}, {lasting} ({rule})"
