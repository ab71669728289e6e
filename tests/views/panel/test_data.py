"""What Python sends to the panel is what `js/src/contract.ts` types."""

from __future__ import annotations

import json
import math
import re
from array import array
from base64 import b64decode
from dataclasses import fields, replace
from typing import Any

import pytest

from jaxdbg import records
from jaxdbg.records import Finding, Report
from jaxdbg.views.panel.columns import FEW, column
from jaxdbg.views.panel.data import panel_data
from tests.programs import panel as made

ROOT = made.FIXTURES.parents[2]
TYPES = (ROOT / "js" / "src" / "contract.ts").read_text()

APART = {
    # They go with the trees, and with the timeline.
    "Report": {"histories", "compilations", "call_times"},
    "CompileEvent": {"bodies", "equations"},  # the name has them; the table says it
    # So do they; the stories have its words.
    "Finding": {"outputs", "pictures", "detail", "origin", "message"},
}


def test_the_fixtures_are_fresh() -> None:
    lying = {path.name: path.read_text() for path in made.FIXTURES.glob("*.json")}
    assert lying == made.all_fixtures()


@pytest.mark.parametrize(
    "name",
    [
        "Allowed",
        "CompileEvent",
        "Finding",
        "Reason",
        "Remark",
        "Report",
        "SourceFrame",
    ],
)
def test_types_have_the_fields_of_the_records(name: str) -> None:
    wanted = {f.name for f in fields(getattr(records, name))} - APART.get(name, set())
    assert typed(name) == wanted


def test_the_whole_has_the_keys_of_its_types() -> None:
    data = panel_data(made.REPORT, (made.MODEL,))
    assert set(data) == typed("PanelData")
    assert set(data["report"]) == typed("Report")
    story = data["stories"][1]
    assert set(story) == typed("StoryData")
    assert set(story["sections"][0]) == typed("SectionData")
    assert set(story["sections"][0]["frames"][0]) == typed("FrameData")
    assert set(data["timeline"]) == typed("TimelineData")
    assert set(data["timeline"]["calls"]) == typed("CallsData")
    assert set(data["timeline"]["cells"][0]) == typed("Cell")
    assert set(data["trees"][0]) == typed("TreeData")
    assert set(data["trees"][0]["history"]) == typed("HistoryData")
    (outputs,) = data["outputs"]
    assert set(outputs) == typed("OutputsData")
    assert set(outputs["leaves"]) == typed("TreeData")
    assert set(outputs["pictures"][0]) == typed("PictureData")


def typed(interface: str) -> set[str]:
    body = re.search(rf"export interface {interface} {{\n(.*?)\n}}", TYPES, re.DOTALL)
    assert body is not None
    return set(re.findall(r"^  (\w+)\??:", body[1], re.MULTILINE))


def test_a_history_joins_its_tree_or_is_one() -> None:
    data = panel_data(made.REPORT, (made.MODEL, made.OPTIMIZER))
    names = ["model", "opt", "train_step(...)"]
    assert [tree["name"] for tree in data["trees"]] == names
    assert data["trees"][0]["history"]["calls"] == list(made.KEPT)
    assert data["trees"][1]["history"] is None
    alone = panel_data(made.REPORT)["trees"]
    assert [(tree["name"], tree["known"]) for tree in alone] == [
        ("model", False),
        ("train_step(...)", False),
    ]


def test_what_a_failing_call_gave_stands_beside_what_the_tree_holds() -> None:
    data = panel_data(made.REPORT, (made.MODEL,))
    model, loss = data["trees"]
    (outputs,) = data["outputs"]
    assert model["nan"] == {"same": 0}
    assert outputs["finding"] == 1
    assert outputs["leaves"]["paths"] == list(made.NAN.paths)
    assert outputs["leaves"]["nan"] == {"list": [144, 16, 10, 1]}
    assert outputs["leaves"]["first_bad"]["2"] == [17, 0]
    assert loss["paths"] == ["train_step(...)[0]"]
    (picture,) = outputs["pictures"]
    assert picture["worst"][10:30] == "0" * 10 + "2" * 10
    assert len(unpacked(picture["largest"], 640)) == 640
    assert "outputs" not in data["report"]["findings"][1]


