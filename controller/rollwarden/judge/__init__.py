"""The judge: canary against stable from raw counters. Pure and deterministic: no clock, no I/O, no randomness.

A change's judging: `freeze` its parameters at release, `begin` a state, `enter_gate` at each reached weight, `observe`
every grid tick, `decide`. The bound on ever rolling back a good change is exact for independent requests; for requests
that fail in clusters it rests on the measured dispersion phi.
"""

from rollwarden.judge.checkpoint import state_from_dict, state_to_dict
from rollwarden.judge.counters import DataFault, Increment, PodCounter, PodIncrement, Tick
from rollwarden.judge.evidence import IndicatorVerdict
from rollwarden.judge.gates import Gate, GateEstimate, GateKind, estimate_gate
from rollwarden.judge.guard import RollbackIntent, held_by_common_cause
from rollwarden.judge.parameters import (
    Criticality,
    IndicatorKind,
    IndicatorParameters,
    IndicatorSpec,
    JudgeParameters,
    Tightening,
    first_weight_percent,
    freeze,
    gate_margin,
    parameters_from_dict,
    parameters_to_dict,
    tighten,
    tolerated_excess,
    tolerated_ratio,
)
from rollwarden.judge.phi import COLD_PHI, Dispersion, estimate, history
from rollwarden.judge.rules import Facts, Result
from rollwarden.judge.state import JudgeState, begin, enter_gate, observe
from rollwarden.judge.verdict import Verdict, decide

__all__ = [
    "COLD_PHI",
    "Criticality",
    "DataFault",
    "Dispersion",
    "Facts",
    "Gate",
    "GateEstimate",
    "GateKind",
    "Increment",
    "IndicatorKind",
    "IndicatorParameters",
    "IndicatorSpec",
    "IndicatorVerdict",
    "JudgeParameters",
    "JudgeState",
    "PodCounter",
    "PodIncrement",
    "Result",
    "RollbackIntent",
    "Tick",
    "Tightening",
    "Verdict",
    "begin",
    "decide",
    "enter_gate",
    "estimate",
    "estimate_gate",
    "first_weight_percent",
    "freeze",
    "gate_margin",
    "held_by_common_cause",
    "history",
    "observe",
    "parameters_from_dict",
    "parameters_to_dict",
    "state_from_dict",
    "state_to_dict",
    "tighten",
    "tolerated_excess",
    "tolerated_ratio",
]
