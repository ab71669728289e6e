"""`%peek`: the named values inside a jitted call, which is `jaxdbg.peek`."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import ast
import re
from types import ModuleType
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import (
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)

from jaxdbg import errors
from jaxdbg.errors import did_you_mean
from jaxdbg.notebook.base import Installed

if TYPE_CHECKING:
    from jaxdbg.origins.frames.peek import Peek

_NO_CALL = "%peek looks into a call: `%peek train_step(model, batch)`."
_OURS = "__jaxdbg_peek__"


@magics_class
class Peeks(Installed):
    """Looks into calls."""

    @no_var_expand
    @output_can_be_silenced
    @line_magic
    def peek(self, line: str) -> Peek:
        """List the named values inside a jitted call, without running it.

        ::

          %peek train_step(model, opt, batch)
          p = %peek train_step(model, opt, batch)
          p["scores"]                           the array of a name
          p["model.blocks[2].attn"]["scores"]   of a module's method, or a function
          p.at("cell 3", 17)["weights"]         of a line
          p["scores"].figure()                  its elements as a picture

        The call is traced with these arguments and evaluated, operation by operation:
        nothing is updated, donated, printed or called back. A function that is not
        jitted is peeked as if it were.
        """
        from jaxdbg.origins.frames.peek import peek  # not before: it needs JAX

        code = compile(_call_of_ours(line), "<%peek>", "eval")
        names = {**self.shell.user_ns, _OURS: peek}
        try:
            found: Peek = eval(code, self.shell.user_global_ns, names)
        except errors.UsageError as error:
            raise UsageError(str(error)) from None
        except NameError as error:
            near = did_you_mean(str(error.name), self.shell.user_ns)
            raise UsageError(f"%peek {line.strip()}: {error}.{near}") from None
        return found

    def candidates(self, text: str) -> tuple[tuple[str, ...], str]:
        """The user's functions."""
        typed = re.fullmatch(r"(?:.*=)?\s*%peek\s+(\w*)", text)
        if typed is None:
            return (), ""
        known = self.shell.user_ns.items()
        return tuple(n for n, value in known if _is_function(n, value)), typed[1]


def _call_of_ours(line: str) -> ast.Expression:
    """The call that one has typed as a call of `peek`."""
    try:
        call = ast.parse(line.strip(), mode="eval").body
    except SyntaxError as error:
        raise UsageError(f"{_NO_CALL} {error.msg}: {line.strip()}") from None
    if not isinstance(call, ast.Call):
        raise UsageError(_NO_CALL)
    ours = ast.Call(ast.Name(_OURS, ast.Load()), [call.func, *call.args], call.keywords)
    return ast.fix_missing_locations(ast.Expression(ours))


def _is_function(name: str, value: object) -> bool:
    if name.startswith("_") or name in ("exit", "quit", "get_ipython", "open"):
        return False
    return callable(value) and not isinstance(value, type | ModuleType)
