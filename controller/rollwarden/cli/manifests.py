"""Manifests as the kinds of ``api``; whatever does not fit ends in a sentence that names file, object and field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from rollwarden.api.argo import Namespace, Rollout
from rollwarden.api.enums import API_VERSION
from rollwarden.api.meta import ObjectMeta
from rollwarden.api.policy import GuardrailPolicy
from rollwarden.api.profile import ServiceProfile
from rollwarden.api.schema import structural_schema
from rollwarden.cli.errors import InputError
from rollwarden.cli.steps import check_steps, shown
from rollwarden.cli.yamlfile import Document, read_documents
from rollwarden.core.policy import contradiction

K = TypeVar("K", bound=msgspec.Struct)

ROLLOUT_API = "argoproj.io/"
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RolloutFile:
    """One Rollout as a file has it. ``where`` names the file, the document and the Rollout."""

    where: str
    rollout: Rollout


@dataclass(frozen=True, slots=True)
class Manifests:
    """What was found in files; other kinds are passed over."""

    rollouts: tuple[RolloutFile, ...] = ()
    policies: tuple[GuardrailPolicy, ...] = ()
    profiles: tuple[ServiceProfile, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    documents: int = 0


@dataclass
class _Found:
    rollouts: list[RolloutFile] = field(default_factory=list)
    policies: list[GuardrailPolicy] = field(default_factory=list)
    profiles: list[ServiceProfile] = field(default_factory=list)
    namespaces: list[Namespace] = field(default_factory=list)
    documents: int = 0


def read_manifests(paths: Iterable[str]) -> Manifests:
    """Every manifest of ours and Argo's in the files. Raises InputError at the first that cannot be used."""
    found = _Found()
    for path in paths:
        for document in read_documents(path):
            found.documents += 1
            _sort_in(document, found)
    return Manifests(
        tuple(found.rollouts),
        tuple(found.policies),
        tuple(found.profiles),
        tuple(found.namespaces),
        found.documents,
    )


def _sort_in(document: Document, found: _Found) -> None:
    kind, version = document.value.get("kind"), document.value.get("apiVersion")
    named = f"{document.where}, {kind} {_name_of(document.value)}"
    if kind == "Rollout" and str(version).startswith(ROLLOUT_API):
        found.rollouts.append(RolloutFile(named, decode_rollout(document.value, named)))
    elif kind == "GuardrailPolicy" and version == API_VERSION:
        found.policies.append(_policy(document.value, named))
    elif kind == "ServiceProfile" and version == API_VERSION:
        found.profiles.append(_own_kind(document.value, ServiceProfile, named))
    elif kind == "Namespace" and version == "v1":
        found.namespaces.append(converted(_without_nulls(document.value), Namespace, named))


