"""One arm against the objective, for the bake: at weight 100 stable has no requests to compare with.

l_q = [e_c ln(q/p0) - n_c (q - p0)] / phi with p0 the highest rate that is nobody's fault. Under seasonal history this
is no exact e-process: it has its own alpha, and what it finds is a hold and a page. Only a burn that would spend a
month's error budget in two days is hard enough to roll back on.
"""

import math

from rollwarden.judge.eprocess import ROLLBACK_RATIOS

ALPHA_SHARE = 0.2
"""The one-arm test's own bound on false alarms, as a part of alpha."""

TOLERATED_BURN = 2.0
"""Budgets burned at once that are still nobody's fault; the same factor says that stable burns."""

FAST_BURN = 14.4
"""The burn rate that uses 2 % of a 30-day budget in one hour (the multiwindow alerts of the SRE workbook)."""

FAST_BURN_CEILING = 0.5
"""A budget so wide that 14.4 times it is more than this cannot be burned faster than half of all requests."""

FAST_BURN_ERRORS = 10.0
"""Fewer bad requests than this are no burn, whatever their rate."""


def tolerated_rate(objective: float, history_rate: float) -> float:
    """p0: twice the budget or the service's own high rate, whichever is more; below 1."""
    return min(0.5, max(TOLERATED_BURN * (1.0 - objective), history_rate, 1e-6))


def fast_burn_rate(objective: float) -> float:
    """The rate of bad requests that counts as a fast burn."""
    return min(FAST_BURN_CEILING, FAST_BURN * (1.0 - objective))


def log_increments(canary_total: float, canary_bad: float, p0: float, phi: float) -> tuple[float, ...]:
    """l_q for q = p0 times each ratio, with q no more than 1."""
    rates = [min(1.0, p0 * ratio) for ratio in ROLLBACK_RATIOS]
    return tuple((canary_bad * math.log(q / p0) - canary_total * (q - p0)) / phi for q in rates)
