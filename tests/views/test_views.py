"""Every record through every view of it: one signature, nothing else public."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

import jaxdbg
from jaxdbg.records import (
    Compilations,
    Operand,
    Origin,
    PanelContent,
    Peeked,
    PeekedValue,
    Reason,
    Remark,
    SourceFrame,
    TreeStats,
)
from jaxdbg.records.advice import advised
from jaxdbg.records.costs import costs, repeats
from jaxdbg.records.shown import Shown, ShownAsHtml
from tests.programs import compile_events, panel

VIEWS = Path(jaxdbg.__file__).parent / "views"

COMPILATIONS = Compilations(advised(compile_events.everything()), "in a test")
(COST, *_) = [c for c in costs(COMPILATIONS.events) if repeats(c)]
(REPEAT, *_) = repeats(COST)
DIFFERENCE = COMPILATIONS.diff(Compilations(compile_events.partial_batch()))
ORIGIN = panel.NAN.origin
REMARK = Remark("f", Reason("stale closure", "scale", "2.0", "3.0"))
HISTORY = panel.REPORT.histories[0]
STEP = Operand(shape=(2,), dtype="float32", low=0.0, high=1.0, size=2, nan=1)
PEEKED = Peeked(
    "f",
    (
        PeekedValue("x", SourceFrame("m.py", 3, "f"), STEP, "model", batch_axes=(0,)),
        PeekedValue(
            "h", SourceFrame("m.py", 4, "f"), STEP, loops=(("scan", 1),), steps=(STEP,)
        ),
    ),
    ("y",),
    ("a note",),
)
CONTENT = PanelContent(panel.REPORT, (panel.MODEL,), COMPILATIONS)

RECORDS: dict[str, tuple[Any, ...]] = {
    "compiled_often_text": (COST,),
    "compiles_eager_text": (COMPILATIONS, Compilations()),
    "compiles_html": (COMPILATIONS, Compilations()),
    "compiles_text": (COMPILATIONS, Compilations()),
    "difference_text": (DIFFERENCE, COMPILATIONS.diff(COMPILATIONS)),
    "history_html": (HISTORY,),
    "origin_brief_text": (ORIGIN, Origin("placed", "nan")),
    "origin_html": (ORIGIN, Origin("placed", "nan")),
    "origin_text": (ORIGIN, Origin("placed", "nan")),
    "panel_html": (CONTENT, PanelContent(title="nothing")),
    "panel_text": (CONTENT,),
    "peek_text": (PEEKED, Peeked("nothing")),
    "report_html": (panel.REPORT, panel.CLEAN, jaxdbg.Report()),
    "report_markdown": (panel.REPORT, panel.CLEAN, jaxdbg.Report()),
    "report_text": (panel.REPORT, panel.CLEAN, jaxdbg.Report()),
    "retrace_text": (REPEAT,),
    "stale_closure_text": (REMARK,),
    "tree_body_html": (panel.MODEL,),
    "tree_html": (panel.MODEL, TreeStats("nothing")),
    "tree_text": (panel.MODEL, TreeStats("nothing")),
}
"""Records for each view; the first has something of everything."""

MATRIX = [(view, record) for view, records in RECORDS.items() for record in records]


@pytest.mark.parametrize(("view", "record"), MATRIX)
def test_a_view_makes_text_of_a_record(view: str, record: Any) -> None:
    kind = view.rpartition("_")[2]
    shown = getattr(importlib.import_module(f"jaxdbg.views.{view}"), kind)(record)
    assert isinstance(shown, str)
    assert shown
    assert not shown.endswith("\n")
    if kind == "html":
        assert shown.startswith("<")
        assert "<script" not in shown


def test_all_views_are_in_the_matrix() -> None:
    views = {path.stem for path in VIEWS.glob("*_*.py") if is_view(path)}
    assert views == set(RECORDS)


def test_a_view_has_one_function() -> None:
    paths = [path for path in VIEWS.glob("*_*.py") if is_view(path)]
    assert [path.stem for path in paths if not has_one_signature(path)] == []


def test_a_view_with_more_is_found(tmp_path: Path) -> None:
    path = tmp_path / "report_text.py"
    path.write_text("LIMIT = 3\ndef text(report): pass\ndef _line(a, b): pass\n")
    assert has_one_signature(path)
    path.write_text("def text(report, eager=False): pass\n")
    assert not has_one_signature(path)
    path.write_text("def text(report): pass\ndef headline(report): pass\n")
    assert not has_one_signature(path)


def is_view(path: Path) -> bool:
    return path.stem.endswith(("_text", "_html", "_markdown"))


def has_one_signature(path: Path) -> bool:
    """Whether `text(record)`, or `html(record)`, is all that a module offers."""
    nodes = ast.parse(path.read_text()).body
    defined = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    match [node for node in defined if not node.name.startswith("_")]:
        case [ast.FunctionDef(name=name, args=args)]:
            plain = not (args.kwonlyargs or args.vararg or args.kwarg)
            return path.stem.endswith(f"_{name}") and len(args.args) == 1 and plain
    return False


def test_each_record_names_a_view_that_exists() -> None:
    for kind in subclasses(Shown):
        if kind is not ShownAsHtml:
            assert f"{kind.VIEW}_text" in RECORDS, kind
            if issubclass(kind, ShownAsHtml):
                assert f"{kind.VIEW}_html" in RECORDS, kind


def subclasses(of: type[Shown]) -> list[type[Shown]]:
    return [k for sub in of.__subclasses__() for k in (sub, *subclasses(sub))]
