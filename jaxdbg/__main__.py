"""`python -m jaxdbg script.py`: the same as the command `jaxdbg`."""

from __future__ import annotations

import sys

from jaxdbg.command.main import main

if __name__ == "__main__":
    sys.exit(main())
