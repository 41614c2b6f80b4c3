"""The caller's API server: connecting, the namespace, who the caller is, and errors as sentences."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rollwarden.api.enums import GROUP, Tier
from rollwarden.cli.errors import CommandError
from rollwarden.cli.session import Session, say_warning
from rollwarden.kube.client import KubeClient
from rollwarden.kube.config import SERVICE_ACCOUNT
from rollwarden.kube.errors import (
    Call,
    ConfigError,
    Forbidden,
    KubeError,
    NotFound,
    ServerUnavailable,
    Unauthorized,
)
from rollwarden.kube.transport import ClientOptions

_DENIED = re.compile(r"denied request: (?P<sentence>.*)", re.DOTALL)
_WARNED = re.compile(r"Validation failed for \w+ '[^']*' with binding '[^']*': (?P<sentence>.*)", re.DOTALL)
SENTINEL, NEVER_GRANTED = "sentinels", "never-granted"


@dataclass(frozen=True, slots=True)
class Cluster:
    client: KubeClient
    namespace: str

    def may(self, verb: str, resource: str, name: str = "") -> bool:
        """Whether the caller holds a verb of our group in the namespace."""
        return self.client.self_subject_access_review(verb, GROUP, resource, name, self.namespace)

    @property
    def holds_everything(self) -> bool:
        """A wildcard role, which counts as no tier and as no right to break-glass."""
        return self.may(NEVER_GRANTED, SENTINEL)

    def tiers(self) -> tuple[Tier, ...]:
        """The tiers the caller holds in the namespace, lowest first; none under a wildcard role."""
        if self.holds_everything:
            return ()
        return tuple(tier for tier in Tier if self.may("approve", "tiers", tier.lower))

    def at(self, namespace: str) -> Cluster:
        return Cluster(self.client, namespace)


@contextmanager
def connected(session: Session, *, show_warnings: bool = True) -> Iterator[Cluster]:
    """The cluster of the session's options. Errors of the API server leave as CommandErrors."""
    try:
        options = ClientOptions(on_warning=_warn if show_warnings else None)
        client = KubeClient.connect(session.kubeconfig, session.context, options)
        with client:
            yield Cluster(client, session.namespace or context_namespace(session.kubeconfig, session.context))
    except (KubeError, ConfigError) as error:
        raise CommandError(sentence_of(error)) from error


def _warn(call: Call, text: str) -> None:
    found = _WARNED.match(text)
    say_warning(found["sentence"] if found else text)


def sentence_of(error: KubeError | ConfigError) -> str:
    """What was refused, why, and what to do."""
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, Forbidden):
        found = _DENIED.search(error.message)
        return found["sentence"].strip() if found else f"{error.message}; ask for the right, or use another --context"
    if isinstance(error, Unauthorized):
        return "the API server does not accept your credentials: log in again, or use another --context"
    if isinstance(error, ServerUnavailable) and not error.code:
        return f"{error.message}; check --kubeconfig and --context, and that the cluster is up"
    if isinstance(error, NotFound) and "could not find the requested resource" in error.message:
        install = "rollwarden crds | kubectl apply --server-side -f -"
        kind = error.call.resource
        hint = f"install them: {install}" if kind.group == GROUP else "install Argo Rollouts"
        return f"the cluster does not know {kind}: {hint}"
    return str(error)


def context_namespace(kubeconfig: Path | None, context: str | None) -> str:
    """The namespace of the kubeconfig's context, of the pod we run in, or ``default``."""
    in_pod = SERVICE_ACCOUNT / "namespace"
    for path in _kubeconfigs(kubeconfig):
        found = _named_namespace(path, context)
        if found:
            return found
    named = kubeconfig is not None or context is not None or bool(os.environ.get("KUBECONFIG"))
    if not named and in_pod.is_file():
        return in_pod.read_text().strip()
    return "default"


def _kubeconfigs(kubeconfig: Path | None) -> list[Path]:
    if kubeconfig is not None:
        return [kubeconfig]
    listed = os.environ.get("KUBECONFIG", "")
    paths = [Path(part) for part in listed.split(os.pathsep) if part] or [Path.home() / ".kube" / "config"]
    return [path for path in paths if path.is_file()]


def _named_namespace(path: Path, context: str | None) -> str:
    """The client has read the file by now, so that it can be read is known."""
    content: Any = yaml.safe_load(path.read_text())
    wanted = context or content.get("current-context")
    for entry in content.get("contexts") or ():
        if entry.get("name") == wanted:
            return str((entry.get("context") or {}).get("namespace") or "")
    return ""
