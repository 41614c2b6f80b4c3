"""The four CustomResourceDefinitions, generated from the Structs: ``crds/*.yaml`` are these values, checked in."""

from __future__ import annotations

from typing import Any

import msgspec

from .approval import Approval
from .change import Change
from .enums import GROUP, VERSION
from .policy import GuardrailPolicy
from .profile import ServiceProfile
from .schema import structural_schema


class Column(msgspec.Struct, frozen=True):
    name: str
    path: str
    type: str = "string"
    priority: int = 0


class Kind(msgspec.Struct, frozen=True):
    """One CRD. ``spec_rules`` are CEL rules on ``spec``; ``immutable`` freezes it; ``selectable`` are JSON paths."""

    type: type[msgspec.Struct]
    plural: str
    singular: str
    short_names: tuple[str, ...]
    scope: str
    columns: tuple[Column, ...]
    immutable: bool = False
    spec_rules: tuple[tuple[str, str], ...] = ()
    selectable: tuple[str, ...] = ()


AGE = Column("Age", ".metadata.creationTimestamp", "date")


def _condition(name: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{name}")].{field}'


KINDS = (
    Kind(
        GuardrailPolicy,
        "guardrailpolicies",
        "guardrailpolicy",
        ("grp",),
        "Cluster",
        (
            Column("Preset", ".spec.preset"),
            Column("Accepted", _condition("Accepted", "status")),
            Column("Reason", _condition("Accepted", "reason")),
            AGE,
        ),
        spec_rules=(
            (
                "!has(self.rules) || self.rules.all(r, !has(r.require.profile) || (has(self.profiles) && "
                "self.profiles.exists(p, p.name == r.require.profile)) || "
                "(has(self.preset) && r.require.profile in ['standard', 'careful']))",
                "require.profile must name one of spec.profiles",
            ),
            (
                "!has(self.rules) || self.rules.all(r, !has(r.require.deny) || !has(r.require.approvals))",
                "a rule that denies cannot also ask for approvals: nothing lifts a denial",
            ),
        ),
    ),
    Kind(
        ServiceProfile,
        "serviceprofiles",
        "serviceprofile",
        ("svcp",),
        "Namespaced",
        (
            Column("Criticality", ".spec.criticality"),
            Column("Contact", ".spec.contact"),
            Column("Matched", ".status.matched", "integer"),
            AGE,
        ),
    ),
    Kind(
        Change,
        "changes",
        "change",
        ("chg",),
        "Namespaced",
        (
            Column("Phase", ".status.phase"),
            Column("Waiting For", ".status.waitingFor"),
            Column("Origin", ".spec.classification.origin"),
            Column("Criticality", ".spec.classification.criticality"),
            Column("Revision", ".status.revision", "integer", 1),
            Column("Submitter", ".spec.submitter.user", priority=1),
            Column("Message", ".status.message", priority=1),
            AGE,
        ),
        immutable=True,
    ),
    Kind(
        Approval,
        "approvals",
        "approval",
        ("appr",),
        "Namespaced",
        (
            Column("Change", ".spec.changeRef.name"),
            Column("Decision", ".spec.decision"),
            Column("Tier", ".spec.tier"),
            Column("Approver", ".spec.approver.user"),
            Column("Counted", _condition("Counted", "status")),
            AGE,
        ),
        immutable=True,
        spec_rules=(
            (
                "self.decision != 'Reject' || (has(self.reason) && self.reason != '')",
                "a rejection needs a reason: the author will read it",
            ),
            (
                "!has(self.acknowledgesQuarantine) || !self.acknowledgesQuarantine || "
                "(has(self.reason) && self.reason != '')",
                "approving a quarantined template needs a reason",
            ),
            (
                "self.decision != 'Review' || (self.tier == 'Principal' && has(self.reason) && self.reason != '')",
                "a review of a break-glass is a principal's, and says in its reason what was found",
            ),
        ),
        selectable=(".spec.changeRef.name",),
    ),
)


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    schema = structural_schema(kind.type)
    rules = [{"rule": rule, "message": message} for rule, message in kind.spec_rules]
    if kind.immutable:
        rules.insert(0, {"rule": "self == oldSelf", "message": f"the spec of this {kind.singular} never changes"})
        schema["required"] = sorted({*schema.get("required", ()), "spec"})
    if rules:
        schema["properties"]["spec"]["x-kubernetes-validations"] = rules
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": kind.scope,
            "names": {
                "kind": kind.type.__name__,
                "listKind": f"{kind.type.__name__}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": ["rollwarden"],
            },
            "versions": [version],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    value: dict[str, Any] = {"name": column.name, "jsonPath": column.path, "type": column.type}
    return value | ({"priority": column.priority} if column.priority else {})


def all_definitions() -> dict[str, dict[str, Any]]:
    """File name in ``crds/`` to definition."""
    return {f"{GROUP}_{kind.plural}.yaml": custom_resource_definition(kind) for kind in KINDS}
