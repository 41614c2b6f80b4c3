"""One HTTP request to the API server, over the Kubernetes client's connections and credentials.

Every request has time-outs, nothing is retried here, and every failure is one of the errors of `errors.py`. This is the
only module that calls the client's REST layer. Not here: what the paths and bodies mean (`client.py`).
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.config_exception import ConfigException

from rollwarden import __version__
from rollwarden.kube.errors import Call, KubeError, ServerUnavailable, error_from_answer

CHUNK = 1 << 16
WARNING = re.compile(r'299\s+\S+\s+"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request that was answered, or not (`code` 0); `seconds` until the answer began."""

    call: Call
    code: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to speak with the API server; times in seconds.

    `read_timeout` bounds each wait for bytes, `total_timeout` a whole answer; a watch that says nothing for
    `quiet_timeout` is taken for dead and opened anew, by which nothing is lost (the server sends a bookmark about every
    minute). `connections` are kept open: at least one per watch and one per working thread. The callbacks run in the
    requesting thread.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    total_timeout: float = 60.0
    quiet_timeout: float = 100.0
    connections: int = 32
    field_manager: str = "rollwarden"
    on_request: Callable[[ApiRequest], None] | None = None
    on_warning: Callable[[Call, str], None] | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it goes over the wire. `body`: JSON-like values, or bytes for a content type that is not JSON."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    body: Any = None

    def target(self) -> str:
        """Path and query, encoded."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


class Transport:
    """Sends requests; safe to use from any thread."""

    def __init__(self, configuration: Configuration, options: ClientOptions) -> None:
        configuration.connection_pool_maxsize = options.connections
        self._configuration = configuration
        self._options = options
        self._rest: Any = RESTClientObject(configuration)

    def send(self, call: Call, request: HttpRequest) -> bytes:
        """The body of a successful answer. Raises KubeError."""
        deadline = time.monotonic() + self._options.total_timeout
        response = self._open(call, request, self._options.read_timeout)
        return _read_all(call, response, deadline)

    def stream(self, call: Call, request: HttpRequest) -> urllib3.HTTPResponse:
        """A successful answer to a watch, whose body the caller reads and closes. Raises KubeError."""
        return self._open(call, request, self._options.quiet_timeout)

    def headers(self, call: Call, request: HttpRequest) -> dict[str, str]:
        """The request's headers, credentials included. Raises ServerUnavailable if those cannot be renewed."""
        headers = {"Accept": "application/json", "User-Agent": f"rollwarden/{__version__}"}
        if request.content_type is not None:
            headers["Content-Type"] = request.content_type
        try:
            credentials = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except (ConfigException, OSError) as error:
            message = f"the credentials cannot be renewed: {error}"
            raise ServerUnavailable(call, message) from error
        if credentials:
            headers["Authorization"] = credentials.strip()
        return headers

    def close(self) -> None:
        """Close the idle connections."""
        self._rest.close()

    def _open(self, call: Call, request: HttpRequest, read_timeout: float) -> urllib3.HTTPResponse:
        started = time.monotonic()
        code = 0
        try:
            response = self._request(call, request, read_timeout)
            code = response.status
        finally:
            if self._options.on_request is not None:
                self._options.on_request(ApiRequest(call, code, time.monotonic() - started))
        self._pass_warnings(call, response)
        if 200 <= code <= 299:
            return response
        body = _read_all(call, response, started + self._options.total_timeout)
        raise error_from_answer(call, code, body, response.headers.get("Retry-After"))

    def _request(self, call: Call, request: HttpRequest, read_timeout: float) -> urllib3.HTTPResponse:
        try:
            answer = self._rest.request(
                request.method,
                self._configuration.host.rstrip("/") + request.target(),
                headers=self.headers(call, request),
                body=request.body,
                _request_timeout=(self._options.connect_timeout, read_timeout),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unavailable(call, error) from error
        except ApiException as error:  # the REST layer's wrapping of TLS errors
            raise unavailable(call, error.reason) from error
        response: urllib3.HTTPResponse = answer.response
        return response

    def _pass_warnings(self, call: Call, response: urllib3.HTTPResponse) -> None:
        if self._options.on_warning is not None:
            for text in warnings_in(response.headers.getlist("Warning")):
                self._options.on_warning(call, text)


def warnings_in(headers: list[str]) -> list[str]:
    """The texts of Warning headers as the API server writes them: `299 - "text"`, several to a header or one each."""
    return [re.sub(r"\\(.)", r"\1", text) for header in headers for text in WARNING.findall(header)]


def unavailable(call: Call, error: object) -> KubeError:
    """The error for an exchange that broke off."""
    return ServerUnavailable(call, f"no answer from the API server: {error}")


def _read_all(call: Call, response: urllib3.HTTPResponse, deadline: float) -> bytes:
    chunks: list[bytes] = []
    try:
        for chunk in response.stream(CHUNK):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                response.close()
                message = "the API server's answer was still not complete at the time-out"
                raise ServerUnavailable(call, message)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise unavailable(call, error) from error
    return b"".join(chunks)
