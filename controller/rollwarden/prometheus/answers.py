"""Query answers as values: what Prometheus sent, with every sample either a finite number or said not to be one.

Pure: JSON in, values out. Samples travel as text ("NaN", "+Inf"); a native histogram has no number at all. None of them
is dropped or turned into 0 here, because a missing sample would read as "no errors".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollwarden.prometheus.errors import BadAnswerError

CHECK_API = "check that the address is a Prometheus API and not a page before it"
NATIVE_HISTOGRAM = "native histogram"


@dataclass(frozen=True, slots=True)
class NotANumber:
    """A sample that is not a finite number; `text` is what Prometheus wrote (NaN, +Inf), or NATIVE_HISTOGRAM."""

    text: str


Value = float | NotANumber


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an instant answer."""

    labels: Mapping[str, str]
    value: Value


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series of a range answer; points are (epoch seconds, value), ascending, gaps left out."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, Value], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An instant vector. `partial`: the server said that some of its stores did not answer."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """True if the answer came with warnings: not evidence for a promotion."""
        return bool(self.warnings)


@dataclass(frozen=True, slots=True)
class RangeAnswer:
    """A range matrix; `partial` as in Answer."""

    series: tuple[RangeSeries, ...]
    warnings: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """True if the answer came with warnings: not evidence for a promotion."""
        return bool(self.warnings)


def parse_value(text: object) -> Value:
    """A sample's text as a finite float or NotANumber; anything that is no number at all is NotANumber too."""
    try:
        number = float(str(text))
    except ValueError:
        return NotANumber(str(text)[:40])
    return number if math.isfinite(number) else NotANumber(str(text))


def read_vector(url: str, payload: Any) -> Answer:
    """The answer of an instant query. Raises BadAnswerError naming `url`."""
    try:
        series = tuple(Series(_labels(row), _sample(row)) for row in _result(url, payload, "vector"))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BadAnswerError(url, f"sent a series that cannot be read; {CHECK_API}") from error
    return Answer(series, _warnings(payload))


def read_matrix(url: str, payload: Any) -> RangeAnswer:
    """The answer of a range query. Raises BadAnswerError naming `url`."""
    try:
        series = tuple(RangeSeries(_labels(row), _points(row)) for row in _result(url, payload, "matrix"))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BadAnswerError(url, f"sent a series that cannot be read; {CHECK_API}") from error
    return RangeAnswer(series, _warnings(payload))


def _result(url: str, payload: Any, wanted: str) -> list[Any]:
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise BadAnswerError(url, f"answered without a result; {CHECK_API}")
    if data.get("resultType") != wanted:
        raise BadAnswerError(
            url, f"answered with a {data.get('resultType')} where a {wanted} was asked for; {CHECK_API}"
        )
    return list(data["result"])


def _warnings(payload: Any) -> tuple[str, ...]:
    warnings = payload.get("warnings") or []
    return tuple(map(str, warnings)) if isinstance(warnings, list) else (str(warnings),)


def _labels(row: Any) -> Mapping[str, str]:
    labels = row["metric"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("labels")
    return labels


def _sample(row: Any) -> Value:
    if "value" in row:
        return parse_value(row["value"][1])
    return NotANumber(NATIVE_HISTOGRAM) if "histogram" in row else NotANumber("no value")


def _points(row: Any) -> tuple[tuple[float, Value], ...]:
    points = [(float(at), parse_value(text)) for at, text in row.get("values", ())]
    points += [(float(at), NotANumber(NATIVE_HISTOGRAM)) for at, _ in row.get("histograms", ())]
    points.sort(key=lambda point: point[0])
    return tuple(points)
