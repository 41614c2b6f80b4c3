"""Who holds a tier in a namespace, by RBAC: which binding gives which role to which user or group.

A tier is the verb ``approve`` on the virtual resource ``tiers``; a rule without names covers every tier. A rule with a
wildcard gives no tier, whatever it covers: admission refuses such approvals as well. Who is in a group nobody can look
up, so a group counts as somebody. Not here: reading RBAC objects, asking the API server's authorizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..api.enums import GROUP, Tier
from ..api.policy import ApprovalSlot
from .classify import SERVICE_ACCOUNT

VERB, RESOURCE, ANY = "approve", "tiers", "*"
MOST_NAMED = 3
CLUSTER_ROLE, ROLE = "ClusterRole", "Role"
GROUP_KIND, USER_KIND = "Group", "User"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role, as far as it could give a tier."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def tiers(self) -> frozenset[Tier]:
        """The tiers that it gives by name."""
        if ANY in (*self.verbs, *self.groups, *self.resources):
            return frozenset()
        if VERB not in self.verbs or GROUP not in self.groups or RESOURCE not in self.resources:
            return frozenset()
        return frozenset(tier for tier in Tier if not self.names or tier.lower in self.names)


@dataclass(frozen=True, slots=True)
class Role:
    """A Role or, without a namespace, a ClusterRole: the tiers of all its rules."""

    namespace: str
    name: str
    tiers: frozenset[Tier] = frozenset()


@dataclass(frozen=True, slots=True)
class Subject:
    """``name`` is the user's or the group's; a service account has its user name."""

    kind: str
    name: str

    @property
    def is_group(self) -> bool:
        return self.kind == GROUP_KIND


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding or, without a namespace, a ClusterRoleBinding."""

    namespace: str
    name: str
    role_kind: str
    role: str
    subjects: tuple[Subject, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """One subject holds these tiers through one binding."""

    subject: Subject
    tiers: frozenset[Tier]
    evidence: str


def service_account_user(namespace: str, name: str) -> str:
    return f"{SERVICE_ACCOUNT}{namespace}:{name}"


def holdings(bindings: Iterable[Binding], roles: Iterable[Role], namespace: str) -> tuple[Holding, ...]:
    """Everybody who holds a tier in the namespace: by a RoleBinding there or by a ClusterRoleBinding."""
    tiers = {(role.namespace, role.name): role.tiers for role in roles if role.tiers}
    found = []
    for binding in bindings:
        of = "" if binding.role_kind == CLUSTER_ROLE else binding.namespace
        given = tiers.get((of, binding.role))
        if binding.namespace not in ("", namespace) or not given or (binding.role_kind == ROLE and not of):
            continue
        kind = "RoleBinding" if binding.namespace else "ClusterRoleBinding"
        for subject in binding.subjects:
            who = f"{subject.kind.lower()} {subject.name}"
            evidence = f"{kind} {binding.name} → {binding.role_kind} {binding.role} ({who})"
            found.append(Holding(subject, given, evidence))
    return tuple(sorted(found, key=lambda one: (one.subject.name, one.evidence)))


def evidence_of(held: Iterable[Holding], user: str, groups: Sequence[str], tier: Tier) -> str:
    """Which binding gives that person the tier; one to the person before one to a group. Empty where none does."""
    mine = [
        one
        for one in held
        if tier in one.tiers and (one.subject.name in groups if one.subject.is_group else one.subject.name == user)
    ]
    return min(mine, key=lambda one: one.subject.is_group).evidence if mine else ""


def nobody_barred(user: str) -> bool:
    return False


def eligible(held: Iterable[Holding], tier: Tier, barred: Callable[[str], bool] = nobody_barred) -> tuple[Subject, ...]:
    """Who may fill a slot of that tier: holders of it or of a higher one that are people and not barred.

    Groups come first: they are who to ask.
    """
    able = {one.subject for one in held if any(each >= tier for each in one.tiers)}
    may = [s for s in able if s.is_group or not (s.name.startswith(SERVICE_ACCOUNT) or barred(s.name))]
    return tuple(sorted(may, key=lambda subject: (not subject.is_group, subject.name)))


def unfillable(
    held: Sequence[Holding], slots: Iterable[ApprovalSlot], barred: Callable[[str], bool] = nobody_barred
) -> Tier | None:
    """The highest tier of which some slot can be filled by nobody, however all who can approve; None if none is.

    Slots from the highest down: whoever may fill one may fill the lower ones, so enough people for all slots down to
    a tier is enough for each of them.
    """
    needed = 0
    for slot in sorted(slots, key=lambda slot: -slot.tier.rank):
        needed += slot.count
        able = eligible(held, slot.tier, barred)
        if not any(subject.is_group for subject in able) and len(able) < needed:
            return slot.tier
    return None


def spoken_subjects(subjects: Sequence[Subject]) -> str:
    """``payments-seniors or ada@corp``: at most three, and how many more."""
    named = [subject.name for subject in subjects[:MOST_NAMED]]
    more = len(subjects) - MOST_NAMED
    return " or ".join(named) + (f" or {more} more" if more > 0 else "")


def too_few(namespace: str, tier: Tier, held: Sequence[Holding], barred: Callable[[str], bool]) -> str:
    """What to do about a tier at which not enough people can approve, whoever of them may not approve this change."""
    able, which = eligible(held, tier, barred), f"tier {tier.lower}"
    if able:
        who = f"only {spoken_subjects(able)} holds {which} in namespace {namespace}, and more are needed"
    elif eligible(held, tier):
        who = (
            f"nobody but its authors, its submitter or who has approved already holds {which} in namespace {namespace}"
        )
    else:
        who = f"nobody in namespace {namespace} holds {which}"
    return (
        f"{who}: bind ClusterRole rollwarden-{tier.lower} to the people who should approve (kubectl create rolebinding "
        f"{tier.lower}s --clusterrole rollwarden-{tier.lower} --group GROUP -n {namespace})"
    )
