"""A search's patience counts what the process computes, not what others do."""

from __future__ import annotations

import pytest

from jaxdbg.origins.search import time_limit
from jaxdbg.origins.search.time_limit import OutOfTime, TimeLimit


class Clocks:
    """A clock on the wall, and the one of the process."""

    wall = computed = 0.0

    def monotonic(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.computed


@pytest.mark.parametrize(
    ("wall", "computed", "is_over"),
    [
        (59, 59, False),
        (61, 61, True),
        (300, 5, False),  # on a machine that others share
        (10, 100, False),  # on many cores
        (601, 0, True),  # it waits, and will wait for ever
    ],
)
def test_when_a_search_ends(
    monkeypatch: pytest.MonkeyPatch, wall: float, computed: float, is_over: bool
) -> None:
    clocks = Clocks()
    monkeypatch.setattr(time_limit, "time", clocks)
    limit = TimeLimit(60)
    clocks.wall, clocks.computed = wall, computed
    if is_over:
        with pytest.raises(OutOfTime):
            limit.tick()
    else:
        limit.tick()
