"""Reading a watch: bytes to lines, lines to events.

The server ends a watch after a time we choose with some jitter; a connection that says nothing for long is given up and
the watch taken up elsewhere. Not here: what to do when a watch ends (`runtime/informer.py`).
"""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import msgspec
import urllib3

from rollwarden.kube.deep import bounded
from rollwarden.kube.errors import STATUS, Call, KubeError, UndecodableAnswer, error_from_status
from rollwarden.kube.transport import HttpRequest, Transport, unavailable
from rollwarden.runtime.informer import EventKind, WatchEvent

T = TypeVar("T")

CHUNK = 1 << 16
LIFETIME = (240.0, 480.0)  # seconds; spread, so that many watches do not come back at the same moment
LONGEST_LINE = 64 << 20  # bytes; an object is at most about 3 MiB as JSON


class Frame(msgspec.Struct, frozen=True):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


FRAMES = msgspec.json.Decoder(Frame)


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in a stream of chunks cut anywhere, without line ends and without empty ones.

    What follows the last line end is an object cut off: it is left out. Raises ValueError for a line without end.
    """
    pending: list[bytes] = []
    size = 0
    for chunk in chunks:
        head, newline, rest = chunk.partition(b"\n")
        pending.append(head)
        size += len(head)
        if size > LONGEST_LINE:
            message = f"a line of more than {LONGEST_LINE} bytes"
            raise ValueError(message)
        if not newline:
            continue
        *whole, tail = rest.split(b"\n")
        yield from (line for line in (b"".join(pending), *whole) if line.strip())
        pending, size = [tail], len(tail)


def event_of(call: Call, line: bytes) -> WatchEvent[msgspec.Raw]:
    """The event in a line. Raises the KubeError an ERROR event stands for: Gone for 410."""
    try:
        frame = FRAMES.decode(bounded(line))
        if frame.type == "ERROR":
            status = STATUS.decode(frame.object)
            raise error_from_status(call, status.code, status)
        return WatchEvent(EventKind(frame.type), frame.object)
    except (msgspec.MsgspecError, ValueError) as error:
        message = f"not an event of a watch ({error}): {line[:200].decode('utf-8', 'replace')}"
        raise UndecodableAnswer(call, message) from error


class Watch(Generic[T]):
    """An open watch, to be iterated once. Ends when the server ends it, when it falls silent, or on `close`.

    Raises KubeError while iterating: Gone if the resource version is too old, ServerUnavailable if the stream breaks.
    """

    def __init__(self, call: Call, response: urllib3.HTTPResponse, decode: Callable[[msgspec.Raw], T]) -> None:
        self._call = call
        self._response = response
        self._decode = decode
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[WatchEvent[T]]:
        try:
            for line in split_lines(self._response.stream(CHUNK)):
                event = event_of(self._call, line)
                yield WatchEvent(event.kind, self._decode(event.raw))
        except urllib3.exceptions.ReadTimeoutError:
            return
        except KubeError:
            raise
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # A socket shut down from another thread fails in whatever the reading thread is just doing.
            if not self._closed.is_set():
                raise unavailable(self._call, error) from error
        finally:
            self._response.close()

    def close(self) -> None:
        """End the watch, from any thread; a thread waiting in it for the next event returns at once."""
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self._response.shutdown()
        except (ValueError, RuntimeError, OSError):
            return  # it has ended already


def open_watch(
    transport: Transport,
    call: Call,
    request: HttpRequest,
    resource_version: str,
    decode: Callable[[msgspec.Raw], T],
) -> Watch[T]:
    """Open the watch of what `request` lists, from that resource version on. Raises KubeError."""
    query = (
        *request.query,
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", resource_version),
        ("timeoutSeconds", str(round(random.uniform(*LIFETIME)))),
    )
    response = transport.stream(call, HttpRequest("GET", request.path, query))
    return Watch(call, response, decode)
