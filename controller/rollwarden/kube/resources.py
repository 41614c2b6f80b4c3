"""The kinds of object we speak about with the API server, and where each lives.

Pure: names and paths only.
"""

from dataclasses import dataclass
from urllib.parse import quote

OWN_GROUP = "rollwarden.dev"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server serves it. `group` is "" for the core group; `plural` is the name in the path."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in an object's `apiVersion`: "apps/v1", "v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of one object, of a namespace's collection, or of the collection in all namespaces.

        Raises ValueError for a combination that names nothing: an object of a namespaced kind without its namespace, a
        cluster-scoped kind with one, an empty name.
        """
        if namespace is not None and not self.namespaced:
            message = f"{self} are cluster-scoped, they are in no namespace ({namespace!r} was given)"
            raise ValueError(message)
        if name is not None and self.namespaced and not namespace:
            message = f"{self} are namespaced: name the namespace of {name!r}"
            raise ValueError(message)
        if name == "" or namespace == "" or (subresource and not name):
            message = f"an empty name leads to the whole collection of {self}, which was not meant"
            raise ValueError(message)
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet")

ROLLOUTS = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout")
VIRTUALSERVICES = Resource("networking.istio.io", "v1beta1", "virtualservices", "VirtualService")

GUARDRAILPOLICIES = Resource(OWN_GROUP, "v1alpha1", "guardrailpolicies", "GuardrailPolicy", namespaced=False)
SERVICEPROFILES = Resource(OWN_GROUP, "v1alpha1", "serviceprofiles", "ServiceProfile")
CHANGES = Resource(OWN_GROUP, "v1alpha1", "changes", "Change")
APPROVALS = Resource(OWN_GROUP, "v1alpha1", "approvals", "Approval")

CUSTOMRESOURCEDEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
RBAC_GROUP = "rbac.authorization.k8s.io"
ROLES = Resource(RBAC_GROUP, "v1", "roles", "Role")
ROLEBINDINGS = Resource(RBAC_GROUP, "v1", "rolebindings", "RoleBinding")
CLUSTERROLES = Resource(RBAC_GROUP, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTERROLEBINDINGS = Resource(RBAC_GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ADMISSION_GROUP = "admissionregistration.k8s.io"
MUTATING_POLICIES = Resource(
    ADMISSION_GROUP, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False
)
MUTATING_BINDINGS = Resource(
    ADMISSION_GROUP, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", namespaced=False
)
VALIDATING_POLICIES = Resource(
    ADMISSION_GROUP, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
VALIDATING_BINDINGS = Resource(
    ADMISSION_GROUP, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
