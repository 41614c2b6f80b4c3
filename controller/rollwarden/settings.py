"""One frozen Settings per process: from ``ROLLWARDEN_*`` variables, nested by ``__``, over an optional YAML file."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

CONFIG_VARIABLE = "ROLLWARDEN_CONFIG"


class Settings(BaseSettings):
    """Every time is in seconds."""

    model_config = SettingsConfigDict(env_prefix="ROLLWARDEN_", env_nested_delimiter="__", frozen=True, extra="forbid")

    kubeconfig: Path | None = None
    context: str | None = None
    prometheus_url: str = "http://prometheus-operated.monitoring.svc:9090"
    prometheus_timeout: float = Field(default=3.0, gt=0, le=60)
    tick: float = Field(default=15.0, ge=1, le=300)
    settle: float = Field(default=10.0, ge=0, le=300)
    history: float = Field(default=6 * 3600.0, ge=0)
    workers: int = Field(default=4, ge=1, le=64)
    argo_user: str = "system:serviceaccount:argo-rollouts:argo-rollouts"
    metrics_host: str = "0.0.0.0"  # a pod's own address; probes and scrapes come from outside of it
    metrics_port: int = Field(default=9440, ge=0, le=65535)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(CONFIG_VARIABLE)
        yaml = (YamlConfigSettingsSource(settings_cls, yaml_file=file),) if file else ()
        return (init_settings, env_settings, *yaml)
