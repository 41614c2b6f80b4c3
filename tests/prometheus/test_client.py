"""One call, against servers that misbehave in every way a network and a proxy can."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from rollwarden.prometheus.answers import Series
from rollwarden.prometheus.client import ClientStats, PrometheusClient, shown_url
from rollwarden.prometheus.errors import (
    BadAnswerError,
    BadUrlError,
    PrometheusError,
    QueryRejectedError,
    TimedOutError,
    UnreachableError,
)
from tests.prometheus import servers
from tests.prometheus.servers import Behaviour, answering

OK = json.dumps(
    {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"pod": "a"}, "value": [1, "2"]}]}}
).encode()


def failed(kind: str, text: str) -> bytes:
    """An error as Prometheus words it."""
    return json.dumps({"status": "error", "errorType": kind, "error": text}).encode()


def test_an_answer_is_read_and_counted() -> None:
    """The query's time is on the grid to the millisecond."""
    with servers.server(answering(OK)) as server:
        client = PrometheusClient(server.url)
        assert client.instant("up", 1700000000.25).series == (Series({"pod": "a"}, 2.0),)
        assert b"/api/v1/query?query=up&time=1700000000.250 " in server.heads[0]
        stats = client.stats()
    assert (stats.queries, stats.failures, stats.retries) == (1, 0, 0)
    assert stats.slowest_seconds == stats.seconds > 0


def test_warnings_survive_the_library() -> None:
    """A partial answer of Thanos or Mimir says so beside its data."""
    body = json.dumps({**json.loads(OK), "warnings": ["store s1 unreachable"]}).encode()
    with servers.server(answering(body)) as server:
        answer = PrometheusClient(server.url).instant("up", 1)
    assert answer.partial
    assert answer.warnings == ("store s1 unreachable",)


