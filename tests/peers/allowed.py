"""What may differ in a region, test by test, and why.

An entry that nothing needs any more makes the comparison fail, and so does one without
a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.peers.compare import Difference


@dataclass(frozen=True)
class Allowed:
    """Differences of some kinds, in tests whose ids fit a pattern."""

    tests: str
    kinds: str
    reason: str
    modes: str = "record default every_op"

    def fits(self, test: str, mode: str) -> bool:
        """Whether the entry speaks of this test in this mode."""
        return mode in self.modes.split() and fnmatchcase(test, self.tests)

    def allows(self, found: Difference) -> bool:
        """Whether the entry speaks of this difference."""
        fits = self.fits(found.test, found.mode)
        return fits and found.kind in self.kinds.split()


ALLOWED: tuple[Allowed, ...] = ()


def unexplained(
    found: Iterable[Difference], allowed: Collection[Allowed] = ALLOWED
) -> list[Difference]:
    """The differences that no entry allows."""
    return [d for d in found if not any(entry.allows(d) for entry in allowed)]


def not_needed(
    found: Collection[Difference],
    ran: Collection[tuple[str, str]],
    all_ran: bool,
    allowed: Collection[Allowed] = ALLOWED,
) -> list[Allowed]:
    """The entries that allow nothing, though what they speak of ran.

    Arguments:
        ran: test and mode of all that ran.
        all_ran: whether all tests of the modules ran: of a sample only entries for one
            test can be judged.
    """
    return [
        entry
        for entry in allowed
        if all_ran or "*" not in entry.tests
        if any(entry.fits(test, mode) for test, mode in ran)
        if not any(entry.allows(d) for d in found)
    ]


def without_reason(allowed: Collection[Allowed] = ALLOWED) -> list[Allowed]:
    """The entries that do not say why."""
    return [entry for entry in allowed if not entry.reason.strip()]
