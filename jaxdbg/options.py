"""The options of a checked region: one table, read by every way to write them.

From it come the flags of `%%checked` with their help, parsing and completion, the
traits of `%config Checked`, and the text of the options in a report. A test holds the
signature and the docstring of `jaxdbg.checked`, and the table in docs/checks.md, to it.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from jaxdbg.errors import UsageError, did_you_mean
from jaxdbg.records.finding_kinds import FINDING_KINDS

Number = TypeVar("Number", int, float)

ERROR_CATEGORIES = tuple(kind.name for kind in FINDING_KINDS.values() if kind.optional)
"""What `errors` may name beyond the checks that are always on."""


def parse_budget(text: str) -> int | dict[str, int]:
    """Reads a budget as typed: `3`, or `train_step=1,eval=2`.

    Raises:
        UsageError: the text is neither.
    """
    return _budget(
        text,
        int,
        "a number for every function (`3`), or a number for each "
        "(`train_step=1,eval=2`)",
    )


def parse_seconds(text: str) -> float | dict[str, float]:
    """Reads a budget of seconds as typed: `30`, or `train_step=30,eval=2.5`.

    Raises:
        UsageError: the text is neither.
    """
    return _budget(
        text,
        float,
        "seconds for all functions together (`30`), or seconds for each "
        "(`train_step=30,eval=2.5`)",
    )


def _budget(
    text: str, number: Callable[[str], Number], expected: str
) -> Number | dict[str, Number]:
    try:
        if "=" not in text:
            return number(text)
        pairs = [p.split("=") for p in text.split(",")]
        return {name.strip(): number(n) for name, n in pairs}
    except ValueError:
        raise UsageError(f"Not a budget: {text!r}. Expected {expected}.") from None


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


VALUE_KINDS = ("nan", "inf", "-inf")
"""What a value that is not finite may be."""


def parse_kinds(given: str | Iterable[str]) -> tuple[str, ...]:
    """Reads `nan,-inf`, or takes the words one by one.

    Raises:
        UsageError: one of them is no kind of value.
    """
    words = given.split(",") if isinstance(given, str) else tuple(given)
    found = tuple(str(w).strip() for w in words if str(w).strip())
    for word in found:
        if word not in VALUE_KINDS:
            raise UsageError(
                f"Unknown kind of value: {word!r}.{did_you_mean(word, VALUE_KINDS)} "
                f"Expected some of {', '.join(VALUE_KINDS)}."
            )
    return found


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


def _check_seconds(name: str, budget: object) -> None:
    numbers = budget.values() if isinstance(budget, Mapping) else (budget,)
    for n in numbers:
        if n is None and not isinstance(budget, Mapping):
            continue
        if isinstance(n, bool) or not isinstance(n, int | float) or not n >= 0:
            raise UsageError(
                f"{name} is {budget!r}. Expected a number of seconds of at least 0, a "
                "mapping from function names to such numbers, or None for no limit."
            )


def _option(
    default: Any,
    what: str,
    metavar: str = "",
    parse: Callable[[str], object] | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A row of the table; see `Option` for the columns."""
    how = {"help": what, "metavar": metavar, "parse": parse, "choices": choices}
    return field(default=default, metadata=how)


