"""Access to a running control plane as anyone: tokens, kubeconfigs, API clients and kubectl."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e import identities
from e2e.apiclient import ApiClient
from e2e.components import Layout

TOKEN_SECONDS = 7 * 24 * 3600
KUBECTL_SECONDS = 60.0


@dataclass(frozen=True)
class Result:
    """What a command did: exit code, standard output, standard error."""

    rc: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.rc == 0


class Access:
    """``tokens`` by user name; kubeconfigs are written once into ``<directory>/kubeconfigs``, readable by us only."""

    def __init__(self, layout: Layout, tokens: Mapping[str, str]) -> None:
        self._layout = layout
        self._tokens = tokens
        self._folder = layout.directory / "kubeconfigs"
        self._folder.mkdir(exist_ok=True, mode=0o700)

    def token(self, user: str) -> str:
        """The static token of a user of ``identities.py``."""
        if user not in self._tokens:
            raise KeyError(f"no user {user!r} in e2e/identities.py; there are {', '.join(self._tokens)}")
        return self._tokens[user]

    def kubeconfig(self, user: str = identities.ADMIN) -> Path:
        """The path of a kubeconfig that acts as ``user``."""
        return self._write(user, self.token(user), "default")

    def client(self, user: str = identities.ADMIN) -> ApiClient:
        """An API client that acts as ``user``."""
        return ApiClient(self._layout.server, self._layout.ca_file, self.token(user))

    def service_account_token(self, namespace: str, name: str) -> str:
        """A real token of a service account, from the TokenRequest API, good for a week."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS},
        }
        answer = self.client().create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", body)
        return str(answer["status"]["token"])

    def service_account_client(self, namespace: str, name: str) -> ApiClient:
        """An API client that acts as a service account with a fresh real token."""
        return ApiClient(self._layout.server, self._layout.ca_file, self.service_account_token(namespace, name))

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """The path of a kubeconfig that acts as a service account with a fresh real token."""
        token = self.service_account_token(namespace, name)
        return self._write(f"system:serviceaccount:{namespace}:{name}", token, namespace)

    def kubectl(self, *arguments: str, user: str = identities.ADMIN, input: str | None = None) -> Result:
        """Runs kubectl as ``user``; never raises for a refusal: look at ``ok``, ``out`` and ``err``."""
        done = subprocess.run(
            [self._layout.program("kubectl"), f"--kubeconfig={self.kubeconfig(user)}", *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=KUBECTL_SECONDS,
            check=False,
            env={"HOME": str(self._layout.directory), "PATH": "/usr/bin:/bin"},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def _write(self, user: str, token: str, namespace: str) -> Path:
        path = self._folder / (re.sub(r"[^\w@.-]", "_", user) + ".yaml")
        text = identities.kubeconfig(self._layout.server, self._layout.ca_file, user, token, namespace)
        if not path.exists() or path.read_text() != text:
            path.touch(mode=0o600)
            path.write_text(text)
        return path
