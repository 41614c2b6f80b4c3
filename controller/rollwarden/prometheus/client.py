"""Asking one Prometheus: instant and range queries as typed answers, each within a fixed time.

`prometheus_api_client` is used for `custom_query` and `custom_query_range` only; what it drops comes from `wire`.
Nothing here knows what is asked or why; `answers` reads what comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from rollwarden.prometheus.answers import CHECK_API, Answer, RangeAnswer, read_matrix, read_vector
from rollwarden.prometheus.errors import (
    BadAnswerError,
    BadUrlError,
    PrometheusError,
    QueryRejectedError,
    TimedOutError,
    UnreachableError,
)
from rollwarden.prometheus.wire import MAX_BODY_BYTES, Body, BodyTooLargeError, Wire

_REJECTED = frozenset({400, 401, 403, 422})
_OVERLOADED = frozenset({408, 429, 500, 502, 503, 504})
_RETRY_JITTER_SECONDS = 0.1
_RETRY_CAP_SECONDS = 0.5

Got = TypeVar("Got")


@dataclass(frozen=True, slots=True)
class ClientStats:
    """Totals since the client was made; `seconds` is time spent in calls, retries and their pauses included."""

    queries: int = 0
    failures: int = 0
    retries: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Line:
    """One thread's session: the library's client and the transport below it."""

    connect: PrometheusConnect
    wire: Wire


class PrometheusClient:
    """Queries one Prometheus (or Thanos, Mimir) address. Safe for threads: each has a session of its own."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 3.0,
        attempts: int = 3,
        authorization: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        """`timeout` (seconds) bounds one call with its retries; `authorization` is a header value, never printed.

        Raises BadUrlError if `url` is not an http(s) address.
        """
        self.url = shown_url(url)
        self._address = url.rstrip("/")
        self.timeout, self._attempts = timeout, attempts
        self._authorization, self._ca_file = authorization, ca_file
        self._local = threading.local()
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
        self._stats = ClientStats()

    def instant(self, query: str, at: float, *, timeout: float | None = None) -> Answer:
        """Evaluate at epoch second `at`. Raises PrometheusError."""
        parameters = {"time": f"{at:.3f}"}
        return self._call(lambda line: line.connect.custom_query(query, params=parameters), read_vector, timeout)

    def range(self, query: str, start: float, end: float, step: float, *, timeout: float | None = None) -> RangeAnswer:
        """Evaluate at start, start + step, … up to end (epoch seconds). Raises PrometheusError."""
        # The library rounds start and end to whole seconds, off the grid; parameters given here win over its own.
        parameters = {"start": f"{start:.3f}", "end": f"{end:.3f}"}
        first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)

        def ask(line: _Line) -> None:
            line.connect.custom_query_range(query, first, last, f"{step:.3f}", params=parameters)

        return self._call(ask, read_matrix, timeout)

    def stats(self) -> ClientStats:
        """Totals so far."""
        with self._lock:
            return self._stats

    def close(self) -> None:
        """Close every thread's connections; the client may be used again afterwards."""
        with self._lock:
            lines, self._lines, self._local = self._lines, [], threading.local()
        for line in lines:
            line.connect.close()

    def _call(self, ask: Callable[[_Line], Any], read: Callable[[str, Any], Got], timeout: float | None) -> Got:
        line, budget = self._line(), self.timeout if timeout is None else timeout
        began = time.monotonic()
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts) | stop_before_delay(budget),
            wait=wait_random_exponential(multiplier=_RETRY_JITTER_SECONDS, max=_RETRY_CAP_SECONDS),
            retry=retry_if_exception_type(UnreachableError),
            reraise=True,
        )
        failed = 1
        try:
            line.wire.deadline = began + budget
            answer = read(self.url, retrying(self._once, line, ask, budget))
            failed = 0
            return answer
        finally:
            retries = retrying.statistics.get("attempt_number", 1) - 1
            self._count(failed, retries, time.monotonic() - began)

    def _once(self, line: _Line, ask: Callable[[_Line], Any], budget: float) -> Any:
        line.wire.last = None
        try:
            ask(line)
        except PrometheusApiClientException as error:
            raise _refusal(self.url, line.wire.last) from error
        except BodyTooLargeError as error:
            text = f"sent more than {MAX_BODY_BYTES >> 20} MiB; ask for fewer pods or a shorter time"
            raise BadAnswerError(self.url, text) from error
        except requests.exceptions.ConnectTimeout as error:
            raise UnreachableError(self.url, f"accepted no connection; {_CHECK_REACHABLE}") from error
        except requests.exceptions.Timeout as error:
            text = f"did not answer within {budget:g} s; it may be overloaded: check its load and query log"
            raise TimedOutError(self.url, text) from error
        except requests.exceptions.TooManyRedirects as error:
            raise _redirected(self.url, line.wire.last) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _not_prometheus(self.url, line.wire.last) from error
        except OSError as error:  # requests' own errors are OSErrors too; a missing CA file is a bare one
            raise UnreachableError(self.url, f"cannot be reached ({_why(error)}); {_CHECK_REACHABLE}") from error
        assert line.wire.last is not None  # the library returned, so the transport has read an answer
        return line.wire.last.payload

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = self._open()
            with self._lock:
                self._lines.append(line)
        return line

    def _open(self) -> _Line:
        session, wire = requests.Session(), Wire()
        session.verify = self._ca_file or True
        session.max_redirects = 0
        if self._authorization is not None:
            session.auth = _Header(self._authorization)
        connect = PrometheusConnect(url=self._address, session=session)
        for prefix in (self._address, "http://", "https://"):  # the first is where the library put its own transport
            session.mount(prefix, wire)
        return _Line(connect, wire)

    def _count(self, failures: int, retries: int, seconds: float) -> None:
        with self._lock:
            old = self._stats
            self._stats = ClientStats(
                old.queries + 1,
                old.failures + failures,
                old.retries + retries,
                old.seconds + seconds,
                max(old.slowest_seconds, seconds),
            )


