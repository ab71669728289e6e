"""What all tests share: two CPU devices, and a look at what jaxdbg leaves behind."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Before JAX starts its backend: some programs need more than one device.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")

import leaks
import pytest


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Whatever a test does, all that jaxdbg installs is gone after it."""
    before = leaks.snapshot()
    yield
    left = leaks.left_behind(before, leaks.snapshot())
    assert not left, f"left behind: {', '.join(left)}"
