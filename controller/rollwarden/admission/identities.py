"""Who the policies know by name: two service accounts and the parts of Kubernetes that tidy up after deletions."""

from __future__ import annotations

from dataclasses import dataclass


def service_account(namespace: str, name: str) -> str:
    """The user name that the API server gives a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


# With and without --use-service-account-credentials on kube-controller-manager.
CONTROLLER_MANAGER = "system:kube-controller-manager"
NAMESPACE_CONTROLLERS = (service_account("kube-system", "namespace-controller"), CONTROLLER_MANAGER)
GARBAGE_COLLECTORS = (service_account("kube-system", "generic-garbage-collector"), CONTROLLER_MANAGER)
# Whatever they make comes from a workload that somebody wrote.
WORKLOAD_CONTROLLERS = (
    *(
        service_account("kube-system", f"{kind}-controller")
        for kind in ("deployment", "replicaset", "replication", "statefulset", "daemon-set", "job", "cronjob")
    ),
    CONTROLLER_MANAGER,
)


@dataclass(frozen=True)
class Identities:
    """User names of the operator and of Argo's controller, as they appear in ``request.userInfo.username``."""

    operator: str = service_account("rollwarden-system", "rollwarden")
    argo: str = service_account("argo-rollouts", "argo-rollouts")

    @property
    def namespace(self) -> str:
        """The operator's own namespace; empty where it is not a service account."""
        prefix, _, rest = self.operator.partition("system:serviceaccount:")
        return "" if prefix else rest.partition(":")[0]
