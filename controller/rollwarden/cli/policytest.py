"""``policy test``: a policy file replayed over recorded Changes, from the cluster or from a file."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from rollwarden.api.argo import Namespace, Rollout
from rollwarden.api.change import Change, PolicyRef
from rollwarden.api.enums import API_VERSION
from rollwarden.api.policy import GuardrailPolicy
from rollwarden.cli.changes import order
from rollwarden.cli.cluster import Cluster, connected
from rollwarden.cli.errors import CommandError, InputError
from rollwarden.cli.hindsight import Hindsight, Known, replay
from rollwarden.cli.manifests import ROLLOUT_API, converted, read_manifests
from rollwarden.cli.policytest_view import data_of, show
from rollwarden.cli.session import Session, say_error, stdout, with_session
from rollwarden.cli.yamlfile import STDIN, read_documents
from rollwarden.core.holders import Holding, holdings
from rollwarden.core.policy import Policy
from rollwarden.core.times import spoken, unix_or_never
from rollwarden.kube.errors import Forbidden
from rollwarden.kube.resources import (
    CHANGES,
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    GUARDRAILPOLICIES,
    NAMESPACES,
    ROLEBINDINGS,
    ROLES,
    ROLLOUTS,
)
from rollwarden.reconcile.holders import read_binding, read_role

NOBODY = 3
DEFAULT_LAST = "30d"
_LAST = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[dhm])")
_UNITS = {"d": 86400, "h": 3600, "m": 60}
_GET = "kubectl get changes,rollouts.argoproj.io,namespaces,guardrailpolicies -A -o json"

policy_app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@policy_app.callback()
def _policy() -> None:
    """Try policies before they are in force."""


@dataclass(frozen=True, slots=True)
class Past:
    """What was recorded, the policies that stand beside the file's, and what could not be found out."""

    changes: tuple[Change, ...]
    policies: tuple[Policy, ...]
    known: Known
    notes: tuple[str, ...]
    where: str


@with_session
def policy_test(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="GuardrailPolicy manifests, or - for stdin.")],
    last: Annotated[str, typer.Option(help="How far back: 30d, 12h or 90m.")] = DEFAULT_LAST,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Changes of every namespace.")] = False,
    changes: Annotated[
        str | None, typer.Option(help=f"Recorded Changes from a file instead: {_GET}", metavar="FILE")
    ] = None,
) -> None:
    """Replay a policy over recorded Changes: what it would have held, denied and released.

    It stands in for the policy of the same name; other policies stay in force. Exit codes: 0 replayed; 1 it cannot be;
    3 replayed, and it leaves some change without anybody who could have approved it.
    """
    seconds = _seconds(last)
    tested = _tested(file)
    if changes is not None:
        past = _from_file(changes, None if everywhere else session.namespace)
    else:
        with connected(session) as cluster:
            past = _from_cluster(cluster, None if everywhere else cluster.namespace)
    own = {policy.ref.name for policy in tested}
    beside = tuple(policy for policy in past.policies if policy.ref.name not in own)
    recorded = _recent(past, time.time() - seconds, last)
    found = _replayed(recorded, (*beside, *tested), past.known, changes or "the cluster")
    summary = {
        "policies": [policy.ref.name for policy in tested],
        "beside": [policy.ref.name for policy in beside],
        "where": past.where,
        "last": spoken(seconds),
    }
    notes = (*past.notes, *_unknown_labels(found, past.known))
    if session.is_table:
        show(stdout(), found, tested, summary, notes)
    else:
        session.write(data_of(found, tested, summary, notes))
    _leave(found)


policy_app.command("test")(policy_test)


def _leave(found: Sequence[Hindsight]) -> None:
    alone = sum(one.nobody is not None for one in found)
    if alone:
        many = f"{alone} changes" if alone > 1 else "1 change"
        say_error(f"it leaves {many} without anybody who could have approved; see the list")
        raise typer.Exit(NOBODY)


def _seconds(text: str) -> int:
    match = _LAST.fullmatch(text.strip())
    if match is None or int(match["number"]) == 0:
        raise InputError("--last", f'"{text}" is no length of time; write 30d, 12h or 90m')
    return int(match["number"]) * _UNITS[match["unit"]]


def _tested(file: str) -> tuple[Policy, ...]:
    manifests = read_manifests([file])
    if not manifests.policies:
        name = "stdin" if file == STDIN else file
        raise InputError(name, "has no GuardrailPolicy of rollwarden.dev/v1alpha1; name the policy to test")
    return tuple(_policy_of(policy) for policy in manifests.policies)


def _policy_of(policy: GuardrailPolicy) -> Policy:
    meta = policy.metadata
    return Policy(PolicyRef(name=meta.name, generation=meta.generation), policy.spec, policy.status.history)


def _recent(past: Past, since: float, last: str) -> tuple[Change, ...]:
    found = [c for c in past.changes if unix_or_never(c.metadata.creation_timestamp) >= since]
    if found:
        return tuple(sorted(found, key=order))
    newest = max((c.metadata.creation_timestamp or "" for c in past.changes), default="")
    older = (
        f"the newest is of {newest[:10]}, look further back with --last" if newest else "and none before that either"
    )
    raise CommandError(f"no Change was recorded in the last {last} in {past.where}; {older}")


def _replayed(
    recorded: Sequence[Change], policies: Sequence[Policy], known: Known, source: str
) -> tuple[Hindsight, ...]:
    """Raises InputError where a recorded freeze cannot be read any more."""
    try:
        return replay(recorded, policies, known)
    except (ValueError, KeyError) as error:
        raise InputError(source, f"a recorded Change cannot be replayed: {error}") from error


