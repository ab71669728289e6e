"""Reports: frozen values that survive a round trip through JSON, and read well."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import replace

import pytest

import jaxdbg
from jaxdbg.records import (
    ArrayType,
    CompileEvent,
    Finding,
    Origin,
    Reason,
    Report,
    SourceFrame,
)

FINDING = Finding(
    kind="nan",
    function="train_step",
    call=17,
    message="NaN in model.w, from train_step (call 17 in this region)\n  more",
    path="model.w",
    paths=("model.w", "train_step(...)[0]"),
    index=(3, 7),
    shape=(8, 8),
    dtype="float32",
    nan=2,
    size=64,
    location="cell 3, line 7",
)
REPORT = Report(
    calls=17,
    eager_ops=2,
    calls_by_function={"train_step": 17},
    traces={"train_step": 2, "evaluate": 1},
    compiles={"train_step": 1, "evaluate": 1},
    retraces=("train_step: x: float32[8] → float32[5]",),
    library_compiles=4,
    findings=(FINDING,),
    placed=("attend: attend(...)[1]",),
    notices=("something to know.",),
    seconds=3.0,
    compile_seconds=1.25,
    check_seconds=0.831,
    origin_seconds=0.8,
    cell=5,
    options="--max-traces 3",
)


def test_round_trip():
    assert Report.from_json(REPORT.to_json()) == REPORT
    assert Report.from_json(Report().to_json()) == Report()


def test_reports_of_earlier_formats_are_read():
    again = Reason("shape", "x", "f32[8]", "f32[9]", before_type=ArrayType("f32", (8,)))
    event = CompileEvent("f", "trace", 0.0, reason=again)
    plain = json.loads(dataclasses.replace(REPORT, compilations=(event,)).to_json())
    reason = plain["compilations"][0]["reason"]
    del reason["before_type"], reason["after_type"]
    read = Report.from_json(json.dumps({**plain, "jaxdbg_report": 2}))
    assert read.compilations[0].reason == dataclasses.replace(again, before_type=None)
    for name in ("compilations", "histories", "remarks"):
        del plain[name]
    assert Report.from_json(json.dumps({**plain, "jaxdbg_report": 1})) == REPORT


def test_a_report_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        REPORT.calls = 1
    with pytest.raises(TypeError):
        Report.from_json(REPORT.to_json()).traces["train_step"] = 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "the text names no format"),
        ("[1]", "the text names no format"),
        ('{"jaxdbg_report": 99}', "the text has format 99"),
    ],
)
def test_what_is_no_report_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        Report.from_json(text)


def test_text_of_a_failure():
    assert str(REPORT) == (
        "✗ 1 finding, 17 calls and 2 eager ops checked · train_step traced twice, "
        "compiled once, evaluate traced and compiled once · 1.25 s compiling · "
        "31 ms checking · 0.80 s finding the origin\n"
        "  NaN in model.w, from train_step (call 17 in this region)\n"
        "  NaN or Inf that was placed or came in, no failure: attend: attend(...)[1]\n"
        "  jaxdbg: something to know."
    )


def test_findings_of_one_line_are_one_entry_with_place_and_cause():
    source = SourceFrame(file="a.py", line=7)
    born = Origin(kind="nan", verdict="born", expression="x / y", source=source)
    born = replace(born, cause="division by zero", likely=True)
    a, b, c = (Finding("nan", "f", n, f"NaN in y, call {n}\n...") for n in (1, 2, 3))
    findings = (replace(a, origin=born), b, replace(c, origin=born))
    assert str(Report(findings=findings)).split("\n")[1:] == [
        "  NaN in y, call 1, and 1 more finding of this line",
        "    NaN was born in `x / y` at a.py:7 · likely cause: division by zero",
        "  NaN in y, call 2",
    ]


def test_text_of_a_clean_region_is_one_line():
    clean = Report(calls=1, traces={}, compile_seconds=0.0)
    assert str(clean) == "✓ 1 call checked · 0 s compiling · 0 s checking"


def test_a_saved_report_is_read_without_jax(tmp_path):
    saved = tmp_path / "report.json"
    saved.write_text(REPORT.to_json())
    program = f"""
import sys
from jaxdbg import Report
print(Report.from_json(open({str(saved)!r}).read()))
assert not {{"jax", "numpy", "IPython"}} & set(sys.modules), "not light"
"""
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(REPORT)


def test_the_last_report_can_be_had_again():
    with jaxdbg.checked() as region:
        pass
    assert jaxdbg.last_report() is region.report
