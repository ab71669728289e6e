"""Rewrites a cell so that its body runs inside a `with`, and behaves as before.

    "%%checked --async"             with CELL:
    x = f(1)                            x = f(1)
    g(x)                     ->         CELL.value = g(x)
                                    if CELL.failure is not None:
                                        raise CELL.failure
                                    CELL.take()

The magic line is a string statement by now, so that the options travel in the source
itself: nothing is armed that another cell could set off, no line moves, and a cell
replayed from the history is checked again. What the end of the region raises is raised
by the cell, because a function that raises leaves its own frame in the traceback. The
last expression stays the last, so that IPython displays it, or not, as ever.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

_MAGIC = re.compile(r"%%checked(?:\s+(?P<options>.*?))?\s*")
_ASKS_HELP = re.compile(r"(?:^|\s)(?:-h|--help)(?:\s|$)")

_ENDS = """
with {cell}:
    pass
if {cell}.failure is not None:
    raise {cell}.failure
"""


def _options_in_line(line: str) -> str | None:
    """What follows `%%checked` in such a line; None for any other line."""
    match = _MAGIC.fullmatch(line)
    return match and (match["options"] or "")


def mark(lines: Sequence[str]) -> list[str]:
    """Turns the magic line of a cell into the string statement that `marked` finds.

    A cell without a body is left as it is: that such a magic has nothing to do is
    IPython's to say.
    """
    options = _options_in_line(lines[0]) if lines else None
    empty = not "".join(lines[1:]).strip()
    if options is None or (empty and not _ASKS_HELP.search(options)):
        return list(lines)
    return [f"{lines[0].rstrip()!r}\n", *lines[1:]]


def marked(module: ast.Module) -> str | None:
    """The options of a marked cell; None for a cell that is not marked."""
    match module.body:
        case [ast.Expr(ast.Constant(str(line))), *_]:
            return _options_in_line(line)
    return None


def wrapped(
    body: list[ast.stmt], cell: str, at: ast.stmt, show_assigned: bool = False
) -> ast.Module:
    """The body in a `with`, as above.

    Args:
        body: statements of the user.
        cell: name of the object that opens the region, as in the picture above.
        at: the statement whose place a failure at the end of the region points to.
        show_assigned: display the target of a last assignment too, as IPython does
            with `ast_node_interactivity = "last_expr_or_assign"`.
    """
    is_future = [
        isinstance(s, ast.ImportFrom) and s.module == "__future__" for s in body
    ]
    start = is_future.index(False) if False in is_future else len(body)
    ends = parsed(_ENDS.format(cell=cell), at)
    inside, shown = _keep_last(body[start:], cell, show_assigned)
    assert isinstance(ends[0], ast.With)
    ends[0].body = inside or ends[0].body
    return ast.Module([*body[:start], *ends, *shown], type_ignores=[])


def parsed(text: str, at: ast.AST) -> list[ast.stmt]:
    """Statements of ours, with the position of the user's `at`."""
    statements = ast.parse(text).body
    for statement in statements:
        for node in ast.walk(statement):
            ast.copy_location(node, at)
    return statements


def _keep_last(
    body: list[ast.stmt], cell: str, show_assigned: bool
) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The body with its last value kept, and the statement that displays the value."""
    match body:
        case [*before, ast.Expr(value) as last]:
            keep = parsed(f"{cell}.value = None", last)
            assert isinstance(keep[0], ast.Assign)
            keep[0].value = value
            return [*before, *keep], parsed(f"{cell}.take()", last)
        case [*_, ast.Assign([target]) | ast.AnnAssign(target) | ast.AugAssign(target)]:
            if show_assigned and isinstance(target, ast.Name):
                return body, parsed(target.id, target)
    return body, []
