"""Breaking the glass: the right to it, the patch, and a rehearsal that writes nothing and needs no operator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

from rollwarden.api import names
from rollwarden.api.argo import Rollout
from rollwarden.api.enums import GROUP
from rollwarden.cli.changes import is_live, newest, of_rollout
from rollwarden.cli.cluster import Cluster, sentence_of
from rollwarden.cli.patience import patiently
from rollwarden.cli.session import Session, facts, heading, stdout, styled
from rollwarden.cli.steps import spoken_path
from rollwarden.core.digest import images
from rollwarden.core.reviews import REVIEW_SECONDS
from rollwarden.core.times import timestamp
from rollwarden.core.writes import Op, add, annotation, test
from rollwarden.kube.errors import Forbidden, KubeError
from rollwarden.kube.resources import ROLLOUTS

DRILL = f"{GROUP}/rehearsed-at"
"""An annotation of the template that makes it another one, in the dry run only."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so; ``says`` also tells what to do where it is not."""

    name: str
    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """``would`` is what would happen, as label and sentence."""

    rollout: Rollout
    checks: tuple[Check, ...]
    would: tuple[tuple[str, str], ...] = ()

    @property
    def works(self) -> bool:
        return all(check.ok for check in self.checks)


def entitlement(cluster: Cluster, rollout: str) -> tuple[Check, ...]:
    """The caller holds the verb, and by a role that names it."""
    verb = f"the verb break-glass on holds (group {GROUP}) in namespace {cluster.namespace}"
    if not cluster.may("break-glass", "holds", rollout):
        says = f"you do not hold {verb}; ask whoever is on call (ClusterRole rollwarden-break-glass)"
        return (Check("verb", False, says),)
    if cluster.holds_everything:
        says = (
            "you may do everything here, and a wildcard is no right to break glass: have the ClusterRole "
            "rollwarden-break-glass bound to you"
        )
        return (Check("verb", False, says),)
    return (Check("verb", True, f"you hold {verb}, and not by a wildcard"),)


def break_glass_ops(rollout: Rollout, reason: str, now: float) -> tuple[Op, ...]:
    """Only a write that changes the annotation's value counts, so a repeated reason is told apart by its time."""
    meta = rollout.metadata
    same = meta.annotations.get(names.BREAK_GLASS) == reason
    value = f"{reason} (again at {timestamp(now)})" if same else reason
    return (test("/metadata/uid", meta.uid), add(annotation(names.BREAK_GLASS), value))


def drill_ops(rollout: Rollout, now: float) -> tuple[Op, ...]:
    """Another template: what a break-glass is tried on where nothing is held."""
    metadata = dict(rollout.spec.template.get("metadata") or {})
    marked = {**(metadata.get("annotations") or {}), DRILL: timestamp(now)}
    return (add("/spec/template/metadata", {**metadata, "annotations": marked}),)


def rehearsed(cluster: Cluster, rollout: Rollout, reason: str) -> Rehearsal:
    """Every check, and what the API server would make of the real patch; nothing is written."""
    checks = entitlement(cluster, rollout.metadata.name)
    if rollout.spec.workload_ref is not None:
        refused = Check("template", False, "a Rollout with workloadRef is not governed, so nothing of it is ever held")
        return Rehearsal(rollout, (*checks, refused))
    now = time.time()
    held = _is_held(rollout)
    ops = (*break_glass_ops(rollout, reason, now), *(() if held else drill_ops(rollout, now)))
    try:
        done = patiently(lambda: _dry_run(cluster, rollout, ops))
    except KubeError as error:
        return Rehearsal(rollout, (*checks, Check("write", False, sentence_of(error))))
    return Rehearsal(rollout, (*checks, released(rollout, done)), tuple(_would(cluster, done, held=held, now=now)))


def _is_held(rollout: Rollout) -> bool:
    """A revision waits, or is under way with gates before it: what the plain patch releases."""
    annotations = rollout.metadata.annotations
    hold = annotations.get(names.HOLD, "")
    return hold.startswith(names.HELD) or (hold.startswith(names.RELEASED) and names.CHANGE in annotations)


def _dry_run(cluster: Cluster, rollout: Rollout, ops: Sequence[Op]) -> Rollout:
    name = rollout.metadata.name
    return cluster.client.json_patch(ROLLOUTS, name, ops, namespace=cluster.namespace, dry_run=True, type=Rollout)


def released(rollout: Rollout, done: Rollout) -> Check:
    """The policies that act on a break-glass did act."""
    before, after = (one.metadata.annotations.get(names.HOLD, "") for one in (rollout, done))
    if after.startswith(names.RELEASED):
        return Check("release", True, f"the API server would release it: hold {before or 'none'} becomes {after}")
    missing = (
        "are the policies rollwarden-keep-plan and rollwarden-hold-new-revision bound?"
        if after
        else "is the namespace labelled rollwarden.dev/mode=enforce?"
    )
    return Check("release", False, f"it would not be released (hold {after or 'none'}): {missing}")


def _would(cluster: Cluster, done: Rollout, *, held: bool, now: float) -> list[tuple[str, str]]:
    canary = done.spec.strategy.canary
    steps = "all at once (blueGreen)" if canary is None else spoken_path(canary.steps)
    what = "what is held or under way" if held else "nothing is held now, so a new template with the reason beside it"
    return [
        ("tried on", what),
        ("would run", ", ".join(dict.fromkeys(images(done.spec.template)))),
        ("steps", f"{steps}, no gates; the judge watches and rolls back on regression while the operator runs"),
        ("told", _told(cluster, done)),
        ("owed", f"a review by a principal by {timestamp(now + REVIEW_SECONDS)[:10]}"),
    ]


def _told(cluster: Cluster, rollout: Rollout) -> str:
    try:
        change = newest(filter(is_live, of_rollout(cluster, rollout.metadata.name)))
    except Forbidden:
        change = None
    contact = f", and {change.spec.contact}, who may see it there" if change and change.spec.contact else ""
    return f"a Warning Event on the Rollout, the Change, every principal's inbox{contact}"


def show_rehearsal(session: Session, found: Rehearsal) -> None:
    """Raises typer.Exit with 1 where it would not work."""
    meta = found.rollout.metadata
    if not session.is_table:
        session.write(_data(found))
    else:
        console = stdout()
        title = f"rehearsal of break-glass on {meta.name} in {meta.namespace}: nothing is written"
        console.print(styled(title, "bold"))
        marks = {True: ("ok", ""), False: ("no", "bold red")}
        lines = [(c.name, styled(f"{marks[c.ok][0]}: {c.says}", marks[c.ok][1])) for c in found.checks]
        console.print(facts(lines))
        if found.would:
            console.print(heading("What would happen"))
            console.print(facts(found.would))
        console.print(heading(_verdict(found)), soft_wrap=True)
    if not found.works:
        raise typer.Exit(1)


def _verdict(found: Rehearsal) -> str:
    meta = found.rollout.metadata
    if found.works:
        return f'it would work: kubectl rollwarden break-glass {meta.name} -n {meta.namespace} -m "why it cannot wait"'
    return "it would not work"


def _data(found: Rehearsal) -> dict[str, Any]:
    meta = found.rollout.metadata
    return {
        "rollout": meta.name,
        "namespace": meta.namespace,
        "wouldWork": found.works,
        "checks": [{"name": c.name, "ok": c.ok, "message": c.says} for c in found.checks],
        "would": dict(found.would),
        "message": _verdict(found),
    }
