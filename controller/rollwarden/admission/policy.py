"""Policies as data, and their form as Kubernetes objects.

A policy names the variables it uses only by using them: rendering takes the ones its expressions reach, in the order
in which the library defines them. What the policies say is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollwarden.api.enums import Mode
from rollwarden.api.names import MODE_LABEL, POLICY_VERSION
from rollwarden.core.integrity import fingerprint

from .cel import variables_of

Manifest = dict[str, Any]

LABELS = {"app.kubernetes.io/name": "rollwarden", "app.kubernetes.io/component": "admission"}

ENFORCED = {"matchLabels": {MODE_LABEL: Mode.ENFORCE.lower}}
# NotIn also matches a namespace without the label: observe is the default.
NOT_OFF = {"matchExpressions": [{"key": MODE_LABEL, "operator": "NotIn", "values": [Mode.OFF.lower]}]}


@dataclass(frozen=True)
class Resources:
    """What a policy is asked about."""

    group: str
    version: str
    names: tuple[str, ...]
    operations: tuple[str, ...]

    def rule(self) -> Manifest:
        return {
            "apiGroups": [self.group],
            "apiVersions": [self.version],
            "resources": list(self.names),
            "operations": list(self.operations),
        }


@dataclass(frozen=True)
class Param:
    """An object that a policy reads as ``params``: of the namespace that is asked about, by a name known beforehand.

    Where it is not there, the whole policy stands aside: it has nothing to go by.
    """

    api_version: str
    kind: str
    name: str

    def kind_manifest(self) -> Manifest:
        return {"apiVersion": self.api_version, "kind": self.kind}

    def reference(self) -> Manifest:
        return {"name": self.name, "parameterNotFoundAction": "Allow"}


@dataclass(frozen=True)
class Rule:
    """A condition that must hold, and what the requester reads when it does not (a CEL string expression)."""

    expression: str
    says: str
    reason: str = "Forbidden"

    def manifest(self) -> Manifest:
        return {"expression": self.expression, "messageExpression": self.says, "reason": self.reason}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What mutating and validating policies have in common. ``namespaces`` None means every namespace.

    ``more``: resources of other groups that the policy is asked about too.
    """

    name: str
    resources: Resources
    more: tuple[Resources, ...] = ()
    param: Param | None = None
    when: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    namespaces: Manifest | None = None

    def _spec(self, expressions: Iterable[str]) -> Manifest:
        spec: Manifest = {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [each.rule() for each in (self.resources, *self.more)]},
        }
        if self.param:
            spec["paramKind"] = self.param.kind_manifest()
        if self.when:
            spec["matchConditions"] = [{"name": name, "expression": text} for name, text in self.when.items()]
        reached = reachable(expressions, self.variables)
        if reached:
            spec["variables"] = [{"name": name, "expression": text} for name, text in reached.items()]
        return spec

    def _objects(self, flavour: str, spec: Manifest, binding: Manifest) -> list[Manifest]:
        bound: Manifest = {"policyName": self.name, **binding}
        if self.param:
            bound["paramRef"] = self.param.reference()
        if self.namespaces is not None:
            bound["matchResources"] = {"namespaceSelector": self.namespaces}
        kinds = ((f"{flavour}AdmissionPolicy", spec), (f"{flavour}AdmissionPolicyBinding", bound))
        return [
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": kind,
                "metadata": {"name": self.name, "labels": {**LABELS, POLICY_VERSION: fingerprint(body)}},
                "spec": body,
            }
            for kind, body in kinds
        ]


@dataclass(frozen=True, kw_only=True)
class MutatingPolicy(Policy):
    """``patches`` are CEL lists of JSONPatch, applied one after the other as one list."""

    patches: tuple[str, ...]

    def manifests(self) -> list[Manifest]:
        spec = self._spec(self.patches)
        spec["reinvocationPolicy"] = "IfNeeded"
        expression = "\n+ ".join(f"({patch})" for patch in self.patches)
        spec["mutations"] = [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]
        return self._objects("Mutating", spec, {})


@dataclass(frozen=True, kw_only=True)
class ValidatingPolicy(Policy):
    """``action`` Warn lets the request pass and says the rule's sentence."""

    rules: tuple[Rule, ...]
    action: str = "Deny"

    def manifests(self) -> list[Manifest]:
        spec = self._spec(text for rule in self.rules for text in (rule.expression, rule.says))
        spec["validations"] = [rule.manifest() for rule in self.rules]
        return self._objects("Validating", spec, {"validationActions": [self.action]})


def reachable(expressions: Iterable[str], library: Mapping[str, str]) -> dict[str, str]:
    """The part of ``library`` that the expressions use, directly or through other variables, in the library's order.

    KeyError if an expression reads a variable that the library does not have.
    """
    wanted: set[str] = set()
    waiting = [name for text in expressions for name in variables_of(text)]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += variables_of(library[name])
    return {name: text for name, text in library.items() if name in wanted}
