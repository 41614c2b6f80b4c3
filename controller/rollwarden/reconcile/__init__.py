"""The shell around the core: gather from the API server and Prometheus, decide (``core``), apply.

``rollouts`` is the main loop, one key per Rollout; ``policies``, ``profiles`` and ``approvals`` answer in the status of
those kinds; ``judging`` turns ticks into evidence; ``operator`` wires all of it.
"""
