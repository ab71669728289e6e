"""The options of a checked region: one definition for all four doors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jaxdbg.errors import UsageError

ERROR_CATEGORIES = ("index", "div")
"""What `errors` may name beyond the checks that are always on."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a region checks, and what it does about a failure.

    Attributes:
        max_traces: how often each user function may be traced, or, per function,
            a mapping from name to number; None for no limit.
        max_compiles: how often each user function may be compiled; None for no limit.
        every_op: check each intermediate value, not only what calls return.
        errors: more kinds of error to look for: "index", "div".
        async_: keep dispatch asynchronous; failures rise at a later call or at the
            end of the region, all pending ones together.
        record: collect failures and let the program run on.
        keep_donation: do not keep donated arguments for the diagnosis.
        watch: names or paths of trees of which a few numbers per leaf are kept over
            the calls; by default, the modules and optimizers of NNX that jitted calls
            are given.
    """

    max_traces: int | Mapping[str, int] | None = None
    max_compiles: int | Mapping[str, int] | None = None
    every_op: bool = False
    errors: tuple[str, ...] = ()
    async_: bool = False
    record: bool = False
    keep_donation: bool = False
    watch: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.errors
        errors = (given,) if isinstance(given, str) else self.errors
        object.__setattr__(self, "errors", tuple(_category(e) for e in errors))
        object.__setattr__(self, "watch", parse_watch(self.watch))
        for name in ("max_traces", "max_compiles"):
            _check_budget(name, getattr(self, name))

    def __str__(self) -> str:
        """The options as one would type them after `%%checked`."""
        words = []
        for name in ("max_traces", "max_compiles"):
            budget = getattr(self, name)
            if isinstance(budget, Mapping):
                budget = ",".join(f"{f}={n}" for f, n in budget.items())
            if budget is not None:
                words.append(f"--{name.replace('_', '-')} {budget}")
        words += [f"--{n}" for n in ("every-op",) if self.every_op]
        words += [f"--errors {','.join(self.errors)}"] if self.errors else []
        words += ["--async"] if self.async_ else []
        words += ["--record"] if self.record else []
        words += ["--keep-donation"] if self.keep_donation else []
        words += [f"--watch {','.join(self.watch)}"] if self.watch else []
        return " ".join(words)


def parse_budget(text: str) -> int | dict[str, int]:
    """Reads a budget as typed: `3`, or `train_step=1,eval=2`.

    Raises:
        UsageError: the text is neither.
    """
    parts = [p.strip() for p in text.split(",")]
    try:
        if len(parts) == 1 and "=" not in text:
            return int(text)
        pairs = [p.split("=") for p in parts]
        return {name.strip(): int(number) for name, number in pairs}
    except ValueError:
        raise UsageError(
            f"Not a budget: {text!r}. Expected a number for every function (`3`), or "
            "a number for each (`train_step=1,eval=2`)."
        ) from None


def parse_errors(text: str) -> tuple[str, ...]:
    """Reads `index,div`; raises UsageError for a category that does not exist."""
    return tuple(_category(word.strip()) for word in text.split(",") if word.strip())


def parse_watch(given: str | Iterable[str]) -> tuple[str, ...]:
    """Reads `model,opt`, or takes the names one by one.

    Raises:
        UsageError: one of them is no name of a tree.
    """
    words = given.split(",") if isinstance(given, str) else given
    names = tuple(w.strip() for w in words if not isinstance(w, str) or w.strip())
    for name in names:
        if not re.fullmatch(r"[^\W\d]\w*([.\[].*)?", name):
            raise UsageError(
                f"Not the name of a tree: {name!r}. Expected names or paths as you "
                "would type them (`model,opt`)."
            )
    return names


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def _category(word: str) -> str:
    if word not in ERROR_CATEGORIES:
        raise UsageError(
            f"Unknown error category {word!r}.{did_you_mean(word, ERROR_CATEGORIES)} "
            f"Expected some of {', '.join(ERROR_CATEGORIES)}; NaN, Inf and the checks "
            "of chex and checkify are always on."
        )
    return word


def _check_budget(name: str, budget: object) -> None:
    numbers = budget.values() if isinstance(budget, Mapping) else (budget,)
    for n in numbers:
        if n is None and not isinstance(budget, Mapping):
            continue
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise UsageError(
                f"{name} is {budget!r}. Expected a whole number of at least 0, a "
                "mapping from function names to such numbers, or None for no limit."
            )
