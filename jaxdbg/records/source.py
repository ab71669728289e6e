"""A place in somebody's source code: file, line, column, notebook cell."""

from __future__ import annotations

import functools
import linecache
import os
import re
import site
import sys
import sysconfig
from dataclasses import dataclass

_PACKAGES = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """A place in somebody's source code.

    Attributes:
        file: path of the file; for a notebook cell the name IPython compiled it under.
        line, end_line: first and last line of the expression, from 1; `end_line` is 0
            where only a line is known.
        column, end_column: where the expression begins in `line` and ends in
            `end_line`, in characters from 0, the end excluded; both 0 where not known.
        function: qualified name of the function the frame is in.
        code: text of the lines from `line` to `end_line`, with their indentation; empty
            where it cannot be had.
        cell: IPython's number of the cell, None outside a notebook.
    """

    file: str
    line: int
    function: str = ""
    code: str = ""
    cell: int | None = None
    column: int = 0
    end_line: int = 0
    end_column: int = 0


def source_line(file: str, line: int) -> str:
    """The line of code, without its indentation; empty where it cannot be had."""
    return linecache.getline(file, line).strip()


def cell_number(file: str) -> int | None:
    """IPython's execution count of the cell that a file name is made for, or None."""
    # Never imported here: where IPython is not loaded, no file is a cell.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell.compile, "format_code_name"):
        return None
    _, name = shell.compile.format_code_name(file) or ("", "")  # "Cell", "In[3]"
    number = name.removeprefix("In[").removesuffix("]")
    return int(number) if number.isdecimal() else None


@functools.lru_cache(maxsize=4096)
def path_in_packages(file: str) -> str:
    """`flax/nnx/nn/linear.py` of an installed library's file; empty for other files."""
    if named := _PACKAGES.match(file):
        return file[named.end() :]
    folder = next(filter(file.startswith, _package_folders()), None)
    return "" if folder is None else file.removeprefix(folder)


@functools.cache
def _package_folders() -> tuple[str, ...]:
    """The folders into which this Python installs libraries, whatever their names."""
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    folders += [site.getusersitepackages()]
    return tuple(os.path.join(folder, "") for folder in folders if folder)
