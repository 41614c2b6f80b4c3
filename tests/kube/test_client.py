"""What can be told of the client without an API server: configuration, time-outs, refusals before sending.

Everything else is tried on the real one, in e2e/test_kube_client.py.
"""

import datetime
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import msgspec
import pytest
import yaml

from rollwarden.kube import config
from rollwarden.kube.client import KubeClient, decode
from rollwarden.kube.errors import (
    Call,
    ConfigError,
    MergePatchForbidden,
    ServerUnavailable,
    UndecodableAnswer,
)
from rollwarden.kube.resources import APPROVALS, CHANGES, PODS, REPLICASETS, ROLLOUTS, Resource
from rollwarden.kube.transport import ApiRequest, ClientOptions, HttpRequest, Transport, warnings_in


def kubeconfig(directory: Path, server: str) -> Path:
    path = directory / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
            }
        )
    )
    return path


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A socket that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("verb", ["get", "list", "patch", "watch"])
def test_a_server_that_never_answers_ends_in_a_time_out(tmp_path: Path, silent_server: str, verb: str) -> None:
    requests: list[ApiRequest] = []
    options = ClientOptions(connect_timeout=0.3, read_timeout=0.3, quiet_timeout=0.3, on_request=requests.append)
    client = KubeClient.from_kubeconfig(kubeconfig(tmp_path, silent_server), options=options)
    started = time.monotonic()
    with pytest.raises(ServerUnavailable, match=rf"{verb} pods.*no answer from the API server.*timed out"):
        match verb:
            case "get":
                client.get(PODS, "x", namespace="pay")
            case "list":
                client.list(PODS)
            case "patch":
                client.json_patch(PODS, "x", [], namespace="pay")
            case _:
                client.watch(PODS, "1")
    assert time.monotonic() - started < 2, "tried more than once"
    assert [(request.call.verb, request.code) for request in requests] == [(verb, 0)]


def test_an_answer_that_trickles_for_ever_ends_at_the_total_time_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                try:
                    while True:
                        connection.sendall(b"1\r\n \r\n")
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options = ClientOptions(read_timeout=5, total_timeout=0.4)
        client = KubeClient.from_kubeconfig(kubeconfig(tmp_path, url), options=options)
        with pytest.raises(ServerUnavailable, match="still not complete"):
            client.get(PODS, "x", namespace="pay")
        thread.join(5)
        assert not thread.is_alive()


def test_a_refused_connection_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = KubeClient.from_kubeconfig(kubeconfig(tmp_path, f"http://127.0.0.1:{port}"))
    with pytest.raises(ServerUnavailable, match=r"get pods pay/x: no answer from the API server: .*refused"):
        client.get(PODS, "x", namespace="pay")


@pytest.mark.parametrize(
    ("resource", "subresource"),
    [
        pytest.param(ROLLOUTS, None, id="a rollout"),
        pytest.param(ROLLOUTS, "status", id="a rollout's status"),
        pytest.param(REPLICASETS, "status", id="a replica set"),
        pytest.param(CHANGES, None, id="our own kind, but not its status"),
        pytest.param(APPROVALS, "scale", id="another subresource"),
    ],
)
def test_merge_patches_are_for_the_status_of_our_own_kinds(
    tmp_path: Path, silent_server: str, resource: Resource, subresource: str | None
) -> None:
    client = KubeClient.from_kubeconfig(kubeconfig(tmp_path, silent_server))
    with pytest.raises(MergePatchForbidden, match="send a JSON Patch with tests"):
        client.merge_patch(resource, "x", {}, namespace="pay", subresource=subresource, resource_version=None)


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no kubeconfig .*/none: name one with --kubeconfig"):
        KubeClient.from_kubeconfig(tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param("{a: [", id="no YAML"),
        pytest.param("apiVersion: v1\nkind: Config\n", id="without contexts"),
        pytest.param("contexts: 7\nclusters: 8\nusers: 9\ncurrent-context: x\n", id="of another shape"),
        pytest.param("\x00\x01", id="binary"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(ConfigError, match=rf"the current context of kubeconfig {path} cannot be used"):
        KubeClient.from_kubeconfig(path)


def test_a_context_that_is_not_in_the_kubeconfig(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"context 'there' of kubeconfig .* cannot be used"):
        KubeClient.from_kubeconfig(path, "there")


def test_outside_a_pod_there_is_no_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match=r"no service account to be found .* name a kubeconfig"):
        KubeClient.in_cluster(directory=tmp_path)


def test_what_is_named_comes_before_the_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setenv("KUBECONFIG", "")
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert KubeClient.connect(path).server == "http://127.0.0.1:1"
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("c")
    assert config.in_cluster(tmp_path).host == "https://10.0.0.1:443"


@pytest.mark.parametrize(("host", "used"), [("https://127.0.0.1:6443", False), ("https://api.example.com", True)])
def test_a_proxy_of_the_environment_is_not_used_for_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, used: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    found = config.from_kubeconfig(kubeconfig(tmp_path, host), None)
    assert (found.proxy == "http://proxy.example.com:3128") is used


def test_targets_are_encoded() -> None:
    request = HttpRequest("GET", "/api/v1/pods", (("labelSelector", "a=b,c in (d)"), ("limit", "500")))
    assert request.target() == "/api/v1/pods?labelSelector=a%3Db%2Cc+in+%28d%29&limit=500"
    assert HttpRequest("GET", "/api/v1/pods").target() == "/api/v1/pods"


@pytest.mark.parametrize(
    ("headers", "texts"),
    [
        (['299 - "will be held"'], ["will be held"]),
        (['299 - "one", 299 - "two, with a comma"'], ["one", "two, with a comma"]),
        (['299 - "a \\"quoted\\" word and a \\\\"'], ['a "quoted" word and a \\']),
        (["199 - whatever", ""], []),
    ],
)
def test_warning_headers(headers: list[str], texts: list[str]) -> None:
    assert warnings_in(headers) == texts


def test_an_answer_of_another_shape_says_what_was_expected() -> None:
    class Wanted(msgspec.Struct):
        name: str

    with pytest.raises(UndecodableAnswer, match=r"get pods pay/x: the answer cannot be read as Wanted: .*name"):
        decode(Call("get", PODS, "pay", "x"), b'{"name": 7}', Wanted)
    assert decode(Call("get", PODS), b'{"a": 1}', dict) == {"a": 1}


def test_a_service_accounts_token_is_read_again_after_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "ca.crt").write_text("c")
    (tmp_path / "token").write_text("old\n")
    configuration = config.in_cluster(tmp_path)
    transport = Transport(configuration, ClientOptions())
    call = Call("list", PODS)

    def credentials() -> str:
        return transport.headers(call, HttpRequest("GET", "/"))["Authorization"].lower()

    assert credentials() == "bearer old"
    (tmp_path / "token").write_text("new")
    assert credentials() == "bearer old"

    minutes = itertools.count(2)

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return super().now(tz) + datetime.timedelta(minutes=next(minutes))

    later = SimpleNamespace(datetime=Later, timedelta=datetime.timedelta)
    monkeypatch.setattr("kubernetes.config.incluster_config.datetime", later)
    assert credentials() == "bearer new"
    (tmp_path / "token").unlink()
    with pytest.raises(ServerUnavailable, match=r"list pods: the credentials cannot be renewed: .*token"):
        credentials()
