"""What can go wrong when Prometheus is asked, as one tree.

    PrometheusError                 one call failed; its text names the address and what to do
    ├── UnreachableError            no connection, or the server (a proxy) cannot serve now: worth a retry
    ├── TimedOutError               no whole answer within the time of the call
    ├── BadAnswerError              an answer that is not a Prometheus query result
    └── QueryRejectedError          Prometheus understood and refused: the query or the credentials are wrong
    SelectorError(ValueError)       a selector or indicator in a ServiceProfile that cannot be used
    BadUrlError(ValueError)         an address in a ServiceProfile or setting that is none

Only the first branch depends on the outside world; the other two are decided by reading the text alone.
"""

from __future__ import annotations

from typing import ClassVar, Literal

CallReason = Literal["Unreachable", "Timeout", "BadAnswer", "QueryRejected"]


class PrometheusError(Exception):
    """One call to Prometheus failed. `url` never contains credentials; `str()` is one sentence for people."""

    reason: ClassVar[CallReason]

    def __init__(self, url: str, message: str) -> None:
        super().__init__(f"Prometheus at {url} {message}")
        self.url = url


class UnreachableError(PrometheusError):
    """No connection, or a 429/5xx from the server or a proxy before it."""

    reason = "Unreachable"


class TimedOutError(PrometheusError):
    """No whole answer within the time of the call."""

    reason = "Timeout"


class BadAnswerError(PrometheusError):
    """The answer is not JSON, not a query result, of the wrong result type, or too large."""

    reason = "BadAnswer"


class QueryRejectedError(PrometheusError):
    """Prometheus refused the query (400, 422) or the credentials (401, 403); the text carries the server's words."""

    reason = "QueryRejected"


class SelectorError(ValueError):
    """A selector or indicator that cannot be used; the text says what is wrong, where, and what would be right."""


class BadUrlError(ValueError):
    """A Prometheus address that is not an http or https URL."""
