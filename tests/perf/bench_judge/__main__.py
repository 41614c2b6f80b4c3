"""`python -m tests.perf.bench_judge [--runs N] [--quick] [--seed N] [--only KEY ...] [--report]`: see docs/judge.md.

One JSON file per scenario goes to build/bench-judge, each complete when written, so that a run that was stopped keeps
what it has. `--report` only writes the tables and pictures in docs/ from these files.
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

from tests.perf.bench_judge import report
from tests.perf.bench_judge.judged import Cost, judges_of, service_of
from tests.perf.bench_judge.peers import PEERS, Decision
from tests.perf.bench_judge.promotion import ORIGINS, TRAFFIC, promotion
from tests.perf.bench_judge.scenarios import ALL
from tests.perf.bench_judge.summary import Run, figures
from tests.perf.bench_judge.world import TICK_SECONDS, Row, Scenario, rows_of

RESULTS = Path("build/bench-judge")
QUICK_RUNS = 10
RUNS_PER_SERVICE = 10


def outcome(scenario: Scenario, decision: Decision, rows: list[Row]) -> Run:
    """What a decision came to; what happened before the fault is no delay."""
    at = decision.rolled_back_at
    row = rows[-1 if at is None else round(at / TICK_SECONDS)]
    delay = None if at is None or at < scenario.fault_at else at - scenario.fault_at
    return Run(at is not None, decision.promoted_at is not None, delay, row.harmed)


def measure(scenario: Scenario, runs: int, seed: int) -> dict[str, Any]:
    """All contenders on the same rows of one scenario."""
    services = [
        service_of(scenario, random.Random(f"{scenario.key} service {seed} {index}"))
        for index in range(max(1, runs // RUNS_PER_SERVICE))
    ]
    cost = Cost()
    outcomes: dict[str, list[Run]] = {}
    for index in range(runs):
        service = services[index % len(services)]
        rows = rows_of(scenario, random.Random(f"{scenario.key} {seed} {index}"), service.factors)
        for peer in PEERS:
            outcomes.setdefault(peer.name, []).append(outcome(scenario, peer.judge(scenario, rows), rows))
        for judge in judges_of(scenario):
            decision = judge.judge(scenario, service, rows, cost)
            outcomes.setdefault(judge.name, []).append(outcome(scenario, decision, rows))
    return {
        "key": scenario.key,
        "title": scenario.title,
        "good": scenario.good,
        "runs": runs,
        "seed": seed,
        "judgeMicroseconds": round(1e6 * cost.seconds / cost.ticks),
        "contenders": {name: figures(own) for name, own in outcomes.items()},
    }


def main() -> None:
    """Measure, one file per scenario, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", metavar="KEY", help="these scenarios, or promotion")
    parser.add_argument("--report", action="store_true", help="write docs/ from the results that are there")
    chosen = parser.parse_args()
    runs = QUICK_RUNS if chosen.quick else chosen.runs
    known = [scenario.key for scenario in ALL] + ["promotion"]
    wanted = chosen.only or known
    if unknown := sorted(set(wanted) - set(known)):
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(known)}")
    if runs < 1:
        parser.error(f"--runs is {runs}; it must be at least 1")
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not chosen.report:
        if "promotion" in wanted:
            _store("promotion", [promotion(origin, rps, runs, chosen.seed) for origin in ORIGINS for rps in TRAFFIC])
        for scenario in ALL:
            if scenario.key in wanted:
                _store(scenario.key, measure(scenario, runs, chosen.seed))
    report.write(RESULTS, Path("docs"), [scenario.key for scenario in ALL])


def _store(key: str, found: Any) -> None:
    (RESULTS / f"{key}.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"{time.strftime('%H:%M:%S')} {key}", flush=True)


if __name__ == "__main__":
    main()
