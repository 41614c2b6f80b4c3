"""The shape of the Event objects we write. That the API server takes them is shown in e2e/test_kube_client.py."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.kube.recorder import ObjectRef, cut, event_object, micro_time
from rollwarden.kube.resources import GUARDRAILPOLICIES, ROLLOUTS
from rollwarden.runtime.events import Event

NOON = datetime(2024, 5, 1, 12, 0, 0, 5, tzinfo=UTC)
ROLLOUT = ObjectRef.of(ROLLOUTS, "pay", "checkout", "1f2e")


def event(regarding: ObjectRef = ROLLOUT, message: str = "waits for 1 senior") -> Event[ObjectRef]:
    return Event(regarding, "Normal", "Held", message, "Hold")


def test_an_event_about_a_namespaced_object() -> None:
    body = event_object(event(), NOON, "rollwarden-0")
    assert body["metadata"]["namespace"] == "pay"
    assert body["metadata"]["name"].startswith("checkout.")
    assert body["regarding"] == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "checkout",
        "namespace": "pay",
        "uid": "1f2e",
    }
    assert (body["type"], body["reason"], body["action"], body["note"]) == (
        "Normal",
        "Held",
        "Hold",
        "waits for 1 senior",
    )
    assert body["reportingController"] == "rollwarden.dev/controller"
    assert body["eventTime"] == "2024-05-01T12:00:00.000005Z"


def test_an_event_about_a_cluster_scoped_object_is_written_to_default() -> None:
    body = event_object(event(ObjectRef.of(GUARDRAILPOLICIES, "", "default")), NOON, "x")
    assert body["metadata"]["namespace"] == "default"
    assert "namespace" not in body["regarding"] and "uid" not in body["regarding"]


def test_the_name_is_the_same_for_the_same_event_and_differs_otherwise() -> None:
    def name(said: Event[ObjectRef], at: datetime = NOON) -> str:
        found: str = event_object(said, at, "x")["metadata"]["name"]
        return found

    assert name(event()) == name(event())
    assert len({name(event()), name(event(message="other")), name(event(), NOON + timedelta(seconds=1))}) == 3


def test_a_long_name_leaves_room_for_the_suffix() -> None:
    body = event_object(event(ObjectRef.of(ROLLOUTS, "pay", "a" * 235 + "." * 18)), NOON, "x")
    assert len(body["metadata"]["name"]) <= 253
    assert ".." not in body["metadata"]["name"]


@given(text=st.text(max_size=40), limit=st.integers(3, 30))
def test_cut_keeps_within_bytes_and_whole_characters(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert len(kept.encode()) <= limit
    assert kept == text or (kept.endswith("…") and text.startswith(kept[:-1]))


@pytest.mark.parametrize("at", [NOON, NOON.astimezone(timezone(timedelta(hours=5)))])
def test_times_are_utc_with_microseconds(at: datetime) -> None:
    assert micro_time(at) == "2024-05-01T12:00:00.000005Z"
