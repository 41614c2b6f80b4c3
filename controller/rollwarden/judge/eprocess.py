"""The split e-process with a margin, after Lindon & Malek (NeurIPS 2022, arXiv 2011.03567) with observed exposure, and
the restart mixture after Shin, Ramdas, Rinaldo (arXiv 2203.03532).

H0 of the rollback: p_c(t) <= r p_s(t) + d at every t, with p_s(t) free to vary. For any split schedule that does not
look at the same tick's errors, E exp(l_g) <= 1 for independent requests, so P(E ever >= 1/alpha) <= alpha (Ville).
`phi` divides l_g where requests fail in clusters; the bound is then no theorem but a measured one.
Everything is in log space. What is not here: which tick counts (indicator.py), what follows (verdict.py).
"""

import math
from dataclasses import dataclass

from rollwarden.judge.numbers import log_sum

ROLLBACK_RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
"""How much worse than the margin the canary might be; each has weight 1/8."""

SAFETY_RATIOS = (0.001, 0.1, 0.25, 0.5, 0.75)
"""How much better than the margin the canary might be; each has weight 1/5."""

LATE_MASS = 0.1
"""The part of the restart mass that is kept for ticks after the planned ones."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Requests and bad requests of both arms over the same time; bad counts may be fractions (lagged rates)."""

    canary_total: float
    canary_bad: float
    stable_total: float
    stable_bad: float

    @property
    def informative(self) -> bool:
        """Whether both arms had requests: with one arm alone the split says nothing."""
        return self.canary_total > 0.0 and self.stable_total > 0.0


@dataclass(frozen=True, slots=True)
class Margin:
    """The tolerated ratio `r`, the tolerated excess `d` (a rate) and the dispersion `phi` (>= 1)."""

    r: float
    d: float
    phi: float


def log_increments(ratios: tuple[float, ...], seen: Exposure, margin: Margin) -> tuple[float, ...]:
    """l_g for each ratio: [e_c a + e_s b - d n_c (e^a - 1)] / phi; zeros where the tick is not informative."""
    if not seen.informative:
        return (0.0,) * len(ratios)
    canary = margin.r * seen.canary_total
    stable = seen.stable_total
    both = canary + stable
    values: list[float] = []
    for ratio in ratios:
        tilted = ratio * canary + stable
        grown = ratio * both / tilted
        log_likelihood = seen.canary_bad * math.log(grown) + seen.stable_bad * math.log(both / tilted)
        values.append((log_likelihood - margin.d * seen.canary_total * (grown - 1.0)) / margin.phi)
    return tuple(values)


@dataclass(frozen=True, slots=True)
class Mixture:
    """State of a rollback process: informative ticks so far, log M_g (restarts) and log L_g (since the start)."""

    ticks: int
    log_m: tuple[float, ...]
    log_l: tuple[float, ...]


def new_mixture() -> Mixture:
    """A process with no tick yet; its evidence is 1."""
    size = len(ROLLBACK_RATIOS)
    return Mixture(0, (-math.inf,) * size, (0.0,) * size)


def advance(mixture: Mixture, increments: tuple[float, ...], planned_ticks: int) -> Mixture:
    """M_g <- (M_g + h) exp(l_g), L_g <- L_g + l_g."""
    log_h = math.log(_restart_mass(mixture.ticks + 1, planned_ticks))
    return Mixture(
        mixture.ticks + 1,
        tuple(log_sum((m, log_h)) + step for m, step in zip(mixture.log_m, increments, strict=True)),
        tuple(value + step for value, step in zip(mixture.log_l, increments, strict=True)),
    )


def log_evidence(mixture: Mixture, planned_ticks: int) -> float:
    """log E = log( 1/2 sum w_g [M_g + mass not yet used] + 1/2 sum w_g exp(L_g) )."""
    unused = math.log(_unused_mass(mixture.ticks, planned_ticks))
    terms = (*mixture.log_m, *mixture.log_l, *([unused] * len(mixture.log_m)))
    return log_sum(terms) - math.log(2.0 * len(mixture.log_m))


def log_uniform_mixture(log_values: tuple[float, ...]) -> float:
    """log of the mean of exp(L_g): a process without restarts, as safety and recent windows use."""
    return log_sum(log_values) - math.log(len(log_values))


def _restart_mass(tick: int, planned_ticks: int) -> float:
    if tick <= planned_ticks:
        return (1.0 - LATE_MASS) / planned_ticks
    late = tick - planned_ticks
    return LATE_MASS / (late * (late + 1))


def _unused_mass(ticks: int, planned_ticks: int) -> float:
    if ticks <= planned_ticks:
        return 1.0 - (1.0 - LATE_MASS) * ticks / planned_ticks
    return LATE_MASS / (ticks - planned_ticks + 1)
