"""Types that several threads decode are learnt by one of them: msgspec ends the process with SIGSEGV otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

THREADS = """
import sys, threading
sys.setswitchinterval(1e-6)
{prepare}
start = threading.Barrier(8)
def work():
    start.wait()
    for _ in range(20):
        {work}
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
CALL = """
from rollwarden.kube.errors import Call
from rollwarden.kube.resources import PODS
call = Call("list", PODS)
"""
USES = {
    "a policy's spec": (
        """
from rollwarden.reconcile.inforce import read_policy
from rollwarden.reconcile.stores import RawPolicy
raw = RawPolicy(spec={"rules": [{"name": "x", "require": {"approvals": [{"tier": "Senior"}]}}]})
""",
        "assert read_policy(raw).policy is not None",
    ),
    "a policy's status": (
        """
from rollwarden.reconcile.inforce import status_of
from rollwarden.reconcile.stores import RawPolicy
raw = RawPolicy(status={"accepted": {"generation": 1, "spec": {}}})
""",
        "assert status_of(raw).accepted is not None",
    ),
    "an answer": (
        CALL + "from rollwarden.kube.client import decode, RawList",
        'assert decode(call, b\'{"metadata": {}, "items": []}\', RawList).items == []',
    ),
    "a refusal": (
        CALL + "from rollwarden.kube.errors import error_from_answer",
        'assert error_from_answer(call, 409, b\'{"details": {"causes": [{"field": "spec"}]}}\').code == 409',
    ),
}


@pytest.mark.parametrize("use", USES)
def test_eight_threads_may_be_the_first_to_read(use: str) -> None:
    prepare, work = USES[use]
    program = THREADS.format(prepare=prepare, work=work)
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-500:]}"
