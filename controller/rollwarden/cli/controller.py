"""``controller``: the operator's process."""

from __future__ import annotations

from rollwarden.cli.errors import CommandError


def controller_command() -> None:
    """Run the operator. Settings come from ROLLWARDEN_* variables and the file named by ROLLWARDEN_CONFIG."""
    from pydantic import ValidationError

    from rollwarden.kube.errors import ConfigError, KubeError
    from rollwarden.reconcile.operator import NotSynced, run
    from rollwarden.settings import Settings

    try:
        settings = Settings()
    except (ValidationError, ValueError, OSError) as error:
        raise CommandError(f"the settings cannot be used: {_spoken(error)}") from error
    try:
        run(settings)
    except (ConfigError, KubeError, NotSynced) as error:
        raise CommandError(str(error)) from error


def _spoken(error: Exception) -> str:
    """Which variable, and what is wrong with it; pydantic's own report spans several lines."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    parts = [f"{_variable(found['loc'])} is {found['input']!r}: {found['msg'].lower()}" for found in error.errors()]
    return "; ".join(parts)


def _variable(location: tuple[int | str, ...]) -> str:
    return "ROLLWARDEN_" + "__".join(str(part).upper() for part in location)
