"""From single runs to figures: shares with Wilson intervals, medians of delay and harm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Run:
    """One run of one contender. `delay` is from the fault to the rollback; `harmed` is the expected number of
    requests that failed for the canary's sake up to the rollback, or within the hour."""

    rolled_back: bool
    promoted: bool
    delay: float | None
    harmed: float


def wilson(count: int, runs: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z = NormalDist().inv_cdf(0.5 + 0.5 * CONFIDENCE)
    share = count / runs
    middle = (share + z * z / (2.0 * runs)) / (1.0 + z * z / runs)
    half = z / (1.0 + z * z / runs) * math.sqrt(share * (1.0 - share) / runs + z * z / (4.0 * runs * runs))
    return max(0.0, middle - half), min(1.0, middle + half)


def quantile(values: Sequence[float], level: float) -> float:
    """The smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(level * len(ordered)) - 1)]


def share_of(count: int, runs: int) -> dict[str, Any]:
    """A count with its share and interval, as JSON values."""
    low, high = wilson(count, runs)
    return {"count": count, "share": round(count / runs, 4), "low": round(low, 4), "high": round(high, 4)}


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """One contender in one scenario, as JSON values. A bad change rolled back after it was promoted counts as both."""
    delays = [run.delay for run in runs if run.delay is not None]
    harmed = [run.harmed for run in runs]
    return {
        "runs": len(runs),
        "rolledBack": share_of(sum(run.rolled_back for run in runs), len(runs)),
        "promoted": share_of(sum(run.promoted for run in runs), len(runs)),
        "medianDelaySeconds": quantile(delays, 0.5) if delays else None,
        "p90DelaySeconds": quantile(delays, 0.9) if delays else None,
        "meanHarmed": round(math.fsum(harmed) / len(harmed), 1),
        "medianHarmed": round(quantile(harmed, 0.5), 1),
    }
