"""Loopback servers that are no Prometheus, or a bad one: each answers every request in one scripted way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket, bytes], None]
"""Given the connection and the request's head, send (or do not send) an answer."""


class Server:
    """A running server; `heads` are the requests so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heads: list[bytes] = []


@contextmanager
def server(behaviour: Behaviour) -> Iterator[Server]:
    """Serve on a free loopback port, one connection at a time, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    running = Server(f"http://127.0.0.1:{listener.getsockname()[1]}")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(5)
                head = _head(connection)
                if head:
                    running.heads.append(head)
                    behaviour(connection, head)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield running
    finally:
        stop.set()
        thread.join()
        listener.close()


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return b""
        head += piece
    return head


def answering(body: bytes, status: str = "200 OK", kind: str = "application/json", more: str = "") -> Behaviour:
    """Always this answer."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    )

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head.encode() + body)

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One behaviour after the other; the last one stays."""
    left = list(behaviours)

    def behave(connection: socket.socket, head: bytes) -> None:
        current = left.pop(0) if len(left) > 1 else left[0]
        current(connection, head)

    return behave


def closed_port() -> str:
    """The URL of a loopback port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
