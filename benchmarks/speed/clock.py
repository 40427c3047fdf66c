"""The time that there is for measuring, and how it is divided among stages."""

import time


class Clock:
    """From when it is made.

    Args:
        seconds: for everything.
        shares: of the stages, in order.
    """

    def __init__(self, seconds: float, shares: list[float]) -> None:
        self._end = time.monotonic() + seconds
        self._shares = sum(shares)

    def begin(self, share: float) -> float:
        """When the stage that begins now has to end, by time.monotonic.

        What earlier stages left, or took too much of, is divided among those that come.
        """
        now = time.monotonic()
        deadline = now + (self._end - now) * share / self._shares
        self._shares = max(self._shares - share, 1e-9)
        return deadline

    def minutes_left(self) -> float:
        """0 when it is over."""
        return max(0.0, self._end - time.monotonic()) / 60
