"""(e) Stable burns under load and the operator is dead: a hotfix goes out under break-glass, on record."""

from __future__ import annotations

import time

from e2e.apiclient import JsonObject
from e2e.demo.failure import must
from e2e.demo.services import ON_CALL, PREFIX, SEARCH
from e2e.demo.world import Stage, World, phase_of

VERSION = "1.0.1"
SURGE_RPS = 120
REASON = "search burns under load, INC-812"
LOOK_SECONDS = 3.0
BURNS_ABOVE = 0.10
SERVES_BELOW = 0.01
LIMIT_SECONDS = 60.0


def play(world: World) -> None:
    stage = Stage(world, "e", SEARCH)
    world.operator.kill()
    stage.say(
        "Three in the morning. The operator is dead (SIGKILL, just now), and search, healthy until today, meets a "
        f"surge from {SEARCH.rps:g} to {SURGE_RPS} requests a second that its pods do not stand."
    )
    burning = _burn(stage)
    changes = len(stage.changes())
    claims = {PREFIX + "break-glass": REASON}
    began = time.monotonic()
    stage.apply(ON_CALL, SEARCH.manifest(VERSION, annotations=claims), "search-hotfix.yaml")
    took, last = _served(stage, began)
    stable_again = _promoted(stage)
    must(not world.operator.running, "the operator was running while the glass was broken")
    must(len(stage.changes()) == changes, "a Change appeared while the operator was dead")
    stage.say(
        f"Serving again {took:.0f} s after the apply: {last:.1%} of requests fail, down from {burning:.0%}; every pod "
        f"is {VERSION} after {stable_again - began:.0f} s. The API server itself released it, because Olli may.",
        "green",
    )
    change = _on_record(stage)
    glass = change["status"]["breakGlass"]
    stage.note(
        burning_error_rate=round(burning, 3),
        seconds_to_serving=round(took, 1),
        error_rate_after=round(last, 4),
        break_glass={"user": glass["user"], "reason": glass["reason"], "review_due": glass["reviewDue"]},
    )


def _burn(stage: Stage) -> float:
    """Raises the load above what each pod stands; returns the share of requests that then fails."""
    stage.world.load.set_rate("search", "search", SURGE_RPS)
    time.sleep(LOOK_SECONDS)
    deadline = time.monotonic() + 30
    while (rate := _error_rate(stage)) < BURNS_ABOVE:
        must(time.monotonic() < deadline, f"stable of search does not burn: only {rate:.1%} of requests fail")
    stage.say(f"{rate:.0%} of requests fail. Olli, on call, applies a hotfix and breaks the glass:", "bold red")
    return rate


def _error_rate(stage: Stage) -> float:
    """The share of failed requests over the next seconds, as the load generator counts them; unserved ones failed."""
    before = stage.world.load.counts("search", "search")
    time.sleep(LOOK_SECONDS)
    after = stage.world.load.counts("search", "search")
    unserved = after.unserved - before.unserved
    sent, failed = after.sent - before.sent + unserved, after.failed - before.failed + unserved
    return failed / sent if sent else 1.0


def _served(stage: Stage, began: float) -> tuple[float, float]:
    """(seconds from the apply until requests are served again, their error rate then)."""
    while True:
        at = time.monotonic() - began
        rate = _error_rate(stage)
        if rate < SERVES_BELOW:
            return at, rate
        must(at < LIMIT_SECONDS, f"search does not serve {LIMIT_SECONDS:g} s after the hotfix: {rate:.0%} still fail")


def _promoted(stage: Stage) -> float:
    """The monotonic time at which Argo had the hotfix on every pod."""

    def look() -> bool:
        live = stage.live()
        image = live["spec"]["template"]["spec"]["containers"][0]["image"]
        status = live["status"]
        promoted = status.get("stableRS") == status.get("currentPodHash") and status.get("phase") == "Healthy"
        return bool(promoted and image == SEARCH.image(VERSION))

    stage.wait("Argo to promote the hotfix", look, 60)
    return time.monotonic()


def _on_record(stage: Stage) -> JsonObject:
    """The operator comes back, and finds out."""
    stage.say("The operator starts again, and finds what was done without it:")
    stage.world.operator.start()

    def look() -> JsonObject | None:
        stage.world.operator.check()
        found = stage.change_of(VERSION)
        glass = found is not None and found.get("status", {}).get("breakGlass")
        return found if glass and found is not None and phase_of(found) == "Completed" else None

    change = stage.wait("the Change of the break-glass with its owed review", look, 40)
    glass = change["status"]["breakGlass"]
    must(glass["user"] == ON_CALL, f"the break-glass is on record as {glass['user']}'s, not {ON_CALL}'s")
    must(glass["reason"] == REASON, f'the break-glass is on record for "{glass["reason"]}"')
    must(glass.get("reviewDue"), "nobody owes a review of the break-glass")
    stage.kubectl(ON_CALL, "get", "changes")
    stage.rollwarden(ON_CALL, "status", change["metadata"]["name"])
    return change
