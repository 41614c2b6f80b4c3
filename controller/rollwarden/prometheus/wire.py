"""The bytes below prometheus_api_client: whole-call deadline, bounded bodies, and the parts of an answer that it drops.

The client library has no default timeout, mounts its own retrying adapter over a session's, and returns only
`data.result`: `warnings` (partial answers), `resultType` and the server's error text are lost. A transport of our own,
mounted where the library puts its, sees every exchange and keeps what is lost there.
"""

from __future__ import annotations

import io
import json
import time
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than this is refused: a day of 500 series is a tenth of it."""
CONNECT_SECONDS = 1.0
"""Upper bound for one TCP connect, so that a black-holed address leaves time for a second try."""
_CHUNK = 64 * 1024


class BodyTooLargeError(Exception):
    """The answer is larger than MAX_BODY_BYTES."""


class Body(requests.Response):
    """A response whose body has been read whole; `json()` parses once and keeps the result in `payload`."""

    def __init__(self, head: requests.Response, body: bytes) -> None:
        super().__init__()
        self.status_code, self.headers, self.url = head.status_code, head.headers, head.url
        self.request, self.reason, self.encoding = head.request, head.reason, "utf-8"
        self.raw = io.BytesIO(body)
        self.body = body
        self.payload: Any = None

    def json(self, **kwargs: Any) -> Any:
        """The parsed body; raises ValueError if it is not JSON."""
        if self.payload is None:
            self.payload = json.loads(self.body, **kwargs)
        return self.payload


class Wire(HTTPAdapter):
    """One thread's transport. Set `deadline` (time.monotonic seconds) before a call; read `last` after it."""

    def __init__(self) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self.deadline = 0.0
        self.last: Body | None = None

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send within what is left until `deadline` (at most twice that, for a server that stalls in mid-body).

        Raises requests.ReadTimeout when the body takes longer, BodyTooLargeError, and what HTTPAdapter.send raises.
        """
        left = max(self.deadline - time.monotonic(), 0.001)
        head = super().send(
            request, stream=True, timeout=(min(CONNECT_SECONDS, left), left), verify=verify, cert=cert, proxies=proxies
        )
        try:
            self.last = Body(head, self._read(head))
        finally:
            head.close()
        return self.last

    def _read(self, head: requests.Response) -> bytes:
        # A socket timeout bounds the gap between two packets only, and a plain read waits until its buffer is full: an
        # answer that trickles in would hold a worker for hours. read1 returns with every packet.
        body = bytearray()
        try:
            while piece := head.raw.read1(_CHUNK, decode_content=True):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLargeError
                if time.monotonic() > self.deadline:
                    raise requests.exceptions.ReadTimeout("the answer was still arriving", request=head.request)
        except urllib3.exceptions.TimeoutError as error:
            raise requests.exceptions.ReadTimeout(error, request=head.request) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ConnectionError(error, request=head.request) from error
        return bytes(body)
