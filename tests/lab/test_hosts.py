"""The panel in pages as other hosts make them; each page is one that a report saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.programs import panel as made

from .test_panel import faint

Shown = Callable[..., Locator]

VSCODE = """\
document.body.className = 'vscode-dark';
const root = document.documentElement.style;
root.setProperty('--vscode-editor-background', '#1e1e1e');
root.setProperty('--vscode-editor-foreground', '#d4d4d4');
// As the script that brings ipywidgets there sets them in each theme.
root.setProperty('--jp-layout-color1', 'white');
root.setProperty('--jp-layout-color2', '#eeeeee');
root.setProperty('--jp-ui-font-color1', '#212121');"""
COLAB = "document.documentElement.setAttribute('theme', 'dark');"
MARIMO = """\
document.documentElement.style.colorScheme = 'dark';
const panel = document.getElementById('jaxdbg-panel');
const shadow = panel.attachShadow({ mode: 'open' });
shadow.append(document.querySelector('style'), ...panel.childNodes);"""


@pytest.fixture
def saved(browser: Browser, tmp_path: Path) -> Iterator[Shown]:
    """Opens a saved report in a page; the script makes the page that of a host."""
    contexts: list[Any] = []

    def open_it(script: str = "", width: int = 1000, **page: Any) -> Locator:
        path = made.REPORT.save(tmp_path / "report.html")
        context = browser.new_context(viewport={"width": width, "height": 900}, **page)
        contexts.append(context)
        new = context.new_page()
        new.goto(path.as_uri())
        new.evaluate(f"() => {{ {script} }}")
        return new.locator(".jd-panel")

    yield open_it
    for context in contexts:
        context.close()


@pytest.mark.parametrize("host", [VSCODE, COLAB, MARIMO], ids=["VS Code", "Colab", "m"])
def test_it_is_dark_where_its_host_is(saved: Shown, host: str) -> None:
    shown = saved(host)
    expect(shown).to_have_attribute("data-jd-dark", "true")
    assert faint(shown) == []


def test_it_is_light_where_only_the_system_is_dark(saved: Shown) -> None:
    light = VSCODE.replace("vscode-dark", "vscode-light")
    for dark, lit in (("#1e1e1e", "#ffffff"), ("#d4d4d4", "#333333")):
        light = light.replace(dark, lit)
    shown = saved(light, color_scheme="dark")
    expect(shown).to_have_attribute("data-jd-dark", "false")
    assert faint(shown) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colours_take_nothing_away(saved: Shown, scheme: str) -> None:
    shown = saved(color_scheme=scheme, forced_colors="active")
    expect(shown).to_have_attribute("data-jd-dark", str(scheme == "dark").lower())
    assert faint(shown) == []
    # What only a colour tells is there, and what is selected has an outline.
    colour = "e => getComputedStyle(e).backgroundColor"
    swatches = {s.evaluate(colour) for s in shown.locator(".jd-swatch").all()}
    assert len(swatches) == shown.locator(".jd-swatch").count()
    here = shown.locator(".jd-finding.jd-here")
    assert here.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


@pytest.mark.parametrize("width", [320, 400, 640])
def test_nothing_is_cut_off_where_room_is_short(saved: Shown, width: int) -> None:
    """At 320 pixels, too: what 1280 are at a zoom of 400 % (WCAG 1.4.10)."""
    shown = saved(width=width)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    outside = """panel => {
        const { right } = panel.getBoundingClientRect();
        return [...panel.querySelectorAll('button, input, select, h3, canvas, p')]
            .filter(e => !e.closest('.jd-scroll') && e.getClientRects().length)
            .filter(e => e.getBoundingClientRect().right > right + 1)
            .map(e => e.outerHTML.slice(0, 100));
    }"""
    assert shown.evaluate(outside) == []


def test_a_print_has_the_whole_story(saved: Shown) -> None:
    shown = saved()
    shown.locator(".jd-compilations summary").click()
    details = shown.locator(".jd-scroll")
    cut = "e => e.scrollHeight > e.clientHeight + 1"
    assert details.evaluate(cut)
    shown.page.emulate_media(media="print")
    assert not details.evaluate(cut)


def test_nothing_moves_that_nobody_moves(saved: Shown) -> None:
    shown = saved(reduced_motion="reduce")
    moving = """panel => [panel, ...panel.querySelectorAll('*')].filter(e => {
        const style = getComputedStyle(e);
        return style.animationName !== 'none' || parseFloat(style.transitionDuration);
    }).length"""
    assert shown.evaluate(moving) == 0
