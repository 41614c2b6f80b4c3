"""Plays one row of the attack table: its requests, one after the other, and whether the outcome is the row's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from e2e import records
from e2e.apiclient import APPLY, MERGE, ApiClient, ApiError, JsonObject
from e2e.attacks import Identity, Row, Step, Table
from e2e.stage import (
    BARRIER,
    JSON_PATCH,
    PREFIX,
    Stage,
    annotations_of,
    hold_of,
    merged,
    steps_of,
)
from rollwarden.api import names
from rollwarden.api.enums import Tier

VERBS = {
    "patch": ("PATCH", MERGE),
    "json": ("PATCH", JSON_PATCH),
    "create": ("POST", "application/json"),
    "replace": ("PUT", "application/json"),
    "apply": ("PATCH", APPLY),
    "delete": ("DELETE", "application/json"),
}
GROUPS = {
    "rollouts": "apis/argoproj.io/v1alpha1",
    "experiments": "apis/argoproj.io/v1alpha1",
    "jobs": "apis/batch/v1",
    "cronjobs": "apis/batch/v1",
    "replicasets": "apis/apps/v1",
    "deployments": "apis/apps/v1",
    "approvals": "apis/rollwarden.dev/v1alpha1",
    "changes": "apis/rollwarden.dev/v1alpha1",
    "serviceprofiles": "apis/rollwarden.dev/v1alpha1",
    "guardrailpolicies": "apis/rollwarden.dev/v1alpha1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "apis/rbac.authorization.k8s.io/v1",
    "validatingadmissionpolicies": "apis/admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings": "apis/admissionregistration.k8s.io/v1",
    "mutatingadmissionpolicybindings": "apis/admissionregistration.k8s.io/v1",
}
"""By plural; whatever is not named is of the core group."""
CLUSTER_WIDE = (
    "namespaces",
    "guardrailpolicies",
    "clusterrolebindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicybindings",
)
_numbers = itertools.count(1)


def path_of(on: str, namespace: str) -> str:
    """``rollouts/shop/status`` of the namespace, or of another one named before a colon, as an API path."""
    elsewhere, colon, rest = on.partition(":")
    plural, slash, more = (rest if colon else on).partition("/")
    group = GROUPS.get(plural, "api/v1")
    within = "" if plural in CLUSTER_WIDE else f"namespaces/{elsewhere if colon else namespace}/"
    return f"/{group}/{within}{plural}{slash}{more}"


def filled(value: Any, words: Mapping[str, str], made: Callable[[str, str], JsonObject]) -> Any:
    """``value`` with ``{placeholders}`` replaced in every text; a text ``$kind argument`` is what ``made`` makes."""
    if isinstance(value, str):
        for key, text in words.items():
            value = value.replace("{" + key + "}", text)
        if value.startswith("$"):
            kind, _, argument = value[1:].partition(" ")
            return made(kind, argument)
        return value
    if isinstance(value, list):
        return [filled(item, words, made) for item in value]
    if isinstance(value, dict):
        # "of" lays the mapping over what it stands for; a key may hold a placeholder too
        whole = {filled(key, words, made): filled(item, words, made) for key, item in value.items()}
        base = whole.pop("of", None)
        return whole if base is None else merged(base, whole)
    return value


@dataclass
class Scene:
    """One Rollout in its phase, and what was true when it got there. ``owner`` makes its owner's manifest of a tag."""

    name: str
    phase: str
    owner: Callable[[str], JsonObject]
    mark: int = 0
    stable: str = ""
    current: str = ""
    hold: str = ""
    words: dict[str, str] = field(default_factory=dict)


class Player:
    """Makes the requests of rows on one stage, as the identities of the table."""

    def __init__(self, stage: Stage, table: Table) -> None:
        self.stage = stage
        self.table = table

    def user(self, who: str) -> str:
        """The user name that the API server gives an identity."""
        identity = self.table.identities[who]
        return identity.user or "system:serviceaccount:" + ":".join(self._account(identity))

    def by(self, who: str) -> ApiClient:
        identity = self.table.identities[who]
        if identity.user:
            return self.stage.client(identity.user)
        return self.stage.service_account(*self._account(identity))

    def _account(self, identity: Identity) -> tuple[str, str]:
        namespace, _, name = identity.account.rpartition("/")
        return namespace or self.stage.namespace, name

    def play(self, row: Row, scene: Scene) -> str:
        """What is wrong with the outcome, empty when it is as the row says. Facts are looked at later."""
        words = scene.words | {"user": self.user(row.who), "n": str(next(_numbers))}
        for step in row.do[:-1]:
            self._ask(row, step, scene, words)
        before = self.stage.live(scene.name)
        try:
            answer = self._ask(row, row.do[-1], scene, words)
        except ApiError as error:
            return self._refused(row, scene, words, before, error)
        if row.outcome == "refused":
            return f"expected a refusal in the words {row.says!r}, but it was admitted: {str(answer)[:600]}"
        says = filled(row.says, words, self._never)
        return OUTCOMES[row.outcome](Seen(self.stage, self.user(row.who), says, before, answer))

    def _refused(self, row: Row, scene: Scene, words: Mapping[str, str], before: JsonObject, error: ApiError) -> str:
        if row.outcome != "refused":
            return f"expected {row.outcome}, but it was refused: {error}"
        says = filled(row.says, words, self._never)
        if says not in error.message:
            return f"refused in other words than {says!r}: {error}"
        return _difference(before, self.stage.live(scene.name))

    def _never(self, kind: str, argument: str) -> JsonObject:
        raise ValueError(f"no object can stand here: ${kind} {argument}")

    def _ask(self, row: Row, step: Step, scene: Scene, words: Mapping[str, str]) -> JsonObject:
        def made(kind: str, argument: str) -> JsonObject:
            return self._object(kind, argument, scene, words)

        method, content = VERBS[step.verb]
        path = path_of(filled(step.on, words, self._never), self.stage.namespace)
        query = {"fieldManager": "owner", "force": "true"} if step.verb == "apply" else {}
        if step.dry:
            query["dryRun"] = "All"
        body = filled(step.body, words, made)
        client = self.by(step.who or row.who)
        if step.impersonate:
            client = client.acting_as(filled(step.impersonate, words, self._never))
        try:
            return client.request(method, path, body, content, query)
        except ApiError as error:
            # a replace names the version it was made from, and Argo may have written in between
            if step.verb == "replace" and error.reason == "Conflict":
                return self._ask(row, step, scene, words)
            raise

    def _object(self, kind: str, argument: str, scene: Scene, words: Mapping[str, str]) -> JsonObject:
        """What a text with a dollar sign stands for in a body."""
        makers: dict[str, Callable[[], JsonObject]] = {
            "pods": lambda: dict(scene.owner(argument)["spec"]["template"]),
            "owner": lambda: scene.owner(argument),
            "live": lambda: self._live(scene),
            "set": lambda: _replica_set(scene, int(argument), f"x{words['n']}"),
            "approval": lambda: _approval(scene, argument, f"a-{words['n']}"),
            "record": lambda: records.change(f"c-{words['n']}"),
        }
        return makers[kind]()

    def _live(self, scene: Scene) -> JsonObject:
        live = self.stage.live(scene.name)
        return {**live, "metadata": {key: live["metadata"][key] for key in ("name", "resourceVersion")}}


