"""`%compiles`: what was traced, lowered and compiled in this notebook, and why again.

Recording begins when the extension is loaded, and ends when it is unloaded.
"""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import (
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.core.magic_arguments import argument, magic_arguments
from traitlets import Bool, Int, observe

from jaxdbg.checks.afterwards.last import last_report
from jaxdbg.compiles import recorder
from jaxdbg.compiles.compilations import compilations
from jaxdbg.errors import did_you_mean
from jaxdbg.notebook.base import Installed, as_written, say, unknown
from jaxdbg.notebook.show import show
from jaxdbg.records import Compilations, Difference
from jaxdbg.records.costs import Cost, often
from jaxdbg.views import compiled_often_text

COMMANDS = ("on", "off", "forget")
FLAGS = ("--cell", "--diff", "--eager", "--panel", "--save", "--help")


@magics_class
class Compiles(Installed):
    """Records compilations, and says so when a cell compiles a function often.

    It says, too, when a value that a compiled function closes over has changed.
    `%config Compiles.warn_after = 0` silences both; `%config Compiles.record =
    False` records nothing.
    """

    record = Bool(True, help="record each trace, lowering and compilation").tag(
        config=True
    )
    warn_after = Int(
        5,
        min=0,
        help="say so when an unchecked cell has compiled a function this often; 0 for "
        "never",
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell):
        super().__init__(shell)
        self._warned: set[tuple[str, str]] = set()
        self._position = 0
        self._report: object = None
        self._cells: dict[str, list[int]] = {}

    # What a person types.

    @as_written
    @no_var_expand
    @output_can_be_silenced
    @magic_arguments()
    @argument("what", nargs="?", help="on, off, forget, or the name of a function")
    @argument("--cell", type=int, metavar="N", help="only what cell N has compiled")
    @argument("--eager", action="store_true", help="list eager ops one by one")
    @argument(
        "--diff",
        nargs="*",
        metavar="A",
        help="compare two cells or saved files, the earlier first; without any, the "
        "last two runs of a cell that was run again",
    )
    @argument("--save", metavar="FILE", help="write .json, or .trace for Perfetto")
    @argument("--panel", action="store_true", help="show the timeline in the panel")
    @argument("-h", "--help", action="store_true", help="show this text")
    @line_magic
    def compiles(self, line: str) -> Compilations | Difference | None:
        """What JAX has traced, lowered and compiled in this notebook, and why again.

        ::

          %compiles                    all since the extension was loaded
          %compiles train_step         of one function
          %compiles --cell 12          of one cell
          %compiles --diff 12 14       cell 14, compared with cell 12
          %compiles --panel            as a timeline, to look into
          %compiles --save all.trace   for https://ui.perfetto.dev
          %compiles forget             begin anew
          %compiles off                record no more; `on` goes on

        The table ranks functions by the time they have cost, without what is nested in
        them. `jaxdbg.compilations()` is the same in Python, with a figure, JSON and
        pandas.
        """
        args = self._parse(line)
        if args.help:
            print(Compiles.compiles.__doc__)
        elif args.what in COMMANDS:
            self._switch(args.what)
        elif args.diff is not None:
            return self._diff(args.diff)
        else:
            return self._shown(self._chosen(args), args)
        return None

    def _parse(self, line: str) -> Namespace:
        parser = Compiles.compiles.parser
        args, strays = parser.parse_known_args(line.split())
        if strays:
            raise unknown("option", strays[0].partition("=")[0], FLAGS)
        assert isinstance(args, Namespace)
        return args

    def _switch(self, command: str) -> None:
        if command == "forget":
            recorder.forget()
            self._warned.clear()
            print("jaxdbg has forgotten what was compiled up to here.")
        else:
            self.record = command == "on"
            what = "records" if self.record else "does not record"
            print(f"jaxdbg {what} what is traced and compiled.")

    def _chosen(self, args: Namespace) -> Compilations:
        every = compilations()
        if args.what is not None and not every.of(args.what).events:
            raise _unknown_function(args.what, _names(every))
        if args.what is None and args.cell is None:
            return every
        return every.of(args.what, args.cell)

    def _shown(self, chosen: Compilations, args: Namespace) -> Compilations | None:
        if args.save is not None:
            _save(chosen, args.save)
        elif args.panel:
            return self._in_panel(chosen)
        elif args.eager:
            print(chosen.text(eager=True))
        else:
            return chosen
        return None

    def _in_panel(self, chosen: Compilations) -> Compilations | None:
        panel = show(chosen, name="compilations")
        return None if panel is None else chosen  # a terminal has the table

    def _diff(self, which: Sequence[str]) -> Difference:
        if not which:
            which = self._last_rerun()
        if len(which) != 2:
            raise UsageError(
                "--diff takes two cells or saved files, the earlier first: "
                "`%compiles --diff 12 14`. Without any it compares the last two runs "
                "of a cell that was run again."
            )
        before, after = map(self._run, which)
        return after.diff(before)

    def _run(self, which: str) -> Compilations:
        if which.isdigit():
            return compilations().of(cell=int(which))
        try:
            return Compilations.from_json(Path(which).expanduser().read_text())
        except (OSError, ValueError) as error:
            raise UsageError(
                f"Not a cell, nor compilations: {which!r}. {error}"
            ) from None

    def _last_rerun(self) -> list[str]:
        again = [runs for runs in self._cells.values() if len(runs) > 1]
        if not again:
            raise UsageError(
                "No cell was run twice since jaxdbg was loaded. Two cells can be "
                "compared by their numbers: `%compiles --diff 12 14`."
            )
        return [str(n) for n in max(again, key=lambda runs: runs[-1])[-2:]]

    # What happens around each cell.

    def _before_cell(self, info: Any) -> None:
        self._position = recorder.position()
        self._report = last_report()

    def _after_cell(self, result: Any) -> None:
        self._remember(result)
        checked = last_report() is not self._report
        if self.warn_after and not checked:
            events = recorder.events(since=self._position)
            for cost in often(events, self.warn_after):
                self._warn(cost)
            for remark in recorder.stale():
                say(self.shell, f"jaxdbg: {remark}")

    def _warn(self, cost: Cost) -> None:
        """Says, once for each function, that it was compiled often, and why."""
        # A cell that is run again defines its functions again: its code identifies it.
        source = cost.builds[0].source
        function = cost.function, source.code if source else cost.defined
        if function not in self._warned:
            self._warned.add(function)
            say(self.shell, compiled_often_text.text(cost))

    def _remember(self, result: Any) -> None:
        """Which runs were of the same cell: the same id or, without ids, its text."""
        info, number = result.info, result.execution_count
        if number is not None and info.store_history:
            key = getattr(info, "cell_id", None) or info.raw_cell
            self._cells.setdefault(key, []).append(number)

    # What is installed, and removed again.

    def install(self) -> None:
        """Installs the magic, and begins to record."""
        super().install()
        events = self.shell.events
        for name, ours in (
            ("pre_run_cell", self._before_cell),
            ("post_run_cell", self._after_cell),
        ):
            events.register(name, ours)
            self.undo.callback(events.unregister, name, ours)
        if self.record:
            recorder.start()
        self.undo.callback(recorder.stop)

    @observe("record")
    def _record_or_not(self, change: Any) -> None:
        recorder.start() if change["new"] else recorder.stop()

    def candidates(self, text: str) -> tuple[tuple[str, ...], str]:
        """Functions, commands and options, after our magic."""
        words = text.lstrip().split(" ")
        if words[0] != "%compiles" or len(words) < 2:
            return (), ""
        *before, fragment = words[1:]
        flags = tuple(f for f in FLAGS if f not in before)
        if fragment.startswith("-"):
            return flags, fragment
        if before[-1:] == ["--cell"]:
            cells = {e.cell for e in compilations().events if e.cell is not None}
            return tuple(map(str, sorted(cells))), fragment
        if before:
            return flags, fragment
        return (*COMMANDS, *_names(compilations()), *flags), fragment


def _names(every: Compilations) -> tuple[str, ...]:
    """The names of the functions, the user's first."""
    events = sorted(every.events, key=lambda e: not e.user)
    return tuple(dict.fromkeys(e.function for e in events))


def _unknown_function(name: str, known: tuple[str, ...]) -> UsageError:
    near = did_you_mean(name, (*known, *COMMANDS))
    return UsageError(
        f"No function {name!r} was traced or compiled since jaxdbg was loaded.{near} "
        "`%compiles` lists them."
    )


def _save(chosen: Compilations, file: str) -> None:
    path = Path(file).expanduser()
    if path.suffix == ".json":
        path.write_text(chosen.to_json(), encoding="utf-8")
    elif path.suffix == ".trace":
        chosen.to_perfetto(path)
    else:
        raise UsageError(
            f"--save {file}: expected a name that ends in .json (for `%compiles "
            "--diff` and Python) or in .trace (for Perfetto)."
        )
    print(f"{len(chosen)} phases written to {path}")
