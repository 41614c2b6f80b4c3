"""What may go wrong in a control loop, as one tree.

    Exception
    ├── Retryable        the world is not ready, or moved on: try again, later and later
    │   └── Expired      the resource version asked for is gone from the server: list again
    ├── Terminal         trying again cannot help until the object itself changes
    └── QueueClosed      the work queue was shut down and nothing is left in it

Any other exception that leaves a reconcile function is a bug: logged with its traceback, counted, and tried again.
"""


class Retryable(Exception):
    """Try again. `after` is the least wait in seconds that the other side asked for, None if it named none."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Expired(Retryable):
    """The server no longer knows the resource version a watch or a page wanted to continue from."""


class Terminal(Exception):
    """Nothing to be done until the object changes; its next change is handled as usual."""


class QueueClosed(Exception):
    """No more keys will come."""
