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


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests/lab as slow, and puts it last: Playwright leaves an event loop."""
    # Workers of xdist compare their lists of tests, and an address differs.
    named = [item.nodeid for item in items if " at 0x" in item.nodeid]
    assert not named, f"the id of a test has an address: {named[0]}"
    items.sort(key=in_lab)
    for item in filter(in_lab, items):
        item.add_marker("slow")


def in_lab(item: pytest.Item) -> bool:
    return "lab" in item.path.parts


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One file, or one test of it, runs in this process: no worker has to start."""
    one_file = len(config.args) == 1 and ".py" in config.args[0]
    return 0 if one_file else None
