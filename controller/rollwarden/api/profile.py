"""ServiceProfile: the service team's word on criticality, owners, indicators and objectives."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, field

from .enums import API_VERSION, Criticality, IndicatorType, OnNewTemplate
from .meta import Conditions, Duration, LabelSelector, Model, Name, ObjectMeta, Percent, Text, User

Selector = Annotated[str, Meta(max_length=512, pattern=r"^([a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})?)?$")]
Metric = Annotated[str, Meta(max_length=256, pattern=r"^([a-zA-Z_:][a-zA-Z0-9_:]*)?$")]


class Objective(Model, frozen=True, kw_only=True):
    """``target_percent`` of requests succeed (Errors) or finish within ``threshold`` (Latency)."""

    target_percent: Percent
    threshold: Duration | None = None


class IndicatorQuery(Model, frozen=True, kw_only=True):
    """Raw cumulative counters with ``namespace`` and ``pod`` labels: selectors, no functions; rates are never used."""

    total: Selector = ""
    bad: Selector = ""
    histogram: Metric = ""


class Indicator(Model, frozen=True, kw_only=True):
    name: Name
    type: IndicatorType
    objective: Objective
    query: IndicatorQuery = IndicatorQuery()


class PrometheusRef(Model, frozen=True, kw_only=True):
    url: Annotated[str, Meta(max_length=512, pattern=r"^(https?://.+)?$")] = ""


class ServiceProfileSpec(Model, frozen=True, kw_only=True):
    rollout_selector: LabelSelector = LabelSelector()
    criticality: Criticality | None = None
    owners: Annotated[tuple[User, ...], Meta(max_length=16)] = ()
    contact: Text = ""
    prometheus: PrometheusRef = PrometheusRef()
    on_new_template: OnNewTemplate = OnNewTemplate.SUPERSEDE
    indicators: Annotated[
        tuple[Indicator, ...],
        Meta(
            max_length=8,
            extra_json_schema={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-validations": [
                    {
                        "rule": "self.all(i, i.type != 'Latency' || has(i.objective.threshold))",
                        "message": "a Latency indicator needs objective.threshold, for example 300ms",
                    },
                    {
                        "rule": "self.all(i, !has(i.query) || (has(i.query.total) == has(i.query.bad)))",
                        "message": "query.total and query.bad come together",
                    },
                ],
            },
        ),
    ] = ()


class ServiceProfileStatus(Model, frozen=True, kw_only=True):
    observed_generation: int = 0
    matched: int = 0
    conditions: Conditions = ()


class ServiceProfile(Model, frozen=True, kw_only=True, tag_field="kind", tag="ServiceProfile"):
    plural: ClassVar[str] = "serviceprofiles"
    api_version: str = field(default_factory=lambda: API_VERSION)
    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceProfileSpec = field(default_factory=ServiceProfileSpec)
    status: ServiceProfileStatus = ServiceProfileStatus()
