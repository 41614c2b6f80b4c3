"""Names of labels and annotations, and the values of ``rollwarden.dev/hold``."""

from __future__ import annotations

from .enums import GROUP, Tier

MODE_LABEL = f"{GROUP}/mode"
CRITICALITY = f"{GROUP}/criticality"
HOLD = f"{GROUP}/hold"
CHANGE = f"{GROUP}/change"
SUBMITTED_BY = f"{GROUP}/submitted-by"
MESSAGE = f"{GROUP}/message"
BASE_ROLLBACK_WINDOW = f"{GROUP}/base-rollback-window"
BASE_STARTING_STEP = f"{GROUP}/base-starting-step"
OWNER_PAUSES = f"{GROUP}/owner-pauses"
BREAK_GLASS = f"{GROUP}/break-glass"
BREAK_GLASS_BY = f"{GROUP}/break-glass-by"
KNOWN_GOOD = f"{GROUP}/known-good"

OPERATOR_OWNED = (
    HOLD,
    CHANGE,
    SUBMITTED_BY,
    MESSAGE,
    BASE_ROLLBACK_WINDOW,
    BASE_STARTING_STEP,
    OWNER_PAUSES,
    BREAK_GLASS_BY,
)

PROVENANCE_PREFIX = f"provenance.{GROUP}/"
EVIDENCE_PREFIX = f"evidence.{GROUP}/"
APPROVAL_PREFIX = f"approval.{GROUP}/"

SUBJECT = f"{PROVENANCE_PREFIX}subject"
ORIGIN = f"{PROVENANCE_PREFIX}origin"
AUTONOMY = f"{PROVENANCE_PREFIX}autonomy"
TOOLS = f"{PROVENANCE_PREFIX}tools"
SHARE = f"{PROVENANCE_PREFIX}share"
AUTHORS = f"{PROVENANCE_PREFIX}authors"
AREAS = f"{PROVENANCE_PREFIX}areas"
COMMITS = f"{PROVENANCE_PREFIX}commits"
TESTS = f"{EVIDENCE_PREFIX}tests"
COVERAGE = f"{EVIDENCE_PREFIX}coverage"

HELD = "held-"
RELEASED = "released-"
ABORTED = "aborted-"

ROLLOUT_UID_LABEL = f"{GROUP}/rollout-uid"
ROLLOUT_LABEL = f"{GROUP}/rollout"
PHASE_LABEL = f"{GROUP}/phase"

ARGO_REVISION = "rollout.argoproj.io/revision"
POD_TEMPLATE_HASH = "rollouts-pod-template-hash"


def approval_annotation(tier: Tier) -> str:
    return APPROVAL_PREFIX + tier.lower


def rollout_label(rollout: str) -> str:
    """A Rollout's name as the value of ``ROLLOUT_LABEL``: at most 63 characters, a letter or digit at the end."""
    return rollout[:63].rstrip("-._")


def attempt_of(hold: str) -> str:
    """The attempt in a hold value such as ``held-42``; empty for a value of no known form."""
    for prefix in (HELD, RELEASED, ABORTED):
        if hold.startswith(prefix):
            return hold[len(prefix) :]
    return ""
