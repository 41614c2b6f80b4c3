"""The closed sets of words of the API, CamelCase on the wire.

``Ordered`` sets are declared from least to greatest and compare by that order, so "the strictest" is ``max``.
"""

from __future__ import annotations

from enum import Enum
from typing import Self

GROUP = "rollwarden.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Word(Enum):
    """A word of the API. ``lower`` is its form in annotations, RBAC names and on the command line."""

    @property
    def lower(self) -> str:
        return str(self.value).lower()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The member spelt ``text`` in any case, or None."""
        wanted = text.strip().lower()
        return next((member for member in cls if member.lower == wanted), None)

    def __str__(self) -> str:
        return str(self.value)


class Ordered(Word):
    """A word of a set declared from least to greatest."""

    @property
    def rank(self) -> int:
        return list(type(self)).index(self)

    def __lt__(self, other: Self) -> bool:
        return self.rank < other.rank

    def __le__(self, other: Self) -> bool:
        return self.rank <= other.rank

    def __gt__(self, other: Self) -> bool:
        return self.rank > other.rank

    def __ge__(self, other: Self) -> bool:
        return self.rank >= other.rank


class Origin(Word):
    AI = "AI"
    HUMAN = "Human"
    UNKNOWN = "Unknown"
    AUTOMATION = "Automation"


class Autonomy(Ordered):
    SUGGESTION = "Suggestion"
    ASSISTED = "Assisted"
    AGENT = "Agent"


class Criticality(Ordered):
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class Tier(Ordered):
    """What an approver may approve as: an RBAC verb, nothing else."""

    PEER = "Peer"
    SENIOR = "Senior"
    PRINCIPAL = "Principal"


class Level(Ordered):
    """How experienced an author is, from the policy's ``people``; unmapped is Junior."""

    JUNIOR = "Junior"
    MID = "Mid"
    SENIOR = "Senior"
    PRINCIPAL = "Principal"


class EvidenceLevel(Ordered):
    """How a claim is known: nothing, an annotation anyone set, one only CI may set, signed and bound to the digest."""

    E0 = "E0"
    E1 = "E1"
    E2 = "E2"
    E3 = "E3"


class Touch(Word):
    """What of the pod template a change touches; a path that no other word covers is Other, never nothing."""

    IMAGE = "Image"
    COMMAND = "Command"
    ENV = "Env"
    CONFIG = "Config"
    SERVICE_ACCOUNT = "ServiceAccount"
    SECURITY_CONTEXT = "SecurityContext"
    VOLUMES = "Volumes"
    PROBES = "Probes"
    RESOURCES = "Resources"
    NETWORK = "Network"
    SCHEDULING = "Scheduling"
    OTHER = "Other"


class Phase(Word):
    HELD = "Held"
    AWAITING_APPROVAL = "AwaitingApproval"
    FROZEN = "Frozen"
    DENIED = "Denied"
    CANARY = "Canary"
    BAKING = "Baking"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    COMPLETED = "Completed"
    SUPERSEDED = "Superseded"
    REJECTED = "Rejected"
    ABANDONED = "Abandoned"

    @property
    def final(self) -> bool:
        return self in FINAL_PHASES

    @property
    def waiting(self) -> bool:
        """No pod of the revision may run yet."""
        return self in (Phase.HELD, Phase.AWAITING_APPROVAL, Phase.FROZEN, Phase.DENIED, Phase.REJECTED)


FINAL_PHASES = frozenset(
    {Phase.DENIED, Phase.ROLLED_BACK, Phase.COMPLETED, Phase.SUPERSEDED, Phase.REJECTED, Phase.ABANDONED}
)


class Decision(Word):
    """What an Approval says: yes or no to a change, or that a broken glass was looked into."""

    APPROVE = "Approve"
    REJECT = "Reject"
    REVIEW = "Review"


class Tests(Ordered):
    NOT_REQUIRED = "NotRequired"
    PASSED = "Passed"


class AtMaximum(Ordered):
    """What a gate does when its maximum time has passed without proof; from least to most strict."""

    PROMOTE = "Promote"
    HOLD = "Hold"


class OnBlind(Ordered):
    """What happens when metrics stay away for the gate's maximum time."""

    HOLD = "Hold"
    RETURN_TO_STABLE = "ReturnToStable"


class OnNoIndicators(Ordered):
    """What a gate does for a service that no usable metric was found for."""

    PROMOTE = "Promote"
    HOLD = "Hold"


class OnNewTemplate(Ordered):
    """What a newer template meets while a canary is under way: it takes over, or it is refused and comes again."""

    SUPERSEDE = "Supersede"
    REFUSE = "Refuse"


class IndicatorType(Word):
    ERRORS = "Errors"
    LATENCY = "Latency"


class TreatUnknownAs(Word):
    UNKNOWN = "Unknown"
    AI = "AI"


class Preset(Word):
    MEMO = "Memo"
    PROPORTIONAL = "Proportional"


class Mode(Ordered):
    """Of a namespace, by its label ``rollwarden.dev/mode``; absent is Observe."""

    OFF = "Off"
    OBSERVE = "Observe"
    ENFORCE = "Enforce"


class VerdictResult(Word):
    PROMOTE = "Promote"
    HOLD = "Hold"
    ROLLBACK = "Rollback"


class ClaimField(Word):
    ORIGIN = "Origin"
    AUTONOMY = "Autonomy"
    TOOLS = "Tools"
    SHARE = "Share"
    AUTHORS = "Authors"
    AREAS = "Areas"
    COMMITS = "Commits"
    TESTS = "Tests"
    COVERAGE = "Coverage"
    CRITICALITY = "Criticality"


class ClaimSource(Word):
    ANNOTATION = "Annotation"
    SUBMITTER = "Submitter"


class ApprovalSource(Word):
    OBJECT = "Object"
    ANNOTATION = "Annotation"


class GateKind(Word):
    """What a gate waits for: proof of safety, or the bake's time with no burn."""

    EVIDENCE = "Evidence"
    BAKE = "Bake"
    OWNER = "Owner"
