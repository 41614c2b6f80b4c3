"""Reads what a mesh routes to the canary, while a change stands at a gate."""

from __future__ import annotations

from typing import Any

import structlog

from ..core.gates import current_gate
from ..core.mesh import RoutedWeight, RouterRef, routed_weights, routers
from ..core.seen import Seen
from ..kube.client import KubeClient
from ..kube.errors import Forbidden, NotFound
from ..kube.resources import VIRTUALSERVICES

log = structlog.get_logger(__name__)


def routed(client: KubeClient, seen: Seen) -> tuple[RoutedWeight, ...]:
    """The weights that stand in the Rollout's VirtualServices; none while it is not at a gate.

    One that is not there is Argo's to report: it moves no canary then. One that may not be read is logged, and the
    judge still sees which requests the canary gets.
    """
    if current_gate(seen) is None:
        return ()
    refs = routers(seen.rollout)
    return tuple(weight for ref in refs for weight in _weights(client, seen, ref))


def _weights(client: KubeClient, seen: Seen, ref: RouterRef) -> tuple[RoutedWeight, ...]:
    namespace = ref.namespace or seen.rollout.metadata.namespace
    try:
        service = client.get(VIRTUALSERVICES, ref.name, namespace=namespace, type=dict[str, Any])
    except NotFound:
        return ()
    except Forbidden as error:
        log.warning("a VirtualService may not be read", why=str(error))
        return ()
    return routed_weights(seen.rollout, ref, service)
