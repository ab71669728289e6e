"""Puts what failing calls have overwritten back to its last good values.

Under `--record` and `--async` the program runs on: the model is bad by the time anyone
looks. What the first failing call was given is kept (`kept_calls`), and what lies in
the user's containers now may be put back where it came from, if a checked call put
there what is there now. Whatever the user has put there is left as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from jaxdbg.checks.afterwards.kept_calls import KeptCall
from jaxdbg.jax_internals.arrays import REF
from jaxdbg.jax_internals.interpose import our_own_work
from jaxdbg.records import tree_name
from jaxdbg.records.shown import Printed
from jaxdbg.trees.copies import is_gone
from jaxdbg.trees.names import Names
from jaxdbg.trees.paths import CannotWrite, NoSuchPlace, read, write
from jaxdbg.views.words import plural

MAX_LINES = 8
"""How many things that cannot be put back are listed one by one."""

Namespaces = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Rewound(Printed):
    """What a rewind did.

    Attributes:
        before: the calls before which the values were good: `call 12 of train_step`.
        back: paths of the arrays that were put back.
        unchanged: paths of those that still held their values.
        left: what was not put back, and why: `(path, reason)`.
    """

    before: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        before = " and ".join(self.before)
        if self.back:
            lines = [f"put back {_counted(self.back)}: as before {before}"]
        elif self.unchanged and not self.left:
            same = _counted(self.unchanged)
            lines = [f"nothing to put back: as before {before} still: {same}"]
        else:
            lines = [f"nothing was put back to what it was before {before}"]
        if self.left:
            lines.append("not put back:")
            lines += [f"  {path}: {why}" for path, why in self.left[:MAX_LINES]]
            if (more := len(self.left) - MAX_LINES) > 0:
                lines.append(f"  and {more} more")
        return "\n".join(lines)


def rewind(calls: Sequence[KeptCall], namespaces: Namespaces) -> Rewound:
    """Puts back the arguments of some failing calls.

    Arguments:
        calls: the failing calls of one region, the first one first. Of a later one
            only what was made before the first is good.
        namespaces: where the user's names are, the nearest first.

    Raises:
        RuntimeError: there is none: nothing has failed, or what was kept is dropped.
    """
    if not calls:
        raise RuntimeError(
            "Nothing to rewind with: nothing has failed, or what the failing calls "
            "were given is not kept any more. It is kept until a later checked region "
            "calls a jitted function."
        )
    with our_own_work():
        work = _Work(namespaces)
        for call in calls:
            work.undo(call, first=calls[0].number)
        work.keep_what_the_user_set()
    before = calls[0].call.in_words
    return Rewound(
        (before,), tuple(work.back), tuple(work.unchanged), tuple(work.left.items())
    )


class _Work:
    """A rewind under way."""

    def __init__(self, namespaces: Namespaces):
        self._namespaces = namespaces
        self._now = Names(*namespaces)
        self.back: dict[str, None] = {}
        self.unchanged: dict[str, None] = {}
        self.left: dict[str, str] = {}
        self._mine: dict[str, None] = {}  # what the user has set since

    def undo(self, call: KeptCall, first: int) -> None:
        """Puts back the arguments of one call."""
        places = dict(call.paths)
        for i, followed in self._followed(call).items():
            places.setdefault(i, followed)
        for i in range(len(call.args)):
            path = places.get(i)
            if any(path in d for d in (self.back, self.unchanged, self.left)):
                continue
            if call.number > first and self._is_after(call, i, first):
                continue
            if path is not None:
                self._put(call, i, path, first)
            elif reason := self._without_place(call, i):
                self.left[call.names[i]] = reason

    def keep_what_the_user_set(self) -> None:
        """Of what the user has set, only parts of what else was put back are listed.

        A batch is set anew in every step of a loop.
        """
        heads = {tree_name(path) for path in self.back}
        for path in self._mine:
            if path not in heads and tree_name(path) in heads:
                self.left[path] = (
                    "what is there now was not put there by a checked call"
                )

    def _put(self, call: KeptCall, i: int, path: str, first: int) -> None:
        array = call.args[i]
        try:
            namespace, current = self._read(path)
        except NoSuchPlace as error:
            self.left[path] = f"it is not there any more ({error})"
            return
        if isinstance(array, REF):
            self.left[path] = "it is a Ref, which was written to in place"
        elif is_gone(array):
            if current is not call.given[i]:
                self.left[path] = _DONATED
        elif current is array:
            self.unchanged[path] = None
        elif not self._was_put_by_a_call(call, i, current, first):
            self._mine[path] = None
        else:
            try:
                write(namespace, path, array)
            except (NoSuchPlace, CannotWrite) as error:
                self.left[path] = str(error)
            else:
                self.back[path] = None

    def _read(self, path: str) -> tuple[Mapping[str, object], Any]:
        """What is at a path, and the namespace it is in."""
        missing = NoSuchPlace(path)
        for namespace in self._namespaces:
            try:
                return namespace, read(namespace, path)
            except NoSuchPlace as error:
                missing = error
        raise missing

    def _was_put_by_a_call(
        self, call: KeptCall, i: int, current: object, first: int
    ) -> bool:
        # A donated array that is copied for us has left its husk in the container.
        if current is call.given[i]:
            return True
        made = call.earlier.made(current)
        return made is not None and made.number >= first

    def _is_after(self, call: KeptCall, i: int, first: int) -> bool:
        made = call.earlier.made(call.given[i])
        return made is not None and made.number >= first

    def _followed(self, call: KeptCall) -> dict[int, str]:
        """Where arguments are now whose place was not known at the time of the call.

        An `--async` failure is seen when the model has moved on; but which output of
        which function takes the place of which argument is known. Where two arrays of
        the user's would be the same argument, neither is.
        """
        found: dict[int, list[str]] = {}
        for array, path in self._now.paths():
            made = call.earlier.made(array)
            if made is None or made.number < call.number:
                continue
            i = call.updates.get((made.call.function, made.output))
            if i is not None and i not in call.paths:
                found.setdefault(i, []).append(path)
        return {i: paths[0] for i, paths in found.items() if len(paths) == 1}

    def _without_place(self, call: KeptCall, i: int) -> str:
        """Why something that has no place in the user's containers is not put back."""
        value = call.args[i]
        if isinstance(value, bool | int | float | complex):
            return f"it is a number of Python's, and was {value!r}"
        if is_gone(value):
            return _DONATED
        # What an eager operation made is as likely a batch, which the loop has left.
        known = {k for (function, _), k in call.updates.items() if function.user}
        if isinstance(value, jax.Array) and i in known:
            return "its array is kept, but nothing was found that has taken its place"
        return ""


_DONATED = "it was donated to the call and is gone; without --keep-donation it is kept"


def _counted(paths: Sequence[str]) -> str:
    """`28 arrays of model, 57 of opt`."""
    heads = Counter(map(tree_name, paths))
    whole = {path for path in paths if re.fullmatch(r"\w+", path)}
    parts: list[str] = []
    for head, n in heads.items():
        unit = "" if any("array" in p for p in parts) else f" {plural(n, 'array')}"
        parts.append(head if head in whole else f"{n}{unit} of {head}")
    return ", ".join(parts)
