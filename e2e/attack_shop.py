"""A namespace for those rows of the attack table that the running operator answers."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from e2e.attack_play import Player, Scene
from e2e.attack_stage import WORKERS
from e2e.attacks import Table
from e2e.controlplane import ControlPlane
from e2e.identities import PLATFORM
from e2e.shop import POLICIES, Shop, ai
from e2e.stage import OTHER_SENIOR, SENIOR, hold_of

AGENT = "agent"


class AttackShop(Shop):
    """Everything waits for a senior; ``agent`` is listed as an AI agent, and somebody bound the tier to it."""

    def __init__(self, cp: ControlPlane, table: Table) -> None:
        super().__init__(cp, "answers")
        self.player = Player(self, table)
        self.client(PLATFORM).patch(f"{POLICIES}/{self.namespace}", {"spec": {"agents": {"users": [AGENT]}}})
        self.bind("agent", "ClusterRole", "rollwarden-senior", {"kind": "User", "name": AGENT})

    def prepare(self, names: Iterable[str]) -> dict[str, Scene]:
        """A Rollout for each name, with a change of an agent that works with a senior's kubeconfig."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return {scene.name: scene for scene in pool.map(self._enter, names)}

    def _enter(self, name: str) -> Scene:
        self.deploy(name, replicas=1)
        owner = partial(self.manifest, name, annotations=ai("v2", authors=SENIOR), replicas=1)
        self.apply(owner("v2"), OTHER_SENIOR)
        change = self.waits(name)
        live = self.settled(name)
        status = live["status"]
        scene = Scene(name, "waiting", owner, self.record.mark(), status["stableRS"], status["currentPodHash"])
        scene.hold = hold_of(live)
        scene.words = {
            "name": name,
            "namespace": self.namespace,
            "change": change["metadata"]["name"],
            "change_uid": change["metadata"]["uid"],
            "digest": change["spec"]["templateDigest"],
        }
        return scene
