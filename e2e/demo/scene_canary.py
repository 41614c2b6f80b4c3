"""(b) An AI-assisted change by a junior to a critical service: held, approved by a senior, proven, baked, restored."""

from __future__ import annotations

import json
import time
from itertools import pairwise

from e2e.apiclient import JsonObject
from e2e.demo.failure import must
from e2e.demo.services import API_VERSION, BAKE_SECONDS, CHECKOUT, COLD_PHI, JUNIOR, SENIOR
from e2e.demo.world import Stage, World, attempt_of
from rollwarden.core.presets import PRESETS
from rollwarden.core.times import spoken, unix
from rollwarden.judge import Dispersion, IndicatorSpec, estimate_gate, freeze, tighten

VERSION = "1.1.0"
SCALED = 6
AFTER_OTHERS_SECONDS = 4.0
AUTOSCALER = "horizontal-pod-autoscaler"


def play(world: World) -> None:
    time.sleep(AFTER_OTHERS_SECONDS)  # one story begins after the other
    stage = Stage(world, "b", CHECKOUT)
    stage.say(
        f"Jun, a junior, ships checkout {VERSION}: Copilot wrote part of it, and checkout is critical. "
        f"{CHECKOUT.rps:g} requests a second reach its 4 pods."
    )
    claims = CHECKOUT.claims(VERSION, origin="ai", autonomy="assisted", tools="Copilot", share="60", authors=JUNIOR)
    stable = str(stage.live()["status"]["stableRS"])
    began = stage.apply(JUNIOR, CHECKOUT.manifest(VERSION, annotations=claims), "checkout.yaml")
    change = stage.wait_for_change(VERSION, "AwaitingApproval")
    held_after = time.time() - began
    canary = _held_hash(stage, stable)
    stage.kubectl(JUNIOR, "get", "changes")
    stage.say(change["status"]["message"], "yellow")
    _scale_while_held(stage, stable, canary)
    _refused(stage, change)
    _approved(stage, change)
    world.released["b"].set()
    _say_what_slo_costs(stage)
    done = stage.follow(change["metadata"]["name"], 240)
    _finished(stage, done, canary)
    stage.note(held_after_seconds=round(held_after, 2))


def _held_hash(stage: Stage, stable: str) -> str:
    """The pod-template hash of the held ReplicaSet."""

    def look() -> str | None:
        current = str(stage.live()["status"].get("currentPodHash", ""))
        return current if current != stable and current in stage.sets() else None

    return stage.wait("Argo to make the held ReplicaSet", look, 15)


def _scale_while_held(stage: Stage, stable: str, canary: str) -> None:
    """As the autoscaler: its own service account, the scale subresource, nothing else."""
    stage.say(f"While it is held, traffic grows and the autoscaler takes checkout from 4 to {SCALED} pods.")
    mark = stage.world.watching.mark()
    _scale(stage, SCALED)
    began = time.monotonic()

    def scaled() -> bool:
        return bool(stage.sets()[stable].get("status", {}).get("readyReplicas", 0) == SCALED)

    stage.wait(f"stable to have {SCALED} ready pods while the change is held", scaled, 30)
    time.sleep(1.0)
    stage.kubectl(JUNIOR, "get", "replicasets")
    peak = stage.world.watching.peak(stage.key(canary), 0)
    must(peak == 0, f"the held revision of checkout had {peak} pods before anybody approved it")
    must(stage.world.watching.peak(stage.key(stable), mark) == SCALED, "the record of sizes missed the scaling")
    stage.say(f"Stable went from 4 to {SCALED} ready pods in {time.monotonic() - began:.1f} s; the new revision has 0.")
    stage.note(stable_scaled_to=SCALED, pods_of_held_revision=peak)


def _scale(stage: Stage, replicas: int) -> None:
    client = stage.world.cp.access.service_account_client("kube-system", AUTOSCALER)
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{stage.service.name}/rollouts/{stage.service.name}/scale"
    scale = client.get(path)
    scale["spec"]["replicas"] = replicas
    client.request("PUT", path, scale)


def _refused(stage: Stage, change: JsonObject) -> None:
    """Jun's own approval, as a senior's: the API server itself says no."""
    approval = {
        "apiVersion": API_VERSION,
        "kind": "Approval",
        "metadata": {"name": "let-me-in", "namespace": stage.service.name},
        "spec": {
            "changeRef": {"name": change["metadata"]["name"], "uid": change["metadata"]["uid"]},
            "templateDigest": change["spec"]["templateDigest"],
            "decision": "Approve",
            "tier": "Senior",
        },
    }
    done = stage.world.cp.kubectl("create", "-f", "-", user=JUNIOR, input=json.dumps(approval))
    stage.world.tell.command(JUNIOR, ["kubectl", "create", "-f", "approval.yaml"], done.out + done.err, stage.letter)
    must(not done.ok, "the API server accepted the junior's approval of their own change as a senior's")
    stage.note(junior_refused=done.err.strip())


