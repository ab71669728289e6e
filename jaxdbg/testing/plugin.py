"""The pytest plugin: `pytest --jaxdbg` runs each test in a checked region.

pytest loads this in every run, so it imports nothing heavy, and does nothing unless a
test or the command line asks for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from jaxdbg.options import OPTIONS, Options, add_options, joined, typed
from jaxdbg.testing import summary

if TYPE_CHECKING:
    from jaxdbg.checks.region import Region

HELP = "run each test in a checked region of jaxdbg: NaN, Inf, assertions, budgets"
REPORT_HELP = "write a page and JSON for each test that fails, and one summary, here"
INI_HELP = "options of each region, as after %%checked: --max-traces step=1 --every-op"
MARKER = (
    "jaxdbg(max_traces=1, record=True, ...): run this test in a checked region, with "
    "the options of jaxdbg.checked"
)

_REGION = pytest.StashKey["Region"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--jaxdbg`, `--jaxdbg-report` and the setting `jaxdbg_options`."""
    group = parser.getgroup("jaxdbg", "debugging JAX")
    group.addoption("--jaxdbg", action="store_true", help=HELP)
    group.addoption("--jaxdbg-report", metavar="DIR", help=REPORT_HELP)
    parser.addini("jaxdbg_options", INI_HELP, type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Reads the settings, and registers what sums the run up."""
    config.addinivalue_line("markers", MARKER)
    try:
        _settings(config)
    except ValueError as error:
        raise pytest.UsageError(f"jaxdbg_options: {error}") from None
    config.pluginmanager.register(summary.Summary(config), "jaxdbg-summary")


@pytest.fixture
def jaxdbg_region(request: pytest.FixtureRequest) -> Region:
    """The checked region that this test runs in; `jaxdbg_region.report` has all of it.

    With `record=True` in the test's marker the test judges what was found by itself.
    """
    item: pytest.Item = request.node
    return item.stash.setdefault(_REGION, _made(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Opens a region around a test that is to have one."""
    region = _region(item)
    if region is None:
        return (yield)
    try:
        with Outcome(region):
            result = yield
        _fail_if_found(item, region)
    finally:
        item.user_properties.append((summary.PROPERTY, summary.row(region.report)))
        summary.write_if_failed(item, region.report)
    return result


class Outcome:
    """A region around a test: a skipped test has come to its end, as any other."""

    def __init__(self, region: Region):
        self._region = region

    def __enter__(self) -> None:
        self._region.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if isinstance(error, pytest.skip.Exception | pytest.xfail.Exception):
            kind = error = tb = None
        self._region.__exit__(kind, error, tb)


def _region(item: pytest.Item) -> Region | None:
    """The region of a test: that of its fixture, or a new one, or none."""
    if _REGION in item.stash:
        return item.stash[_REGION]
    asked = item.config.getoption("--jaxdbg") or item.get_closest_marker("jaxdbg")
    return _made(item) if asked else None


def _made(item: pytest.Item) -> Region:
    from jaxdbg.checks.region import Region

    options = _settings(item.config)
    for marker in reversed(list(item.iter_markers("jaxdbg"))):  # the closest one last
        options |= marker.kwargs
    try:
        return Region(options=Options(**options))
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(
            f"pytest.mark.jaxdbg of {item.nodeid}: {error}"
        ) from None


def _settings(config: pytest.Config) -> dict[str, Any]:
    """The options that `jaxdbg_options` has."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    add_options(parser)
    try:
        args, strays = parser.parse_known_args(joined(config.getini("jaxdbg_options")))
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from None
    if strays:
        known = ", ".join(option.flag for option in OPTIONS)
        raise ValueError(f"unknown option {strays[0]!r}. Expected some of {known}.")
    return typed(vars(args))


def _fail_if_found(item: pytest.Item, region: Region) -> None:
    """Fails a test that has recorded findings, unless it looks at them itself."""
    if region.report.findings and _REGION not in item.stash:
        found = "\n\n".join(f.message for f in region.report.findings)
        pytest.fail(found, pytrace=False)
