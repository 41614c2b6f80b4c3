"""Approval: one decision by one person, at one tier, on one Change and digest. Append-only."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, field

from .enums import API_VERSION, Decision, Tier
from .meta import Conditions, Model, Name, ObjectMeta, User

Digest = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$", max_length=71)]


class ChangeRef(Model, frozen=True, kw_only=True):
    name: Name
    uid: Annotated[str, Meta(min_length=1, max_length=64)]


class Approver(Model, frozen=True, kw_only=True):
    """Stamped by the API server from the request; whatever the payload said is overwritten."""

    user: User
    uid: Annotated[str, Meta(max_length=253)] = ""
    groups: Annotated[tuple[Annotated[str, Meta(max_length=253)], ...], Meta(max_length=512)] = ()


class ApprovalSpec(Model, frozen=True, kw_only=True):
    change_ref: ChangeRef
    template_digest: Digest
    decision: Decision
    tier: Tier
    reason: Annotated[str, Meta(max_length=1024)] = ""
    accept_unproven: bool = False
    acknowledges_quarantine: bool = False
    approver: Approver | None = None


class ApprovalStatus(Model, frozen=True, kw_only=True):
    """The operator's answer; it has no authority."""

    conditions: Conditions = ()


class Approval(Model, frozen=True, kw_only=True, tag_field="kind", tag="Approval"):
    plural: ClassVar[str] = "approvals"
    spec: ApprovalSpec
    api_version: str = field(default_factory=lambda: API_VERSION)
    metadata: ObjectMeta = ObjectMeta()
    status: ApprovalStatus = ApprovalStatus()
