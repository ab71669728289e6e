"""A command line is read by argparse, and refused in our words."""

from __future__ import annotations

import argparse
from typing import NoReturn

from jaxdbg.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises where argparse prints its usage and exits."""

    def error(self, message: str) -> NoReturn:
        """Raises a `UsageError` that says what argparse does."""
        raise UsageError(
            f"{message[:1].upper()}{message[1:]}. `{self.prog} --help` says what is "
            "expected."
        )
