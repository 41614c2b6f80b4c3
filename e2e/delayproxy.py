"""A TCP proxy on loopback that holds back every byte of an answer for a time that may be changed while it runs."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

from e2e.components import LOOPBACK


class DelayProxy:
    """Forwards `url` to 127.0.0.1:`port`; every piece of an answer waits `delay` seconds."""

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self._port = port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> DelayProxy:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed: the block ended
            server = socket.create_connection((LOOPBACK, self._port), timeout=30)
            threading.Thread(target=self._pipe, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pipe, args=(server, client, True), daemon=True).start()

    def _pipe(self, source: socket.socket, sink: socket.socket, delayed: bool) -> None:
        try:
            while piece := source.recv(65536):
                time.sleep(self.delay if delayed else 0)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the other side hung up, as a client that waits no longer does
