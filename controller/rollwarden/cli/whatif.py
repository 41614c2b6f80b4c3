"""The same change with one fact changed: what ``explain`` compares its answer with. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from rollwarden.api import names
from rollwarden.api.change import Author, Classification
from rollwarden.api.enums import Autonomy, Criticality, Level, Origin
from rollwarden.api.policy import GuardrailPolicySpec
from rollwarden.core.classify import Classified, Subject, classify
from rollwarden.core.digest import images

Variant = tuple[str, Classification]


def variants(subject: Subject, classified: Classified, policies: Sequence[GuardrailPolicySpec]) -> Iterator[Variant]:
    """Sentences that begin a condition ("with …", "on …"), each with the change as it would then be classified."""
    c = classified.classification
    if any(not claim.counts for claim in classified.claims):
        yield _with_subject(subject, policies)
    yield from _origins(c)
    if c.origin is Origin.AI and min((a.level for a in c.authors), default=Level.JUNIOR) < Level.SENIOR:
        seniors = tuple(Author(name=a.name, level=Level.SENIOR) for a in c.authors) or (_somebody(Level.SENIOR),)
        yield "by senior authors only", msgspec.structs.replace(c, authors=seniors)
    for criticality in Criticality:
        if abs(criticality.rank - c.criticality.rank) == 1:
            yield f"on a {criticality.lower} service", msgspec.structs.replace(c, criticality=criticality)


def _with_subject(subject: Subject, policies: Sequence[GuardrailPolicySpec]) -> Variant:
    named = " ".join(dict.fromkeys(images(subject.template)))
    mark = {names.SUBJECT: named}
    template = _annotated(subject.template, mark)
    found = classify(replace(subject, annotations={**subject.annotations, **mark}, template=template), policies)
    return f"with {names.SUBJECT} naming every image of this template", found.classification


def _annotated(template: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, Any]:
    metadata = template.get("metadata")
    own = metadata if isinstance(metadata, Mapping) else {}
    annotations = own.get("annotations")
    return {
        **template,
        "metadata": {**own, "annotations": {**(annotations if isinstance(annotations, Mapping) else {}), **more}},
    }


def _origins(c: Classification) -> Iterator[Variant]:
    if c.origin is not Origin.AI:
        assisted = msgspec.structs.replace(c, origin=Origin.AI, autonomy=Autonomy.ASSISTED)
        yield "marked as AI-assisted", assisted
        yield "written by an agent", msgspec.structs.replace(c, origin=Origin.AI, autonomy=Autonomy.AGENT)
    elif c.autonomy is not Autonomy.AGENT:
        yield "written by an agent", msgspec.structs.replace(c, autonomy=Autonomy.AGENT)


def _somebody(level: Level) -> Author:
    return Author(name="somebody", level=level)