@dataclass(frozen=True, slots=True)
class _Header(requests.auth.AuthBase):
    """Sets the Authorization header. As an auth object it also keeps requests from preferring ~/.netrc."""

    value: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.value
        return request


_CHECK_REACHABLE = "check the address, that Prometheus runs, and network policies"


def shown_url(url: str) -> str:
    """The address as it may be printed: without user, password, query or trailing slash. Raises BadUrlError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadUrlError(f'"{url}" is not a Prometheus address: write http://host:port or https://host:port')
    if parts.query or parts.fragment:
        raise BadUrlError(f'the Prometheus address "{url}" must end with the path: leave out "?" and "#"')
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _refusal(url: str, last: Body | None) -> PrometheusError:
    """The error of an answer other than 200."""
    if last is None:
        return BadAnswerError(url, f"gave no answer; {CHECK_API}")
    code, kind, text = last.status_code, *_error_text(last)
    if kind == "timeout":
        return TimedOutError(url, f"gave the query up ({text}); it may be overloaded: check its load and query log")
    if code in (401, 403):
        return QueryRejectedError(
            url, f"refused the credentials ({code} {text}); check the secret the ServiceProfile names"
        )
    if code in _REJECTED:
        return QueryRejectedError(url, f"refused the query: {text}; check the selector in the ServiceProfile")
    if code in _OVERLOADED:
        return UnreachableError(url, f"answered {code} ({text}); {_CHECK_REACHABLE}")
    return BadAnswerError(url, f"answered {code} ({text}); {CHECK_API}")


def _error_text(last: Body) -> tuple[str, str]:
    """(errorType, error) as Prometheus sends them, or ("", the start of the body)."""
    try:
        payload = last.json()
    except ValueError:
        payload = None
    if isinstance(payload, dict) and "error" in payload:
        return str(payload.get("errorType", "")), str(payload["error"])[:500]
    return "", " ".join(last.body[:120].decode(errors="replace").split()) or "no text"


def _redirected(url: str, last: Body | None) -> BadAnswerError:
    target = last.headers.get("location", "elsewhere") if last is not None else "elsewhere"
    return BadAnswerError(url, f'redirects to "{target[:200]}"; give the address that answers itself')


def _not_prometheus(url: str, last: Body | None) -> BadAnswerError:
    kind = last.headers.get("content-type", "no content type") if last is not None else "nothing readable"
    return BadAnswerError(url, f"sent no query result but {kind}; {CHECK_API}")


def _why(error: BaseException) -> str:
    """The cause in a few words. requests' own text repeats the whole query, so the innermost cause is named instead."""
    inner, words = error, ""
    for _ in range(12):
        if isinstance(inner, OSError) and inner.strerror:
            words = inner.strerror
        following = inner.__cause__ or inner.__context__
        if following is None:
            break
        inner = following
    return words or str(inner)[:300] or type(inner).__name__
