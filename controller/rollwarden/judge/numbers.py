"""Floats as short strings and sums in log space. A checkpoint must survive JSON exactly, infinities included."""

import math
from collections.abc import Iterable

LARGEST_EVIDENCE = 1e300
"""Evidence on the natural scale is capped here, so that it stays a finite number in JSON."""


def encode(value: float) -> str:
    """The shortest text that reads back as exactly this float; whole numbers lose their ``.0``."""
    return repr(float(value)).removesuffix(".0")


def decode(text: str) -> float:
    """The float that `encode` wrote. Raises ValueError on anything that is not a number, NaN included."""
    value = float(text)
    if math.isnan(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def log_sum(values: Iterable[float]) -> float:
    """log(sum(exp(v))), stable for any size; minus infinity for no values."""
    terms = tuple(values)
    largest = max(terms, default=-math.inf)
    if math.isinf(largest):
        return largest
    return largest + math.log(sum(math.exp(term - largest) for term in terms))


def natural(log_value: float) -> float:
    """exp(log_value), capped at LARGEST_EVIDENCE."""
    return math.exp(log_value) if log_value < math.log(LARGEST_EVIDENCE) else LARGEST_EVIDENCE
