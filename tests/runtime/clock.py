"""A clock that only moves when told to."""


class FakeClock:
    """Monotonic seconds; call it to read it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
