"""What must hold of the cluster after a row of the attack table, and how each fact is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from e2e.attack_play import Scene
from e2e.attacks import Fact, Row, Table
from e2e.stage import Stage, hold_of


def missing(stage: Stage, table: Table, row: Row, scene: Scene) -> str:
    """What does not hold afterwards that should; empty when all does."""
    wanted = table.phases[row.phase].then if row.then is None else row.then
    return "; ".join(problem for fact in wanted if (problem := FACTS[fact](stage, scene)))


def await_quiet(stage: Stage, name: str) -> None:
    """Until Argo has seen what was written last."""

    def look() -> bool:
        live = stage.live(name)
        return bool(live.get("status", {}).get("observedGeneration") == str(live["metadata"]["generation"]))

    stage.wait(f"Argo to see {name}", look)


def _sizes(stage: Stage, scene: Scene, names: Iterable[str]) -> list[int]:
    """Every size those sets had since the scene began, as far as it was seen to change."""
    wanted = set(names)
    with stage.record.lock:
        return [size for name, size in stage.record.sizes[scene.mark :] if name in wanted]


def _others(stage: Stage, scene: Scene) -> list[str]:
    """Names of the Rollout's sets but the stable one."""
    return [s["metadata"]["name"] for h, s in stage.sets(scene.name).items() if h != scene.stable]


def _no_new_pod(stage: Stage, scene: Scene) -> str:
    peak = max(_sizes(stage, scene, _others(stage, scene)), default=0)
    return f"a set other than the stable one had {peak} pods" if peak else ""


def _stable_serves(stage: Stage, scene: Scene) -> str:
    name = f"{scene.name}-{scene.stable}"
    least = min(_sizes(stage, scene, [name]), default=1)
    return f"the stable set {name} went down to {least}" if least < 1 else ""


def _canary_stays(stage: Stage, scene: Scene) -> str:
    live = stage.live(scene.name)
    if hold_of(live) != scene.hold:
        return f"the hold was {scene.hold}, is {hold_of(live)}"
    index = live["status"].get("currentStepIndex")
    sizes = {1, *_sizes(stage, scene, _others(stage, scene))}
    return "" if (index, sizes) == (1, {1}) else f"the canary is at step {index} and had sizes {sizes}"


def _canary_goes(stage: Stage, scene: Scene) -> str:
    return _awaited(stage, scene, "the canary to go", lambda: stage.size(scene.name, scene.current) == 0)


def _runs(stage: Stage, scene: Scene) -> str:
    def look() -> bool:
        current = str(stage.live(scene.name).get("status", {}).get("currentPodHash", ""))
        return current != scene.stable and current in stage.sets(scene.name) and stage.size(scene.name, current) > 0

    return _awaited(stage, scene, "the new revision to run", look)


def _abort_stands(stage: Stage, scene: Scene) -> str:
    return "" if stage.live(scene.name)["status"].get("abort") else "the abort is gone"


def _object_stays(stage: Stage, scene: Scene) -> str:
    live = stage.live(scene.name)
    return "it is being deleted" if "deletionTimestamp" in live["metadata"] else ""


def _awaited(stage: Stage, scene: Scene, what: str, ask: Callable[[], bool]) -> str:
    try:
        stage.wait(what, ask)
    except TimeoutError as error:
        return str(error)
    return ""


FACTS: dict[Fact, Callable[[Stage, Scene], str]] = {
    "no new pod": _no_new_pod,
    "stable serves": _stable_serves,
    "canary stays": _canary_stays,
    "canary goes": _canary_goes,
    "new revision runs": _runs,
    "abort stands": _abort_stands,
    "object stays": _object_stays,
}
