"""Claims: what annotations say about a change, and which of it counts.

A claim that tightens always counts. A claim that loosens (origin human or automation, autonomy below assisted, a share,
authors' levels, tests, coverage) counts only when ``provenance.rollwarden.dev/subject`` names the image of every
container of *this* template: otherwise yesterday's "human" would cover tomorrow's code. No marker is Unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..api import names
from ..api.change import Claim
from ..api.enums import Autonomy, ClaimField, ClaimSource, Criticality, EvidenceLevel, Origin

MAX_VALUE = 1024
PASSED = "passed"
_TESTS = (PASSED, "failed", "none")


@dataclass(frozen=True, slots=True)
class Problem:
    """An annotation that cannot be read. It counts as if it were not there, and a Warning event names it."""

    annotation: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one set of annotations claims. ``None`` or empty: nothing that counts was said."""

    claims: tuple[Claim, ...] = ()
    problems: tuple[Problem, ...] = ()
    subject_matches: bool = False
    origin: Origin | None = None
    autonomy: Autonomy | None = None
    tools: tuple[str, ...] = ()
    share: int | None = None
    authors: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    tests_passed: bool = False
    criticality: Criticality | None = None


_Reader = Callable[[Claimed, str, str], Claimed]


def read_claims(annotations: Mapping[str, str], container_images: tuple[str, ...]) -> Claimed:
    """All claims in ``annotations`` about a template that runs ``container_images``."""
    matches = subject_names(annotations.get(names.SUBJECT, ""), container_images)
    claimed = Claimed(subject_matches=matches)
    for annotation, reader in _READERS:
        value = annotations.get(annotation)
        if value is None:
            continue
        if len(value) > MAX_VALUE:
            claimed = _with_problem(claimed, annotation, f"is longer than {MAX_VALUE} characters")
            continue
        claimed = reader(claimed, annotation, value.strip())
    return claimed


def subject_names(subject: str, container_images: tuple[str, ...]) -> bool:
    """True when the subject lists every container's image, by its full reference or by its ``sha256:`` digest."""
    named = {item for item in subject.replace(",", " ").split() if item}
    if not named or not container_images:
        return False
    return all(image in named or _digest_of(image) in named for image in container_images)


def _digest_of(image: str) -> str:
    return image.rpartition("@")[2] if "@" in image else image


def _claim(claimed: Claimed, about: ClaimField, value: str, *, loosens: bool) -> Claim:
    counts = claimed.subject_matches or not loosens
    note = "" if counts else f"not counted: {names.SUBJECT} does not name the image of every container of this template"
    return Claim(
        about=about,
        value=value[:MAX_VALUE],
        source=ClaimSource.ANNOTATION,
        evidence_level=EvidenceLevel.E1,
        subject_matches=claimed.subject_matches,
        counts=counts,
        note=note,
    )


def _with_claim(claimed: Claimed, claim: Claim) -> Claimed:
    return replace(claimed, claims=(*claimed.claims, claim))


def _with_problem(claimed: Claimed, annotation: str, what: str) -> Claimed:
    sentence = f'annotation "{annotation}" {what}; it is ignored and the change counts as if it were not set'
    return replace(claimed, problems=(*claimed.problems, Problem(annotation, sentence)))


def _read_origin(claimed: Claimed, annotation: str, value: str) -> Claimed:
    origin = Origin.parse(value)
    if origin is None:
        return _with_problem(claimed, annotation, f'is "{value[:40]}", not one of ai, human, unknown, automation')
    claim = _claim(claimed, ClaimField.ORIGIN, str(origin), loosens=origin in (Origin.HUMAN, Origin.AUTOMATION))
    claimed = _with_claim(claimed, claim)
    return replace(claimed, origin=origin) if claim.counts else claimed


def _read_autonomy(claimed: Claimed, annotation: str, value: str) -> Claimed:
    autonomy = Autonomy.parse(value)
    if autonomy is None:
        return _with_problem(claimed, annotation, f'is "{value[:40]}", not one of suggestion, assisted, agent')
    claim = _claim(claimed, ClaimField.AUTONOMY, str(autonomy), loosens=autonomy < Autonomy.ASSISTED)
    claimed = _with_claim(claimed, claim)
    return replace(claimed, autonomy=autonomy) if claim.counts else claimed


def _read_share(claimed: Claimed, annotation: str, value: str) -> Claimed:
    text = value.removesuffix("%").strip()
    if not (text.isascii() and text.isdigit() and int(text) <= 100):
        return _with_problem(claimed, annotation, f'is "{value[:40]}", not a whole percentage from 0 to 100')
    claim = _claim(claimed, ClaimField.SHARE, text, loosens=int(text) < 100)
    claimed = _with_claim(claimed, claim)
    return replace(claimed, share=int(text)) if claim.counts else claimed


def _read_tests(claimed: Claimed, annotation: str, value: str) -> Claimed:
    if value.lower() not in _TESTS:
        return _with_problem(claimed, annotation, f'is "{value[:40]}", not one of {", ".join(_TESTS)}')
    passed = value.lower() == PASSED
    claim = _claim(claimed, ClaimField.TESTS, value.lower(), loosens=passed)
    claimed = _with_claim(claimed, claim)
    return replace(claimed, tests_passed=passed and claim.counts)


def _read_coverage(claimed: Claimed, annotation: str, value: str) -> Claimed:
    text = value.removesuffix("%").strip()
    try:
        valid = 0 <= float(text) <= 100
    except ValueError:
        valid = False
    if not valid:
        return _with_problem(claimed, annotation, f'is "{value[:40]}", not a percentage from 0 to 100')
    return _with_claim(claimed, _claim(claimed, ClaimField.COVERAGE, text, loosens=True))


def _read_criticality(claimed: Claimed, annotation: str, value: str) -> Claimed:
    criticality = Criticality.parse(value)
    if criticality is None:
        return _with_problem(claimed, annotation, f'is "{value[:40]}", not one of low, medium, high, critical')
    claim = _claim(claimed, ClaimField.CRITICALITY, str(criticality), loosens=False)
    return replace(_with_claim(claimed, claim), criticality=criticality)


def _list_reader(about: ClaimField, put: Callable[[Claimed, tuple[str, ...]], Claimed]) -> _Reader:
    """Readers of comma-separated names. They count always: they name people, areas and tools, they excuse nothing."""

    def read(claimed: Claimed, annotation: str, value: str) -> Claimed:
        items = tuple(dict.fromkeys(item.strip()[:253] for item in value.split(",") if item.strip()))[:64]
        if not items:
            return _with_problem(claimed, annotation, "is empty; write a comma-separated list")
        claim = _claim(claimed, about, ", ".join(items), loosens=False)
        return put(_with_claim(claimed, claim), items)

    return read


_READERS: tuple[tuple[str, _Reader], ...] = (
    (names.ORIGIN, _read_origin),
    (names.AUTONOMY, _read_autonomy),
    (names.TOOLS, _list_reader(ClaimField.TOOLS, lambda c, items: replace(c, tools=items))),
    (names.SHARE, _read_share),
    (names.AUTHORS, _list_reader(ClaimField.AUTHORS, lambda c, items: replace(c, authors=items))),
    (names.AREAS, _list_reader(ClaimField.AREAS, lambda c, items: replace(c, areas=items))),
    (names.COMMITS, _list_reader(ClaimField.COMMITS, lambda c, items: replace(c, commits=items))),
    (names.TESTS, _read_tests),
    (names.COVERAGE, _read_coverage),
    (names.CRITICALITY, _read_criticality),
)
