"""What the stack tells of a phase that begins: whose call it is, and from where.

The frames of JAX and of libraries are only read, in one walk outward.
"""

from __future__ import annotations

import itertools
import os
import sys
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import jax

from jaxdbg.jax_internals import libraries
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.records.source import SourceFrame, cell_number, source_line

_JAX = os.path.dirname(jax.__file__) + os.sep
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

_KINDS = {
    "_pjit_lower": "lowering",
    "_pjit_call_impl_python": "executing",
    "_run_python_pjit": "calling",
    "_trace_for_jit": "tracing",
    "compile": "compiling",
}
"""By name of the function of JAX, what it does."""

_ROLES = (
    ("backward_pass", "backward"),
    ("_pjit_linearize", "forward"),
    ("_pjit_partial_eval", "forward"),
    ("_pjit_jvp", "forward"),
    ("_pjit_batcher", "batched"),
)


@lru_cache(maxsize=8192)
def _kind(code: CodeType) -> str:
    """What the code of a frame means here; empty for nothing."""
    file, name = code.co_filename, code.co_name
    if file.startswith(_JAX):
        if name in _KINDS:
            return _KINDS[name]
        return next((f"role {r}" for n, r in _ROLES if name.startswith(n)), "")
    if libraries.is_call(code):
        return "library"
    if file.startswith(_HERE):
        return "derived" if name == "execute" else ""
    return "user" if is_user_file(file) else ""


class Surroundings:
    """What one walk outward from a frame finds.

    Attributes:
        lowering, executing, calling, compiling: the locals of JAX's functions that do
            so for the innermost call; empty where there is none.
        derived: the user's call, where a region runs it; else None.
        library_call: locals of a running call of a library's jit; else empty.
        role: what is made of the function; see `CompileEvent`.
        source: the user's line, None for none.
        cell: IPython's number of the cell that runs, None outside a notebook.
    """

    def __init__(self, frame: FrameType | None):
        found: dict[str, dict[str, Any]] = {}
        self.role = ""
        self.source: SourceFrame | None = None
        self.cell: int | None = None
        inside = True  # whether we are still in the innermost call
        while frame is not None:
            kind = _kind(frame.f_code)
            if kind == "user":
                self._user(frame)
            elif kind and inside:
                if kind.startswith("role"):
                    self.role = self.role or kind[5:]
                elif kind == "tracing" and found:
                    inside = False  # the call it is nested in
                elif kind not in found:
                    found[kind] = frame.f_locals
            frame = frame.f_back
        self.lowering = found.get("lowering", {})
        self.executing = found.get("executing", {})
        self.calling = found.get("calling", {})
        self.compiling = found.get("compiling", {})
        self.tracing = found.get("tracing", {})
        self.derived = found.get("derived", {}).get("self")
        self.library_call = found.get("library", {})

    def _user(self, frame: FrameType) -> None:
        file = frame.f_code.co_filename
        if self.source is None:
            self.source = _source(frame)
        number = cell_number(file)
        if number is not None:
            self.cell = number  # the outermost: the cell that runs


def _source(frame: FrameType) -> SourceFrame:
    code, file = frame.f_code, frame.f_code.co_filename
    at = next(itertools.islice(code.co_positions(), frame.f_lasti // 2, None), None)
    line, end_line, column, end_column = at or (None, None, None, None)
    line = line or frame.f_lineno or 0
    return SourceFrame(
        file=file,
        line=line,
        function=code.co_qualname,
        code=source_line(file, line),
        cell=cell_number(file),
        column=column or 0,
        end_line=end_line or 0,
        end_column=end_column or 0,
    )


def ended_with_error(frame: FrameType | None) -> bool:
    """Whether the phase whose end a listener is told of ended with an error."""
    for _ in range(4):
        if frame is None:
            return False
        if frame.f_code.co_name == "__exit__" and "exc_type" in frame.f_locals:
            return frame.f_locals["exc_type"] is not None
        frame = frame.f_back
    return sys.exc_info()[0] is not None


def out_tree_of(frame: FrameType) -> Any:
    """The tree of the results, if a frame is a call of `jax.jit`; else None."""
    if frame.f_globals.get("__name__") != "jax._src.pjit":
        return None
    return getattr(frame.f_locals.get("p"), "out_tree", None)