def _approval(scene: Scene, tier: str, name: str) -> JsonObject:
    """Of the scene's Change, with a forged approver."""
    body = records.approval(name, Tier(tier))
    reference = {"name": scene.words["change"], "uid": scene.words["change_uid"]}
    return merged(body, {"spec": {"changeRef": reference, "templateDigest": scene.words["digest"]}})


def _replica_set(scene: Scene, replicas: int, hash_: str) -> JsonObject:
    """A set such as Argo makes for the Rollout, but nobody's."""
    name = scene.name
    labels = {"app": name, "rollouts-pod-template-hash": hash_}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"{name}-{hash_}", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": merged(scene.owner("own")["spec"]["template"], {"metadata": {"labels": labels}}),
        },
    }


# -- outcomes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """An admitted request of ``user``, the Rollout before it, and what the row says is to be read."""

    stage: Stage
    user: str
    says: str
    before: JsonObject
    answer: JsonObject


def _difference(before: JsonObject, after: JsonObject) -> str:
    """What of the owner's and the operator's part of a Rollout is not as it was."""
    pairs = {
        "spec": (before["spec"], after["spec"]),
        "annotations": (_kept(before), _kept(after)),
        "abort": (before.get("status", {}).get("abort", False), after.get("status", {}).get("abort", False)),
    }
    return "; ".join(f"{what} was {old}, is {new}" for what, (old, new) in pairs.items() if old != new)


def _kept(live: JsonObject) -> dict[str, str]:
    """Annotations but Argo's, and but the note that an edit was dropped."""
    ours = annotations_of(live).items()
    return {key: value for key, value in ours if "argoproj.io" not in key and key != names.DROPPED_EDIT}


def _put_back(seen: Seen) -> str:
    return _difference(seen.before, seen.answer)


def _held_again(seen: Seen) -> str:
    before, answer = seen.before, seen.answer
    attempt = str(before["metadata"]["generation"])
    if answer.get("kind") != "Rollout" or answer["metadata"]["uid"] != before["metadata"]["uid"]:
        attempt = "0"  # another Rollout, just made
    if hold_of(answer) != f"held-{attempt}":
        return f"the hold is {hold_of(answer)!r}, not held-{attempt}"
    if annotations_of(answer).get(PREFIX + "submitted-by") != seen.user:
        return f"the submitter is {annotations_of(answer).get(PREFIX + 'submitted-by')!r}"
    if attempt != "0" and "canary" in answer["spec"]["strategy"] and steps_of(answer)[:2] != BARRIER:
        return f"no barrier stands in {steps_of(answer)}"
    leftovers = [key for key in annotations_of(answer) if key.startswith("approval.")]
    return f"approvals of the template before are left: {leftovers}" if leftovers else ""


def _not_counted(seen: Seen) -> str:
    """The operator's answer is waited for: a first one may be of a moment before it knew all."""
    records_of = f"/apis/rollwarden.dev/v1alpha1/namespaces/{seen.stage.namespace}/approvals"
    last = ""

    def look() -> bool:
        nonlocal last
        conditions = seen.stage.client().get(f"{records_of}/{seen.answer['metadata']['name']}")
        for one in conditions.get("status", {}).get("conditions", ()):
            if one["type"] == "Counted":
                last = f"Counted is {one['status']}: {one['message']}"
        return last.startswith("Counted is False") and seen.says in last

    try:
        seen.stage.wait("an answer to the approval", look)
    except TimeoutError:
        return f"expected an answer in the words {seen.says!r}; {last}"
    return ""


def _stamped(seen: Seen) -> str:
    named = seen.answer["spec"].get("approver", {}).get("user")
    return "" if named == seen.user else f"the approver is {named!r}"


OUTCOMES: dict[str, Callable[[Seen], str]] = {
    "put back": _put_back,
    "held": _held_again,
    "stamped": _stamped,
    "not counted": _not_counted,
    "admitted": lambda seen: "",
}
