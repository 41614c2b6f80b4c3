"""A Rollout's own template, read back from a ReplicaSet of it."""

from __future__ import annotations

import json
from typing import Any

from ..api import names
from ..api.argo import ReplicaSet

EPHEMERAL = "rollout.argoproj.io/ephemeral-metadata"
"""Argo's own note of the labels and annotations that a strategy gives to canary or stable pods only."""


def restored_template(good: ReplicaSet) -> dict[str, Any]:
    """The Rollout's own template, without what Argo put into the ReplicaSet's copy: the hash label and the labels and
    annotations that a strategy gives to stable or canary pods only."""
    template = dict(good.spec.template)
    metadata = dict(template.get("metadata") or {})
    added = _ephemeral(good.metadata.annotations.get(EPHEMERAL, ""))
    for part, extra in (("labels", {names.POD_TEMPLATE_HASH}), ("annotations", set[str]())):
        kept = {k: v for k, v in (metadata.get(part) or {}).items() if k not in extra | added.get(part, set())}
        metadata.pop(part, None)
        if kept:
            metadata[part] = kept
    template["metadata"] = metadata
    return template


def _ephemeral(text: str) -> dict[str, set[str]]:
    """The keys Argo added, by ``labels`` and ``annotations``; none where it says nothing readable."""
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    parts = ("labels", "annotations")
    return {part: set(value[part]) for part in parts if isinstance(value, dict) and isinstance(value.get(part), dict)}
