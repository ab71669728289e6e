"""Every colour is in `views/colours.json`, and each reads on the grounds it is for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import jaxdbg
from jaxdbg.views import colours

PACKAGE = Path(jaxdbg.__file__).parent
SCRIPTS = PACKAGE.parent / "js" / "src"
PALETTE = json.loads((PACKAGE / "views" / "colours.json").read_text())


def colours_outside_the_palette(root: Path) -> list[str]:
    """Each hex colour of a source file; those that esbuild writes are no source."""
    sources = {".py", ".ts", ".tsx", ".css"}
    return [
        f"{path.relative_to(root)}: {colour}"
        for path in sorted(root.rglob("*"))
        if path.suffix in sources and path.name != "panel.css"
        for colour in re.findall(
            r"(?<![\w&])#(?:[\da-f]{8}|[\da-f]{6}|[\da-f]{3})\b",
            path.read_text(encoding="utf-8"),
            re.IGNORECASE,
        )
    ]


@pytest.mark.parametrize("root", [PACKAGE, SCRIPTS], ids=["Python", "TypeScript"])
def test_every_colour_is_in_the_palette(root: Path) -> None:
    assert root.is_dir()
    assert colours_outside_the_palette(root) == []


def test_a_colour_outside_the_palette_is_found(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "figure.py").write_text('BAD = "#D55E00"\n')
    (tmp_path / "style.css").write_text(".jd-nan { background: #fff }\n")
    (tmp_path / "tree" / "map.tsx").write_text('ctx.fillStyle = "#a8508a80";\n')
    (tmp_path / "text.py").write_text('"""&#955; issue #12, #define, color#fff"""\n')
    assert colours_outside_the_palette(tmp_path) == [
        "figure.py: #D55E00",
        "style.css: #fff",
        "tree/map.tsx: #a8508a80",
    ]


def test_light_and_dark_name_the_same_colours() -> None:
    assert PALETTE["light"].keys() == PALETTE["dark"].keys()
    light, dark = (PALETTE["scales"][theme] for theme in ("light", "dark"))
    assert {name: len(ramp) for name, ramp in light.items()} == {
        name: len(ramp) for name, ramp in dark.items()
    }


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_figures_read_on_white_and_on_black(ground: str) -> None:
    assert contrast(colours.INK, ground) >= 4
    for colour in (colours.GOOD, colours.BAD, *colours.PHASES.values()):
        assert contrast(colour, ground) >= 3, colour


@pytest.mark.parametrize(
    ("theme", "ground"), [("light", "#ffffff"), ("dark", "#111111")]
)
def test_the_panel_reads_in_its_theme(theme: str, ground: str) -> None:
    own: dict[str, Any] = PALETTE[theme]
    for text in ("accent", "wrong", "right"):
        assert contrast(own[text], ground) >= 4.5, text
    for sign in ("nan", "inf"):
        assert contrast(own[sign], ground) >= 3, sign
        assert contrast(own[sign], own["on-bad"]) >= 3, sign
