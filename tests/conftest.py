"""What holds for all tests: two CPU devices, no other, and nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator

# JAX reads these once, when it first looks for devices. Kernels and other processes
# that tests start inherit them.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=2"]
).strip()

import pytest

from tests import leaks  # after the lines above: this starts JAX


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Whatever a test does, all that jaxdbg installs is gone after it."""
    before = leaks.snapshot()
    yield
    left = leaks.left_behind(before, leaks.snapshot())
    assert not left, f"left behind: {', '.join(left)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts tests/lab last: Playwright leaves an event loop running in the process."""
    items.sort(key=lambda item: "lab" in item.path.parts)