def test_of_what_was_not_measured_the_story_tells() -> None:
    finding = replace(made.NAN, outputs=made.OUTPUTS[:1], pictures=())
    (outputs,) = panel_data(Report(findings=(finding,)))["outputs"]
    assert sorted(outputs["leaves"]["paths"]) == sorted(made.NAN.paths)
    assert outputs["leaves"]["nan"] == {"list": [144, 16, 10, 1]}
    assert outputs["leaves"]["detailed"] == {"list": [1, 0, 0, 0]}


def test_a_path_that_leads_to_a_leaf_of_another_name_is_of_that_leaf() -> None:
    shared = replace(made.MODEL.leaves[0], also=("model.tied.kernel",))
    finding = Finding("nan", "f", 1, "", path="model.tied.kernel", paths=shared.also)
    report = Report(findings=(finding,))
    (tree,) = panel_data(report, (records.TreeStats("model", (shared,)),))["trees"]
    assert tree["also"] == {"model.tied.kernel": 0}


def test_leaves_that_findings_name_and_no_tree_holds_are_a_tree() -> None:
    paths = ("w['a'][0]", "g.b", "f(...)['c']", "output 3 of f(...)")
    finding = Finding("nan", "f", 1, "", path=paths[0], paths=paths)
    trees = panel_data(Report(findings=(finding,)))["trees"]
    assert [(t["name"], t["paths"]) for t in trees] == [
        ("w", ["w['a'][0]"]),
        ("g", ["g.b"]),
        ("f(...)", ["f(...)['c']", "output 3 of f(...)"]),
    ]


def test_a_history_of_the_floats_joins_the_whole_tree() -> None:
    history = made.TreeHistory(
        "opt",
        ("opt.mu.conv1.bias", "opt.mu.head.kernel"),
        calls=(1,),
        functions=("f",),
        largest=((0.5, None),),
        bad=((0, 3),),
        first_bad=1,
        first_bad_call=1,
    )
    (tree,) = panel_data(Report(histories=(history,)), (made.OPTIMIZER,))["trees"]
    told = tree["history"]
    assert tree["paths"][told["first_bad"]] == "opt.mu.head.kernel"
    assert told["bad"] == [{"list": [0, 0, 0, 0, 0, 3, 0]}]
    assert told["largest"] == [{"list": [None, None, 0.5, None, None, None, None]}]


@pytest.mark.parametrize(
    "values",
    [
        [0] * 200,
        [None] * 200,
        [*[0] * 300, 1, 2, *[0] * 20],
        [2.5, *[None] * 300, 1e300],
        [*[1] * 300, 0],
        [*[1.0] * 100, *[0.0] * 100],
        list(range(FEW)),
        list(range(200)),
        [2**24 + 1, *range(200)],
        [1e300, 1e-300, *map(float, range(200))],
        [None, *(i / 7 for i in range(200))],
        [],
    ],
)
def test_columns_lose_nothing_that_counts(values: list[float | None]) -> None:
    for there, back in zip(values, unpacked(column(values), len(values)), strict=True):
        if there is None:
            assert math.isnan(back)
        else:
            assert back == pytest.approx(there, rel=1e-6)
            assert isinstance(there, float) or back == there


def test_no_number_that_json_lacks_is_written() -> None:
    hot = records.LeafStats("a", largest=math.inf, mean=math.nan, std=-math.inf)
    data = panel_data(
        made.REPORT, (records.TreeStats("t", (hot, made.MODEL.leaves[0])),)
    )
    json.dumps(data, allow_nan=False)


def test_what_few_leaves_have_is_told_of_these_alone() -> None:
    values = [*[0] * 300, 7, *[0] * 20]
    assert column(values) == {"same": 0, "but": {"300": 7}}


def unpacked(packed: dict[str, Any], length: int) -> list[float]:
    match packed:
        case {"same": value}:
            values = [value] * length
            for i, other in packed.get("but", {}).items():
                values[int(i)] = other
        case {"list": values}:
            pass
        case {"f32": text}:
            values = array("f", b64decode(text)).tolist()
        case {"f64": text}:
            values = array("d", b64decode(text)).tolist()
    return [math.nan if v is None else v for v in values]
