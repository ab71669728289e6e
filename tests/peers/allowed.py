"""What may differ in a region, test by test, and why.

An entry that nothing needs any more makes the comparison fail, and so does one without
a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.peers.compare import Difference
from tests.peers.suites import PACKAGES


@dataclass(frozen=True)
class Allowed:
    """Differences of some kinds, in tests whose ids fit a pattern.

    Attributes:
        says: a pattern for the text of the difference.
        modes: in which it may differ so.
    """

    tests: str
    kinds: str
    reason: str
    says: str = "*"
    modes: str = "record default every_op"

    def fits(self, test: str, mode: str) -> bool:
        """Whether the entry speaks of this test in this mode."""
        return mode in self.modes.split() and fnmatchcase(test, self.tests)

    def allows(self, found: Difference) -> bool:
        """Whether the entry speaks of this difference."""
        fits = self.fits(found.test, found.mode)
        says = fnmatchcase(found.text, self.says)
        return fits and says and found.kind in self.kinds.split()


_SAYS_MORE = (
    "A failing assertion over trees says which leaf and element in place of what chex "
    "says, which is in `finding.detail`; the error is of the same type."
)

ALLOWED: tuple[Allowed, ...] = (
    Allowed(
        "*",
        "announced",
        "A function that is jitted anew, or in two ways, finds its executable in the "
        "C++ cache, which no call of a region reaches. JAX then announces a trace that "
        "it finds in its Python cache: no Python runs, and nothing is compiled.",
    ),
    Allowed(
        "chex/_src/variants_test.py::*::test_different_jit_kwargs_*__with_jit",
        "runs phases",
        "One function is jitted with the same argument static by number and by name. "
        "That the two are the same only the C++ cache knows, as above.",
    ),
    Allowed(
        "chex/_src/asserts_chexify_test.py::*::test_log_abs_fn_*",
        "outcome",
        "A value assertion in traced code that is not chexified is refused by chex, "
        "and is live in a region: `RuntimeError` is not raised.",
        says="*RuntimeError not raised*",
    ),
    Allowed(
        "chex/_src/asserts_internal_test.py::JitCompatibleTest::test_api",
        "outcome",
        "The same: what the assertion itself raises comes in the place of chex's "
        "`RuntimeError`.",
        says="*AssertionError: shape != (2,) (3,)!*",
    ),
    Allowed(
        "chex/_src/asserts_*_test.py::*",
        "outcome",
        _SAYS_MORE,
        says="*AssertionError: * does not match *chex.assert_tree*",
    ),
    Allowed(
        "chex/_src/asserts_*test.py::*",
        "values",
        _SAYS_MORE,
        says="*raises AssertionError * raises CheckError *",
    ),
    Allowed(
        "chex/_src/asserts_*test.py::*::test_assert_trees_all_equal_with_prng_keys*",
        "phases",
        "To say which key of an assertion that has failed differs, jaxdbg reads the "
        "keys.",
    ),
    Allowed(
        "chex/_src/dimensions_test.py::*",
        "values",
        "The test asserts the shape of an `np.empty`: its bits are what the memory "
        "held.",
    ),
    Allowed(
        "optax/transforms/_conditionality_test.py::*::test_apply_if_finite_pmap*",
        "runs",
        "The function returns the NaN that the test asks for: the diagnosis traces it "
        "afresh to find the line.",
    ),
)


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
        if _can_be_judged(entry, ran, all_ran)
        if any(entry.fits(test, mode) for test, mode in ran)
        if not any(entry.allows(d) for d in found)
    ]


def _can_be_judged(
    entry: Allowed, ran: Collection[tuple[str, str]], all_ran: bool
) -> bool:
    if "*" not in entry.tests:
        return True
    suites = {test.partition("/")[0] for test, _ in ran}
    of_all = entry.tests.startswith("*")  # one package may not need it
    return all_ran and (not of_all or suites >= set(PACKAGES))


def without_reason(allowed: Collection[Allowed] = ALLOWED) -> list[Allowed]:
    """The entries that do not say why."""
    return [entry for entry in allowed if not entry.reason.strip()]