def _name_of(value: Mapping[str, Any]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else None
    return f'"{name}"' if isinstance(name, str) else "without a name"


def decode_rollout(value: Mapping[str, Any], where: str) -> Rollout:
    """A Rollout whose strategy and template can be worked with. Raises InputError naming the field."""
    _check_texts(value, where)
    rollout = converted(_prepared(value), Rollout, where)
    _check_strategy(rollout, where)
    if not rollout.spec.template and rollout.spec.workload_ref is None:
        raise InputError(f"{where}, spec.template", "is missing; a Rollout has a pod template (or a workloadRef)")
    if rollout.spec.template:
        check_template(rollout.spec.template, f"{where}, spec.template")
    return rollout


def _check_texts(value: Mapping[str, Any], where: str) -> None:
    for part in ("labels", "annotations"):
        texts = _at(value, "metadata", part)
        for key, text in texts.items() if isinstance(texts, Mapping) else ():
            if text is not None and not isinstance(text, str):
                raise InputError(f'{where}, metadata.{part}["{key}"]', f"is {shown(text)}; write it in quotes")


def _check_strategy(rollout: Rollout, where: str) -> None:
    strategy = rollout.spec.strategy
    at = f"{where}, spec.strategy"
    if strategy.canary is None and strategy.blue_green is None:
        raise InputError(at, "has neither canary nor blueGreen; Argo Rollouts needs one of them")
    if strategy.canary is not None and strategy.blue_green is not None:
        raise InputError(at, "has both canary and blueGreen; Argo Rollouts takes one of them")
    if strategy.canary is not None and strategy.canary.steps:
        routing = strategy.canary.traffic_routing or {}
        largest = routing.get("maxTrafficWeight")
        most = largest if isinstance(largest, int) and not isinstance(largest, bool) and largest > 0 else 100
        check_steps(strategy.canary.steps, f"{at}.canary.steps", largest_weight=most)


def check_template(template: Mapping[str, Any], where: str) -> None:
    """The parts of a pod template that identity and claims rest on. Raises InputError."""
    spec = template.get("spec")
    if not isinstance(spec, Mapping):
        raise InputError(f"{where}.spec", f"is {shown(spec)}; a pod template has a spec with containers")
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        raise InputError(f"{where}.spec.containers", f"is {shown(containers)}; a pod needs at least one container")
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        listed = spec.get(kind)
        if listed is None:
            continue
        if not isinstance(listed, list):
            raise InputError(f"{where}.spec.{kind}", f"is {shown(listed)}; it must be a list of containers")
        for index, container in enumerate(listed):
            if not isinstance(container, Mapping):
                raise InputError(f"{where}.spec.{kind}[{index}]", f"is {shown(container)}; it must be a container")


def read_stable_template(path: str, name: str) -> dict[str, Any]:
    """The template that runs now: of the Rollout ``name`` in the file, else of its only one, else the file itself."""
    documents = read_documents(path)
    rollouts = [d for d in documents if d.value.get("kind") in ("Rollout", "ReplicaSet")]
    chosen = [d for d in rollouts if _name_of(d.value) == f'"{name}"'] or rollouts
    if len(chosen) > 1:
        raise InputError(
            path, f'has {len(chosen)} Rollouts and none is named "{name}"; name a file with the one that runs'
        )
    if chosen:
        spec = chosen[0].value.get("spec")
        template = spec.get("template") if isinstance(spec, Mapping) else None
        where = f"{chosen[0].where}, spec.template"
    elif len(documents) == 1 and "kind" not in documents[0].value:
        template, where = documents[0].value, documents[0].where
    else:
        raise InputError(path, "has no Rollout and is no pod template; name the manifest that runs now")
    if not isinstance(template, dict):
        raise InputError(where, f"is {shown(template)}; the running pod template is needed")
    check_template(template, where)
    return template


def _policy(value: Mapping[str, Any], where: str) -> GuardrailPolicy:
    """A policy that the operator would accept too. Raises InputError naming the field."""
    policy = _own_kind(value, GuardrailPolicy, where)
    wrong = contradiction(policy.spec)
    if wrong is not None:
        raise InputError(f"{where}, {wrong.field}", wrong.what)
    return policy


def _own_kind(value: Mapping[str, Any], kind: type[K], where: str) -> K:
    """One of our kinds. A field that it does not have is refused: a misspelt requirement would be no requirement."""
    cleaned = _without_nulls(value)
    unknown = _unknown_field(structural_schema(kind), cleaned, "")
    if unknown:
        raise InputError(f"{where}, {unknown}", f"is not a field of a {kind.__name__}; kubectl explain shows what is")
    return converted(cleaned, kind, where)


def _unknown_field(schema: Mapping[str, Any], value: Any, path: str) -> str:
    """The path of the first field that the schema does not know; empty if there is none."""
    if isinstance(value, Mapping):
        properties = schema.get("properties")
        if properties is None or path == "metadata":
            return ""
        for key, item in value.items():
            at = f"{path}.{key}" if path else key
            if key not in properties:
                return at
            if found := _unknown_field(properties[key], item, at):
                return found
    if isinstance(value, list):
        for index, item in enumerate(value):
            if found := _unknown_field(schema.get("items", {}), item, f"{path}[{index}]"):
                return found
    return ""


def converted(value: Any, kind: type[K], where: str) -> K:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, path = _translated(str(error))
        raise InputError(f"{where}, {path}" if path else where, what) from error


def _translated(message: str) -> tuple[str, str]:
    """msgspec's message in the words of a manifest, and the field it is about."""
    match = _AT.match(message)
    if match is None:
        return message, ""
    what = match["what"].replace("`", "")
    path = (match["path"] or "").removeprefix("$").removeprefix(".")
    expected = re.match(r"Expected (\w+)(?: \| null)?, got (\w+)$", what)
    if expected:
        what = f"must be {_SPOKEN.get(expected[1], expected[1])}, and is {_SPOKEN.get(expected[2], expected[2])}"
    missing = re.match(r"Object missing required field (\w+)$", what)
    if missing:
        return "is missing", f"{path}.{missing[1]}" if path else missing[1]
    invalid = re.match(r"Invalid enum value '?(.*?)'?$", what)
    if invalid:
        what = f'is "{invalid[1]}", which is none of its values; kubectl explain shows them'
    return what, path


_SPOKEN = {
    "str": "text (in quotes)",
    "int": "a whole number",
    "float": "a fraction",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "nothing",
}


def _prepared(value: Mapping[str, Any]) -> dict[str, Any]:
    """A Rollout without the nulls that the API server would drop; template and steps stay exactly as written."""
    result = {key: _without_nulls(item) for key, item in value.items() if item is not None}
    spec = value.get("spec")
    if not isinstance(spec, Mapping):
        return result
    prepared: dict[str, Any] = dict(result["spec"])
    if isinstance(spec.get("template"), Mapping):
        prepared["template"] = spec["template"]
    canary = _at(spec, "strategy", "canary")
    if isinstance(canary, Mapping) and canary.get("steps") is not None:
        prepared["strategy"]["canary"]["steps"] = canary["steps"]
    return result | {"spec": prepared}


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def labels_of(namespaces: Iterable[Namespace], name: str) -> dict[str, str]:
    """The labels of the Namespace object ``name``; none without one."""
    found: ObjectMeta | None = next((n.metadata for n in namespaces if n.metadata.name == name), None)
    return dict(found.labels) if found else {}