def _approved(stage: Stage, change: JsonObject) -> None:
    name = change["metadata"]["name"]
    stage.rollwarden(SENIOR, "inbox")
    began = time.time()
    done = stage.rollwarden(SENIOR, "approve", name, "-m", "read it; go slowly")
    must(done.ok, f"the senior's approval was not accepted: {done.err.strip()}")
    released = stage.world.watching.released_at("checkout", "checkout", str(attempt_of(change)), 20)
    must(released is not None, "the senior's approval did not release the change")
    assert released is not None
    stage.note(approval_to_release_seconds=round(released - began, 2))


def _say_what_slo_costs(stage: Stage) -> None:
    """The same gates at a stricter objective and less traffic, with the judge's own arithmetic."""
    parameters = freeze(
        tighten(True, "Critical"),
        [IndicatorSpec("errors", "Errors", 99.9, dispersion=Dispersion(float(COLD_PHI)))],
        planned_seconds=7200,
        tick_seconds=15,
        canary_pods=1,
    )
    ladder = next(profile.weights for profile in PRESETS["Memo"].profiles if profile.name == "careful")
    gates = [
        estimate_gate(parameters, weight=now / 100, next_weight=then / 100, rps=100, stable_rates={})
        for now, then in pairwise((*ladder, 100))
    ]
    seconds = sum(gate.seconds for gate in gates if gate is not None)
    must(None not in gates and seconds > 0, "the judge could not say how long the gates take at SLO 99.9 and 100 rps")
    stage.say(
        f"Proof costs requests, not time: at this objective of {CHECKOUT.objective:g} % and {CHECKOUT.rps:g} requests "
        "a second two gates take about two minutes. At an SLO of 99.9 % and 100 requests a second, on the shipped "
        f"ladder of {', '.join(map(str, ladder))} %, they would take {spoken(seconds)}.",
        "dim",
    )
    stage.note(gates_at_slo_999_and_100_rps_seconds=round(seconds))


def _finished(stage: Stage, change: JsonObject, canary: str) -> None:
    status = change["status"]
    must(
        status["phase"] == "Completed", f"the good change to checkout ended {status['phase']}: {status.get('message')}"
    )
    gates = status.get("gates", [])
    proofs = [g for g in gates if g["kind"] == "Evidence"]
    must([g["weight"] for g in proofs] == [33, 50], f"the canary did not walk through 33 % and 50 %: {gates}")
    must(all(g.get("reason") == "Proven" for g in proofs), f"a gate of checkout passed without proof: {gates}")
    bake = next((g for g in gates if g["kind"] == "Bake"), None)
    must(bake is not None and _span(bake) >= BAKE_SECONDS, f"checkout was not baked for {BAKE_SECONDS} s: {bake}")
    must(not status.get("unproven"), "checkout is marked unproven although its gates were proven")
    stage.must_have_owners_steps()
    counts = stage.counts(canary)
    release = status["release"]
    took = unix(status["finishedAt"]) - unix(release["time"])
    stage.kubectl(JUNIOR, "get", "rollout", "checkout", "-o", "jsonpath={.spec.strategy.canary.steps}")
    said = release.get("etaSeconds")
    stage.say(
        f"checkout {VERSION} is promoted on proof of safety: "
        + ", ".join(f"{g['canaryRequests']:,} clean requests at {g['weight']} % in {_span(g):.0f} s" for g in proofs)
        + f", {_span(bake or {}):.0f} s of bake; {spoken(took)} in all"
        + (f" ({spoken(said)} were said before)" if said else "")
        + f". Its owner's steps stand again as they were. {counts.failed} of {counts.sent:,} requests to it failed.",
        "green",
    )
    stage.note(
        release_to_completed_seconds=round(took, 1),
        eta_said_seconds=said,
        gates=[
            {"weight": g["weight"], "kind": g["kind"], "seconds": round(_span(g), 1), "requests": g["canaryRequests"]}
            for g in gates
        ],
        failed_requests=counts.failed,
        requests=counts.sent,
    )


def _span(gate: JsonObject) -> float:
    if not gate.get("passedAt"):
        return 0.0
    return unix(gate["passedAt"]) - unix(gate["startedAt"])