def _unknown_labels(found: Iterable[Hindsight], known: Known) -> tuple[str, ...]:
    named = {(one.change.metadata.namespace, one.change.spec.rollout.name) for one in found}
    gone = sorted("/".join(one) for one in named if one not in known.rollouts)
    spaces = sorted({namespace for namespace, _ in named if namespace not in known.namespaces})
    notes = []
    if gone:
        notes.append(f"labels not known, so every selector counts as selecting: Rollout {_listed(gone)}")
    if spaces:
        notes.append(f"labels not known beside the name, so other selectors count as selecting: {_listed(spaces)}")
    return tuple(notes)


def _listed(every: Sequence[str]) -> str:
    more = f" and {len(every) - 3} more" if len(every) > 3 else ""
    return ", ".join(every[:3]) + more


# From the cluster, as far as the caller may read it


def _from_cluster(cluster: Cluster, namespace: str | None) -> Past:
    client = cluster.client
    try:
        changes = client.list(CHANGES, namespace=namespace, type=Change).items
    except Forbidden as error:
        if namespace is not None:
            raise
        raise CommandError("you may not list changes in every namespace; name one with -n") from error
    notes: list[str] = []
    try:
        rollouts = client.list(ROLLOUTS, namespace=namespace, type=Rollout).items
    except Forbidden:
        rollouts = []
    try:
        spaces = client.list(NAMESPACES, type=Namespace).items
    except Forbidden:
        spaces = _only_namespace(cluster, namespace)
    try:
        policies = tuple(_policy_of(one) for one in client.list(GUARDRAILPOLICIES, type=GuardrailPolicy).items)
    except Forbidden:
        policies = ()
        notes.append("you may not list guardrailpolicies, so the file's are tested without those in force beside them")
    held = _Holdings(cluster, namespace)
    notes += held.notes
    known = Known(
        rollouts={(r.metadata.namespace, r.metadata.name): r.metadata.labels for r in rollouts},
        namespaces={n.metadata.name: n.metadata.labels for n in spaces},
        holdings=held.of,
    )
    where = f"namespace {namespace}" if namespace else "all namespaces"
    return Past(tuple(changes), policies, known, tuple(notes), where)


def _only_namespace(cluster: Cluster, namespace: str | None) -> list[Namespace]:
    if namespace is None:
        return []
    try:
        return [cluster.client.get(NAMESPACES, namespace, type=Namespace)]
    except Forbidden:
        return []


class _Holdings:
    """Who holds a tier, by the role bindings that the caller may read."""

    def __init__(self, cluster: Cluster, namespace: str | None) -> None:
        self.notes: list[str] = []
        try:
            lists = [(ROLES, namespace), (CLUSTERROLES, None)]
            self._roles = [
                read_role(r) for kind, at in lists for r in cluster.client.list_raw(kind, namespace=at).items
            ]
            lists = [(ROLEBINDINGS, namespace), (CLUSTERROLEBINDINGS, None)]
            self._bindings = [
                read_binding(b) for kind, at in lists for b in cluster.client.list_raw(kind, namespace=at).items
            ]
            self._readable = True
        except Forbidden as error:
            self._readable = False
            self.notes.append(f"who could have approved is not known: {error.message}")

    def of(self, namespace: str) -> Sequence[Holding] | None:
        return holdings(self._bindings, self._roles, namespace) if self._readable else None


# From a file


def _from_file(path: str, namespace: str | None) -> Past:
    changes: list[Change] = []
    rollouts: dict[tuple[str, str], dict[str, str]] = {}
    spaces: dict[str, dict[str, str]] = {}
    policies: list[Policy] = []
    name = "stdin" if path == STDIN else path
    for where, value in _objects(path, name):
        kind, version = value.get("kind"), str(value.get("apiVersion"))
        if kind == "Change" and version == API_VERSION:
            changes.append(_change(value, where))
        elif kind == "Rollout" and version.startswith(ROLLOUT_API):
            rollout = converted(value, Rollout, where)
            rollouts[(rollout.metadata.namespace, rollout.metadata.name)] = rollout.metadata.labels
        elif kind == "Namespace" and version == "v1":
            meta = converted(value, Namespace, where).metadata
            spaces[meta.name] = meta.labels
        elif kind == "GuardrailPolicy" and version == API_VERSION:
            policies.append(_policy_of(converted(value, GuardrailPolicy, where)))
    if not changes:
        raise InputError(name, f"has no Change; write it with {_GET}")
    mine = tuple(c for c in changes if namespace is None or c.metadata.namespace == namespace)
    place = f"namespace {namespace} of {name}" if namespace else name
    note = "who could have approved is not known from a file; without --changes it is looked up in the cluster"
    return Past(mine, tuple(policies), Known(rollouts, spaces, lambda _: None), (note,), place)


def _objects(path: str, name: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """The objects of a JSON list as kubectl prints it, else of YAML documents."""
    if path != STDIN and path.lower().endswith(".json"):
        try:
            listed = msgspec.json.decode(Path(path).read_bytes())
        except OSError as error:
            raise InputError(name, f"cannot be read ({error.strerror}); write it with {_GET}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(name, f"is not JSON: {error}; write it with {_GET}") from error
        items = listed.get("items", [listed]) if isinstance(listed, dict) else listed
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InputError(name, f"is no list of objects; write it with {_GET}")
        return ((f"{name}, item {number}", item) for number, item in enumerate(items, start=1))
    return ((document.where, document.value) for document in read_documents(path))


def _change(value: dict[str, Any], where: str) -> Change:
    change = converted(value, Change, where)
    if not unix_or_never(change.metadata.creation_timestamp):
        raise InputError(f"{where}, metadata.creationTimestamp", "is missing; take Changes as the cluster has them")
    return change
