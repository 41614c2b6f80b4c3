"""Classification: what a change is, from its claims, its submitter, its diff against stable and the policies' people.

Everything here takes the strictest reading where sources differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api import names
from ..api.change import Author, Claim, Classification
from ..api.enums import (
    Autonomy,
    ClaimField,
    ClaimSource,
    Criticality,
    EvidenceLevel,
    Level,
    Origin,
    TreatUnknownAs,
)
from ..api.policy import GuardrailPolicySpec
from ..api.profile import ServiceProfile
from .claims import PASSED, Claimed, Problem, read_claims
from .digest import images
from .touches import touches

SYSTEM = "system:"
SERVICE_ACCOUNT = f"{SYSTEM}serviceaccount:"
BOT = "[bot]"
"""How Git hosts end the names of programs' accounts."""
MAX_NAMES = 64
"""As many names of one sort as a Change can hold."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The facts that a classification is made from; nothing of it is trusted more than its source."""

    annotations: Mapping[str, str]
    template: Mapping[str, Any]
    stable_template: Mapping[str, Any] | None
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    submitter: str
    profiles: tuple[ServiceProfile, ...] = ()
    submitter_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Classified:
    classification: Classification
    claims: tuple[Claim, ...]
    problems: tuple[Problem, ...]


def classify(subject: Subject, policies: Iterable[GuardrailPolicySpec]) -> Classified:
    specs = tuple(policies)
    read = _read(subject)
    claims = [claim for one in read for claim in one.claims]
    agent = is_agent(subject.submitter, specs, subject.submitter_groups)
    if agent:
        claims.append(_submitter_claim(subject.submitter))
    origin = _origin(read, agent, specs)
    people = _authors(read, subject.submitter, specs)
    tools = _united(one.tools for one in read)
    vouched = [a.name for a in people if a.name in _vouched_authors(read)]
    adopter = next((name for name in vouched if _is_human(name, tools, subject, agent, specs)), None)
    criticality, source = _criticality(subject, read, specs)
    shares = [one.share for one in read if one.share is not None]
    problems = [problem for one in read for problem in one.problems]
    problems += _label_problems(subject.namespace_labels)
    classification = Classification(
        origin=origin,
        autonomy=_autonomy(read, origin, agent),
        tools=tools,
        share=max(shares) if shares else None,
        authors=people,
        agent_submitter=agent,
        human_adopter=adopter,
        criticality=criticality,
        criticality_from=source,
        touches=touches(subject.stable_template, subject.template),
        areas=_united(one.areas for one in read),
        commits=_united(one.commits for one in read),
        tests_passed=any(one.tests_passed for one in read) and not any(_denies_tests(claim) for claim in claims),
        evidence_level=EvidenceLevel.E1 if any(_is_evidence(claim) for claim in claims) else EvidenceLevel.E0,
    )
    return Classified(classification, tuple(claims), tuple(problems))


def criticality_of(subject: Subject, policies: Iterable[GuardrailPolicySpec]) -> Criticality:
    """The criticality that ``classify`` finds, without reading any other claim."""
    return _criticality(subject, _read(subject, only=(names.CRITICALITY,)), tuple(policies))[0]


def agent_users(policies: Iterable[GuardrailPolicySpec]) -> tuple[str, ...]:
    """The user names that any policy lists as AI agents; a service account has one too."""
    specs = tuple(policies)
    accounts = (
        f"{SERVICE_ACCOUNT}{ref.namespace}:{ref.name}" for spec in specs for ref in spec.agents.service_accounts
    )
    return tuple(dict.fromkeys((*(user for spec in specs for user in spec.agents.users), *accounts)))


def agent_groups(policies: Iterable[GuardrailPolicySpec]) -> tuple[str, ...]:
    """The groups whose members any policy lists as AI agents."""
    return tuple(dict.fromkeys(group for spec in policies for group in spec.agents.groups))


def is_agent(user: str, policies: Iterable[GuardrailPolicySpec], groups: Sequence[str] = ()) -> bool:
    """Whether any policy lists ``user`` as an AI agent: by name, as a service account, or by one of ``groups``."""
    specs = tuple(policies)
    # put together again: a group's own name may have the comma by which the stamped list is taken apart
    joined = f",{','.join(groups)},"
    return user in agent_users(specs) or any(f",{group}," in joined for group in agent_groups(specs))


