"""The magics `%%checked`, `%checked` and `%jaxdbg`.

A cell is rewritten before it runs, so that its body runs in a region.
"""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import ast
import builtins
import re
import sys
from argparse import Namespace
from importlib import metadata
from inspect import cleandoc
from itertools import count
from types import TracebackType
from typing import Any

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import cell_magic, leading_indent
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import (
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.core.magic_arguments import argument, magic_arguments
from traitlets import Any as AnyTrait, Bool, Enum, TraitError, validate

import jaxdbg.notebook.cell_rewriting as cells
from jaxdbg import errors
from jaxdbg.notebook.base import Installed, as_written, say, unknown
from jaxdbg.notebook.live_panel import opened
from jaxdbg.options import OPTIONS, Option, Options, joined
from jaxdbg.records import Report

FLAGS = tuple(option.flag for option in OPTIONS)
PANEL = "--panel"
PANEL_HELP = (
    "show the panel, live while the cell runs; by default it is shown when a cell fails"
)
WHEN = ("failure", "always", "never")
SWITCH = ("on", "off", "status")
COMMANDS = ("doctor", "last", "version")


def _arguments(magic: Any) -> Any:
    """Adds the options of a region to the arguments of a magic."""
    for option in reversed(OPTIONS):  # the last one that is added comes first
        magic = argument(option.flag, **option.argument)(magic)
    return magic


def _trait(option: Option) -> Any:
    """The default of an option, as `%config Checked` has it."""
    kind: Any = Bool if option.is_switch else AnyTrait
    return kind(option.default, help=option.help).tag(config=True)


@magics_class
class Checked(Installed):
    """Checks cells, and keeps the defaults of the options of `%%checked`.

    `%config Checked.max_traces = 1` holds for every checked cell that does not say
    otherwise.
    """

    locals().update({option.name: _trait(option) for option in OPTIONS})
    panel = Enum(
        WHEN,
        "failure",
        help="when a checked cell shows the panel, in a notebook: when it fails, "
        "always (and live while it runs), or never",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell):
        super().__init__(shell)
        self._on: Options | None = None
        self._on_live = False
        self._cells: dict[str, CheckedCell] = {}
        self._numbers = count(1)
        self._warned = False

    @validate(*(option.name for option in OPTIONS if not option.is_switch))
    def _read_default(self, proposal: Any) -> Any:
        name = proposal["trait"].name
        (option,) = (option for option in OPTIONS if option.name == name)
        try:
            read = Options(**{name: option.read(proposal["value"])})
            return getattr(read, name)
        except errors.UsageError as error:
            raise TraitError(str(error)) from None

    # What a person types.

    @as_written
    @no_var_expand
    @output_can_be_silenced
    @magic_arguments()
    @argument("command", nargs="?", help="on, off or status (only after `%%checked`)")
    @_arguments
    @argument(PANEL, action="store_true", help=PANEL_HELP)
    @argument("-h", "--help", action="store_true", help="show this text")
    @line_cell_magic
    def checked(self, line: str, cell: str | None = None) -> Any:
        """Check what JAX computes: in one cell, or in every cell from here on.

        ::

          %%checked [options]        check this cell
          %checked on [options]      check every cell that follows
          %checked off               stop doing so
          %checked status            say what is on

        A NaN or an Inf that was born or has spread in a jitted call, and a failing
        value assertion of chex or checkify inside jitted code, fail the call. At the
        end of the cell one line says what was checked, traced and compiled.
        """
        __tracebackhide__ = True  # the failure of a cell ends in the cell
        if cell is not None:
            return self._run_nested(line, cell)
        args = self._parse(line)
        if args.help:
            print(self.help())
        elif args.command == "on":
            self._on = self._options(args)
            self._on_live = args.panel
            self._say_status()
        elif typed := [o.flag for o in OPTIONS if getattr(args, o.name)]:
            raise UsageError(
                f"{typed[0]} goes with `on`: `%checked on {line.strip()}`."
            )
        elif args.command == "off":
            self._on = None
            self._say_status()
        elif args.command in (None, "status"):
            self._say_status()
        else:
            raise unknown("command of %checked", args.command, SWITCH)
        return None

    @no_var_expand
    @line_magic
    def jaxdbg(self, line: str) -> Report | None:
        """About jaxdbg itself.

        ::

          %jaxdbg doctor     what the installed JAX offers, and what is lost without
          %jaxdbg last       the report of the checked region that ended last
          %jaxdbg version    the version of jaxdbg
        """
        command = line.strip()
        if not command:
            print(cleandoc(str(Checked.jaxdbg.__doc__)))
        elif command == "doctor":
            from jaxdbg.checks.doctor import doctor

            print(doctor())
        elif command == "version":
            print(f"jaxdbg {metadata.version('jaxdbg')}")
        elif command == "last":
            from jaxdbg.checks.afterwards.last import last_report

            if (report := last_report()) is not None:
                return report
            print("No checked region has ended yet.")
        else:
            raise unknown("command of %jaxdbg", command, COMMANDS)
        return None

    def help(self) -> str:
        """The text of `%%checked?`."""
        return str(Checked.checked.__doc__)

    def _say_status(self) -> None:
        if self._on is None:
            print("jaxdbg checks the cells that begin with %%checked.")
        else:
            print(f"jaxdbg checks every cell: %checked on {self._on}".rstrip())

    # From what was typed to options.

    def _parse(self, line: str) -> Namespace:
        parser = Checked.checked.parser
        try:
            args, strays = parser.parse_known_args(joined(line.split()))
        except UsageError as error:
            text = str(error).removeprefix("argument ")
            flag, _, why = text.partition(": ")
            if why != "expected one argument":
                raise
            raise UsageError(
                f"{flag} needs a value; `%%checked?` says which."
            ) from None
        if strays:
            flag = strays[0].partition("=")[0]
            raise unknown("option", flag, (*FLAGS, PANEL, "--help"))
        assert isinstance(args, Namespace)
        return args

    def _options(self, args: Namespace) -> Options:
        """What was typed, and for the rest what `%config Checked` says."""
        try:
            values = {
                o.name: o.read(getattr(args, o.name) or getattr(self, o.name))
                for o in OPTIONS
            }
            return Options(**values)
        except errors.UsageError as error:
            raise UsageError(str(error)) from None

    def _cell_options(self, line: str) -> Options | None:
        """The options of a `%%checked` line; None when it asks for help."""
        args = self._parse(line)
        if args.help:
            return None
        if args.command is not None:
            raise UsageError(
                f"%%checked checks one cell and takes no {args.command!r}. To check "
                "every cell from here on: `%checked on`."
            )
        return self._options(args)

    # From a cell to a checked cell.

    def visit(self, node: Any) -> Any:
        """Rewrites a cell that is to be checked; IPython calls this for each cell."""
        if not isinstance(node, ast.Module):
            return node
        line = cells.marked(node)
        try:
            if line is not None:
                return self._rewrite_marked(line, node.body[0], node.body[1:])
            if self._on is not None and node.body and not self._is_running():
                cell = CheckedCell(self, self._on, self._on_live)
                return self._wrap(cell, node.body[0], node.body)
        except Exception as error:
            self.warn_unchecked(error)
        return node if line is None else ast.Module(node.body[1:], type_ignores=[])

    def _rewrite_marked(
        self, line: str, at: ast.stmt, body: list[ast.stmt]
    ) -> ast.Module:
        cell = CheckedCell(self)
        try:
            cell.options = self._cell_options(line)
            cell.live = self._parse(line).panel
        except UsageError as error:
            # Only an error that the cell itself raises is shown without a traceback.
            cell.failure = error
            return self._wrap(cell, at, [])
        if cell.options is None:
            print(self.help())
            return ast.Module([], type_ignores=[])
        return self._wrap(cell, at, body)

    def _wrap(
        self, cell: CheckedCell, at: ast.stmt, body: list[ast.stmt]
    ) -> ast.Module:
        shows_assigned = self.shell.ast_node_interactivity == "last_expr_or_assign"
        name = f"___jaxdbg_{next(self._numbers)}"
        module = cells.wrapped(body, name, at, shows_assigned)
        # Among the builtins, as `get_ipython` is: the user's namespace stays as it
        # is, and `%reset` in the cell does not take the name away.
        setattr(builtins, name, cell)
        self._cells[name] = cell
        self.shell.events.register("post_execute", self._tidy)
        return module

    def _is_running(self) -> bool:
        return any(cell.running for cell in self._cells.values())

    def _tidy(self) -> None:
        """Forgets the cells that have ended; one around them may go on."""
        for name in [n for n, cell in self._cells.items() if not cell.running]:
            del self._cells[name]
            delattr(builtins, name)
        if not self._cells:
            self.shell.events.unregister("post_execute", self._tidy)

    def _run_nested(self, line: str, cell: str) -> Any:
        """Runs a cell that another magic, or a program, hands to `%%checked`.

        As `%%time` does it, not with `run_cell`, which would show a failure here and
        report success.
        """
        __tracebackhide__ = True
        shell = self.shell
        source = shell.transform_cell(f"%%checked {line}\n{cell.strip() or 'pass'}\n")
        name = shell.compile.cache(source, cell_number(shell), raw_code=cell)
        module = shell.transform_ast(shell.compile.ast_parse(source, filename=name))
        last = module.body.pop() if _ends_in_expression(module) else None
        exec(shell.compile(module, name, "exec"), shell.user_ns)
        if last is None:
            return None
        expression: Any = ast.Expression(last.value)
        return eval(shell.compile(expression, name, "eval"), shell.user_ns)

    def warn_unchecked(self, error: Exception) -> None:
        """Says, once, that jaxdbg itself broke and that the program runs on."""
        if not self._warned:
            self._warned = True
            # Not with `warnings`, which a user may have turned into errors.
            print(
                "jaxdbg failed, so this cell runs without (some of) its checks: "
                f"{type(error).__name__}: {error}. The fault is not in your code; "
                "`%jaxdbg doctor` says what works here. This is said once.",
                file=sys.stderr,
            )

    # What is installed, and removed again.

    def install(self) -> None:
        """Installs magics and transformers; `uninstall` restores what was there."""
        super().install()
        self.append(self.shell.input_transformers_cleanup, mark)
        self.append(self.shell.ast_transformers, self)

    def candidates(self, text: str) -> tuple[tuple[str, ...], str]:
        """Our options, and nothing else, after our magics."""
        return _candidates(text)


class CheckedCell:
    """What a rewritten cell talks to: opens the region, and shows its report."""

    def __init__(
        self, magics: Checked, options: Options | None = None, live: bool = False
    ):
        self.options = options
        self.live = live
        self.value: Any = None
        self.failure: BaseException | None = None
        self.running = False
        self._magics = magics
        self._asked_for = options is None  # else the cell runs under `%checked on`
        self._region: Any = None
        self._panel: Any = None

    def __enter__(self) -> None:
        self.running = True
        if self.options is None:
            return
        try:
            self._region = self._open(self.options)
            self._panel = opened(self._magics.shell, self._region, self._when())
        except Exception as error:
            self._magics.warn_unchecked(error)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.running = False
        region, self._region = self._region, None
        if region is None:
            return False
        if self._panel is not None:
            self._panel.stop()
        try:
            region.__exit__(kind, error, trace)
        except BaseException as failure:
            self._show_panel(failure)
            self.failure = failure.with_traceback(None)
            return True
        self._show_panel(error)
        if error is None and (self._asked_for or not _is_idle(region.report)):
            show(self._magics.shell, region.report)
        return False

    def _show_panel(self, error: BaseException | None) -> None:
        """Brings the panel to its last state; a failure is shown before it rises."""
        if self._panel is None:
            return
        try:
            self._panel.end(error)
        except Exception as broken:
            self._magics.warn_unchecked(broken)

    def _when(self) -> str:
        return "always" if self.live else str(self._magics.panel)

    def take(self) -> Any:
        """The value of the last expression, which is not kept."""
        value, self.value = self.value, None
        return value

    def _open(self, options: Options) -> Any:
        from jaxdbg.checks.region import (
            Region,  # not before a cell is checked: it needs JAX
        )

        shell = self._magics.shell
        region = Region(
            options=options, namespace=shell.user_ns, cell=cell_number(shell)
        )
        region.__enter__()
        return region


def mark(lines: list[str]) -> list[str]:
    """The input transformer that IPython calls; see `cell_rewriting.mark`.

    A cell magic below ours is found by nobody else, so it is translated here.
    """
    marked = cells.mark(lines)
    if marked == lines:
        return lines
    body = marked[1:]
    blank = next((i for i, line in enumerate(body) if line.strip()), 0)
    return [*marked[: 1 + blank], *cell_magic(leading_indent(body[blank:]))]


# At a terminal's prompt the cell then goes on until a blank line, as for any magic.
mark.has_side_effects = True  # type: ignore[attr-defined]


def _candidates(text: str) -> tuple[tuple[str, ...], str]:
    """The words that may stand here, and what is typed of one."""
    typed = re.fullmatch(r"\s*(%?%checked|%jaxdbg)\s(.*)", text)
    if typed is None:
        return (), ""
    magic = typed[1]
    *before, fragment = typed[2].split(" ")
    before = [word for word in before if word]
    if magic == "%jaxdbg":
        return (() if before else COMMANDS), fragment
    choices = [o.choices for o in OPTIONS if o.choices and before[-1:] == [o.flag]]
    if choices:
        return choices[0], fragment.rpartition(",")[2]
    if magic == "%checked" and not before:
        return SWITCH, fragment
    return tuple(f for f in (*FLAGS, PANEL, "--help") if f not in before), fragment


def cell_number(shell: InteractiveShell) -> int:
    """The number of the cell that runs; the shell's own count may be one ahead."""
    running = getattr(shell.displayhook.exec_result, "execution_count", None)
    return int(running or shell.execution_count)


def show(shell: InteractiveShell, report: Report) -> None:
    """Displays a report in the cell's output, subdued where nothing went wrong."""
    say(shell, str(report), subdued=report.ok)


def _is_idle(report: Report) -> bool:
    """Whether there is nothing to say about a cell that nobody asked about."""
    busy = report.calls or report.eager_ops or report.findings or report.notices
    return not (busy or report.unchecked)


def _ends_in_expression(module: ast.Module) -> bool:
    return bool(module.body) and isinstance(module.body[-1], ast.Expr)
