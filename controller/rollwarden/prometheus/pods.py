"""Pod names: what Kubernetes makes of a ReplicaSet's name, and the PromQL that finds such pods.

The ReplicaSet controller names pods `<replicaset>-` plus five random characters, and the API server cuts what is
before them to 58 characters (its name generator's limit of 63 less 5). Prometheus keeps pod names only, so this rule is
all there is to tell canary from stable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rollwarden.prometheus.selectors import Matcher

MAX_BASE_LENGTH = 58
SUFFIX_LENGTH = 5
SUFFIX_PATTERN = f"[a-z0-9]{{{SUFFIX_LENGTH}}}"

PodKey = tuple[str, str]
"""(namespace, pod name)."""


def pod_base(replica_set: str) -> str:
    """What the names of a ReplicaSet's pods have in common: `<name>-`, cut where Kubernetes cuts it."""
    return f"{replica_set}-"[:MAX_BASE_LENGTH]


def base_of(pod: str) -> str:
    """The part of a pod's name before the random suffix."""
    return pod[:-SUFFIX_LENGTH]


@dataclass(frozen=True, slots=True)
class Scope:
    """The pods one query is about: every base in every namespace; the reader of the answer sorts out whose they are."""

    namespaces: tuple[str, ...]
    bases: tuple[str, ...]

    def matchers(self) -> tuple[Matcher, ...]:
        """The matchers that restrict a selector to these pods (Prometheus anchors regular expressions itself)."""
        pods = f"(?:{alternatives(self.bases)}){SUFFIX_PATTERN}"
        return Matcher("namespace", "=~", alternatives(self.namespaces)), Matcher("pod", "=~", pods)


def alternatives(texts: Sequence[str]) -> str:
    """A regular expression (RE2) for exactly these texts."""
    return "|".join(re.sub(r"[^A-Za-z0-9_-]", lambda found: "\\" + found.group(), text) for text in texts)
