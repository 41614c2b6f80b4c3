"""Writes that are tried again: only where the API server has said that it did nothing."""

from __future__ import annotations

import pytest

from rollwarden.cli.patience import patiently
from rollwarden.kube.errors import Call, Forbidden, KubeError, ServerUnavailable, TooManyRequests
from rollwarden.kube.resources import APPROVALS

CALL = Call("create", APPROVALS, "pay", "x")
NOT_YET = ServerUnavailable(
    CALL, "There can be a delay between when a kind is installed and when it is served", code=503
)


class Server:
    """Fails so often with that error, then answers."""

    def __init__(self, error: KubeError, failures: int) -> None:
        self.error, self.left, self.calls = error, failures, 0
        if hasattr(error, "after"):
            error.after = 0.01

    def write(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.mark.parametrize("error", [NOT_YET, TooManyRequests(CALL, "slow down", code=429)])
def test_a_server_that_cannot_yet_is_asked_again(error: KubeError, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(error, 3)
    assert patiently(server.write, seconds=5) == "done"
    assert server.calls == 4
    assert capsys.readouterr().err.count("trying again") == 1, "said once"


@pytest.mark.parametrize(
    "error",
    [
        ServerUnavailable(CALL, "connection reset"),
        ServerUnavailable(CALL, "etcd is away", code=500),
        Forbidden(CALL, "denied", code=403),
    ],
)
def test_what_may_have_happened_or_is_refused_is_not_tried_again(error: KubeError) -> None:
    server = Server(error, 9)
    with pytest.raises(type(error)):
        patiently(server.write, seconds=5)
    assert server.calls == 1


def test_patience_ends() -> None:
    with pytest.raises(ServerUnavailable):
        patiently(Server(NOT_YET, 10_000).write, seconds=0.05)
