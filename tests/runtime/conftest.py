"""Failures are staged here by the thousand; their log lines and tracebacks are not rendered."""

from collections.abc import Iterator

import pytest
import structlog


def drop(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    raise structlog.DropEvent


@pytest.fixture(autouse=True, scope="package")
def no_log_lines() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(processors=[drop])
    yield
    structlog.configure(**before)
