"""Who may call the API server: people in groups (a static token file), system components, and their kubeconfigs.

Everyone here is a real user to the API server, with no right but what RBAC gives: only ``admin`` is in
``system:masters``. Service accounts get real tokens from the TokenRequest API (``controlplane.py``).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ADMIN = "admin"
PLATFORM = "platform@example.com"
"""Whoever runs Rollwarden here: a principal in the whole cluster, as ``install.py`` binds it."""
NODE = "node-1"
NODE_USER = f"system:node:{NODE}"


@dataclass(frozen=True)
class Identity:
    """One user name and its groups; ``system:authenticated`` comes by itself."""

    user: str
    groups: tuple[str, ...] = ()


PEOPLE = (
    Identity("jun@example.com", ("juniors",)),
    Identity("ada@example.com", ("payments-seniors",)),
    Identity("sam@example.com", ("payments-seniors",)),
    Identity("pia@example.com", ("principals",)),
    Identity("olli@example.com", ("on-call",)),
    Identity("ci-bot", ("ci",)),
    Identity("agent", ("agents",)),
    Identity("nan@example.com", ("team-leads",)),
    Identity("root@example.com", ("platform",)),
    Identity(PLATFORM, ("rollwarden-admins",)),
)
SYSTEM = (
    Identity(ADMIN, ("system:masters",)),
    Identity("system:kube-controller-manager"),
    Identity("system:kube-scheduler"),
    Identity("system:kube-proxy"),
    Identity(NODE_USER, ("system:nodes",)),
)
EVERYONE = PEOPLE + SYSTEM


def draw_tokens(identities: tuple[Identity, ...]) -> dict[str, str]:
    """One fresh random token per user name."""
    return {identity.user: secrets.token_urlsafe(24) for identity in identities}


def token_file(identities: tuple[Identity, ...], tokens: Mapping[str, str]) -> str:
    """The API server's ``--token-auth-file``: token, user, uid, groups."""
    return "".join(f'{tokens[i.user]},{i.user},{i.user},"{",".join(i.groups)}"\n' for i in identities)


def kubeconfig(server: str, ca_file: Path, user: str, token: str, namespace: str = "default") -> str:
    """A kubeconfig with one context."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority": str(ca_file)}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": user, "namespace": namespace}}],
            "current-context": "local",
        }
    )


def service_account_key() -> str:
    """A fresh P-256 private key (PEM, SEC 1) that signs service-account tokens."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    scalar = (secrets.randbelow(order - 1) + 1).to_bytes(32, "big")
    # SEQUENCE { INTEGER 1, OCTET STRING scalar, [0] OBJECT IDENTIFIER prime256v1 }
    der = bytes.fromhex("303102010104 20") + scalar + bytes.fromhex("a00a06082a8648ce3d030107")
    return f"-----BEGIN EC PRIVATE KEY-----\n{base64.encodebytes(der).decode()}-----END EC PRIVATE KEY-----\n"
