"""The running stack, and what a scene does in it: as a person with kubectl or rollwarden, and as an onlooker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from e2e.access import Result
from e2e.apiclient import ApiClient, JsonObject
from e2e.controlplane import ControlPlane
from e2e.demo.failure import Scene, must
from e2e.demo.narrator import MARGIN, Narrator
from e2e.demo.services import Service, owners_steps
from e2e.demo.watching import Key, Watching
from e2e.load import LoadGenerator, PodCount
from e2e.processes import ManagedProcess

T = TypeVar("T")
COMMAND_SECONDS = 60.0
PROGRESS_SECONDS = 20.0
FINISHED = ("Completed", "RolledBack", "Superseded", "Rejected", "Denied", "Abandoned")


@dataclass
class World:
    """What all scenes share. ``figures`` is what ``build/demo-summary.json`` will say."""

    cp: ControlPlane
    tell: Narrator
    load: LoadGenerator
    operator: ManagedProcess
    watching: Watching
    figures: dict[str, Any] = field(default_factory=dict)
    released: dict[Scene, threading.Event] = field(default_factory=dict)
    played: set[Scene] = field(default_factory=set)

    def rollwarden(self, *arguments: str, user: str) -> Result:
        """The real command line, as a person with that person's kubeconfig."""
        done = subprocess.run(
            [sys.executable, "-m", "rollwarden.cli.main", *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            env={
                "HOME": str(self.cp.directory),
                "PATH": os.environ.get("PATH", ""),
                "KUBECONFIG": str(self.cp.kubeconfig(user)),
                "COLUMNS": str(self.tell.width - MARGIN - 2),
                "NO_COLOR": "1",
                "PYTHONUTF8": "1",
            },
        )
        return Result(done.returncode, done.stdout, done.stderr)


@dataclass
class Stage:
    """One service of the demo, in the voice of one scene."""

    world: World
    letter: Scene
    service: Service

    # -- saying -------------------------------------------------------------------------------------------------

    def say(self, sentence: str, style: str = "") -> None:
        self.world.tell.say(sentence, self.letter, style)

    def note(self, **figures: Any) -> None:
        """Figures of this scene for the summary."""
        self.world.figures.setdefault("scenes", {}).setdefault(self.letter, {}).update(figures)

    # -- acting as a person -------------------------------------------------------------------------------------

    def kubectl(self, user: str, *arguments: str) -> Result:
        """Shows the command and what it said."""
        done = self.world.cp.kubectl("-n", self.service.name, *arguments, user=user)
        command = ["kubectl", "-n", self.service.name, *arguments]
        self.world.tell.command(user, command, done.out + done.err, self.letter)
        return done

    def rollwarden(self, user: str, *arguments: str, quiet: bool = False) -> Result:
        """The same with the project's own command line; ``quiet`` leaves out what it said."""
        words = [*arguments, "-n", self.service.name]
        done = self.world.rollwarden(*words, user=user)
        said = "" if quiet and done.ok else done.out + done.err
        self.world.tell.command(user, ["rollwarden", *words], said, self.letter)
        return done

    def apply(self, user: str, manifest: JsonObject, file: str, quiet: bool = False) -> float:
        """A server-side apply, as GitOps tools do it; returns the Unix time before it. ``quiet``: no answer shown."""
        words = ("apply", "--server-side", "--force-conflicts", "-f")
        began = time.time()
        done = self.world.cp.kubectl(*words, "-", user=user, input=json.dumps(manifest))
        shown = ["kubectl", "apply", "--server-side", "-f", file]
        self.world.tell.command(user, shown, "" if quiet and done.ok else done.err + done.out, self.letter)
        must(done.ok, f"{user} could not apply {file}: {done.err.strip()}")
        return began

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def api(self) -> ApiClient:
        return self.world.cp.api

    def live(self) -> JsonObject:
        """The Rollout."""
        name = self.service.name
        return self.api.get(f"/apis/argoproj.io/v1alpha1/namespaces/{name}/rollouts/{name}")

    def sets(self) -> dict[str, JsonObject]:
        """The Rollout's ReplicaSets by pod-template hash."""
        listed = self.api.get(f"/apis/apps/v1/namespaces/{self.service.name}/replicasets")["items"]
        return {s["metadata"]["labels"]["rollouts-pod-template-hash"]: s for s in listed}

    def changes(self) -> list[JsonObject]:
        """The namespace's Changes, oldest attempt first."""
        listed: list[JsonObject] = self.api.get(
            f"/apis/rollwarden.dev/v1alpha1/namespaces/{self.service.name}/changes"
        )["items"]
        return sorted(listed, key=lambda c: int(c["spec"]["rollout"]["attempt"].lstrip("o")))

    def change_of(self, version: str, after: int = 0) -> JsonObject | None:
        """The newest Change that brings this version, by an attempt of at least generation ``after``."""
        image = self.service.image(version)
        mine = [c for c in self.changes() if image in c["spec"]["images"] and attempt_of(c) >= after]
        return mine[-1] if mine else None

    def change(self, name: str) -> JsonObject:
        return self.api.get(f"/apis/rollwarden.dev/v1alpha1/namespaces/{self.service.name}/changes/{name}")

    def wait(self, what: str, ask: Callable[[], T | None], seconds: float) -> T:
        """Asks four times a second; TimeoutError names what did not happen."""
        return self.world.cp.wait_for(what, ask, seconds=seconds, every=0.25)

    def wait_for_change(self, version: str, phase: str, seconds: float = 20.0, after: int = 0) -> JsonObject:
        """The Change of a version once it is in ``phase``."""

        def look() -> JsonObject | None:
            found = self.change_of(version, after)
            return found if found is not None and phase_of(found) == phase else None

        return self.wait(f"the change to {self.service.name} {version} to be {phase}", look, seconds)

    def key(self, pod_hash: str) -> Key:
        """A ReplicaSet in the record of sizes."""
        return (self.service.name, f"{self.service.name}-{pod_hash}")

    def follow(self, name: str, seconds: float) -> JsonObject:
        """Tells what a Change says of itself until it is finished; returns it. TimeoutError after ``seconds``.

        Of several figures of the same gate those are told that are some time apart.
        """
        said, told = "", 0.0
        deadline = time.monotonic() + seconds
        while True:
            change = self.change(name)
            message = change["status"].get("message", "")
            finished = phase_of(change) in FINISHED
            progress = "gathering proof" in message and "gathering proof" in said
            late = time.monotonic() - told > PROGRESS_SECONDS
            if message != said and not finished and (late or not progress):
                said, told = message, time.monotonic()
                self.say(message)
            if finished:
                return change
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{name} did not finish within {seconds:g} s; it is {phase_of(change)}: {message or 'no message'}"
                )
            time.sleep(0.5)

    def counts(self, pod_hash: str) -> PodCount:
        """Requests to the pods of one ReplicaSet, as the load generator counted them."""
        prefix = f"{self.service.name}-{pod_hash}-"
        pods = self.world.load.counts(self.service.name, self.service.name).pods
        own = [count for pod, count in pods.items() if pod.startswith(prefix)]
        return PodCount(sum(c.sent for c in own), sum(c.failed for c in own))

    def must_have_owners_steps(self) -> None:
        """The strategy is the owner's again, to the letter, with nothing of ours left."""
        live = self.live()
        steps = live["spec"]["strategy"]["canary"].get("steps")
        must(
            steps == owners_steps(self.service),
            f"the owner's steps of {self.service.name} did not come back: there stands {json.dumps(steps)}",
        )


def phase_of(change: JsonObject) -> str:
    return str(change.get("status", {}).get("phase", "Held"))


def attempt_of(change: JsonObject) -> int:
    return int(change["spec"]["rollout"]["attempt"].lstrip("o"))
