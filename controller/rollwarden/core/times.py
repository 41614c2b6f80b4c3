"""Durations and timestamps as Kubernetes writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .numerals import MOST_DIGITS, whole_number

_PART = re.compile(r"([0-9]{1,15})(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """``1h30m`` → 5400.0. ValueError when the text is not a duration in ms, s, m and h."""
    parts = _PART.findall(duration)
    if not parts or "".join(n + unit for n, unit in parts) != duration:
        raise ValueError(f'"{duration}" is not a duration; write it as 30s, 5m or 1h30m')
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def whole_seconds(duration: str) -> int:
    return round(seconds(duration))


def argo_seconds(value: object) -> float | None:
    """A pause's ``duration`` in Argo's form: a number of seconds, or a Go duration; None where it is neither."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 10**MOST_DIGITS else None
    text = str(value)
    number = whole_number(text)
    try:
        return float(number) if number is not None else seconds(text)
    except ValueError:
        return None


def timestamp(at: float) -> str:
    """Unix seconds → RFC 3339 in UTC with milliseconds, so that two events of one second keep their order."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def unix_or_never(text: object) -> float:
    """Seconds of a time that others wrote; 0, long ago, where it is none."""
    try:
        return unix(str(text))
    except ValueError:
        return 0.0


def spoken(span: float) -> str:
    """A length of time as people say it: 41 s, 12 min, 2 h 30 min, 3 days."""
    total = round(span)
    if total < 90:
        return f"{total} s"
    if total < 5400:
        return f"{round(total / 60)} min"
    if total < 48 * 3600:
        hours, minutes = divmod(round(total / 60), 60)
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{round(total / 86400)} days"
