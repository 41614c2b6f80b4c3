"""Reading JSON answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.prometheus.answers import (
    NATIVE_HISTOGRAM,
    NotANumber,
    Series,
    parse_value,
    read_matrix,
    read_vector,
)
from rollwarden.prometheus.errors import BadAnswerError

URL = "http://prometheus:9090"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
ROWS = st.fixed_dictionaries({}, optional={"metric": JSON, "value": JSON, "values": JSON, "histogram": JSON})


def vector(*result: Any, **more: Any) -> dict[str, Any]:
    """An instant answer."""
    return {"status": "success", "data": {"resultType": "vector", "result": list(result)}, **more}


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf", "Inf", "nan", "1e999", "", "x", "0x1p3"])
def test_no_number_is_named_not_dropped(text: str) -> None:
    """Whatever is not finite says what it was."""
    assert parse_value(text) == NotANumber(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_survives(number: float) -> None:
    """Text and back, exactly."""
    assert parse_value(repr(number)) == number


def test_a_vector_keeps_labels_values_and_warnings() -> None:
    """A warning makes the answer partial; an info does not."""
    payload = vector({"metric": {"pod": "a"}, "value": [1, "2"]}, warnings=["store s1 is down"], infos=["x"])
    answer = read_vector(URL, payload)
    assert answer.series == (Series({"pod": "a"}, 2.0),)
    assert answer.partial
    assert answer.warnings == ("store s1 is down",)
    assert not read_vector(URL, vector(infos=["x"])).partial
    assert read_vector(URL, vector(warnings="odd")).warnings == ("odd",)


def test_native_histograms_are_named() -> None:
    """They carry no number, in vectors and in matrices."""
    assert read_vector(URL, vector({"metric": {}, "histogram": [1, {}]})).series[0].value == NotANumber(
        NATIVE_HISTOGRAM
    )
    result = [{"metric": {}, "values": [[1, "5"], [3, "6"]], "histograms": [[2, {}]]}]
    matrix = read_matrix(URL, {"data": {"resultType": "matrix", "result": result}})
    assert matrix.series[0].points == ((1, 5.0), (2, NotANumber(NATIVE_HISTOGRAM)), (3, 6.0))


BAD = {
    "no object": [],
    "no data": {"status": "success"},
    "another result type": {"data": {"resultType": "scalar", "result": [1, "2"]}},
    "a matrix": {"data": {"resultType": "matrix", "result": []}},
    "no list": {"data": {"resultType": "vector", "result": {}}},
    "a row without labels": vector({"value": [1, "2"]}),
    "a row that is no object": vector(7),
    "labels that are no texts": vector({"metric": {"pod": 7}, "value": [1, "2"]}),
    "labels that are no object": vector({"metric": ["pod"], "value": [1, "2"]}),
    "a value that is no pair": vector({"metric": {}, "value": [1]}),
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD)
def test_malformed_answers_are_refused_with_the_address(payload: Any) -> None:
    """And with what to check."""
    with pytest.raises(BadAnswerError, match=f"{URL}.*check that the address is a Prometheus API"):
        read_vector(URL, payload)


@given(JSON | st.lists(ROWS).map(lambda rows: vector(*rows)))
def test_any_json_is_read_or_refused(payload: Any) -> None:
    """Nothing but BadAnswerError comes out."""
    for read in (read_vector, read_matrix):
        try:
            read(URL, payload)
        except BadAnswerError:
            continue
