"""An enforced namespace whose governed map says what a scenario wants, written with the operator's own token.

Nothing moves in it by itself: no operator runs, and Argo's controller leaves these Rollouts alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from e2e.apiclient import ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.install import install_rollwarden
from e2e.stage import CI, Stage, canary, merged, rollout

AGENT = "agent"
MORE_RIGHTS: tuple[JsonObject, ...] = (
    {"apiGroups": [""], "resources": ["pods", "configmaps", "replicationcontrollers"], "verbs": ["*"]},
    {"apiGroups": ["networking.istio.io", "batch"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["rollwarden.dev"], "resources": ["serviceprofiles"], "verbs": ["*"]},
)
STEPS: list[JsonObject] = [{"setWeight": 50}, {"pause": {}}]
UNMANAGED = {"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "nobody"}}}


def lines(*items: str) -> str:
    """A list as the map holds it."""
    return "\n" + "\n".join(items) + "\n"


class GovernedStage(Stage):
    """``agent`` and the group ``juniors-bots`` are AI agents; everybody has every right that admission may refuse."""

    def __init__(self, cp: ControlPlane, namespace: str, *, sets: Iterable[JsonObject] = (), **data: str) -> None:
        """``sets`` are ReplicaSets that stand before the namespace is enforced."""
        install_rollwarden(cp)
        super().__init__(cp, namespace)
        for each in sets:
            self.client().create(self.set_path(), each)
        self.enforce()
        role = {"metadata": {"name": "more"}, "rules": list(MORE_RIGHTS)}
        cp.api.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles", role)
        self.bind("more", "Role", "more", {"kind": "Group", "name": "system:authenticated"})
        body = {"metadata": {"name": "rollwarden-governed"}, "data": {"agents.users": lines(AGENT), **data}}
        cp.wait_for("the operator's rights", lambda: self._written(body))

    def _written(self, body: JsonObject) -> bool:
        try:
            self.operator.create(self.core("configmaps"), body)
        except ApiError as error:
            if error.code == 403:
                return False
            raise
        return True

    def core(self, plural: str, name: str = "") -> str:
        """A path of the core group in the namespace."""
        return "/".join(part for part in (f"/api/v1/namespaces/{self.namespace}/{plural}", name) if part)

    def tell(self, data: JsonObject) -> None:
        """The operator writes the map anew in part."""
        self.operator.patch(self.core("configmaps", "rollwarden-governed"), {"data": data})

    def owned(self, name: str, **metadata: JsonObject) -> JsonObject:
        """A Rollout that Argo leaves alone, as CI creates it."""
        manifest = merged(rollout(name, "v1", canary(*STEPS)), merged(UNMANAGED, {"metadata": metadata}))
        return self.client(CI).create(self.path(), manifest)


def about(name: str, criticality: str, **more: str) -> JsonObject:
    """The map's entries for a Rollout of ``stage.rollout``."""
    own = lines(f"app={name}")
    entries = {"crit": criticality, "pods": own, "sel": own, **more}
    return {f"{key}.{name}": value for key, value in entries.items()}
