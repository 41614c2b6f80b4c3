"""What the API server may answer instead of what was asked for, as one tree.

    KubeError                     the request was refused for a reason not listed below
    ├── NotFound                  404
    ├── AlreadyExists             409, on create
    ├── Conflict            (R)   409: the object changed since it was read
    ├── Invalid                   422: the object or the patch is not acceptable
    │   └── PatchTestFailed (R)   422: a `test` of a JSON patch did not hold, or a path in it is not there
    ├── Forbidden           (R)   403: by RBAC or by admission
    ├── Unauthorized        (R)   401: the token or certificate was not accepted
    ├── Gone                (R)   410: the resource version is too old; also the runtime's Expired
    ├── TooManyRequests     (R)   429, with the wait the server asked for
    ├── ServerUnavailable   (R)   no answer, no whole answer, or 5xx; a write may or may not have happened
    └── UndecodableAnswer         an answer that is not what the type asked for says

    ConfigError                   no kubeconfig, or one that cannot be used
    MergePatchForbidden           a merge patch where only a JSON patch with tests may be used (a bug in the caller)

(R): also the runtime's Retryable. Every KubeError says what was done, to which object, and what the server said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from rollwarden.kube.resources import Resource
from rollwarden.runtime.errors import Expired, Retryable

# All the server says when a JSON patch cannot be carried out; what is invalid in an object it describes.
GENERIC_REFUSAL = "the server rejected our request due to an error in our request"
BODY_SHOWN = 300  # characters of an answer that is not a Status object


@dataclass(frozen=True, slots=True)
class Call:
    """What is being done to what; `verb` as in RBAC, or "apply".

    Prints as `patch rollouts.argoproj.io/status pay/checkout`.
    """

    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None

    def __str__(self) -> str:
        kind = f"{self.resource}/{self.subresource}" if self.subresource else str(self.resource)
        if self.name is None:
            return f"{self.verb} {kind} in {self.namespace}" if self.namespace else f"{self.verb} {kind}"
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.verb} {kind} {where}"


class Cause(msgspec.Struct, frozen=True):
    """One entry of a Status's details: which field, what about it."""

    field: str = ""
    message: str = ""
    reason: str = ""


class StatusDetails(msgspec.Struct, frozen=True, rename="camel"):
    causes: list[Cause] | None = None
    retry_after_seconds: float | None = None


class Status(msgspec.Struct, frozen=True):
    """The API server's own account of a failure."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None


STATUS = msgspec.json.Decoder(Status)
"""Made here, before any thread: msgspec crashes the process when two threads learn a type at once."""


class KubeError(Exception):
    """See the module's head. `code` is the HTTP status, 0 when there was no answer."""

    def __init__(self, call: Call, message: str, *, code: int = 0, reason: str = "", causes: tuple[Cause, ...] = ()):
        self.call = call
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = causes
        answer = f"{code} {reason}".strip() if code else ""
        super().__init__(": ".join(part for part in (str(call), answer, message) if part))


class NotFound(KubeError):
    pass


class AlreadyExists(KubeError):
    pass


class Conflict(KubeError, Retryable):
    pass


class Invalid(KubeError):
    pass


class PatchTestFailed(Invalid, Retryable):
    """The object is not, or no longer, as the patch expects. The server does not tell a test from a missing path."""


class Forbidden(KubeError, Retryable):
    pass


class Unauthorized(KubeError, Retryable):
    pass


class Gone(KubeError, Expired):
    pass


class TooManyRequests(KubeError, Retryable):
    """`after`: the seconds the server asked to wait, None if it named none."""


class ServerUnavailable(KubeError, Retryable):
    """`after` as in TooManyRequests."""


class UndecodableAnswer(KubeError):
    pass


class ConfigError(Exception):
    """No usable way to an API server; the message says which file and what to do."""


class MergePatchForbidden(ValueError):
    """Raised before anything is sent."""


BY_CODE: Mapping[int, type[KubeError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def error_from_answer(call: Call, code: int, body: bytes, retry_after: str | None = None) -> KubeError:
    """The exception for an HTTP answer that is not a success. `retry_after` is the header's value."""
    try:
        status = STATUS.decode(body)
    except msgspec.MsgspecError:
        status = Status()
    if not status.message:
        shown = body.decode("utf-8", "replace").strip()[:BODY_SHOWN]
        status = Status(code, status.reason, shown or "the answer had no body")
    return error_from_status(call, code, status, retry_after)


def error_from_status(call: Call, code: int, status: Status, retry_after: str | None = None) -> KubeError:
    """The exception for a Status, as answered or as sent inside a watch. 5xx that only pass on a refusal stay 5xx."""
    causes = tuple((status.details.causes if status.details else None) or ())
    error = _class_for(code, status)(call, _sentence(status, causes), code=code, reason=status.reason, causes=causes)
    if isinstance(error, Retryable):
        error.after = _seconds(retry_after) or (status.details.retry_after_seconds if status.details else None)
    return error


def _class_for(code: int, status: Status) -> type[KubeError]:
    if code == 409 and status.reason == "AlreadyExists":
        return AlreadyExists
    if code == 422 and status.message == GENERIC_REFUSAL:
        return PatchTestFailed
    if code >= 500:
        return ServerUnavailable
    return BY_CODE.get(code, KubeError)


def _sentence(status: Status, causes: tuple[Cause, ...]) -> str:
    """The server's message, with the causes it left out of it."""
    missing = [cause.message for cause in causes if cause.message and cause.message not in status.message]
    return "; ".join([status.message, *missing])


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header in seconds; its date form is not used by the API server and counts as absent."""
    if retry_after is None or not retry_after.strip().isdigit():
        return None
    return float(retry_after)
