"""``status`` says above everything else that the admission policies are not intact."""

from __future__ import annotations

from rollwarden.api.change import ChangeStatus, CountedApproval
from rollwarden.api.enums import ApprovalSource, Phase, Tier
from rollwarden.api.names import POLICIES_NOT_INTACT
from rollwarden.cli.status import _spoken_approval, unguarded
from tests.builders import change

MESSAGE = 'binding "guard" was deleted; new revisions wait in enforced namespaces until the policies are as installed'


def test_the_sentence_of_what_waits_for_the_policies_is_said_and_that_of_what_has_ended_is_not() -> None:
    waiting = change(status=ChangeStatus(phase=Phase.AWAITING_APPROVAL, reason=POLICIES_NOT_INTACT, message=MESSAGE))
    ended = change(status=ChangeStatus(phase=Phase.SUPERSEDED, reason=POLICIES_NOT_INTACT, message=MESSAGE))
    assert unguarded([change(), waiting]) == MESSAGE
    assert unguarded([change(), ended]) is None


def test_an_approval_is_shown_with_what_gave_the_tier() -> None:
    given = CountedApproval(tier=Tier.SENIOR, user="ada", source=ApprovalSource.OBJECT, evidence="RoleBinding seniors")
    assert _spoken_approval(given) == "senior, by RoleBinding seniors"
