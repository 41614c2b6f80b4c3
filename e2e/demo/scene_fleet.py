"""(f) How much longer does a change take that needs nothing? 100 of them, over ten Rollouts without pods."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from e2e.apiclient import JsonObject
from e2e.demo.failure import must
from e2e.demo.services import CI, FLEET, PREFIX, PROVENANCE
from e2e.demo.world import World
from e2e.manifests import rollout

ROLLOUTS = 10
ROUNDS = 10
PACE_SECONDS = 9.0
AFTER_OTHERS_SECONDS = 20.0
RELEASE_SECONDS = 60.0
PATH = f"/apis/argoproj.io/v1alpha1/namespaces/{FLEET}/rollouts"


def member(number: int, version: int) -> JsonObject:
    """A low-criticality Rollout without pods, changed by a person."""
    name = f"worker-{number}"
    image = f"registry.example.com/{name}:{version}"
    claims = {
        PREFIX + "criticality": "low",
        PROVENANCE + "origin": "human",
        PROVENANCE + "subject": image,
    }
    return rollout(FLEET, name, 0, [{"setWeight": 50}], image, annotations=claims)


def play(world: World) -> None:
    time.sleep(AFTER_OTHERS_SECONDS)
    with ThreadPoolExecutor(ROLLOUTS, thread_name_prefix="fleet") as pool:
        measured = [delay for each in pool.map(lambda n: _changes_of(world, n), range(ROLLOUTS)) for delay in each]
    must(len(measured) == ROLLOUTS * ROUNDS, f"only {len(measured)} of {ROLLOUTS * ROUNDS} changes were released")
    ordered = sorted(measured)
    middle, p99 = median(ordered), ordered[math.ceil(0.99 * len(ordered)) - 1]
    world.tell.say(
        f"Meanwhile {len(ordered)} changes that need nothing went through {ROLLOUTS} other Rollouts. From apply to "
        f"release: median {1000 * middle:.0f} ms, p99 {1000 * p99:.0f} ms, the API server's own time included.",
        "f",
        "green",
    )
    world.figures["added_delay_seconds"] = {
        "changes": len(ordered),
        "median": round(middle, 3),
        "p99": round(p99, 3),
        "longest": round(ordered[-1], 3),
    }


def _changes_of(world: World, number: int) -> list[float]:
    """Seconds from the request to the release of each round's change, as a watch saw it."""
    client = world.cp.access.client(CI)
    delays: list[float] = []
    time.sleep(number * PACE_SECONDS / ROLLOUTS)
    for version in range(2, ROUNDS + 2):
        began = time.time()
        live = client.apply(f"{PATH}/worker-{number}", member(number, version), "ci")
        hold = live["metadata"]["annotations"].get(PREFIX + "hold", "")
        must(hold.startswith("held-"), f"a change of {FLEET}/worker-{number} was not held at all: {hold!r}")
        released = world.watching.released_at(FLEET, f"worker-{number}", hold.removeprefix("held-"), RELEASE_SECONDS)
        must(
            released is not None,
            f"change {version} of {FLEET}/worker-{number} was not released in {RELEASE_SECONDS:g} s",
        )
        assert released is not None
        delays.append(released - began)
        time.sleep(max(0.0, PACE_SECONDS - (time.time() - began)))
    return delays
