"""Which exception an answer becomes, and what it says."""

import json

import pytest

from rollwarden.kube import errors
from rollwarden.kube.errors import Call, KubeError, Status, error_from_answer, error_from_status
from rollwarden.kube.resources import PODS, ROLLOUTS
from rollwarden.runtime.errors import Expired, Retryable

CALL = Call("patch", ROLLOUTS, "pay", "checkout", "status")
BAD_FIELD = {"reason": "FieldValueInvalid", "message": "must be at most 5", "field": "spec.weight"}


@pytest.mark.parametrize(
    ("code", "reason", "causes", "expected", "retryable"),
    [
        (400, "BadRequest", [], errors.KubeError, False),
        (401, "Unauthorized", [], errors.Unauthorized, True),
        (403, "Forbidden", [], errors.Forbidden, True),
        (404, "NotFound", [], errors.NotFound, False),
        (405, "MethodNotAllowed", [], errors.KubeError, False),
        (409, "AlreadyExists", [], errors.AlreadyExists, False),
        (409, "Conflict", [], errors.Conflict, True),
        (410, "Expired", [], errors.Gone, True),
        (422, "Invalid", [], errors.Invalid, False),
        (422, "Invalid", [BAD_FIELD], errors.Invalid, False),
        (429, "TooManyRequests", [], errors.TooManyRequests, True),
        (500, "InternalError", [], errors.ServerUnavailable, True),
        (503, "ServiceUnavailable", [], errors.ServerUnavailable, True),
        (504, "Timeout", [], errors.ServerUnavailable, True),
    ],
)
def test_class_of_an_answer(
    code: int, reason: str, causes: list[dict[str, str]], expected: type[KubeError], retryable: bool
) -> None:
    body = {"kind": "Status", "code": code, "reason": reason, "message": "no", "details": {"causes": causes}}
    error = error_from_answer(CALL, code, json.dumps(body).encode())
    assert type(error) is expected
    assert isinstance(error, Retryable) is retryable
    assert (error.code, error.reason, error.message.split(";")[0], error.call) == (code, reason, "no", CALL)


def test_gone_is_what_the_informer_relists_on() -> None:
    assert issubclass(errors.Gone, Expired)


def test_a_json_patch_that_cannot_be_carried_out_is_told_from_an_invalid_object() -> None:
    body = {"reason": "Invalid", "message": errors.GENERIC_REFUSAL, "details": {}, "code": 422}
    error = error_from_answer(CALL, 422, json.dumps(body).encode())
    assert isinstance(error, errors.PatchTestFailed) and isinstance(error, errors.Invalid)
    assert isinstance(error, Retryable)


def test_the_sentence_says_what_was_done_where_and_why_it_was_refused() -> None:
    body = {"reason": "Invalid", "message": "Rollout is invalid", "details": {"causes": [BAD_FIELD]}}
    assert str(error_from_answer(CALL, 422, json.dumps(body).encode())) == (
        "patch rollouts.argoproj.io/status pay/checkout: 422 Invalid: Rollout is invalid; must be at most 5"
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"", "the answer had no body", id="empty"),
        pytest.param(b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>", id="a proxy's page"),
        pytest.param(b"\xff\xfe\x00", "\ufffd\ufffd", id="bytes that are no text"),
        pytest.param(b'{"reason": 7}', '{"reason": 7}', id="JSON of another shape"),
        pytest.param(b"x" * 100_000, "x" * 300, id="a very long body is cut"),
        pytest.param(b"[1, 2]", "[1, 2]", id="a list"),
    ],
)
def test_answers_that_are_no_status(body: bytes, said: str) -> None:
    error = error_from_answer(CALL, 502, body)
    assert isinstance(error, errors.ServerUnavailable)
    assert said in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("header", "details", "after"),
    [
        ("3", {}, 3.0),
        (None, {"retryAfterSeconds": 5}, 5.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", {}, None),
        (None, {}, None),
    ],
)
def test_the_wait_asked_for(header: str | None, details: dict[str, int], after: float | None) -> None:
    body = json.dumps({"message": "busy", "details": details}).encode()
    error = error_from_answer(Call("list", PODS), 429, body, header)
    assert isinstance(error, errors.TooManyRequests)
    assert error.after == after


def test_a_status_inside_a_watch() -> None:
    error = error_from_status(Call("watch", PODS), 410, Status(410, "Expired", "too old resource version"))
    assert isinstance(error, errors.Gone)
    assert str(error) == "watch pods: 410 Expired: too old resource version"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (Call("list", PODS), "list pods"),
        (Call("list", PODS, "pay"), "list pods in pay"),
        (Call("get", PODS, "pay", "x"), "get pods pay/x"),
    ],
)
def test_a_call_prints_what_and_where(call: Call, text: str) -> None:
    assert str(call) == text