def stamped_groups(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The submitter's groups as admission stamped them."""
    return tuple(group for group in annotations.get(names.SUBMITTER_GROUPS, "").split(",") if group)


def level_of(author: str, policies: Iterable[GuardrailPolicySpec]) -> Level:
    """The lowest level that any policy gives ``author`` (by user name or email); unmapped is Junior."""
    identity = _identity(author)
    levels = [
        people.level
        for policy in policies
        for people in policy.people
        if {author, identity} & {*people.users, *people.emails}
    ]
    return min(levels, default=Level.JUNIOR)


def same_person(author: str, user: str) -> bool:
    """Whether an author, as ``Name <email>`` or a bare name, is this cluster user."""
    return user.lower() in (author.lower(), _identity(author).lower())


def _read(subject: Subject, only: tuple[str, ...] | None = None) -> list[Claimed]:
    """The claims of the Rollout and those of its pod template, each on its own; all, or those of some annotations."""
    own_images = images(subject.template)
    sources: Iterable[Mapping[str, str]] = (subject.annotations, _annotations(subject.template))
    if only is not None:
        sources = ({key: source[key] for key in only if key in source} for source in sources)
    return [read_claims(source, own_images) for source in sources if source]


def _is_human(
    author: str, tools: tuple[str, ...], subject: Subject, agent: bool, policies: tuple[GuardrailPolicySpec, ...]
) -> bool:
    """Whether an author can adopt what an agent wrote: no agent, whatever case it is spelt in, no account, no tool."""
    name, identity = author.partition("<")[0].strip().lower(), _identity(author)
    if identity.startswith(SYSTEM) or name.endswith(BOT) or identity.endswith(BOT):
        return False
    if name in {tool.lower() for tool in tools} or (agent and same_person(author, subject.submitter)):
        return False
    return not any(same_person(author, listed) for listed in agent_users(policies))


def _identity(author: str) -> str:
    return author.partition("<")[2].rstrip("> ") if "<" in author else author


def _submitter_claim(user: str) -> Claim:
    return Claim(
        about=ClaimField.AUTONOMY,
        value=str(Autonomy.AGENT),
        source=ClaimSource.SUBMITTER,
        subject_matches=True,
        note=f"{user} is listed as an AI agent",
    )


def _denies_tests(claim: Claim) -> bool:
    """Of two statements about the tests, the worse one counts."""
    return claim.about is ClaimField.TESTS and claim.value != PASSED


def _is_evidence(claim: Claim) -> bool:
    """Whether a claim says where the change came from, and counts."""
    return claim.counts and claim.about not in (ClaimField.CRITICALITY, ClaimField.TESTS, ClaimField.COVERAGE)


def _origin(read: list[Claimed], agent: bool, policies: tuple[GuardrailPolicySpec, ...]) -> Origin:
    said = {one.origin for one in read if one.origin is not None}
    # only AI has a degree of autonomy; one that does not count still says that there was some
    implied = any(claim.about is ClaimField.AUTONOMY for one in read for claim in one.claims)
    if agent or Origin.AI in said or implied:
        return Origin.AI
    if Origin.UNKNOWN in said or not said:
        return Origin.AI if _unknown_is_ai(policies) else Origin.UNKNOWN
    return Origin.AUTOMATION if Origin.AUTOMATION in said else Origin.HUMAN


def _unknown_is_ai(policies: tuple[GuardrailPolicySpec, ...]) -> bool:
    return any(policy.treat_unknown_as is TreatUnknownAs.AI for policy in policies)


def _autonomy(read: list[Claimed], origin: Origin, agent: bool) -> Autonomy | None:
    if origin is not Origin.AI:
        return None
    if agent:
        return Autonomy.AGENT
    said = [one.autonomy for one in read if one.autonomy is not None]
    return max(said) if said else Autonomy.ASSISTED


def _authors(read: list[Claimed], submitter: str, policies: tuple[GuardrailPolicySpec, ...]) -> tuple[Author, ...]:
    """Claimed authors, else the submitter if that is a person. Their level counts only under a matching subject."""
    trusted = _vouched_authors(read)
    claimed = _united(one.authors for one in read)
    if claimed:
        return tuple(
            Author(name=name, level=level_of(name, policies) if name in trusted else Level.JUNIOR) for name in claimed
        )
    if submitter and not submitter.startswith(SYSTEM):
        return (Author(name=submitter, level=level_of(submitter, policies)),)
    return ()


def _vouched_authors(read: list[Claimed]) -> frozenset[str]:
    """The authors named beside a subject that is this template."""
    return frozenset(name for one in read if one.subject_matches for name in one.authors)


def _criticality(
    subject: Subject, read: list[Claimed], policies: tuple[GuardrailPolicySpec, ...]
) -> tuple[Criticality, str]:
    """The highest that anybody says, and who said it; nobody at all means Medium."""
    said: list[tuple[Criticality, str]] = [
        (pin.minimum, f'pin "{pin.name}"')
        for policy in policies
        for pin in policy.criticality_pins
        if pin.namespace_selector.matches(dict(subject.namespace_labels))
        and pin.rollout_selector.matches(dict(subject.labels))
    ]
    said += [
        (profile.spec.criticality, f'ServiceProfile "{profile.metadata.name}"')
        for profile in subject.profiles
        if profile.spec.criticality is not None
    ]
    label = Criticality.parse(subject.namespace_labels.get(names.CRITICALITY, ""))
    if label is not None:
        said.append((label, "the namespace's label"))
    said += [(one.criticality, "the Rollout's annotation") for one in read if one.criticality is not None]
    return max(said, key=lambda pair: pair[0].rank) if said else (Criticality.MEDIUM, "nobody said, so Medium")


def _label_problems(labels: Mapping[str, str]) -> list[Problem]:
    value = labels.get(names.CRITICALITY)
    if value is None or Criticality.parse(value) is not None:
        return []
    sentence = (
        f'namespace label "{names.CRITICALITY}" is "{value}", not one of low, medium, high, critical; it is ignored'
    )
    return [Problem(names.CRITICALITY, sentence)]


def _annotations(template: Mapping[str, Any]) -> Mapping[str, str]:
    metadata = template.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return {k: str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}


def _united(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for one in lists for item in one))[:MAX_NAMES]
