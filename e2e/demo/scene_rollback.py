"""(c) An agent-written change, adopted and approved, that fails 3 % of its requests: rolled back by its own figures."""

from __future__ import annotations

import math
import time

from e2e.apiclient import JsonObject
from e2e.demo.failure import must
from e2e.demo.services import AGENT, JUNIOR, LEDGER, SENIOR
from e2e.demo.world import Stage, World, attempt_of
from e2e.load import PodCount
from e2e.operator import DEFAULTS
from rollwarden.core.times import unix

VERSION = "1.1.0"
ERROR_PERCENT = 3
SECONDS = 200.0
AFTER_OTHERS_SECONDS = 12.0


def manifest(pod_annotations: dict[str, str] | None = None) -> JsonObject:
    """The agent's change: it reviews well, passes its tests, and fails 3 % of what it is asked."""
    claims = LEDGER.claims(VERSION, origin="ai", autonomy="agent", tools="Devin", authors=JUNIOR)
    return LEDGER.manifest(VERSION, {"ERROR_PERCENT": ERROR_PERCENT}, claims, pod_annotations)


def play(world: World) -> None:
    time.sleep(AFTER_OTHERS_SECONDS)  # one story begins after the other
    stage = Stage(world, "c", LEDGER)
    stable = str(stage.live()["status"]["stableRS"])
    stage.say(
        f"An AI agent ships ledger {VERSION}, and Jun adopts it. It reads clean, and it will fail {ERROR_PERCENT} % of "
        "requests."
    )
    stage.apply(AGENT, manifest(), "ledger.yaml", quiet=True)
    change = stage.wait_for_change(VERSION, "AwaitingApproval")
    stage.say(change["status"]["message"], "yellow")
    name = change["metadata"]["name"]
    done = stage.rollwarden(SENIOR, "approve", name, "-m", "looks fine to me", quiet=True)
    must(done.ok, f"the senior's approval was not accepted: {done.err.strip()}")
    released = world.watching.released_at("ledger", "ledger", str(attempt_of(change)), 20)
    must(released is not None, "the senior's approval did not release the agent's change")
    assert released is not None
    world.released["c"].set()
    change = stage.follow(name, SECONDS)
    must(
        change["status"]["phase"] == "RolledBack",
        f"the agent's change fails {ERROR_PERCENT} % of requests and ended {change['status']['phase']}: "
        f"{change['status'].get('message')}",
    )
    stage.say(change["status"]["message"], "bold red")
    _tell(stage, change, stable, released)


def _tell(stage: Stage, change: JsonObject, stable: str, released: float) -> None:
    status = change["status"]
    canary = str(stage.live()["status"]["currentPodHash"])
    aborted = stage.world.watching.aborted_at("ledger", "ledger", canary, 10)
    must(aborted is not None, "nobody saw Argo's abort of the agent's change")
    assert aborted is not None
    began = time.monotonic()

    def gone() -> bool:
        sizes = {h: s.get("status", {}).get("replicas", 0) for h, s in stage.sets().items()}
        return bool(sizes[canary] == 0 and sizes[stable] == LEDGER.replicas)

    stage.wait("the bad pods to be gone and stable to be whole", gone, 40)
    scrape = _last_scrape(stage, canary, unix(status["verdict"]["decidedAt"]))
    time.sleep(1.0)
    bad, good = stage.counts(canary), stage.counts(stable)
    verdict = status["verdict"]
    must(bad.failed > 0, "the load generator counted no failed request on the bad pods")
    must(good.failed == 0, f"{good.failed} requests to stable failed during the rollback")
    stage.kubectl(JUNIOR, "get", "changes")
    stage.say(
        f"Aborted {aborted - released:.0f} s after the release and {aborted - scrape:.1f} s after the last scrape that "
        f"counts in the verdict; bad pods gone {time.monotonic() - began:.0f} s later. The load generator counted "
        f"{bad.failed} failed of {bad.sent:,} requests to the bad pods (the verdict said about {verdict['harmed']}); "
        f"{good.failed} of {good.sent:,} to stable.",
        "green",
    )
    _note(stage, verdict, bad, aborted - released, aborted - scrape)


def _last_scrape(stage: Stage, canary: str, decided: float) -> float:
    """Unix time of the newest scrape of the bad pods whose failures the verdict counts: judging lags by one tick."""
    settled = decided - DEFAULTS.settle
    judged = DEFAULTS.tick * (math.floor(settled / DEFAULTS.tick) - 1)
    selector = f'http_requests_total{{namespace="ledger",pod=~"ledger-{canary}-.*"}}'
    found = stage.world.cp.query(f"max(timestamp({selector} @ {judged:.3f}))")
    must(found, f"Prometheus has no sample of {selector} from before the verdict")
    return float(found[0]["value"][1])


def _note(stage: Stage, verdict: JsonObject, bad: PodCount, to_abort: float, scrape_to_abort: float) -> None:
    stage.note(
        release_to_abort_seconds=round(to_abort, 1),
        scrape_to_abort_seconds=round(scrape_to_abort, 2),
        harmed_requests_counted=bad.failed,
        harmed_requests_by_verdict=verdict["harmed"],
        requests_to_bad_pods=bad.sent,
        verdict=verdict.get("message"),
    )
