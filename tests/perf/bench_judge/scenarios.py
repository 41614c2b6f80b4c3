"""The scenarios: good changes (a rollback is false) and bad ones (anything else is a miss)."""

import math

from tests.judge.simulator import Rate, constant, step_at
from tests.perf.bench_judge.world import Scenario, Step

MOVING = (Step(0.0, 0.01, 2), Step(900.0, 0.05, 2), Step(1800.0, 0.25, 3), Step(2700.0, 0.5, 6))


def _swing(mean: float, depth: float, period: float = 3600.0) -> Rate:
    """A sine around `mean` that starts at its lowest."""
    return lambda time: mean * (1.0 - depth * math.cos(2.0 * math.pi * time / period))


def _late(time: float, _: float) -> float:
    return 0.049 if time >= 2400.0 else 0.0


def _every_ten_minutes(time: float, _: float) -> float:
    """A minute of 20 % in every ten, the first at minute 5."""
    return 0.2 if 300.0 <= time % 600.0 < 360.0 else 0.0


def _leak(time: float, _: float) -> float:
    return 0.04 * time / 3600.0


def _race(_: float, load: float) -> float:
    return 0.05 if load > 1.3 else 0.0


_INCIDENT = step_at(1202.0, 0.001, 0.05, 1502.0)

GOOD = (
    Scenario("aa", "independent errors, 0.5 %"),
    Scenario("aa-rare", "independent errors, 0.1 %", stable=constant(0.001), objective=99.9),
    Scenario("aa-half", "independent errors, half of the traffic", steps=(Step(0.0, 0.5, 6),)),
    Scenario("aa-low", "2 rps, 10 %, errors 0.1 %", stable=constant(0.001), objective=99.9, rps=2.0,
             steps=(Step(0.0, 0.1, 1),)),
    Scenario("aa-high", "5,000 rps, 5 %, errors 0.1 %", stable=constant(0.001), objective=99.9, rps=5000.0),
    Scenario("aa-bursts", "bursts: clusters of mean 5", cluster=5.0, cold=True),
    Scenario("aa-hawkes", "Hawkes clusters, branching 0.8, 20 s", hawkes=0.8, cold=True),
    Scenario("aa-pods", "pods differ: cv 0.5", cv=0.5, cold=True),
    Scenario("aa-pods-wide", "pods differ widely: cv 0.8", cv=0.8, cold=True),
    Scenario("aa-diurnal", "load and errors swing by half, weights 1→5→25→50 %", stable=_swing(0.005, 0.5),
             load=_swing(1.0, 0.5), steps=MOVING),
    Scenario("aa-incident", "incident common to both arms: 5 % for 5 min, 1,000 rps at 25 %", stable=_INCIDENT,
             objective=99.9, rps=1000.0, steps=(Step(0.0, 0.25, 3),)),
    Scenario("aa-incident-moving", "the same incident at 100 rps, weights 1→5→25→50 %", stable=_INCIDENT,
             objective=99.9, steps=MOVING),
    Scenario("aa-loss", "a tenth of scrapes and of queries lost", lost_scrapes=0.1, unanswered=0.1),
    Scenario("aa-reset", "a pod restarts every 10 min", restart_seconds=600.0),
    Scenario("aa-slower", "canary 10 % slower", stable=constant(0.001), objective=99.0, slower=1.1),
)  # fmt: skip


def _bad(time: float, _: float) -> float:
    return 0.015


def _severe(time: float, _: float) -> float:
    return 0.049


def _broken(time: float, _: float) -> float:
    return 0.299


_RARE = constant(0.001)

BAD = (
    Scenario("small", "2 % against 0.5 %", excess=_bad),
    Scenario("severe", "5 % against 0.1 %", stable=_RARE, objective=99.9, excess=_severe),
    Scenario("broken", "30 % against 0.1 %", stable=_RARE, objective=99.9, excess=_broken),
    Scenario("severe-low", "2 rps, 10 %: 5 % against 0.1 %", stable=_RARE, objective=99.9, rps=2.0,
             steps=(Step(0.0, 0.1, 1),), excess=_severe),
    Scenario("small-high", "5,000 rps, 5 %: 0.6 % against 0.1 %", stable=_RARE, objective=99.9, rps=5000.0,
             excess=lambda _time, _load: 0.005),
    Scenario("bursty", "bursts of mean 5: 2 % against 0.5 %", cluster=5.0, excess=_bad),
    Scenario("hawkes", "Hawkes clusters: 5 % against 0.5 %", hawkes=0.8, excess=lambda _time, _load: 0.045),
    Scenario("pods", "pods differ (cv 0.5): 5 % against 0.5 %", cv=0.5, excess=lambda _time, _load: 0.045),
    Scenario("late", "5 % against 0.1 % from minute 40 on", stable=_RARE, objective=99.9, excess=_late,
             fault_at=2400.0),
    Scenario("intermittent", "20 % for one minute in ten", stable=_RARE, objective=99.9, excess=_every_ten_minutes,
             fault_at=300.0),
    Scenario("leak", "slow leak: 0.1 % growing to 4.1 % in the hour", stable=_RARE, objective=99.9, excess=_leak),
    Scenario("race", "race above 1.3 of the usual load, which swings by half", stable=_RARE, objective=99.9,
             load=_swing(1.0, 0.5), excess=_race, fault_at=1268.0),
    Scenario("moving", "2 % against 0.5 %, weights 1→5→25→50 %", steps=MOVING, excess=_bad),
    Scenario("loss", "5 % against 0.1 %, a tenth of scrapes and of queries lost", stable=_RARE, objective=99.9,
             lost_scrapes=0.1, unanswered=0.1, excess=_severe),
    Scenario("reset", "5 % against 0.1 %, a pod restarts every 10 min", stable=_RARE, objective=99.9,
             restart_seconds=600.0, excess=_severe),
    Scenario("incident", "5 % against 0.1 % from minute 25 on, after a common incident", stable=_INCIDENT,
             objective=99.9, excess=lambda time, _load: 0.049 if time >= 1500.0 else 0.0, fault_at=1500.0),
    Scenario("slow", "canary twice as slow", stable=_RARE, objective=99.0, slower=2.0),
)  # fmt: skip

ALL = (*GOOD, *BAD)
