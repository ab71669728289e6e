"""NaNs and Infs that the user says are meant: on a line, in a block, in a function.

A comment `# jaxdbg: allow -inf` holds for its line. `with jaxdbg.allowed("inf"):` and
`@jaxdbg.allowed("inf")` hold for what runs inside, and for the operations whose Python
runs inside while a function is traced: their lines are noted when the block is entered,
and nothing is added to the program.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeVar

from jaxdbg.errors import UsageError
from jaxdbg.jax_internals.functions import Function
from jaxdbg.jax_internals.user_frames import outward
from jaxdbg.options import VALUE_KINDS, parse_kinds
from jaxdbg.views.words import place_of

_F = TypeVar("_F", bound=Callable[..., Any])

_COMMENT = re.compile(r"#\s*jaxdbg:\s*allow\b[ \t]*(?P<kinds>[^#\n]*)")


class _Here(threading.local):
    kinds: tuple[str, ...] = ()


_here = _Here()

_blocks: dict[str, dict[tuple[int, int], frozenset[str]]] = {}
"""By file, the first and last line of blocks and functions, and what they allow."""


class allowed:
    """NaNs and Infs that are born inside are meant: no failure, and in the report.

        with jaxdbg.allowed("inf"):
            snr = 20 * jnp.log10(signal / noise)

        @jaxdbg.allowed("nan", "-inf")  # a function as it is, jitted or not
        def spectrum(x): ...

    A NaN that is made later from an Inf which is allowed still fails.

    Arguments:
        kinds: some of "nan", "inf" and "-inf".

    Raises:
        UsageError: what is given is none of these.
    """

    def __init__(self, *kinds: str):
        self._kinds = parse_kinds(kinds)
        if not self._kinds:
            raise UsageError(
                f"jaxdbg.allowed takes some of {', '.join(VALUE_KINDS)}: "
                '`with jaxdbg.allowed("inf"):`.'
            )
        self._before: list[tuple[str, ...]] = []

    def __enter__(self) -> None:
        frame = sys._getframe(1)
        block = _block(frame.f_code.co_filename, frame.f_lineno or 0)
        _note(frame.f_code.co_filename, block, self._kinds)
        self._before.append(_here.kinds)
        _here.kinds = (*_here.kinds, *self._kinds)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _here.kinds = self._before.pop()

    def __call__(self, function: _F) -> _F:
        """The same function; what its lines give birth to is allowed."""
        code = _code_of(function)
        if code is None:
            raise UsageError(
                "@jaxdbg.allowed goes above a function; "
                f"{type(function).__name__} has no lines of its own."
            )
        _note(code.co_filename, (code.co_firstlineno, _last_line(code)), self._kinds)
        return function


def allowed_now() -> frozenset[str]:
    """What the user's running code allows: blocks that are open, and functions."""
    kinds = frozenset(_here.kinds)
    if not _blocks:
        return kinds
    lines = ((f.f_code.co_filename, f.f_lineno or 0) for f in _outward())
    return kinds.union(*(_by_block(file, line) for file, line in lines))


def allowed_at(places: Iterable[tuple[str, int, int]]) -> frozenset[str]:
    """What is allowed for an operation.

    Arguments:
        places: the user's frames in which it was traced, from inside out: the file, and
            the first and last line of the expression. A comment counts on the first.
    """
    kinds: frozenset[str] = frozenset()
    for n, (file, first, last) in enumerate(places):
        kinds |= _by_block(file, first)
        if n == 0:
            lines = range(first, max(first, last) + 1)
            kinds = kinds.union(*(commented(linecache.getline(file, i)) for i in lines))
    return kinds


def idle_comments(
    functions: Iterable[Function], used: Collection[tuple[str, int]]
) -> Iterator[str]:
    """Comments in functions of the user's that have allowed nothing, each in words.

    Arguments:
        functions: those that were called.
        used: file and line of all that was allowed.
    """
    seen: set[tuple[str, int]] = set()
    for file, n, text in _lines_of(functions):
        found = _COMMENT.search(text)
        if found and (file, n) not in seen and (file, n) not in used:
            seen.add((file, n))
            yield f"`{found[0].strip()}` at {place_of(file, n)}"


def _lines_of(functions: Iterable[Function]) -> Iterator[tuple[str, int, str]]:
    for function in functions:
        file, _, first = function.source.rpartition(":")
        if not function.user or not first.isdigit():
            continue
        lines = linecache.getlines(file)[int(first) - 1 :]
        for i, text in enumerate(inspect.getblock(lines) if lines else ()):
            yield file, int(first) + i, text


def commented(line: str) -> frozenset[str]:
    """What the comment on a line of source code allows."""
    found = _COMMENT.search(line)
    words = re.split(r"[,\s]+", found["kinds"]) if found else ()
    return frozenset(words) & frozenset(VALUE_KINDS)


def _outward() -> Iterable[FrameType]:
    return outward(sys._getframe(1))


def _by_block(file: str, line: int) -> frozenset[str]:
    held = _blocks.get(file, {}).items()
    return frozenset().union(*(k for (a, b), k in held if a <= line <= b))


def _note(file: str, lines: tuple[int, int], kinds: Iterable[str]) -> None:
    of_file = _blocks.setdefault(file, {})
    of_file[lines] = of_file.get(lines, frozenset()) | frozenset(kinds)


@lru_cache(maxsize=1024)
def _block(file: str, line: int) -> tuple[int, int]:
    """The lines of the `with` statement whose head has a line; else the line alone."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return line, line
    found = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and node.lineno <= line < node.body[0].lineno
    ]
    return max(found, default=(line, line))


def _code_of(function: Any) -> CodeType | None:
    """The code of a function, or of what it wraps (`@jaxdbg.allowed` above `@jit`)."""
    for _ in range(20):  # a chain of wrappers may be circular
        code = getattr(function, "__code__", None)
        inner = getattr(function, "__wrapped__", None)
        if inner is None:
            return code if isinstance(code, CodeType) else None
        function = inner
    return None


def _last_line(code: CodeType) -> int:
    inner = [_last_line(c) for c in code.co_consts if isinstance(c, CodeType)]
    own = [line for _, _, line in code.co_lines() if line is not None]
    return max([code.co_firstlineno, *own, *inner])
