"""One planted bug, what a checked region says of it, and whether that is right."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import jaxdbg
from jaxdbg.records import Origin
from tests.planted import sites
from tests.planted.bugs import BUGS, EPS, Bug
from tests.planted.models import Model
from tests.planted.sites import Site

NAN = Bug("", "data|row|input", "came in")
ROW = 1


@dataclass(frozen=True)
class Planted:
    """A bug at a place, which is the truth: known before anything runs.

    Attributes:
        model: which it is planted in.
        name: of the bug.
        site: where; None for a NaN in the data.
        text: what is written there in place of what was.
        bug: what is right to say.
        is_users: whether the file counts as one of the user's, or as the library's.
    """

    model: Model
    name: str
    bug: Bug
    site: Site | None = None
    text: str = ""
    is_users: bool = True

    @property
    def place(self) -> str:
        """Model, line and bug in one line."""
        where = f"{self.site.file.name}:{self.site.line}" if self.site else "the data"
        return f"{self.model.name} {where} {self.name}: {self.text}"


@dataclass(frozen=True)
class Score:
    """What was said of a planted bug.

    Attributes:
        found: whether the step failed, and jaxdbg said so.
        non_finite: whether the step fails at all: it gives a NaN or an Inf.
        line: "right", "none" or "wrong".
        row: the same of the row, where the truth has one; else empty.
        advice: the same of cause and advice.
        said: in a few words.
    """

    found: bool
    non_finite: bool
    line: str = ""
    row: str = ""
    advice: str = ""
    said: str = ""


def reached(model: Model) -> list[Site]:
    """Where in a model's files a bug can be planted."""
    step, args = model.build()
    jax.clear_caches()
    return sites.reached(model.paths, lambda: jax.block_until_ready(step(*args)))


def choices(model: Model, found: Sequence[Site], n: int, seed: int) -> list[Planted]:
    """Bugs at random places of a model; the same for the same seed."""
    chance = random.Random(f"{model.name} {seed}")
    made: list[Planted] = []
    names = chance.sample(sorted(BUGS), len(BUGS))
    places = {s: [t for t in found if t.line == s.line] for s in found}
    without_eps = [
        (site, rest)
        for file in model.paths
        for site, rest in sites.eps_sites(file)
        if any(s.file == file and s.line == site.line for s in places)
    ]
    if without_eps:
        site, rest = chance.choice(without_eps)
        made.append(Planted(model, "eps", EPS, site, f"({rest})"))
    made.append(Planted(model, "NaN in the data", NAN))
    while len(made) < n and found:
        name = names[len(made) % len(names)]
        site = chance.choice(found)
        text = BUGS[name].text.replace("{x}", _operand(site, BUGS[name]))
        users = chance.random() < 0.5
        made.append(Planted(model, name, BUGS[name], site, text, users))
    return made[:n]


def _operand(site: Site, bug: Bug) -> str:
    return site.text if site.text.isidentifier() else f"({site.text})"


def score(planted: Planted, folder: Path) -> Score:
    """Runs a planted bug in a region."""
    if planted.site is None:
        return _of_data(planted)
    copy = _copy(planted, folder)
    step, args = planted.model.build()
    jax.clear_caches()
    with sites.planted(planted.site, planted.text, copy):
        failure, result = _checked(step, _data(planted, args))
    jax.clear_caches()
    return _judged(planted, failure, result, copy)


def _copy(planted: Planted, folder: Path) -> Path:
    assert planted.site is not None
    inside = folder / ("user" if planted.is_users else "site-packages")
    return inside / planted.model.library / planted.site.file.name


def _data(planted: Planted, args: Any) -> Any:
    if planted.name != "eps":
        return args
    *first, x = args
    return (*first, x.at[ROW].set(0.5))


def _of_data(planted: Planted) -> Score:
    step, (*first, x) = planted.model.build()
    at = (ROW, *(0 for _ in x.shape[1:]))
    failure, result = _checked(step, (*first, x.at[at].set(jnp.nan)))
    if failure is None:
        return Score(False, _is_bad(result))
    origin = failure.finding.origin
    assert origin is not None
    element = f"[{', '.join(map(str, at))}]"
    right = origin.verdict == "came in" and origin.argument.endswith(element)
    return Score(
        True,
        True,
        "right" if right else "wrong",
        _row(origin),
        _advice(planted.bug, origin),
        f"{origin.verdict} {origin.argument} rows {origin.rows}: {origin.cause}",
    )


def _checked(step: Any, args: Any) -> tuple[jaxdbg.NonFiniteError | None, Any]:
    *state, x = args
    try:
        with jaxdbg.checked(namespace={}):
            result = jax.block_until_ready(step(*state, x))
    except jaxdbg.NonFiniteError as failure:
        return failure, None
    return None, (result, args)


def _is_bad(result: Any) -> bool:
    leaves = jax.tree.leaves(result)
    return any(
        isinstance(leaf, jax.Array)
        and jnp.issubdtype(leaf.dtype, jnp.floating)
        and not bool(jnp.isfinite(leaf).all())
        for leaf in leaves
    )


def _judged(planted: Planted, failure: Any, result: Any, copy: Path) -> Score:
    if failure is None:
        return Score(False, _is_bad(result))
    origin = failure.finding.origin
    if origin is None:
        return Score(True, True, "none", "", "none", str(failure))
    assert planted.site is not None
    source = origin.source if planted.is_users else origin.library_source
    line, truth = "none", (str(copy), planted.site.line)
    if source is not None:
        line = "right" if (source.file, source.line) == truth else "wrong"
    said = f"{origin.verdict} {origin.primitive} `{origin.expression}`"
    if line != "right":
        said += f" at {source and (source.file, source.line)}"
    return Score(
        True,
        True,
        line,
        _row(origin) if planted.name == "eps" else "",
        _advice(planted.bug, origin),
        f"{said}: {'likely ' if origin.likely else ''}{origin.cause}",
    )


def _row(origin: Origin) -> str:
    if not origin.rows:
        return "none"
    return "right" if [n for _, n in origin.rows] == [ROW] else "wrong"


def _advice(bug: Bug, origin: Origin) -> str:
    if origin.cause is None:
        return "none"
    said = f"{origin.cause}: {origin.advice}"
    return "right" if re.search(bug.advice, said) else "wrong"