@dataclass(frozen=True, slots=True)
class Options:
    """What a region checks, and what it does about a failure."""

    max_traces: int | Mapping[str, int] | None = _option(
        None,
        "fail when a function is traced more often than this: a number for every "
        "function, or one for each (`f=1,g=2`)",
        metavar="N|f=1,g=2",
        parse=parse_budget,
    )
    max_compiles: int | Mapping[str, int] | None = _option(
        None, "the same for compilations", metavar="N|f=1,g=2", parse=parse_budget
    )
    max_compile_seconds: float | Mapping[str, float] | None = _option(
        None,
        "fail when tracing, lowering and compiling take longer than this: seconds for "
        "all functions together, or for each (`f=30,g=2.5`)",
        metavar="S|f=30,g=2.5",
        parse=parse_seconds,
    )
    every_op: bool = _option(
        False, "check each intermediate value, not only what calls return"
    )
    errors: tuple[str, ...] = _option(
        (),
        "look for more kinds of error: `index` (a gather or scatter out of bounds), "
        "`div` (an integer divided by zero)",
        metavar="index,div",
        parse=parse_errors,
        choices=ERROR_CATEGORIES,
    )
    async_: bool = _option(
        False,
        "keep dispatch asynchronous: failures rise at a later call or at the end, all "
        "pending ones together",
    )
    record: bool = _option(False, "collect failures, and let the program run on")
    keep_donation: bool = _option(
        False,
        "let calls consume their donated arguments: saves memory, but the diagnosis "
        "cannot show them",
    )
    watch: tuple[str, ...] = _option(
        (),
        "keep a few numbers of each leaf of these trees over the calls; by default of "
        "the NNX modules and optimizers that jitted calls are given",
        metavar="model,opt",
        parse=parse_watch,
    )
    allow: tuple[str, ...] = _option(
        (),
        "values of these kinds are meant: they are counted, and no failure",
        metavar="nan,inf,-inf",
        parse=parse_kinds,
        choices=VALUE_KINDS,
    )
    only: tuple[str, ...] = _option(
        (),
        "the same for all kinds but these",
        metavar="nan,inf,-inf",
        parse=parse_kinds,
        choices=VALUE_KINDS,
    )

    def __post_init__(self) -> None:
        given: object = self.errors
        errors = (given,) if isinstance(given, str) else self.errors
        object.__setattr__(self, "errors", tuple(_category(e) for e in errors))
        object.__setattr__(self, "watch", parse_watch(self.watch))
        object.__setattr__(self, "allow", parse_kinds(self.allow))
        object.__setattr__(self, "only", parse_kinds(self.only))
        for name in ("max_traces", "max_compiles"):
            _check_budget(name, getattr(self, name))
        _check_seconds("max_compile_seconds", self.max_compile_seconds)

    @property
    def allowed(self) -> frozenset[str]:
        """The kinds of values that are no failure."""
        others = set(VALUE_KINDS) - set(self.only) if self.only else set()
        return frozenset({*self.allow, *others})

    def __str__(self) -> str:
        """The options as one would type them after `%%checked`."""
        words = (option.typed(getattr(self, option.name)) for option in OPTIONS)
        return " ".join(filter(None, words))


def flag(name: str) -> str:
    """An option as typed after `%%checked`, from its name in Python."""
    return "--" + name.strip("_").replace("_", "-")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a region.

    Attributes:
        name: its name in Python.
        default: its value unless the user says otherwise.
        help: what it does, in a line of Markdown.
        metavar: how its value is typed, with `|` between two ways; empty for a switch.
        parse: reads what was typed; None for a switch.
        choices: the words that may be typed, where they are known.
    """

    name: str
    default: Any
    help: str
    metavar: str
    parse: Callable[[str], object] | None
    choices: tuple[str, ...]

    @property
    def flag(self) -> str:
        """Its name after `%%checked`."""
        return flag(self.name)

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, and typed without a value."""
        return self.parse is None

    @property
    def ways(self) -> tuple[str, ...]:
        """How it may be typed: `--max-traces N`, `--max-traces f=1,g=2`."""
        return tuple(f"{self.flag} {m}".rstrip() for m in self.metavar.split("|"))

    @property
    def argument(self) -> dict[str, Any]:
        """What `ArgumentParser.add_argument` takes beside the flag."""
        how = {"action": "store_true"} if self.is_switch else {"metavar": self.metavar}
        return {"dest": self.name, "help": self.help, **how}

    def read(self, value: Any) -> Any:
        """The value of what was typed; a value that is no text stays as it is.

        Raises:
            UsageError: it is no value of this option.
        """
        if self.parse is None or not isinstance(value, str):
            return value
        return self.parse(value)

    def typed(self, value: Any) -> str:
        """The option with a value as typed; nothing where that is the default."""
        if value == self.default:
            return ""
        if self.is_switch:
            return self.flag
        if isinstance(value, Mapping):
            value = ",".join(f"{name}={number}" for name, number in value.items())
        return f"{self.flag} {','.join(value) if isinstance(value, tuple) else value}"


def _row(row: Field[Any]) -> Option:
    return Option(row.name, row.default, **row.metadata)


OPTIONS = tuple(map(_row, fields(Options)))
"""The table."""


def add_options(parser: ArgumentParser) -> None:
    """Adds a flag for each option to a parser; see `typed`."""
    for option in OPTIONS:
        parser.add_argument(option.flag, **option.argument)


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were typed, by name, each with its value.

    Arguments:
        values: what argparse has read, by the names of the options.

    Raises:
        UsageError: a value is none of its option.
    """
    rows = ((option, values[option.name]) for option in OPTIONS)
    return {o.name: o.read(v) for o, v in rows if v not in (None, False)}


def joined(words: Iterable[str]) -> list[str]:
    """The words of a command line; `--allow -inf` is one of them, for argparse."""
    flags = {option.flag for option in OPTIONS}
    out: list[str] = []
    for word in words:
        is_value = word.partition(",")[0] in VALUE_KINDS and word.startswith("-")
        if is_value and out and out[-1] in flags:
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out
