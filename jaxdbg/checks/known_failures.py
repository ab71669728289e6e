"""Which failures of a function have been looked into often enough.

In a region that runs on, a state that has gone bad fails each step of a loop. Each of
these calls is a finding; but to look for its origin takes longer than thousands of
calls, and says the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from jaxdbg.checks.known_masks import Key, key_of
from jaxdbg.origins.bad_elements import Codes

SEARCHES = 16
"""How many failing calls of a function are looked into whose results are bad alike."""

WHY = f"not looked for: {SEARCHES} calls before this have failed in the same results"
"""Why a call is not looked into."""


class Failures:
    """What is known of the failing calls of one function."""

    def __init__(self) -> None:
        self._searches: Counter[Key] = Counter()

    def know(self, codes: Mapping[int, Codes], inputs: Key) -> bool:
        """Whether enough calls that failed alike have been looked into.

        Arguments:
            codes: by index of the result, the codes of its elements.
            inputs: indices of the arguments that were bad.
        """
        return self._searches[key_of(codes, inputs)] >= SEARCHES

    def learn(self, codes: Mapping[int, Codes], inputs: Key) -> None:
        """A call that failed so was looked into."""
        self._searches[key_of(codes, inputs)] += 1