def test_a_range_keeps_its_milliseconds() -> None:
    """The library alone would round both ends to whole seconds."""
    body = json.dumps({"data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[7.5, "1"]]}]}}).encode()
    with servers.server(answering(body)) as server:
        answer = PrometheusClient(server.url).range("up", 7.5, 12.5, 2.5)
        assert b"start=7.500&end=12.500&step=2.500" in server.heads[0]
    assert answer.series[0].points == ((7.5, 1.0),)


def test_a_compressed_answer_is_read() -> None:
    """Prometheus compresses on request."""
    with servers.server(answering(gzip.compress(OK), more="Content-Encoding: gzip\r\n")) as server:
        assert PrometheusClient(server.url).instant("up", 1).series[0].value == 2


def test_the_authorization_header_is_sent_and_never_shown() -> None:
    """Nor a password that stands in the address."""
    with servers.server(answering(failed("x", "y"), "401 Unauthorized")) as server:
        client = PrometheusClient(server.url.replace("//", "//ada:pw@"), authorization="Bearer s3cret")
        with pytest.raises(QueryRejectedError) as caught:
            client.instant("up", 1)
        assert b"Authorization: Bearer s3cret" in server.heads[0]
    assert "check the secret" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "pw" not in str(caught.value)


def hang_up(connection: socket.socket, _: bytes) -> None:
    """Close without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def cut_short(connection: socket.socket, _: bytes) -> None:
    """Promise more than is sent."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


MISBEHAVIOURS: dict[str, tuple[Behaviour, type[PrometheusError], str]] = {
    "a bad query": (
        answering(failed("bad_data", "parse error"), "400 Bad Request"),
        QueryRejectedError,
        "refused the query: parse error",
    ),
    "an impossible query": (
        answering(failed("execution", "too many samples"), "422 Unprocessable"),
        QueryRejectedError,
        "too many samples",
    ),
    "its own timeout": (
        answering(failed("timeout", "query timed out"), "503 Service Unavailable"),
        TimedOutError,
        "gave the query up",
    ),
    "a proxy without a backend": (answering(b"<h1>bad gateway</h1>", "502 Bad Gateway"), UnreachableError, "502"),
    "too many requests": (answering(b"", "429 Too Many Requests"), UnreachableError, "429 (no text)"),
    "another service": (answering(b"not found", "404 Not Found"), BadAnswerError, "404 (not found)"),
    "a login page": (answering(b"<html>", kind="text/html"), BadAnswerError, "text/html"),
    "half a JSON": (answering(b'{"data": '), BadAnswerError, "no query result"),
    "JSON without data": (answering(b"{}"), BadAnswerError, "no query result"),
    "JSON that is a list": (answering(b"[]"), BadAnswerError, "no query result"),
    "nothing": (answering(b""), BadAnswerError, "no query result"),
    "deep nesting": (answering(b"[" * 200_000), BadAnswerError, "no query result"),
    "another result type": (
        answering(b'{"data": {"resultType": "scalar", "result": []}}'),
        BadAnswerError,
        "a scalar where a vector",
    ),
    "a redirect": (
        answering(b"", "302 Found", more="Location: https://login.example/x\r\n"),
        BadAnswerError,
        'redirects to "https://login.example/x"',
    ),
    "a hang-up": (hang_up, UnreachableError, "cannot be reached"),
    "an answer cut short": (cut_short, UnreachableError, "cannot be reached"),
}


@pytest.mark.parametrize(("behaviour", "error", "says"), MISBEHAVIOURS.values(), ids=MISBEHAVIOURS)
def test_misbehaviour_has_a_name_and_a_sentence(behaviour: Behaviour, error: type[PrometheusError], says: str) -> None:
    """The sentence names the address, what happened, and what to do; it never repeats the query."""
    with servers.server(behaviour) as server:
        client = PrometheusClient(server.url, timeout=2)
        with pytest.raises(error) as caught:
            client.instant("a_very_long_query", 1)
        assert str(caught.value).startswith(f"Prometheus at {server.url} ")
    assert says in str(caught.value)
    assert "a_very_long_query" not in str(caught.value)
    assert client.stats().failures == 1


def test_a_dead_address_is_tried_three_times_and_quickly() -> None:
    """The pauses between are short and random; the reason is the system's own word."""
    client = PrometheusClient(servers.closed_port(), timeout=3)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="Connection refused"):
        client.instant("up", 1)
    assert time.monotonic() - began < 2
    assert client.stats().retries == 2


def test_a_name_that_does_not_resolve() -> None:
    """RFC 2606 keeps .invalid free."""
    with pytest.raises(UnreachableError, match="cannot be reached"):
        PrometheusClient("http://prometheus.invalid:9090", timeout=3).instant("up", 1)


def test_one_failure_is_retried() -> None:
    """A restart of a proxy costs nothing."""
    with servers.server(servers.in_turn(answering(b"", "503 Service Unavailable"), answering(OK))) as server:
        client = PrometheusClient(server.url)
        assert client.instant("up", 1).series
    assert client.stats().retries == 1
    assert client.stats().failures == 0


def test_a_refused_query_is_not_retried() -> None:
    """It would be refused again."""
    with servers.server(answering(failed("bad_data", "no"), "400 Bad Request")) as server:
        with pytest.raises(QueryRejectedError):
            PrometheusClient(server.url).instant("up", 1)
        assert len(server.heads) == 1


def silent(connection: socket.socket, _: bytes) -> None:
    """Never answer."""
    connection.recv(1)


def trickling(connection: socket.socket, _: bytes) -> None:
    """An answer that would take an hour, with never more than a moment between two bytes."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    try:
        while True:
            connection.sendall(b"{")
            time.sleep(0.02)
    except OSError:
        return


@pytest.mark.parametrize("behaviour", [silent, trickling])
def test_slow_answers_end_within_the_time_of_the_call(behaviour: Behaviour) -> None:
    """A gap between two packets is not what is bounded, the call is."""
    with servers.server(behaviour) as server:
        client = PrometheusClient(server.url, timeout=0.4)
        began = time.monotonic()
        with pytest.raises(TimedOutError, match=r"within 0\.4 s"):
            client.instant("up", 1)
        assert time.monotonic() - began < 1


def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded too."""
    monkeypatch.setattr("rollwarden.prometheus.wire.MAX_BODY_BYTES", 1 << 20)
    with servers.server(answering(b" " * (3 << 20))) as server, pytest.raises(BadAnswerError, match="sent more than"):
        PrometheusClient(server.url).instant("up", 1)


def test_a_missing_certificate_file_is_a_sentence(tmp_path: Path) -> None:
    """requests raises a bare OSError for it."""
    client = PrometheusClient("https://127.0.0.1:1", ca_file=str(tmp_path / "none.pem"), attempts=1)
    with pytest.raises(UnreachableError, match=r"none\.pem"):
        client.instant("up", 1)


def test_threads_have_sessions_of_their_own() -> None:
    """And close() ends all of them."""
    with servers.server(answering(OK)) as server:
        client = PrometheusClient(server.url)
        threads = [threading.Thread(target=client.instant, args=("up", 1)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
        assert client.instant("up", 1).series
    assert client.stats() == ClientStats(5, 0, 0, client.stats().seconds, client.stats().slowest_seconds)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://prom:9090/", "http://prom:9090"),
        ("https://ada:pw@prom/prefix/", "https://prom/prefix"),
        ("http://[::1]:9090", "http://[::1]:9090"),
    ],
)
def test_shown_url(url: str, shown: str) -> None:
    """Without credentials and trailing slash."""
    assert shown_url(url) == shown


@pytest.mark.parametrize("url", ["", "prom:9090", "ftp://prom", "http://", "http://prom/?x=1", "http://prom/#x"])
def test_bad_urls(url: str) -> None:
    """Refused before anything is asked."""
    with pytest.raises(BadUrlError, match="address"):
        PrometheusClient(url)
