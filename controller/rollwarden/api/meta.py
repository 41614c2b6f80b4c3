"""What every Kubernetes object has in common, as far as we read it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

Name = Annotated[str, Meta(min_length=1, max_length=253)]
Text = Annotated[str, Meta(max_length=1024)]
User = Annotated[str, Meta(min_length=1, max_length=253)]
Timestamp = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]
Duration = Annotated[str, Meta(max_length=32, pattern=r"^([0-9]+(ms|s|m|h))+$")]
Percent = Annotated[str, Meta(max_length=12, pattern=r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)$")]
Decimal = Annotated[str, Meta(max_length=32)]
FreeObject = Annotated[dict[str, Any], Meta(extra_json_schema={"x-kubernetes-preserve-unknown-fields": True})]


class Model(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of every API value: frozen, camelCase on the wire, defaults left out."""


class OwnerReference(Model, frozen=True, kw_only=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool = False


class ObjectMeta(Model, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Model, frozen=True, kw_only=True):
    """A condition in the field's form; ``reason`` is CamelCase, ``message`` a sentence."""

    type: Annotated[str, Meta(min_length=1, max_length=64)]
    status: Annotated[str, Meta(pattern="^(True|False|Unknown)$")]
    reason: Annotated[str, Meta(min_length=1, max_length=128)]
    message: Annotated[str, Meta(max_length=4096)] = ""
    last_transition_time: Timestamp | None = None
    observed_generation: int = 0


Conditions = Annotated[
    tuple[Condition, ...],
    Meta(max_length=16, extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]


class SelectorRequirement(Model, frozen=True, kw_only=True):
    key: Annotated[str, Meta(min_length=1, max_length=317)]
    operator: Annotated[str, Meta(pattern="^(In|NotIn|Exists|DoesNotExist)$")]
    values: Annotated[tuple[Annotated[str, Meta(max_length=63)], ...], Meta(max_length=64)] = ()


class LabelSelector(Model, frozen=True, kw_only=True):
    """Kubernetes' label selector; an empty one selects everything."""

    match_labels: Annotated[dict[str, Annotated[str, Meta(max_length=63)]], Meta(max_length=32)] = field(
        default_factory=dict
    )
    match_expressions: Annotated[tuple[SelectorRequirement, ...], Meta(max_length=16)] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        return all(labels.get(k) == v for k, v in self.match_labels.items()) and all(
            _meets(requirement, labels) for requirement in self.match_expressions
        )


def _meets(requirement: SelectorRequirement, labels: dict[str, str]) -> bool:
    present = requirement.key in labels
    match requirement.operator:
        case "In":
            return present and labels[requirement.key] in requirement.values
        case "NotIn":
            return not present or labels[requirement.key] not in requirement.values
        case "Exists":
            return present
        case _:
            return not present
