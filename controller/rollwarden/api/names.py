"""Names of labels and annotations, and the values of ``rollwarden.dev/hold``."""

from __future__ import annotations

from .enums import GROUP, Tier

MODE_LABEL = f"{GROUP}/mode"
CRITICALITY = f"{GROUP}/criticality"
HOLD = f"{GROUP}/hold"
CHANGE = f"{GROUP}/change"
SUBMITTED_BY = f"{GROUP}/submitted-by"
SUBMITTER_GROUPS = f"{GROUP}/submitter-groups"
MESSAGE = f"{GROUP}/message"
BASE_ROLLBACK_WINDOW = f"{GROUP}/base-rollback-window"
BASE_STARTING_STEP = f"{GROUP}/base-starting-step"
OWNER_PAUSES = f"{GROUP}/owner-pauses"
OWNER_STEPS = f"{GROUP}/owner-steps"
"""The owner's own steps in short, as they came with the template."""
DROPPED_EDIT = f"{GROUP}/dropped-edit"
"""Other steps in short that somebody wrote since and that were not taken."""
EDITED_BY = f"{GROUP}/edited-by"
"""On a GuardrailPolicy: who wrote its spec."""
BREAK_GLASS = f"{GROUP}/break-glass"
BREAK_GLASS_BY = f"{GROUP}/break-glass-by"
KNOWN_GOOD = f"{GROUP}/known-good"

OPERATOR_OWNED = (
    HOLD,
    CHANGE,
    SUBMITTED_BY,
    SUBMITTER_GROUPS,
    MESSAGE,
    BASE_ROLLBACK_WINDOW,
    BASE_STARTING_STEP,
    OWNER_PAUSES,
    OWNER_STEPS,
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

# What the operator saw of its admission policies, in its own namespace; nobody else writes it.
WITNESS = "rollwarden-witness"
# On each policy and binding: the fingerprint of its spec, which tells another version from an edit.
POLICY_VERSION = f"{GROUP}/policy-version"
POLICIES_NOT_INTACT = "PoliciesNotIntact"

GOVERNED_MAP = "rollwarden-governed"
"""The ConfigMap that tells admission about its namespace; a value that is a list is lines between two line ends."""
AGENT_USERS = "agents.users"
AGENT_GROUPS = "agents.groups"
# Followed by a Rollout's name.
GOVERNED_CRITICALITY = "crit."
GOVERNED_PODS = "pods."
GOVERNED_SELECTOR = "sel."
GOVERNED_SERVICES = "svc."
GOVERNED_ROUTES = "vs."
GOVERNED_LIVE = "live."
GOVERNED_TRAIN = "train."

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
