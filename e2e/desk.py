"""A terminal at which people run the command line, and the shops they run it on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from e2e.apiclient import JsonObject
from e2e.controlplane import ControlPlane
from e2e.shop import Shop, ai
from e2e.stage import JUNIOR

HALF: list[JsonObject] = [{"setWeight": 50}]
MAIN = "from rollwarden.cli.main import run; run()"


@dataclass(frozen=True)
class Ran:
    """One finished command; ``said`` is stdout and stderr without line breaks, for a terminal wraps where it likes."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return " ".join((self.out + self.err).split())

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(cp: ControlPlane, user: str, *arguments: str) -> Ran:
    """One command as that user, outside of any terminal."""
    environment = dict(os.environ, KUBECONFIG=str(cp.kubeconfig(user)), COLUMNS="160")
    command = (sys.executable, "-c", MAIN, *arguments)
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Desk:
    """A terminal in the shop's namespace, and other namespaces beside it."""

    shop: Shop
    hasty: Shop

    def run(self, user: str, *arguments: str, shop: Shop | None = None) -> Ran:
        where = shop or self.shop
        return run(where.cp, user, *arguments, "-n", where.namespace)

    def everywhere(self, user: str, *arguments: str) -> Ran:
        """Without a namespace."""
        return run(self.shop.cp, user, *arguments)

    def held(self, name: str, user: str = JUNIOR, shop: Shop | None = None, **claims: str) -> JsonObject:
        """A second, AI-assisted revision of a running Rollout, waiting for a senior."""
        where = shop or self.shop
        where.deploy(name, steps=HALF)
        where.apply(where.manifest(name, "v2", ai("v2", **claims), steps=HALF), user)
        return numbered(where, where.waits(name))


def numbered(shop: Shop, change: JsonObject) -> JsonObject:
    """The Change once it has Argo's revision number, by which people call it."""

    def look() -> JsonObject | None:
        now = shop.again(change)
        return now if now["status"].get("revision") else None

    found: JsonObject = shop.wait(f"{change['metadata']['name']} to have a revision", look)
    return found


def approvals_of(shop: Shop, change: JsonObject) -> list[JsonObject]:
    listed = shop.client().get(shop.records("approvals"))["items"]
    return [a for a in listed if a["spec"]["changeRef"]["name"] == change["metadata"]["name"]]
