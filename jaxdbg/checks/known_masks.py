"""Which bad elements of a function's results have proved to be no failure.

A mask comes back with each call and must not be searched for each time. What has been
placed once, in these elements, is taken for placed again; a NaN in another element is
looked at. Where the elements change from call to call (missing data), that ends after
`PATTERNS` searches: from then on the same kinds in the same results are taken for the
same mask.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from jaxdbg.origins.bad_elements import Codes, distinct

PATTERNS = 8
"""How many searches are made for the same kinds of bad values in new elements."""

Key = tuple[Hashable, ...]


class Masks:
    """What is known of the results of one function."""

    def __init__(self) -> None:
        self._elements: dict[Key, dict[int, Codes]] = {}
        self._searches: dict[Key, int] = {}

    def know(self, codes: Mapping[int, Codes], inputs: Key = ()) -> bool:
        """Whether all that is bad in these results has proved to be no failure.

        Arguments:
            codes: by index of the result, the codes of its elements.
            inputs: indices of the arguments that were bad: what came in through one
                says nothing of a call where that is good.
        """
        key = key_of(codes, inputs)
        if self._searches.get(key, 0) >= PATTERNS:
            return True
        known = self._elements.get(key)
        return known is not None and all(
            bool(((c == 0) | (c == known[i])).all()) for i, c in codes.items()
        )

    def learn(self, codes: Mapping[int, Codes], inputs: Key = ()) -> None:
        """These have proved to be no failure."""
        key = key_of(codes, inputs)
        self._searches[key] = self._searches.get(key, 0) + 1
        known = self._elements.setdefault(key, {})
        for i, c in codes.items():
            known[i] = np.where(c != 0, c, known[i]) if i in known else c


def key_of(codes: Mapping[int, Codes], inputs: Key) -> Key:
    """What is bad in a call: kinds by result, and the arguments that were bad."""
    return (*((i, distinct(c)) for i, c in codes.items()), *inputs)
