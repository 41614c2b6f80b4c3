"""``controller``: the operator's process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rollwarden.cli.errors import CommandError

if TYPE_CHECKING:
    from pydantic import ValidationError

    from rollwarden.settings import Settings


def controller_command() -> None:
    """Run the operator. Settings come from ROLLWARDEN_* variables and the file named by ROLLWARDEN_CONFIG."""
    from rollwarden.kube.errors import ConfigError, KubeError
    from rollwarden.reconcile.operator import NotSynced, run

    settings = read_settings()
    try:
        run(settings)
    except (ConfigError, KubeError, NotSynced) as error:
        raise CommandError(str(error)) from error


def read_settings() -> Settings:
    """The settings of this process. CommandError names the variable or file that cannot be used."""
    import yaml
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from rollwarden.settings import CONFIG_VARIABLE, Settings

    file = os.environ.get(CONFIG_VARIABLE)
    if file and not Path(file).is_file():
        raise CommandError(f"{CONFIG_VARIABLE} names {file}, and there is no such file")
    try:
        return Settings()
    except ValidationError as error:
        raise CommandError(f"the settings cannot be used: {_spoken(error)}") from error
    except (SettingsError, yaml.YAMLError, ValueError, TypeError, OSError) as error:
        where = f"{CONFIG_VARIABLE} ({file})" if file else "a ROLLWARDEN_* variable"
        raise CommandError(f"{where} cannot be read: {' '.join(str(error).split())}") from error


def _spoken(error: ValidationError) -> str:
    """Which setting, and what is wrong with it; pydantic's own report spans several lines."""
    parts = [f"{_variable(found['loc'])} is {found['input']!r}: {found['msg'].lower()}" for found in error.errors()]
    return "; ".join(parts)


def _variable(location: tuple[int | str, ...]) -> str:
    return "ROLLWARDEN_" + "__".join(str(part).upper() for part in location)
