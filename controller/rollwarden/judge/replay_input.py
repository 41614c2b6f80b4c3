"""Recorded counters: JSON Lines to rows, rows to the grid ticks a live judge would have seen.

Every nonsense row is a `ReplayInputError` that names its line; nothing is skipped but blank lines.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rollwarden.judge.counters import Arm, PodCounter, Tick

DEFAULT_TICK_SECONDS = 15.0
MOST_UNANSWERED = 3
"""A longer hole in the recording is still only this many unanswered ticks; three already make the judge hold."""


class ReplayInputError(Exception):
    """The recording cannot be replayed: which line (None: the whole file or the options), what, and what to do."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(message if line is None else f"line {line}: {message}")


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One sample: cumulative `total` and `bad` (None: no bad-series) of one pod at `t` seconds; `weight` as given."""

    line: int
    t: float
    arm: Arm
    pod: str
    indicator: str
    total: float
    bad: float | None
    weight: float | None = None
    load: float | None = None


@dataclass(frozen=True, slots=True)
class GridTick:
    """One grid tick of every indicator, and the canary's weight (a share) where it was recorded."""

    ticks: Mapping[str, Tick]
    number: int
    time: float
    weight: float | None
    canary_pods: int


@dataclass(frozen=True, slots=True)
class Recording:
    """Grid ticks in order, and the interval they are on."""

    tick_seconds: float
    indicators: tuple[str, ...]
    ticks: tuple[GridTick, ...]


