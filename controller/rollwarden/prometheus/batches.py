"""What to ask for many changes at once, and whose numbers an answer holds. Pure.

Equal templates are asked together whatever the number of changes; a query too long for a URL is halved by changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from rollwarden.judge.counters import PodCounter, Tick
from rollwarden.prometheus.answers import Series
from rollwarden.prometheus.arms import Arm, Subscription, arms_by_base, indistinguishable, scope_of
from rollwarden.prometheus.errors import SelectorError
from rollwarden.prometheus.faults import SampleFault, no_series, pod_fault
from rollwarden.prometheus.pods import base_of
from rollwarden.prometheus.templates import Flaw, Template, template_for

MAX_QUERY_BYTES = 6000
"""Of one query as it stands in a URL: common proxies refuse request lines above 8 kB, and queries cannot be posted."""


@dataclass(frozen=True, slots=True)
class Member:
    """One indicator of one change, as part of a batch."""

    subscription: Subscription
    indicator: str

    @property
    def id(self) -> tuple[str, str]:
        """(change key, indicator name)."""
        return self.subscription.key, self.indicator


@dataclass(frozen=True, slots=True)
class Batch:
    """One query and the indicators it answers."""

    template: Template
    members: tuple[Member, ...]
    query: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All queries of one tick, and the indicators that cannot be asked for at all."""

    batches: tuple[Batch, ...]
    refused: tuple[tuple[Member, SampleFault], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One indicator's tick and, where there is something to say about it, why."""

    tick: Tick
    faults: tuple[SampleFault, ...] = ()


def plan(subscriptions: Iterable[Subscription], max_query_bytes: int = MAX_QUERY_BYTES) -> Plan:
    """The queries for `subscriptions`, the same in whatever order they come."""
    shared: dict[Template, list[Member]] = {}
    refused: list[tuple[Member, SampleFault]] = []
    for subscription in sorted(subscriptions, key=lambda each: (each.namespace, each.key)):
        ambiguous = indistinguishable(subscription)
        for indicator in subscription.indicators:
            member = Member(subscription, indicator.name)
            try:
                template = template_for(indicator)
            except SelectorError as error:
                refused.append((member, SampleFault("BadSelector", str(error))))
                continue
            if ambiguous:
                refused.append((member, SampleFault("ArmsIndistinguishable", ambiguous)))
            elif not subscription.sets:
                refused.append((member, no_series(indicator.name, subscription, template)))
            else:
                shared.setdefault(template, []).append(member)
    batches = [batch for template, members in shared.items() for batch in _split(template, members, max_query_bytes)]
    return Plan(tuple(batches), tuple(refused))


def _split(template: Template, members: Sequence[Member], limit: int) -> list[Batch]:
    query = template.query(scope_of(member.subscription for member in members))
    if len(members) == 1 or len(quote_plus(query)) <= limit:
        return [Batch(template, tuple(members), query)]
    middle = len(members) // 2
    return _split(template, members[:middle], limit) + _split(template, members[middle:], limit)


def unusable(number: int, time: float, fault: SampleFault) -> Reading:
    """The reading of an indicator that could not be asked for; NoSeries alone counts as answered, with nothing."""
    if fault.reason == "NoSeries":
        return Reading(Tick(number, time, (), ()), (fault,))
    return Reading(Tick.unanswered(number, time), (fault,))


@dataclass(slots=True)
class _Collected:
    """What an answer holds for one member."""

    canary: list[PodCounter] = field(default_factory=list)
    stable: list[PodCounter] = field(default_factory=list)
    faults: list[SampleFault] = field(default_factory=list)


def readings(
    batch: Batch, rows: Iterable[Series], *, partial: bool, number: int, time: float
) -> dict[tuple[str, str], Reading]:
    """Every member's reading of an answer, by Member.id. A flawed pod spoils the tick of its own change only."""
    owners = _owners(batch)
    collected = {member.id: _Collected() for member in batch.members}
    for (namespace, pod), reading in sorted(batch.template.read(rows).items()):
        for member, arm in owners.get((namespace, base_of(pod)), ()):
            own = collected[member.id]
            if isinstance(reading, Flaw):
                own.faults.append(pod_fault(member.indicator, pod, reading))
                continue
            started = member.subscription.pod_starts.get(pod)
            counter = PodCounter(pod, reading.total, reading.bad, started)
            (own.canary if arm == "canary" else own.stable).append(counter)
    return {
        member.id: _reading(member, batch.template, collected[member.id], partial, number, time)
        for member in batch.members
    }


def _reading(member: Member, template: Template, own: _Collected, partial: bool, number: int, time: float) -> Reading:
    if own.faults:
        return Reading(Tick.unanswered(number, time), tuple(own.faults))
    tick = Tick(number, time, tuple(own.canary), tuple(own.stable), partial=partial)
    if not own.canary and not own.stable:
        return Reading(tick, (no_series(member.indicator, member.subscription, template),))
    return Reading(tick)


def _owners(batch: Batch) -> dict[tuple[str, str], list[tuple[Member, Arm]]]:
    """(namespace, pod name base) -> whose pods they are. A stable ReplicaSet may belong to several changes."""
    owners: dict[tuple[str, str], list[tuple[Member, Arm]]] = {}
    for member in batch.members:
        for base, arm in arms_by_base(member.subscription).items():
            owners.setdefault((member.subscription.namespace, base), []).append((member, arm))
    return owners
