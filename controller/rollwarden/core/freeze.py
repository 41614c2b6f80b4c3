"""Freezes: when the windows are open in which nothing new is released.

A window opens at each time of its cron schedule, by the clock of its time zone, and stays open for a length of time
that passes: over a change of clocks it ends an hour earlier or later by the clock. As with Debian's cron, a time that
the change skips comes right after it, and one that it repeats comes once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ..api.change import Freeze
from ..api.policy import FreezeWindow
from .times import seconds

LONGEST_SECONDS = 366 * 86400
FOLLOWED = 400
"""As many windows that join one another are followed to their common end; a longer row is followed on from there."""
_MACHINE_TIME = "localtime"
_SOME_DAY = 1_767_225_600.0  # 2026-01-01, where the search for an end begins; which day it is does not matter
_MOST_WINDOWS = 10_000


@dataclass(frozen=True, slots=True)
class Window:
    """One time of a freeze, in Unix seconds; the end is the first moment outside."""

    freeze: Freeze
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """Open windows joined to their common end: the freezes that reach it, each once, the last of them at the end."""

    freezes: tuple[Freeze, ...]
    until: float


def required(rule: str, windows: Iterable[FreezeWindow]) -> tuple[Freeze, ...]:
    """The freezes of one rule of an accepted policy."""
    return tuple(
        Freeze(
            rule=rule,
            name=one.name,
            schedule=one.schedule,
            duration=int(seconds(one.duration)),
            time_zone=one.time_zone,
        )
        for one in windows
    )


def frozen(freezes: Iterable[Freeze], now: float) -> Frozen | None:
    """Until when nothing new is released; None where no window is open."""
    known = tuple(freezes)
    met: dict[Freeze, None] = {}
    until = now
    for _ in range(FOLLOWED):
        last = max(_open(known, until), key=lambda window: window.end, default=None)
        if last is None:
            break
        met.pop(last.freeze, None)
        met[last.freeze] = None
        until = last.end
    return Frozen(tuple(met), until) if met else None


def current_or_next(freeze: Freeze, now: float) -> Window | None:
    """The window that is open, else the one that opens next."""
    start = _last_start(freeze, now)
    if start is None or start + freeze.duration <= now:
        start = _next_start(freeze, now)
    return None if start is None else Window(freeze, start, start + freeze.duration)


def next_turn(freezes: Iterable[Freeze], now: float) -> float | None:
    """When the first of them opens or closes next."""
    windows = [window for freeze in freezes if (window := current_or_next(freeze, now)) is not None]
    return min((w.end if w.start <= now else w.start for w in windows), default=None)


def spoken_freeze(found: Frozen) -> str:
    """``freeze "year-end" to end Mon 5 Jan 08:00 CET``: what a change waits for."""
    names = dict.fromkeys(f'"{freeze.name}"' for freeze in found.freezes)
    end = spoken_at(found.until, found.freezes[-1].time_zone)
    return f"freeze{'s' if len(names) > 1 else ''} {' and '.join(names)} to end {end}"


def spoken_at(at: float, time_zone: str) -> str:
    """``Mon 5 Jan 08:00 CET``."""
    local = datetime.fromtimestamp(at, ZoneInfo(time_zone))
    return f"{local:%a} {local.day} {local:%b %H:%M %Z}"


@lru_cache(maxsize=4096)
def flaw(window: FreezeWindow) -> tuple[str, str] | None:
    """The field that cannot be used, and what to write; None where the freeze makes sense."""
    try:
        CronSim(_five(window.schedule), datetime.fromtimestamp(_SOME_DAY, ZoneInfo("UTC")))
    except CronSimError as error:
        known = "write minute, hour, day, month and weekday, for example 0 18 * * 5"
        return "schedule", f'is "{window.schedule}", which is no cron schedule ({str(error).lower()}); {known}'
    if not _is_zone(window.time_zone):
        return "timeZone", f'is "{window.time_zone}", which is no time zone; write one such as Europe/Berlin or UTC'
    if not 1 <= seconds(window.duration) <= LONGEST_SECONDS:
        return "duration", f"is {window.duration}; write at least 1s and at most 8784h (366 days), for example 60h"
    (freeze,) = required("-", [window])
    if _next_start(freeze, _SOME_DAY) is None:
        return "schedule", f'is "{window.schedule}", which never comes; write a day that there is'
    if _never_ends(freeze):
        return "duration", f"is {window.duration}, so that its windows leave no time between them; use deny for never"
    return None


def _open(freezes: tuple[Freeze, ...], at: float) -> Iterable[Window]:
    for freeze in freezes:
        start = _last_start(freeze, at)
        if start is not None and at < start + freeze.duration:
            yield Window(freeze, start, start + freeze.duration)


def _last_start(freeze: Freeze, at: float) -> float | None:
    """The last time of the schedule that is not after ``at``."""
    zone = ZoneInfo(freeze.time_zone)
    backwards = CronSim(_five(freeze.schedule), datetime.fromtimestamp(int(at) + 1, zone), reverse=True)
    found = next((t for t in backwards if t.timestamp() <= at), None)
    # Backwards, the clock's reading alone says where to begin; in an hour that comes twice that may be too early.
    while found is not None:
        later = next(CronSim(_five(freeze.schedule), found), None)
        if later is None or not found.timestamp() < later.timestamp() <= at:
            return found.timestamp()
        found = later
    return None


def _next_start(freeze: Freeze, at: float) -> float | None:
    forwards = CronSim(_five(freeze.schedule), datetime.fromtimestamp(int(at), ZoneInfo(freeze.time_zone)))
    return next((t.timestamp() for t in forwards if t.timestamp() > at), None)


def _never_ends(freeze: Freeze) -> bool:
    """Its windows join one another for more than a year."""
    begin = _next_start(freeze, _SOME_DAY)
    until = begin
    for _ in range(_MOST_WINDOWS):
        if begin is None or until is None or until - begin > LONGEST_SECONDS:
            break
        last = next(iter(_open((freeze,), until)), None)
        if last is None:
            return False
        until = last.end
    return begin is not None and until is not None and until - begin > LONGEST_SECONDS


def _five(schedule: str) -> str:
    """The library takes a sixth field, of seconds, which is none of a schedule's."""
    if len(schedule.split()) != 5:
        raise CronSimError("Not five fields")
    return schedule


def _is_zone(name: str) -> bool:
    if name == _MACHINE_TIME:
        return False
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        return False
    return True
