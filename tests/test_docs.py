"""README.md and docs/: links lead somewhere, and the example does what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "tests/bench/README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two!\n[a](#one-two) [b](#three) [c](none.md) [d](https://x)"
    )
    assert list(broken_links(page)) == ["#three", "none.md"]


def broken_links(page: Path) -> Iterator[str]:
    """The links within the project that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?:", link):
            continue
        name, _, heading = link.partition("#")
        to = (page.parent / name).resolve() if name else page
        if not to.exists() or (heading and heading not in headings(to)):
            yield link


def headings(page: Path) -> set[str]:
    """The headings of a page as GitHub writes them in a link."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in found}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_the_readmes_example_prints_what_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "README.md").read_text()
    *cells, printed = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[
        :3
    ]
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    try:
        shell.run_cell(f"import jax, jax.numpy as jnp\n{cells[0]}", store_history=True)
        shell.run_cell(cells[1], store_history=True)
        assert printed.strip() in capsys.readouterr().out
    finally:
        shell.run_line_magic("unload_ext", "jaxdbg")
        InteractiveShell.clear_instance()
