"""The demo's services, as their owners would write them, and the policy that guards them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from e2e.apiclient import JsonObject
from e2e.manifests import rollout, service

JUNIOR = "jun@example.com"
SENIOR = "ada@example.com"
ON_CALL = "olli@example.com"
CI = "ci-bot"
AGENT = "agent"

API_VERSION = "rollwarden.dev/v1alpha1"
PROVENANCE = "provenance.rollwarden.dev/"
PREFIX = "rollwarden.dev/"
MODE = PREFIX + "mode"
HOLD = PREFIX + "hold"

PROFILE_WEIGHT = 33
BAKE_SECONDS = 20
FLOOR_PERCENT = 98.0
COLD_PHI = 3

Env = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Service:
    """One service in a namespace of its own name. ``rps`` are requests per second over all its pods."""

    name: str
    criticality: str
    replicas: int
    rps: float
    steps: tuple[JsonObject, ...]
    objective: float = 99.0
    env: Env = field(default_factory=dict)
    first: str = "1.0.0"

    def image(self, version: str) -> str:
        return f"registry.example.com/{self.name}:{version}"

    def manifest(
        self,
        version: str,
        env: Env | None = None,
        annotations: Mapping[str, str] | None = None,
        pod_annotations: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """What a team keeps in Git. No ``replicas``: those belong to the autoscaler."""
        made = rollout(self.name, self.name, self.replicas, self.steps, self.image(version), env or {}, annotations)
        del made["spec"]["replicas"]
        if pod_annotations:
            made["spec"]["template"]["metadata"]["annotations"] = dict(pod_annotations)
        return made

    def claims(self, version: str, **claims: str) -> dict[str, str]:
        """Provenance annotations that name the image of this version as their subject."""
        return {PROVENANCE + key: value for key, value in {"subject": self.image(version), **claims}.items()}

    def at_first(self) -> tuple[JsonObject, ...]:
        """The Service and the first revision."""
        return service(self.name, self.name), self.manifest(self.first, self.env)

    def scaling(self, replicas: int) -> tuple[str, ...]:
        """The kubectl arguments that set the number of pods."""
        return ("-n", self.name, "scale", "rollout", self.name, f"--replicas={replicas}")

    def profile(self) -> JsonObject:
        """What the service's team says of it."""
        objective = {"targetPercent": f"{self.objective:g}"}
        return {
            "apiVersion": API_VERSION,
            "kind": "ServiceProfile",
            "metadata": {"name": self.name, "namespace": self.name},
            "spec": {
                "criticality": self.criticality,
                "contact": "@payments",
                "indicators": [{"name": "errors", "type": "Errors", "objective": objective}],
            },
        }


BANNER = Service("banner", "Low", 2, 20, ({"setWeight": 50}, {"pause": {"duration": "2s"}}))
CHECKOUT = Service("checkout", "Critical", 4, 240, ({"setWeight": 50}, {"pause": {"duration": "5s"}}), FLOOR_PERCENT)
LEDGER = Service("ledger", "Medium", 4, 80, ({"setWeight": 50}, {"pause": {"duration": "10s"}}))
SEARCH = Service(
    "search",
    "High",
    3,
    30,
    ({"setWeight": 50}, {"pause": {"duration": "3s"}}),
    env={"FAULT_ABOVE_RPS": 20, "FAULT_ERROR_PERCENT": 40},
)
SERVICES = (BANNER, CHECKOUT, LEDGER, SEARCH)
FLEET = "fleet"


def policy() -> JsonObject:
    """Memo's rules with a pace that fits a demo: a ladder of one weight, a short soak, a short bake."""
    ai = {"origins": ["AI"]}
    senior = [{"tier": "Senior"}]
    return {
        "apiVersion": API_VERSION,
        "kind": "GuardrailPolicy",
        "metadata": {"name": "demo"},
        "spec": {
            "namespaceSelector": {"matchLabels": {MODE: "enforce"}},
            "agents": {"users": [AGENT]},
            "people": [
                {"level": "Junior", "users": [JUNIOR]},
                {"level": "Senior", "users": [SENIOR, "sam@example.com"]},
                {"level": "Principal", "users": ["pia@example.com"]},
            ],
            "floors": {"objectivePercent": f"{FLOOR_PERCENT:g}"},
            "profiles": [
                {
                    "name": "quick",
                    "weights": [PROFILE_WEIGHT],
                    "minSoak": "10s",
                    "bake": f"{BAKE_SECONDS}s",
                    "coldPhi": COLD_PHI,
                    "maxStep": "10m",
                }
            ],
            "rules": [
                _rule("ai-needs-a-senior", ai | {"minCriticality": "Medium", "maxAuthorLevel": "Mid"}, senior),
                _rule("ai-on-high", ai | {"minCriticality": "High"}, senior),
                _rule(
                    "agent-needs-an-adopter", ai | {"minAutonomy": "Agent", "minCriticality": "Medium"}, senior, True
                ),
            ],
        },
    }


def _rule(name: str, when: JsonObject, approvals: list[JsonObject], adopter: bool = False) -> JsonObject:
    require: JsonObject = {"approvals": approvals, "approvalTTL": "168h", "profile": "quick"}
    return {"name": name, "when": when, "require": require | ({"humanAdopter": True} if adopter else {})}


def owners_steps(of: Service) -> list[JsonObject]:
    """As a JSON value, to compare with what stands in the cluster."""
    return [dict(step) for step in of.steps]
