"""A small client of the Kubernetes API for the control plane's own parts: plain JSON, time-outs, list and watch.

Not for the operator (it has its own adapter) and not for tests of who may do what (those use kubectl as that person).
"""

from __future__ import annotations

import copy
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

JsonObject = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

UNAVAILABLE = 503
UNAVAILABLE_SECONDS = 15.0
"""An API server that has just started, or just got a new kind, refuses what its policies match for so long at most."""

WATCH_SECONDS = 60
RETRY_SECONDS = 0.5


class ApiError(Exception):
    """The API server refused (``code`` >= 400) or could not be reached (``code`` 0)."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


class ApiClient:
    """Thread-safe. Every request has a time-out of ``timeout`` seconds; failures raise ApiError."""

    def __init__(self, server: str, ca_file: Path, token: str, timeout: float = 10.0) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._timeout = timeout
        self._pool = urllib3.PoolManager(ca_certs=str(ca_file), maxsize=16, retries=False)

    def acting_as(self, user: str) -> ApiClient:
        """The same client, impersonating ``user``: whoever it is needs the right to."""
        other = copy.copy(self)
        other._headers = {**self._headers, "Impersonate-User": user}
        return other

    def get(self, path: str, **query: str | int) -> JsonObject:
        return self.request("GET", path, query=query)

    def create(self, path: str, body: JsonObject) -> JsonObject:
        return self.request("POST", path, body)

    def patch(self, path: str, body: JsonObject, content_type: str = MERGE) -> JsonObject:
        return self.request("PATCH", path, body, content_type)

    def apply(self, path: str, body: JsonObject, manager: str) -> JsonObject:
        """Server-side apply, forced."""
        return self.request("PATCH", path, body, APPLY, {"fieldManager": manager, "force": "true"})

    def delete(self, path: str, body: JsonObject | None = None) -> JsonObject:
        return self.request("DELETE", path, body)

    def request(
        self,
        method: str,
        path: str,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str | int] | None = None,
    ) -> JsonObject:
        """One request, one JSON object back; while the server answers 503, it has done nothing and is asked again."""
        deadline = time.monotonic() + UNAVAILABLE_SECONDS
        while True:
            try:
                response = self._send(method, path, body, content_type, query or {}, False, self._timeout)
            except ApiError as error:
                if error.code != UNAVAILABLE or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS)
                continue
            parsed: JsonObject = json.loads(response.data)
            return parsed

    def watch(self, path: str, version: str, seconds: int) -> Iterator[tuple[str, JsonObject]]:
        """Events (type, object) from ``version`` on, for ``seconds``; ApiError 410 when that version is too old."""
        query: dict[str, str | int] = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        response = self._send("GET", path, None, "", query, stream=True, timeout=seconds + self._timeout)
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
                yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, "WatchBroken", str(error)) from error
        finally:
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        body: JsonObject | None,
        content_type: str,
        query: Mapping[str, str | int],
        stream: bool,
        timeout: float,
    ) -> urllib3.BaseHTTPResponse:
        separator = "&" if "?" in path else "?"
        url = self._server + path + (separator + urlencode(query) if query else "")
        headers = self._headers if body is None else {**self._headers, "Content-Type": content_type}
        try:
            response = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=self._timeout, read=timeout),
                preload_content=not stream,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, "Unreachable", f"{method} {url}: {error}") from error
        if response.status >= 400:
            raise _refusal(response)
        return response


def follow(
    client: ApiClient,
    path: str,
    on_list: Callable[[list[JsonObject]], None],
    on_event: Callable[[str, JsonObject], None],
    stop: threading.Event,
) -> None:
    """List, then watch, again and again until ``stop`` is set; after any failure it tries again in 0.5 s.

    A refusal too: an API server that has just started answers 403 until it has read its RBAC rules. What goes wrong
    is said on standard error, once until it changes.
    """
    said = ""
    while not stop.is_set():
        try:
            listed = client.get(path)
            on_list(listed["items"])
            version = listed["metadata"]["resourceVersion"]
            while not stop.is_set():
                for kind, item in client.watch(path, version, WATCH_SECONDS):
                    version = item["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        on_event(kind, item)
                    if stop.is_set():
                        return
        except ApiError as error:
            if stop.is_set():
                return
            if error.reason != said:
                print(f"{path}: trying again: {error}", file=sys.stderr, flush=True)
            said = error.reason
            stop.wait(RETRY_SECONDS)


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    pending = b""
    while chunk := response.read1():
        *whole, pending = (pending + chunk).split(b"\n")
        yield from whole


def _refusal(response: urllib3.BaseHTTPResponse) -> ApiError:
    text = response.data.decode(errors="replace")
    try:
        status = json.loads(text)
    except json.JSONDecodeError:
        return ApiError(response.status, response.reason or "", text[:500])
    return ApiError(response.status, status.get("reason", ""), status.get("message", text[:500]))