def parse_rows(lines: Iterable[str]) -> tuple[ReplayRow, ...]:
    """The rows of a JSON Lines file, in the order of their time. Raises ReplayInputError at the first nonsense row."""
    rows = [_row(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise ReplayInputError("there are no rows; give one JSON object a line, as the replay how-to shows")
    seen: dict[tuple[float, str, str, str], int] = {}
    for row in rows:
        key = (row.t, row.arm, row.pod, row.indicator)
        if key in seen:
            sample = f"{row.indicator} of {row.arm} pod {row.pod} at t={row.t:g}"
            raise ReplayInputError(f"{sample} is already on line {seen[key]}; keep one of the two", row.line)
        seen[key] = row.line
    return tuple(sorted(rows, key=lambda row: (row.t, row.arm, row.pod, row.indicator)))


def to_grid(rows: Sequence[ReplayRow]) -> Recording:
    """Lay the rows on a grid of their own scrape interval, each pod with its latest sample at grid time."""
    seconds = _interval(rows)
    first: dict[tuple[str, str, str], ReplayRow] = {}
    for row in rows:
        first.setdefault((row.arm, row.pod, row.indicator), row)
    start = rows[0].t
    # Pods are scraped at offsets of their own: the grid begins when every pod that was there from the first had its
    # first sample, so that none of them looks newly born.
    origin = max(row.t for row in first.values() if row.t < start + seconds)
    grouped: dict[int, list[ReplayRow]] = {}
    for row in rows:
        grouped.setdefault(max(0, math.ceil((row.t - origin) / seconds - 1e-6)), []).append(row)
    baseline = {(row.arm, row.pod, row.indicator): row for row in reversed(grouped.get(0, []))}
    grouped[0] = list(baseline.values())
    indicators = tuple(sorted({row.indicator for row in rows}))
    shares = _weights_are_shares(rows)
    ticks: list[GridTick] = []
    for index in sorted(grouped):
        missing = range(ticks[-1].number + 1, index) if ticks else range(0)
        ticks.extend(_hole(number, origin, seconds, indicators) for number in missing[:MOST_UNANSWERED])
        ticks.append(_grid_tick(index, origin + index * seconds, grouped[index], indicators, shares))
    return Recording(seconds, indicators, tuple(ticks))


def _row(number: int, line: str) -> ReplayRow:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ReplayInputError(f"this is no JSON ({error.msg})", number) from error
    if not isinstance(value, dict):
        raise ReplayInputError("this is no JSON object", number)
    if value.get("arm") not in ("canary", "stable"):
        raise ReplayInputError(f'"arm" is {value.get("arm")!r}; it must be "canary" or "stable"', number)
    row = ReplayRow(
        number,
        _number(value, "t", number),
        cast(Arm, value["arm"]),
        _name(value, "pod", number),
        _name(value, "indicator", number),
        _number(value, "total", number),
        _optional(value, "bad", number),
        _optional(value, "weight", number),
        _optional(value, "load", number),
    )
    _check(row)
    return row


def _check(row: ReplayRow) -> None:
    bad = 0.0 if row.bad is None else row.bad
    if row.total < 0.0 or bad < 0.0:
        raise ReplayInputError(f"total {row.total:g} and bad {bad:g}; counters are never negative", row.line)
    if bad > row.total:
        raise ReplayInputError(f"{bad:g} bad of {row.total:g} requests; bad must be a part of total", row.line)
    if row.weight is not None and not 0.0 <= row.weight <= 100.0:
        raise ReplayInputError(f'"weight" is {row.weight:g}; it must be between 0 and 100', row.line)


def _name(value: Mapping[str, Any], key: str, number: int) -> str:
    name = value.get(key)
    if not isinstance(name, str) or not name:
        raise ReplayInputError(f'"{key}" is {name!r}; it must be a name', number)
    return name


def _number(value: Mapping[str, Any], key: str, number: int) -> float:
    if key not in value:
        raise ReplayInputError(f'"{key}" is missing', number)
    found = value[key]
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ReplayInputError(f'"{key}" is {found!r}; it must be a number', number)
    if not _is_finite(found):
        raise ReplayInputError(f'"{key}" is {found}; it must be finite', number)
    return float(found)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer of more than 308 digits
        return False


def _optional(value: Mapping[str, Any], key: str, number: int) -> float | None:
    return None if value.get(key) is None else _number(value, key, number)


def _interval(rows: Sequence[ReplayRow]) -> float:
    """The larger of both arms' median scrape interval, in whole seconds where it nearly is; 15 s where unknown."""
    last: dict[tuple[str, str, str], float] = {}
    gaps: dict[str, list[float]] = {}
    for row in rows:
        series = (row.arm, row.pod, row.indicator)
        if series in last:
            gaps.setdefault(row.arm, []).append(row.t - last[series])
        last[series] = row.t
    medians = [sorted(found)[len(found) // 2] for found in gaps.values()]
    if not medians:
        return DEFAULT_TICK_SECONDS
    interval = max(medians)
    whole = float(round(interval))
    return whole if whole > 0.0 and abs(interval - whole) <= 0.1 * whole else interval


def _weights_are_shares(rows: Sequence[ReplayRow]) -> bool:
    """Weights are Argo's percent unless none is above 1 and one is a fraction."""
    weights = [row.weight for row in rows if row.weight is not None]
    return any(weight % 1.0 for weight in weights) and max(weights) <= 1.0


def _hole(number: int, origin: float, seconds: float, indicators: tuple[str, ...]) -> GridTick:
    time = origin + number * seconds
    return GridTick({name: Tick.unanswered(number, time) for name in indicators}, number, time, None, 0)


def _grid_tick(
    number: int, time: float, rows: Sequence[ReplayRow], indicators: tuple[str, ...], shares: bool
) -> GridTick:
    latest: dict[tuple[str, str, str], ReplayRow] = {}
    for row in rows:
        latest[(row.indicator, row.arm, row.pod)] = row
    ticks: dict[str, Tick] = {}
    for name in indicators:
        own = [row for row in latest.values() if row.indicator == name]
        canary = tuple(_counter(row) for row in own if row.arm == "canary")
        stable = tuple(_counter(row) for row in own if row.arm == "stable")
        ticks[name] = Tick(number, time, canary, stable) if own else Tick.unanswered(number, time)
    weights = [row.weight for row in sorted(rows, key=lambda row: row.t) if row.weight is not None]
    weight = None if not weights else weights[-1] if shares else weights[-1] / 100.0
    return GridTick(ticks, number, time, weight, len({row.pod for row in rows if row.arm == "canary"}))


def _counter(row: ReplayRow) -> PodCounter:
    # The arm is part of the name: a recording may number each arm's pods from 0.
    return PodCounter(f"{row.arm}/{row.pod}", row.total, row.bad)
