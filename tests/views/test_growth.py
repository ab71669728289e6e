"""What is told of leaves over the calls, in words and in lines of characters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jaxdbg.records import Finding, Report, TreeHistory
from jaxdbg.views import growth

FAILED = Finding("nan", "step", 8, "NaN in model.a, from step (call 8 in cell 3)")


def history(**series: list[float | None]) -> TreeHistory:
    """Of calls 1, 2, ...; None is a call in which a leaf is bad."""
    rows = list(zip(*series.values(), strict=True))
    bad = tuple(tuple(int(v is None) for v in row) for row in rows)
    first = next((i for i, row in enumerate(bad) if any(row)), -1)
    return TreeHistory(
        "model",
        tuple(f"model.{name}" for name in series),
        calls=tuple(range(1, len(rows) + 1)),
        functions=("step",) * len(rows),
        largest=tuple(rows),
        bad=bad,
        nan=bad,
        first_bad=bad[first].index(1) if first >= 0 else -1,
        first_bad_call=first + 1,
    )


GROWN = [0.5, 0.4, 0.4, 9.0, 3e4, 2e11, 3e38]


def told(one: TreeHistory, *findings: Finding) -> list[str]:
    return growth.lines(Report(histories=(one,), findings=findings))


def test_growth_before_a_failure_is_told() -> None:
    assert told(history(a=[*GROWN, None], b=[1.0] * 8), FAILED) == [
        "model.a grew from 0.4 to 3e+38 over calls 3 to 7 of step; it went bad in "
        "call 8"
    ]
    assert told(history(a=[*GROWN, None], b=[1.0] * 7 + [None]), FAILED) == [
        "model.a grew from 0.4 to 3e+38 over calls 3 to 7 of step; 2 leaves went bad "
        "in call 8"
    ]
    assert told(history(a=GROWN, b=[1.0] * 7), FAILED) == [
        "model.a grew from 0.4 to 3e+38 over calls 3 to 7 of step"
    ]


@pytest.mark.parametrize(
    "series",
    [
        [0.5, 0.5, 0.6, None],  # nothing grew
        [0.0, 1e-9, 0.3, None],  # it began at 0
        [900.0, 1000.0, 1100.0, None],
        [None, None, None, None],
    ],
)
def test_what_tells_nothing_is_not_told(series: list[float | None]) -> None:
    assert told(history(a=series), FAILED) == []


def test_a_clean_report_stays_one_line() -> None:
    report = Report(histories=(history(a=GROWN),))
    assert growth.lines(report) == []
    assert "\n" not in str(report)


def test_a_report_tells_it_under_the_finding() -> None:
    report = Report(histories=(history(a=[*GROWN, None]),), findings=(FAILED,))
    assert str(report).split("\n")[1:] == [
        "  NaN in model.a, from step (call 8 in cell 3)",
        "  model.a grew from 0.4 to 3e+38 over calls 3 to 7 of step; it went bad in "
        "call 8",
    ]


def test_a_leaf_over_the_calls_is_a_line_of_characters() -> None:
    one = history(
        a=[1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, None], b=[0.0, 0.0, *[0.5] * 6]
    )
    assert growth.spark(one, 0) == "▁▂▃▅▆▇█✗"
    assert growth.spark(one, 1) == "··▁▁▁▁▁▁"
    long = history(a=[float(10**i) for i in range(200)])
    assert len(growth.spark(long, 0)) == 24


def test_one_bad_call_among_many_is_seen() -> None:
    series: list[float | None] = [1.0] * 200
    series[77] = None
    assert growth.spark(history(a=series), 0).count("✗") == 1


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ({"a": GROWN}, "model up to call 7 of step"),
        (
            {"a": [*GROWN, None], "b": [1.0] * 8},
            "model up to call 8 of step: model.a went bad in call 8",
        ),
        (
            {"a": [1.0, None, None], "b": [1.0, None, 2.0]},
            "model up to call 3 of step: 2 leaves went bad in call 2",
        ),
    ],
)
def test_the_headline_of_a_history_is_when_it_went_bad(
    series: dict[str, list[float | None]], said: str
) -> None:
    assert growth.headline(history(**series)) == said


def test_what_went_bad_comes_before_what_grew() -> None:
    one = history(
        same=[1.0, 1.0, 1.0],
        late=[1.0, 2.0, None],
        grew=[1.0, 5.0, 9.0],
        zero=[0.0] * 3,
    )
    assert growth.telling(one) == [1, 2, 0]


def test_the_static_report_has_a_table_for_each_tree() -> None:
    report = Report(histories=(history(a=[*GROWN, None], b=[1.0] * 8),))
    html = report._repr_html_()
    assert "<summary>model up to call 8 of step: model.a went bad in call 8" in html
    assert ">▁▁▁▁▂▃█✗</td>" in html
    assert ">✗ bad in call 8</td>" in html
    short = replace(report, histories=(history(a=[1.0, 2.0]),))
    assert "model" not in short._repr_html_()
