"""Why the judge says what it says: CamelCase reasons, shared by verdicts, conditions, Events and metrics."""

from typing import Final

# Rollback
REGRESSION: Final = "Regression"
NEVER_READY: Final = "NeverReady"
CRASH_LOOP: Final = "CrashLoopBackOff"
NOT_SERVING: Final = "NotServing"
OBJECTIVE_BURNED: Final = "ObjectiveBurned"

# Promote
SAFETY_SHOWN: Final = "SafetyShown"
SOAK_PASSED: Final = "SoakPassed"
BAKE_PASSED: Final = "BakePassed"

# Hold: the data
NOT_FINITE: Final = "NotFinite"
NEGATIVE: Final = "Negative"
BAD_EXCEEDS_TOTAL: Final = "BadExceedsTotal"
DUPLICATE_POD: Final = "DuplicatePod"
TIME_NOT_INCREASING: Final = "TimeNotIncreasing"
NO_DATA: Final = "NoData"
NO_INDICATORS: Final = "NoIndicators"
BLIND: Final = "Blind"
PARTIAL_ANSWER: Final = "PartialAnswer"
NO_CANARY_REQUESTS: Final = "NoCanaryRequests"
NO_STABLE_REQUESTS: Final = "NoStableRequests"
CANARY_STARVED: Final = "CanaryStarved"

# Hold: the evidence
BETWEEN_GATES: Final = "BetweenGates"
STABLE_BURNING: Final = "StableBurning"
SERVICE_BURNING: Final = "ServiceBurning"
EVIDENCE_AGAINST: Final = "EvidenceAgainst"
RECENT_EVIDENCE_AGAINST: Final = "RecentEvidenceAgainst"
NOT_PROVEN: Final = "NotProven"
SOAKING: Final = "Soaking"
COMMON_CAUSE: Final = "CommonCause"
