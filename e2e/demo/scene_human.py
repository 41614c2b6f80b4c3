"""(a) A human change to a low-criticality service: through in seconds."""

from __future__ import annotations

import time

from e2e.demo.failure import must
from e2e.demo.services import BANNER, JUNIOR
from e2e.demo.world import Stage, World, attempt_of

VERSION = "1.1.0"


def play(world: World) -> None:
    stage = Stage(world, "a", BANNER)
    claims = BANNER.claims(VERSION, origin="human", authors=JUNIOR)
    stage.say(f"A person changes a low-criticality service: Jun ships banner {VERSION}, written by hand.")
    began = stage.apply(JUNIOR, BANNER.manifest(VERSION, annotations=claims), "banner.yaml", quiet=True)
    change = stage.wait_for_change(VERSION, "Completed", 40)
    took = time.time() - began
    attempt = str(attempt_of(change))
    released = world.watching.released_at("banner", "banner", attempt, 5)
    must(released is not None, "nobody saw the release of the banner change")
    assert released is not None
    must(not change["status"].get("approvals"), "the human change to a low service asked for approvals")
    must(not change["status"]["release"]["plan"].get("gates"), "the human change to a low service was given gates")
    stage.must_have_owners_steps()
    stage.kubectl(JUNIOR, "get", "changes")
    stage.say(
        f"Nothing was asked of anybody: released {released - began:.2f} s after the apply, with its owner's own steps, "
        f"and serving on every pod after {took:.0f} s.",
        "green",
    )
    stage.note(release_seconds=round(released - began, 3), completed_seconds=round(took, 1))
