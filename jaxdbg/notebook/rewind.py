"""The magic `%rewind`, which is `Region.rewind`."""

# IPython annotates only a part of itself.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import re

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, no_var_expand

from jaxdbg.notebook.base import Installed, unknown

FLAGS = ("--forget",)


@magics_class
class Rewind(Installed):
    """Puts the model back to its last good values."""

    @no_var_expand
    @line_magic
    def rewind(self, line: str) -> None:
        """Put back what the last failing cell has overwritten with bad values.

        ::

          %rewind             put it back
          %rewind --forget    drop what is kept for that, and free its memory

        After `%%checked --record` and `%%checked --async` the program has run on, and
        your modules, optimizers and variables hold what came out of it. Each place
        that a checked call has overwritten gets back the array that the first failing
        call was given; what you have put somewhere yourself stays as it is. What the
        call was given is kept until a later checked cell calls a jitted function.
        """
        word = line.strip()
        if word not in ("", *FLAGS):
            raise unknown("option of %rewind", word, FLAGS)
        from jaxdbg.checks.afterwards import kept_calls, last
        from jaxdbg.views import words

        if not word:
            try:
                print(last.rewind_last(self.shell.user_ns))
            except RuntimeError as error:
                raise UsageError(str(error)) from None
            return
        size = kept_calls.nbytes([call.args for _, call in kept_calls.latest()])
        kept_calls.forget()
        print(f"forgot the inputs of failing calls: {words.size(size)}")

    def candidates(self, text: str) -> tuple[tuple[str, ...], str]:
        """Our option, after our magic."""
        typed = re.fullmatch(r"\s*%rewind\s+(\S*)", text)
        return (FLAGS, typed[1]) if typed else ((), "")

    def uninstall(self) -> None:
        """Removes the magic, and drops what is kept for it."""
        super().uninstall()
        from jaxdbg.checks.afterwards import kept_calls

        kept_calls.forget()
