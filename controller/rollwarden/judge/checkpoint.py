"""A change's state as JSON values and back, exactly. Numbers are short strings; a pod is one string of three."""

from collections.abc import Mapping
from typing import Any, cast, get_args

from rollwarden.judge import recent
from rollwarden.judge.counters import CounterState, DataFault, PodState
from rollwarden.judge.eprocess import Mixture
from rollwarden.judge.gates import Gate, GateKind
from rollwarden.judge.indicator import Counts, IndicatorState
from rollwarden.judge.lag import LagState, Pending
from rollwarden.judge.numbers import decode, encode
from rollwarden.judge.state import JudgeState


def state_to_dict(state: JudgeState) -> dict[str, Any]:
    """The state as JSON values."""
    return {
        "lastTick": state.last_tick,
        "time": encode(state.time),
        "losses": state.losses,
        "gate": None if state.gate is None else _gate_to_dict(state.gate),
        "indicators": [_indicator_to_dict(indicator) for indicator in state.indicators],
    }


def state_from_dict(stored: Mapping[str, Any]) -> JudgeState:
    """What `state_to_dict` wrote. Raises ValueError where it is damaged: begin anew with one loss more."""
    try:
        return JudgeState(
            tuple(_indicator_from_dict(indicator) for indicator in stored["indicators"]),
            None if stored["gate"] is None else _gate_from_dict(stored["gate"]),
            None if stored["lastTick"] is None else int(stored["lastTick"]),
            decode(stored["time"]),
            int(stored["losses"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(f"the judge's checkpoint cannot be read: {error!r}") from error


def _gate_to_dict(gate: Gate) -> dict[str, Any]:
    return {
        "index": gate.index,
        "kind": gate.kind,
        "weight": encode(gate.weight),
        "nextWeight": encode(gate.next_weight),
        "startedTick": gate.started_tick,
        "startedAt": encode(gate.started_at),
        "soakSeconds": encode(gate.soak_seconds),
        "routerWeighted": gate.router_weighted,
    }


def _gate_from_dict(stored: Mapping[str, Any]) -> Gate:
    if stored["kind"] not in get_args(GateKind):
        raise ValueError(f"gate kind {stored['kind']!r} is unknown")
    return Gate(
        int(stored["index"]),
        cast(GateKind, stored["kind"]),
        decode(stored["weight"]),
        decode(stored["nextWeight"]),
        int(stored["startedTick"]),
        decode(stored["startedAt"]),
        decode(stored["soakSeconds"]),
        bool(stored["routerWeighted"]),
    )


def _indicator_to_dict(state: IndicatorState) -> dict[str, Any]:
    return {
        "counters": _counters_to_dict(state.counters),
        "lag": _lag_to_dict(state.lag),
        "rollback": _mixture_to_list(state.rollback),
        "safety": _join(state.safety),
        "bake": _mixture_to_list(state.bake),
        "counts": _join(_counts(state.counts)),
        "gateCounts": _join(_counts(state.gate_counts)),
        "blocks": [_join(_block(block)) for block in state.blocks],
        "partial": state.partial,
        "canarySeen": state.canary_seen,
        "fault": None if state.fault is None else _fault_to_list(state.fault),
    }


def _indicator_from_dict(stored: Mapping[str, Any]) -> IndicatorState:
    fault = stored["fault"]
    return IndicatorState(
        counters=_counters_from_dict(stored["counters"]),
        lag=_lag_from_dict(stored["lag"]),
        rollback=_mixture_from_list(stored["rollback"]),
        safety=_split(stored["safety"]),
        bake=_mixture_from_list(stored["bake"]),
        counts=Counts(*_split(stored["counts"], 4)),
        gate_counts=Counts(*_split(stored["gateCounts"], 4)),
        blocks=tuple(recent.Block(*_split(block, 7)) for block in stored["blocks"]),
        partial=bool(stored["partial"]),
        canary_seen=bool(stored["canarySeen"]),
        fault=None if fault is None else DataFault(*(str(part) for part in fault)),
    )


def _counters_to_dict(state: CounterState) -> dict[str, Any]:
    return {
        "number": state.number,
        "origin": encode(state.origin),
        "time": encode(state.time),
        "unanswered": state.unanswered,
        "canary": {name: _pod_to_text(pod) for name, pod in state.canary.items()},
        "stable": {name: _pod_to_text(pod) for name, pod in state.stable.items()},
    }


def _counters_from_dict(stored: Mapping[str, Any]) -> CounterState:
    return CounterState(
        None if stored["number"] is None else int(stored["number"]),
        decode(stored["origin"]),
        decode(stored["time"]),
        int(stored["unanswered"]),
        {str(name): _pod_from_text(text) for name, text in stored["canary"].items()},
        {str(name): _pod_from_text(text) for name, text in stored["stable"].items()},
    )


def _pod_to_text(pod: PodState) -> str:
    born = "-" if pod.born is None else encode(pod.born)
    return f"{encode(pod.total)} {encode(pod.bad)} {born}"


def _pod_from_text(text: str) -> PodState:
    total, bad, born = text.split(" ")
    return PodState(decode(total), decode(bad), None if born == "-" else decode(born))


def _lag_to_dict(lag: LagState) -> dict[str, Any]:
    return {
        "previous": None if lag.previous is None else _pending_to_dict(lag.previous),
        "pending": None if lag.pending is None else _pending_to_dict(lag.pending),
    }


def _lag_from_dict(stored: Mapping[str, Any]) -> LagState:
    previous, pending = stored["previous"], stored["pending"]
    return LagState(
        None if previous is None else _pending_from_dict(previous),
        None if pending is None else _pending_from_dict(pending),
    )


def _pending_to_dict(tick: Pending) -> dict[str, Any]:
    values = (
        tick.time,
        tick.seconds,
        tick.canary_total,
        tick.canary_bad,
        tick.stable_total,
        tick.stable_bad,
    )
    return {"number": tick.number, "partial": tick.partial, "values": _join(values)}


def _pending_from_dict(stored: Mapping[str, Any]) -> Pending:
    time, seconds, canary_total, canary_bad, stable_total, stable_bad = _split(stored["values"], 6)
    number, partial = int(stored["number"]), bool(stored["partial"])
    return Pending(number, time, seconds, canary_total, canary_bad, stable_total, stable_bad, partial)


def _mixture_to_list(mixture: Mixture) -> list[Any]:
    return [mixture.ticks, _join(mixture.log_m), _join(mixture.log_l)]


def _mixture_from_list(stored: list[Any]) -> Mixture:
    ticks, log_m, log_l = stored
    return Mixture(int(ticks), _split(log_m), _split(log_l))


def _counts(counts: Counts) -> tuple[float, ...]:
    return (counts.canary_total, counts.canary_bad, counts.stable_total, counts.stable_bad)


def _block(block: recent.Block) -> tuple[float, ...]:
    return (
        block.start,
        block.seconds,
        block.canary_total,
        block.canary_bad,
        block.stable_total,
        block.stable_bad,
        block.stable_high,
    )


def _fault_to_list(fault: DataFault) -> list[str]:
    return [fault.reason, fault.arm, fault.pod, fault.detail]


def _join(values: tuple[float, ...]) -> str:
    return " ".join(encode(value) for value in values)


def _split(text: str, size: int | None = None) -> tuple[float, ...]:
    values = tuple(decode(part) for part in text.split(" "))
    if size is not None and len(values) != size:
        raise ValueError(f"{size} numbers expected, {len(values)} found")
    return values
