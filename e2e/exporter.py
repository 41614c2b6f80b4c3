"""A real Prometheus that scrapes what a test writes: one page of metrics per pod, changed while it runs.

The pods of the control plane cannot expose NaN or a wrong label; an exporter in the test's own process can.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import urllib3
import yaml

from e2e.build import ensure, to_stderr
from e2e.components import LOOPBACK, free_ports
from e2e.processes import Command, Supervisor, wait_until_ready

Page = str | None
"""A pod's metrics in the text format; None: the scrape fails."""


class ScriptedPrometheus:
    """Two jobs scrape every page each `scrape_seconds` as pod `<name>` of a namespace; `pages` may be changed."""

    def __init__(self, directory: Path, namespace: str, pages: Mapping[str, Page], scrape_seconds: float = 1.0) -> None:
        self.pages: dict[str, Page] = dict(pages)
        self._directory, self._namespace, self._interval = directory, namespace, f"{round(scrape_seconds * 1000)}ms"

    def __enter__(self) -> ScriptedPrometheus:
        program = ensure(("prometheus",), to_stderr)["prometheus"]
        self._exporter = http.server.ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        threading.Thread(target=self._exporter.serve_forever, daemon=True).start()
        (port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{port}"
        settings = self._directory / "prometheus.yaml"
        settings.write_text(self._settings())
        self._supervisor = Supervisor(self._directory / "logs")
        arguments = (
            str(program),
            f"--config.file={settings}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address={LOOPBACK}:{port}",
        )
        try:
            process = self._supervisor.start(Command("scripted-prometheus", arguments))
            wait_until_ready(process, self._ready, 30)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.close()
        self._exporter.shutdown()
        self._exporter.server_close()

    def _ready(self) -> bool:
        try:
            return urllib3.request("GET", f"{self.url}/-/ready", timeout=1, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False  # not yet; wait_until_ready keeps the time

    def _settings(self) -> str:
        target = f"{LOOPBACK}:{self._exporter.server_address[1]}"
        pods = [
            {"targets": [target], "labels": {"namespace": self._namespace, "pod": pod, "__metrics_path__": f"/{pod}"}}
            for pod in self.pages
        ]
        # Two jobs scrape every pod, as an annotation and a ServiceMonitor together make it happen in real clusters.
        jobs = [{"job_name": name, "static_configs": pods} for name in ("monitor", "pods")]
        times = {"scrape_interval": self._interval, "scrape_timeout": self._interval}
        return yaml.safe_dump({"global": times, "scrape_configs": jobs})

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        pages = self.pages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path[1:])
                self.send_response(500 if page is None else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write((page or "").encode())

            def log_message(self, format: str, *args: object) -> None:
                """Scrapes are not worth a line each."""

        return Handler
