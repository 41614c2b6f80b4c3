"""Runs the demo: ``python -m e2e.demo``. ``KEEP=1`` leaves everything up afterwards, until Ctrl-C.

Exit code 0 when everything happened that should, 1 when something did not (it is named), 130 on Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence

from e2e import identities
from e2e.apiclient import ApiError
from e2e.build import ensure
from e2e.controlplane import ControlPlane
from e2e.demo import (
    meters,
    scene_canary,
    scene_emergency,
    scene_fleet,
    scene_human,
    scene_quarantine,
    scene_rollback,
    stack,
    summary,
)
from e2e.demo.failure import DidNotHappen, Scene, must
from e2e.demo.narrator import Narrator
from e2e.demo.services import SERVICES
from e2e.demo.world import World
from e2e.processes import ProcessFailedError

WARM_UP_SECONDS = 25.0
MOST_SECONDS = 360.0
SIDE_BY_SIDE_SECONDS = 300.0
QUERIES_SECONDS = 20.0
INTERRUPTED = 130
FAILURES = (DidNotHappen, TimeoutError, ApiError, ProcessFailedError)
Play = Callable[[World], None]


def main() -> int:
    """The exit code."""
    ensure()  # what has to be built is built before the clock starts
    tell = Narrator()
    tell.lines(
        [
            "Rollwarden, end to end; nothing here is mocked. In front of each line stand the seconds since the",
            "start and the scene's letter. After ada$ stands what Ada would type, and below it what came back.",
        ]
    )
    failures: dict[Scene, str] = {}
    try:
        with stack.control_plane() as cp:
            _run(cp, tell, failures)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        return INTERRUPTED
    except FAILURES as error:
        tell.say(f"The stack did not come up: {error}", "", "bold red")
        return 1
    return 1 if failures else 0


def _run(cp: ControlPlane, tell: Narrator, failures: dict[Scene, str]) -> None:
    """Everything between the start of the control plane and its end."""
    world = stack.bring_up(cp, tell)
    try:
        _play_all(world, failures)
        _close(world, failures)
        if os.environ.get("KEEP") == "1":
            _keep(world)
    except KeyboardInterrupt:
        tell.mute()  # what the scenes will miss from now on is of no interest
        raise
    finally:
        world.watching.stop()


def _play_all(world: World, failures: dict[Scene, str]) -> None:
    """Scenes side by side, (d) after (c); the emergency last."""
    started = stack.warm_up(world, WARM_UP_SECONDS)
    world.released = {"b": threading.Event(), "c": threading.Event()}
    world.tell.heading("Scenes a, b, c and d, side by side")
    side_by_side = (
        [("a", scene_human.play)],
        [("b", scene_canary.play)],
        [("c", scene_rollback.play), ("d", scene_quarantine.play)],
        [("f", scene_fleet.play)],
        [("", _queries)],
    )
    threads = [
        threading.Thread(target=_play, args=(world, plays, failures), daemon=True, name=plays[0][0])
        for plays in side_by_side
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SIDE_BY_SIDE_SECONDS)
    meters.whole_run(world, started)
    world.tell.heading("Scene e, last")
    _play(world, [("e", scene_emergency.play)], failures)


def _play(world: World, plays: Sequence[tuple[Scene, Play]], failures: dict[Scene, str]) -> None:
    """One after the other; what fails is noted, and what builds upon it is noted as not played."""
    for number, (letter, play) in enumerate(plays):
        try:
            play(world)
            world.played.add(letter)
        except FAILURES as error:
            failures[letter] = str(error)
            world.tell.say(f"This did not happen as it must: {failures[letter]}", letter, "bold red")
            for later, _ in plays[number + 1 :]:
                failures[later] = f"not played, because scene {letter} failed"
            return


def _queries(world: World) -> None:
    """Measured while the canaries of (b) and (c) are judged."""
    for released in world.released.values():
        must(released.wait(60), "scenes b and c were not under way together, so queries per tick were not measured")
    meters.queries_per_tick(world, QUERIES_SECONDS)


def _close(world: World, failures: dict[Scene, str]) -> None:
    seconds = world.tell.seconds
    for letter in {*summary.TITLES, ""} - world.played - failures.keys():
        failures[letter] = "it did not come to its end" if letter else "Prometheus queries per tick were not measured"
    if seconds > MOST_SECONDS:
        failures["time"] = f"the demo took {seconds:.0f} s, more than {MOST_SECONDS:.0f} s"
    summary.write(world.figures, failures, seconds)
    summary.show(world.tell, world.figures, failures)
    world.tell.lines(["", f"{seconds:.0f} s in all; every figure is in {summary.FILE.relative_to(stack.BUILD.parent)}"])
    if failures:
        world.tell.lines(
            [f"FAILED: {f'scene {name}: ' if name else ''}{why}" for name, why in failures.items()], "bold red"
        )
    else:
        world.tell.lines(["Everything happened as it should."], "bold green")


def _keep(world: World) -> None:
    """Says how to reach the stack, and waits for Ctrl-C."""
    cp = world.cp
    people = ", ".join(identity.user for identity in identities.PEOPLE)
    kubectl = ensure(("kubectl",))["kubectl"]
    world.tell.heading("It stays up until you press Ctrl-C")
    world.tell.lines(
        [
            f"export KUBECONFIG={cp.kubeconfig()}",
            f"beside it, one file each: {people}",
            f"alias kubectl={kubectl}",
            f"kubectl get changes -A; .venv/bin/rollwarden status -n {SERVICES[0].name}",
            f"Prometheus: {cp.prometheus_url}    logs: {cp.directory / 'logs'}",
            f"operator: process {world.operator.pid}; the load goes on for an hour at most",
        ]
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        world.tell.lines(["", "stopping"])


if __name__ == "__main__":
    sys.exit(main())
