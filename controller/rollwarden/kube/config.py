"""Where the API server is and who we are there: a kubeconfig, or the service account of the pod we run in.

The Kubernetes client reads both; it also renews what expires (service-account tokens, exec plugins). Not here: requests
(`transport.py`).
"""

import ipaddress
import os
from pathlib import Path
from urllib.parse import urlparse

import yaml
from kubernetes.client.configuration import Configuration
from kubernetes.config import load_kube_config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME, InClusterConfigLoader

from rollwarden.kube.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def from_kubeconfig(path: Path | None, context: str | None) -> Configuration:
    """The configuration of a kubeconfig's context; None: $KUBECONFIG or ~/.kube/config, and its current context.

    Raises ConfigError if there is no such file or context, or if they cannot be used.
    """
    if path is not None and not path.is_file():
        message = f"there is no kubeconfig {path}: name one with --kubeconfig or in $KUBECONFIG"
        raise ConfigError(message)
    configuration = Configuration()
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=None if path is None else str(path),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        named = path or os.environ.get("KUBECONFIG") or "~/.kube/config"
        chosen = f"context {context!r}" if context else "the current context"
        message = f"{chosen} of kubeconfig {named} cannot be used: {error}"
        raise ConfigError(message) from error
    return _finish(configuration)


def in_cluster(directory: Path = SERVICE_ACCOUNT) -> Configuration:
    """The configuration of the pod's service account; the token file is read again every minute.

    Raises ConfigError outside a pod.
    """
    configuration = Configuration()
    loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
        token_filename=str(directory / "token"), cert_filename=str(directory / "ca.crt"), environ=os.environ
    )
    try:
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        message = f"no service account to be found in {directory}: {error} Outside a pod, name a kubeconfig."
        raise ConfigError(message) from error
    return _finish(configuration)


def find(kubeconfig: Path | None, context: str | None) -> Configuration:
    """The kubeconfig or context named; else $KUBECONFIG; else the pod's service account; else ~/.kube/config."""
    named = kubeconfig is not None or context is not None or bool(os.environ.get("KUBECONFIG"))
    if not named and os.environ.get(SERVICE_HOST_ENV_NAME):
        return in_cluster()
    return from_kubeconfig(kubeconfig, context)


def _finish(configuration: Configuration) -> Configuration:
    configuration.retries = False  # urllib3 would repeat a request three times, and the time-out with it
    configuration.keep_alive = True
    if _is_loopback(configuration.host):
        configuration.proxy = None  # a proxy from the environment does not reach our loopback
    return configuration


def _is_loopback(url: str) -> bool:
    host = urlparse(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
