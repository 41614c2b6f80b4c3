"""Policies as YAML that people can read: long expressions folded, patches line by line."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from .policy import Manifest

HEADER = "# Generated: python -m rollwarden.admission > deploy/admission.yaml\n"
WIDTH = 120


class _Dumper(yaml.SafeDumper):
    """Block style for text of several lines; no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else ">" if len(text) > WIDTH else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def to_yaml(manifests: Iterable[Manifest]) -> str:
    """One YAML document per manifest, in order."""
    return HEADER + yaml.dump_all(
        manifests, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=WIDTH, allow_unicode=True
    )
