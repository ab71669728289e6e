"""Magics that can be removed again, with the completion of what is typed after them."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import html
from contextlib import ExitStack
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, magics_class

from jaxdbg.errors import did_you_mean


@magics_class
class Installed(Magics):
    """A set of magics, and what else it installs in a shell.

    A subclass says in `candidates` how it completes, and adds to `install` what it
    needs beyond its magics; whatever it appends with `append`, or registers on `undo`,
    is gone after `uninstall`.
    """

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell):
        super().__init__(shell)
        self.undo = ExitStack()

    def candidates(self, text: str) -> tuple[tuple[str, ...], str]:
        """The words that may stand at the end of the text, and what is typed of one."""
        return (), ""

    def install(self) -> None:
        """Installs the magics; `uninstall` restores what was there."""
        configurables: list[Any] = self.shell.configurables
        self.undo.callback(configurables.remove, self)  # Magics has put us there
        self._register_magics()
        self.append(self.shell.Completer.custom_matchers, self._completer())

    def uninstall(self) -> None:
        """Removes all that `install` installed."""
        self.undo.close()

    def append(self, installed: list[Any], ours: object) -> None:
        """Appends to a list of the shell's, until `uninstall`."""
        installed.append(ours)
        self.undo.callback(installed.remove, ours)

    def _register_magics(self) -> None:
        manager = self.shell.magics_manager
        for kind, ours in self.magics.items():
            table = manager.magics[kind]
            for name in ours:
                self.undo.callback(_restore, table, name, table.get(name))
        self.shell.register_magics(self)
        self.undo.callback(manager.registry.pop, type(self).__name__)

    def _completer(self) -> Any:
        @context_matcher(identifier=f"jaxdbg.{type(self).__name__}")
        def complete(context: CompletionContext) -> SimpleMatcherResult:
            words, fragment = self.candidates(context.text_until_cursor)
            return SimpleMatcherResult(
                completions=[
                    SimpleCompletion(word, type="param")
                    for word in words
                    if word.startswith(fragment)
                ],
                matched_fragment=fragment,
                suppress=True,  # counts only where there are completions
            )

        return complete


def as_written(magic: Any) -> Any:
    """Has a magic refuse an option that is not written in full; goes above all else."""
    magic.parser.allow_abbrev = False
    return magic


def unknown(what: str, word: str, known: tuple[str, ...]) -> UsageError:
    """The error for a word that a magic does not know, or that is missing."""
    if not word:
        return UsageError(f"What is the {what}? Expected {', '.join(known)}.")
    near = did_you_mean(word, known)
    return UsageError(f"Unknown {what}: {word!r}.{near} Expected {', '.join(known)}.")


def say(shell: InteractiveShell, text: str, subdued: bool = True) -> None:
    """Displays text in the cell's output; subdued where there is no need to read it."""
    # No colour of JupyterLab's: VS Code knows them too, and not its own dark theme.
    style = (
        f"opacity: {0.72 if subdued else 1}; color: inherit; background: none; "
        "margin: 0; white-space: pre-wrap; "
        "word-break: normal; overflow-wrap: anywhere; "
        "font-size: var(--jp-code-font-size, 13px); padding: 0 var(--jp-code-padding)"
    )
    pre = f'<pre style="{style}">{html.escape(text)}</pre>'
    shell.display_pub.publish(data={"text/plain": text, "text/html": pre})


def _restore(table: dict[str, Any], name: str, before: Any) -> None:
    if before is None:
        table.pop(name, None)
    else:
        table[name] = before
