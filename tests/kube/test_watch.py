"""From chunks of bytes to events."""

import itertools
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollwarden.kube import watch
from rollwarden.kube.errors import Call, Gone, ServerUnavailable, UndecodableAnswer
from rollwarden.kube.resources import PODS
from rollwarden.kube.watch import event_of, split_lines
from rollwarden.runtime.informer import EventKind

CALL = Call("watch", PODS)
LINES = st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line and line.strip()), max_size=8)


@given(lines=LINES, cuts=st.lists(st.integers(0, 200), max_size=12), tail=st.sampled_from([b"", b"cut off"]))
def test_lines_come_out_whole_wherever_the_chunks_are_cut(lines: list[bytes], cuts: list[int], tail: bytes) -> None:
    stream = b"".join(line + b"\n" for line in lines) + tail
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert list(split_lines(chunks)) == lines


def test_empty_lines_are_left_out() -> None:
    assert list(split_lines([b"\n\na\n \r\n", b"\nb\n"])) == [b"a", b"b"]


def test_a_line_is_handed_on_before_the_next_chunk_is_asked_for() -> None:
    def stream() -> Iterator[bytes]:
        yield b"a\nb"
        raise AssertionError("read further than needed")

    assert next(split_lines(stream())) == b"a"


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LONGEST_LINE", 10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        list(split_lines([b"123456", b"123456"]))


@pytest.mark.parametrize("kind", list(EventKind))
def test_an_event(kind: EventKind) -> None:
    event = event_of(CALL, b'{"type":"%s","object":{"metadata":{"name":"x"}}}' % kind.value.encode())
    assert event.kind is kind
    assert msgspec.json.decode(event.raw) == {"metadata": {"name": "x"}}


@pytest.mark.parametrize(
    ("code", "expected"), [(410, Gone), (500, ServerUnavailable)], ids=["too old", "the server's trouble"]
)
def test_an_error_event_is_raised(code: int, expected: type[Exception]) -> None:
    line = b'{"type":"ERROR","object":{"kind":"Status","code":%d,"reason":"Expired","message":"too old"}}' % code
    with pytest.raises(expected, match=r"watch pods: .* too old"):
        event_of(CALL, line)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{", id="not JSON"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"type":"RENAMED","object":{}}', id="an unknown type"),
        pytest.param(b'{"type":"ADDED"}', id="no object"),
        pytest.param(b'{"type":"ERROR","object":7}', id="an error without Status"),
        pytest.param(b"\xff" * 1000, id="bytes that are no text"),
    ],
)
def test_a_line_that_is_no_event_says_so(line: bytes) -> None:
    with pytest.raises(UndecodableAnswer, match="watch pods: not an event of a watch") as caught:
        event_of(CALL, line)
    assert len(str(caught.value)) < 500
