"""Nothing that people without special rights write crashes, wedges or slows the operator or the API server.

Everything here is written by a junior, or by a senior where a tier is needed; what is admitted has to be lived with.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from e2e.apiclient import ApiError, JsonObject
from e2e.controlplane import ControlPlane
from e2e.operator import failures, measured
from e2e.processes import ManagedProcess
from e2e.shop import Shop, ai, low
from e2e.stage import JUNIOR, PREFIX, SENIOR, hold_of
from rollwarden.api import names

pytestmark = pytest.mark.e2e

SEED = 20260102
RELEASES = 4
TIMES_SLOWER = 5.0
SECONDS_SLOWER = 10.0
"""How much slower a release may be beside all this: both, as figures of a busy machine have long tails."""
APPROVALS = 2000
LARGE = 200 * 1024
DEEP_MARK = "@deep@"
DEEP = "[" * 4000 + "]" * 4000
"""What stands in a manifest for the mark: Python itself cannot write it."""
WRITERS = 8

KEYS = (
    *(names.SUBJECT, names.ORIGIN, names.AUTONOMY, names.TOOLS, names.SHARE, names.AUTHORS, names.AREAS, names.COMMITS),
    *(names.TESTS, names.COVERAGE, names.CRITICALITY, names.BREAK_GLASS, names.HOLD, names.MESSAGE, names.OWNER_PAUSES),
    *(names.BASE_ROLLBACK_WINDOW, names.BASE_STARTING_STEP, f"{names.APPROVAL_PREFIX}senior", f"{PREFIX}unheard-of"),
    "kubectl.kubernetes.io/last-applied-configuration",
    "rollout.argoproj.io/revision",
)
NUMBERS = ("²", "٣", "-1", "1e999", "NaN", "100.5%", "٪", "9" * 5000, "0x10")
WORDS = (
    "",
    " ",
    "\n\t",
    "null",
    "held-",
    "released-²",
    "held-99999999999999999999",
    "ai,human",
    ",,,,",
    "a" * 253 + ",",
)
MARKUP = (
    "[" * 5000,
    '{"a":' * 5000,
    "../../etc",
    "{{.}}",
    "%s%n",
    "<script>",
    "${jndi:ldap://x}",
    "'; drop",
    '"',
    "\\",
)
UNICODE = ("\u202eevil", "e\u0301" * 500, "\U0001f469\u200d\U0001f4bb" * 300, "\ufffe", "\x7f")
VALUES = NUMBERS + WORDS + MARKUP + UNICODE


def _noise(draw: random.Random) -> str:
    """Any text that JSON carries, of any length that the API server takes."""
    ranges = ((0x20, 0x7E), (0xA0, 0x2FF), (0x600, 0x6FF), (0x4E00, 0x4EFF), (0x1F600, 0x1F64F))
    length = draw.choice((1, 10, 100, 2000))
    return "".join(chr(draw.randint(*draw.choice(ranges))) for _ in range(length))


def _annotations(draw: random.Random) -> Iterator[dict[str, str]]:
    for key in KEYS:
        yield {key: draw.choice(VALUES)}
        yield {key: _noise(draw)}
    for key in draw.sample(KEYS, 4):
        yield {key: "x" * LARGE}
    for value in VALUES:
        yield dict.fromkeys((names.ORIGIN, names.SHARE, names.CRITICALITY, names.AREAS), value)
    yield {f"{names.PROVENANCE_PREFIX}k{number}": "v" for number in range(3000)}
    yield {f"{names.APPROVAL_PREFIX}k{number}": "v" for number in range(1000)}


def _templates(name: str) -> dict[str, JsonObject]:
    """Pod templates that no honest owner writes, by what is odd about them."""
    container = {"name": "app", "image": "registry.example.com/shop:v1"}
    specs: dict[str, JsonObject] = {
        "no-containers": {"containers": []},
        "no-image": {"containers": [{"name": "app"}]},
        "odd-quantity": {"containers": [{**container, "resources": {"limits": {"cpu": "1e999999999"}}}]},
        "long-quantity": {
            "containers": [{**container, "resources": {"limits": {"cpu": "1e999998"}}} for _ in range(9)]
        },
        "quantity-of-another-alphabet": {"containers": [{**container, "resources": {"limits": {"cpu": "²٣"}}}]},
        "deep": {"containers": [{**container, "resources": {"limits": {"x": DEEP_MARK}}}]},
        "deep-volume": {"containers": [container], "volumes": [{"name": "v", "emptyDir": {}, "odd": DEEP_MARK}]},
        "list-for-a-text": {"containers": [{**container, "resources": {"limits": ["x"], "requests": 7}}]},
        "volumes-of-nothing": {"containers": [container], "volumes": [{}, {"name": None}]},
        "large": {"containers": [{**container, "env": [{"name": f"E{n}", "value": "v" * 200} for n in range(3000)]}]},
        "many": {"containers": [{"name": f"c{n}", "image": "i" * 200} for n in range(800)]},
        "odd-image": {"containers": [{"name": "app", "image": "\u202e:@sha256:²@@::" + "/" * 500}]},
    }
    return {what: {"metadata": {"labels": {"app": f"{name}-{what}"}}, "spec": spec} for what, spec in specs.items()}


STEPS: dict[str, list[JsonObject]] = {
    "steps-many": [{"setWeight": n % 100} if n % 2 else {"pause": {}} for n in range(2000)],
    "steps-odd-pause": [
        {"pause": {"duration": "²"}},
        {"pause": {"duration": "9" * 400}},
        {"pause": {"duration": "-1h"}},
    ],
    "steps-empty": [{}, {}, {"setWeight": -5}, {"setWeight": 2147483647}],
    "steps-plugin": [{"plugin": {"name": "a/b", "config": {"x": [[[[[]]]]]}}}],
}


def _admitted(errors: list[str], ask: Callable[[], object]) -> bool:
    """Whether a request was admitted; anything but an answer in the four hundreds is noted as an error."""
    try:
        ask()
    except ApiError as error:
        if not 400 <= error.code < 500:
            errors.append(str(error)[:500])
        return False
    return True


def _release_seconds(shop: Shop, name: str, turns: range) -> float:
    """How long a change that needs nothing waits for its release; the median of several."""
    found = []
    for turn in turns:
        began = time.monotonic()
        live = shop.apply(shop.manifest(name, f"v{turn}", low()), JUNIOR)
        released = hold_of(live).replace("held", "released")
        shop.wait(f"release of {name}", partial(_has_hold, shop, name, released), 60)
        found.append(time.monotonic() - began)
    return statistics.median(found)


def _deploy(shop: Shop, *names: str) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda name: shop.deploy(name, replicas=1), names))


def _has_hold(shop: Shop, name: str, value: str) -> bool:
    return hold_of(shop.live(name)) == value


def _bound(before: float) -> float:
    return max(before * TIMES_SLOWER, before + SECONDS_SLOWER)


def _is_unharmed(control_plane: ControlPlane, operator: ManagedProcess, before: tuple[float, list[str], int]) -> None:
    operator.check()
    errors, said, pid = before
    assert failures(operator)[len(said) :] == []
    assert measured(operator, "rollwarden_reconciles_total", outcome="Error") == errors
    assert control_plane.pids["kube-apiserver"] == pid
    control_plane.process("kube-apiserver").check()


def _now(control_plane: ControlPlane, operator: ManagedProcess) -> tuple[float, list[str], int]:
    errors = measured(operator, "rollwarden_reconciles_total", outcome="Error")
    return errors, failures(operator), control_plane.pids["kube-apiserver"]


def test_odd_annotations_templates_and_steps(control_plane: ControlPlane, operator: ManagedProcess) -> None:
    shop, draw = Shop(control_plane, "fuzz"), random.Random(SEED)
    _deploy(shop, "quick", "odd", *STEPS)
    before, usual = _now(control_plane, operator), _release_seconds(shop, "quick", range(2, 2 + RELEASES))
    errors: list[str] = []
    count = [0, 0]
    last: Mapping[str, str] = {}
    for number, marks in enumerate(_annotations(draw)):
        count[_admitted(errors, partial(_claim, shop, f"odd-{number}", {**dict.fromkeys(last), **marks}))] += 1
        last = marks
    made = []
    for what, template in _templates("t").items():
        manifest = shop.manifest(f"t-{what}", "v1", low(), replicas=1, template=template)
        manifest["spec"]["selector"] = {"matchLabels": template["metadata"]["labels"]}
        made += [what] * _created(shop, manifest, errors)
    for what, steps in STEPS.items():
        manifest = shop.manifest(what, "v2", low(), replicas=1, steps=steps)
        made += [what] * _admitted(errors, partial(shop.apply, manifest, JUNIOR))
    _odd_marks_on_sets(shop, errors)
    assert errors == []
    assert count[1] > 30 and len(made) > 8, (count, made)
    print(f"annotations admitted {count[1]}, refused {count[0]}; made {made}")
    after = _release_seconds(shop, "quick", range(20, 20 + RELEASES))
    assert after < _bound(usual), f"a release took {usual:.2f} s before and {after:.2f} s after"
    seen = {change["spec"]["rollout"]["name"] for change in shop.client().get(shop.records("changes"))["items"]}
    assert {f"t-{what}" if what in _templates("t") else what for what in made} <= seen
    _is_unharmed(control_plane, operator, before)
    shop.close()


def _created(shop: Shop, manifest: JsonObject, errors: list[str]) -> bool:
    """By kubectl, as the text of some of these cannot be made here."""
    text = json.dumps(manifest).replace(f'"{DEEP_MARK}"', DEEP)
    done = shop.cp.kubectl("create", "--validate=false", "-n", shop.namespace, "-f", "-", user=JUNIOR, input=text)
    if not done.ok and "is forbidden" not in done.err and "is invalid" not in done.err:
        errors.append(f"{manifest['metadata']['name']}: {done.err[:500]}")
    return done.ok


def _claim(shop: Shop, tag: str, marks: Mapping[str, str | None]) -> JsonObject:
    """With a new template: then admission takes other claims, and the operator reads them."""
    template = shop.manifest("odd", tag)["spec"]["template"]
    return shop.merge("odd", {"metadata": {"annotations": marks}, "spec": {"template": template}}, JUNIOR)


def _odd_marks_on_sets(shop: Shop, errors: list[str]) -> None:
    """What the operator reads of ReplicaSets and pods is written by others too."""
    (found,) = list(shop.sets("odd").values())[:1]
    for key in ("rollout.argoproj.io/revision", "rollout.argoproj.io/ephemeral-metadata", "team"):
        for value in ("²", "9" * 5000, "[" * 5000, "x" * LARGE):
            body = {"metadata": {"annotations": {key: value}}}
            _admitted(errors, partial(shop.client(JUNIOR).patch, shop.set_path(found["metadata"]["name"]), body))


def test_thousands_of_approvals(control_plane: ControlPlane, operator: ManagedProcess) -> None:
    """On one change that waits: a rejection still ends it, and a Rollout beside it is released as before."""
    shop = Shop(control_plane, "flood")
    _deploy(shop, "quick", "waits")
    before, usual = _now(control_plane, operator), _release_seconds(shop, "quick", range(2, 2 + RELEASES))
    shop.apply(shop.manifest("waits", "v2", ai("v2", authors=SENIOR)), JUNIOR)
    change = shop.waits("waits")
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda _: shop.decide(change, SENIOR, reason="r" * 1000), range(APPROVALS)))
    after = _release_seconds(shop, "quick", range(20, 20 + RELEASES))
    assert after < _bound(usual), f"a release took {usual:.2f} s before and {after:.2f} s after"
    print(f"a release took {usual:.2f} s before and {after:.2f} s beside {APPROVALS} approvals")
    assert shop.again(change)["status"]["phase"] == "AwaitingApproval", "an author's approvals do not count"
    shop.decide(change, SENIOR, decision="Reject", reason="no")
    shop.reach(change, "Rejected")
    _is_unharmed(control_plane, operator, before)
    shop.close()
