"""The local control plane, and the end-to-end tests and demo that run on it.

``programs`` which programs · ``toolchain`` Go · ``build`` builds them · ``components`` their command lines ·
``processes`` and ``watchdog`` start and end them · ``identities`` and ``access`` who may call · ``addons`` Argo's and
Prometheus's objects · ``controlplane`` all of it together · ``nodeagent``, ``podrunner``, ``podstatus`` pods as real
processes · ``load`` real requests · ``manifests`` sample workloads · ``tools/`` the Go modules.
"""
