"""What is shown of compilations: table, lines, advice, figure, exports, differences."""

from __future__ import annotations

import builtins
import html.parser
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jaxdbg.records import CallTimes, Compilations, CompileEvent, Reason, Report
from jaxdbg.records.advice import advised, judged
from jaxdbg.records.costs import builds, costs, lost, often, repeats, subset
from jaxdbg.records.lengths import buckets
from jaxdbg.views import compiled_often_text, compiles_html, compiles_table
from jaxdbg.views.exports import perfetto
from jaxdbg.views.retrace_wording import reasons
from tests.programs import compile_events as made

PARTIAL = """\
1.31 s tracing, lowering and compiling in cell 12 · 0.41 s lost to 1 avoidable \
compilation
function    traces  compiles   trace   lower  compile   total  first at
train_step       2         2  0.30 s  0.15 s   0.86 s  1.31 s  cell 12, line 7

train_step traced again (2nd time): batch["x"] f32[32,8,8] → f32[17,8,8], batch["y"] \
i32[32] → i32[17] · 0.41 s · cell 12, line 7 · possibly the last partial batch
  → drop the last batch, or pad it to the full size and mask what was added"""

GROWING = """\
90 ms tracing, lowering and compiling · 70 ms lost to 7 avoidable compilations
function                           traces  compiles  trace  lower  compile  total  \
first at
2 eager ops and library functions       9         9  18 ms  18 ms    54 ms  90 ms

concatenate traced 7 more times: operand 1 f32[1] → f32[2] → … → f32[8] · 70 ms in \
all · cell 12, line 7
  → collect in a list and jnp.stack it once, or fill an array with x.at[i].set
%compiles --eager lists the eager ops and library functions."""


# The text.


def test_table_of_a_partial_batch() -> None:
    assert str(Compilations(advised(made.partial_batch()), "in cell 12")) == PARTIAL


def test_table_of_a_growing_loop() -> None:
    assert str(Compilations(advised(made.growing_loop()))) == GROWING


def test_eager_ops_open() -> None:
    text = Compilations(advised(made.growing_loop())).text(eager=True)
    assert [line.split()[:3] for line in text.splitlines()[2:4]] == [
        ["concatenate", "8", "8"],
        ["iota", "1", "1"],
    ]
    assert "--eager" not in text


def test_nothing_compiled() -> None:
    said = str(Compilations((), "in cell 3"))
    assert said == "nothing was traced or compiled in cell 3"


@pytest.mark.parametrize(
    ("events", "line"),
    [
        (
            made.partial_batch(),
            'train_step traced again (2nd time): batch["x"] f32[32,8,8] → '
            'f32[17,8,8], batch["y"] i32[32] → i32[17] · 0.41 s · cell 12, line 7 · '
            "possibly the last partial batch",
        ),
        (
            made.lambda_in_a_loop(),
            "<lambda> traced 4 more times: a new function object of the same code · "
            "0.16 s in all · cell 12, line 4",
        ),
        (
            made.recompiled(),
            "predict compiled again without a new trace: x: not committed → committed "
            "to cpu:1 · 0.12 s · cell 12, line 7",
        ),
        (
            made.failed(),
            "loss_of traced again (2nd time): an earlier attempt raised · 0.41 s · "
            "cell 12, line 7",
        ),
        (
            made.train_and_eval(),
            "forward traced again (2nd time): model.drop.deterministic: False → True · "
            "0.41 s · cell 12, line 9",
        ),
    ],
)
def test_one_line_for_what_ran_again(events: made.Events, line: str) -> None:
    (repeat,) = repeats(costs(advised(events))[0])
    assert str(repeat) == line


def test_unlike_changes_of_one_argument_are_folded() -> None:
    sizes = [made.of_arrays("shape", "x", "f32[3]", f"f32[{n}]") for n in (4, 9, 7)]
    sizes[1] = replace(sizes[1], note="grows with each call: 3, 4, 9")
    events = made.joined(*(made.built(start=i, reason=r) for i, r in enumerate(sizes)))
    (line, advice) = reasons(costs(advised(events))[0])
    assert line == (
        "train_step traced 3 more times: 4 lengths of x, 3 to 9 · 1.23 s in all · "
        "cell 12, line 7"
    )
    assert advice == "  → pad it to few sizes: each shape is a program of its own"


def test_a_hit_and_a_failure_are_told() -> None:
    reason = replace(made.PARTIAL, others=(), note="")
    trace, lower, compiled = made.built(reason=reason)
    hit = trace, lower, replace(compiled, cache="hit", saved=3.0)
    (line,) = reasons(costs(hit)[0])
    assert line.endswith("cell 12, line 7 · read from the persistent cache")
    broken = (replace(trace, failed=True),)
    (line,) = reasons(costs(broken)[0])
    assert line.endswith("cell 12, line 7 · ended with an error")
    assert compiles_table.headline(hit).endswith(
        "· 3.00 s saved by the persistent cache (1 of 1 found)"
    )


def test_many_differences_and_many_reasons_are_cut() -> None:
    many = replace(made.PARTIAL, others=tuple(f"b{i} 1 → 2" for i in range(9)))
    line, _ = reasons(costs(advised(made.built(reason=many)))[0])
    assert "b0 1 → 2, b1 1 → 2, b2 1 → 2 and 6 more ·" in line
    several = made.joined(
        *(made.built(start=i, reason=Reason("dtype", f"x{i}")) for i in range(6))
    )
    assert reasons(costs(several)[0])[-1] == ("  and 2 more reasons for train_step")


def test_many_functions_are_cut() -> None:
    many = made.joined(*(made.built(f"f{i}", i) for i in range(25)))
    assert "and 5 more functions, 2.05 s" in str(Compilations(many)).splitlines()


def test_warning_of_a_cell_that_compiles_often() -> None:
    events = advised(made.lambda_in_a_loop())
    (cost,) = often(events, 5)
    assert compiled_often_text.text(cost) == (
        "jaxdbg: this cell has compiled <lambda> 5 times (0.20 s): traced 4 more "
        "times: a new function object of the same code · 0.16 s in all · cell 12, line "
        "4\n"
        "  → make and jit the function once, outside the loop, and pass what changes "
        "as an argument · %compiles says more; %config Compiles.warn_after = 0 "
        "silences this"
    )
    assert often(events, 6) == []
    assert often(made.growing_loop(9), 5) == []  # not a function of the user's


# What is counted.


def test_phases_that_belong_together_are_one_build() -> None:
    found = builds(made.everything())
    assert [len(b.events) for b in found if b.function == "loss_of"] == [1, 3]
    assert [b.trace for b in found if b.function == "predict"] == [1, 0]
    assert [b.compilation for b in found if b.function == "predict"] == [1, 2]


def test_forward_and_backward_of_one_function_are_two_builds() -> None:
    lower, compiled = made.built("f", 0, (("lower", 0.1), ("compile", 0.2)), role="fwd")
    later = made.built("f", 1, (("lower", 0.1), ("compile", 0.2)), role="bwd")
    assert len(builds((lower, compiled, *later))) == 2


def test_threads_do_not_mix() -> None:
    found = builds(made.two_threads())
    assert [(b.function, len(b.events)) for b in found] == [
        ("train_step", 3),
        ("load", 3),
    ]


def test_nested_time_is_counted_once() -> None:
    events = made.nested()
    by_name = {c.function: c.total for c in costs(events)}
    assert by_name == pytest.approx({"outer": 1.0, "sin": 0.5})
    assert Compilations(events).seconds == pytest.approx(1.5)


def test_lost_time_holds_what_is_nested_and_holds_it_once() -> None:
    again = Reason("new function", avoidable=True)
    outer, *rest = (replace(e, reason=again) for e in made.nested())
    assert lost((outer, *rest)) == (2, pytest.approx(1.5))
    inner_right = [replace(e, reason=None) for e in rest]
    assert lost((outer, *inner_right)) == (1, pytest.approx(1.5))
    assert lost(made.nested()) == (0, 0)


def test_a_part_of_the_events_keeps_its_parents() -> None:
    events = (
        *made.built("first", -5),
        *(
            replace(e, parent=e.parent + 3 if e.parent >= 0 else -1)
            for e in made.nested()
        ),
    )
    kept = subset(events, lambda e: e.function != "first")
    assert [e.parent for e in kept] == [-1, 0, 0, 0, -1, -1]
    assert [e.parent for e in subset(kept, lambda e: not e.user)] == [-1, -1, -1]


# Advice.


def test_no_advice_where_the_compilation_was_right() -> None:
    assert "→" not in str(Compilations(advised(made.built())))
    said = str(Compilations(advised(made.train_and_eval())))
    assert "\n  →" not in said
    assert "none of it known to be avoidable" in said


def test_headline_names_what_ran_again_without_a_verdict() -> None:
    reason = made.of_arrays("shape", "x", "f32[8]", "f32[16]")
    again = made.built(start=1, reason=reason)
    assert compiles_table.headline(made.joined(made.built(), again)) == (
        "0.82 s tracing, lowering and compiling · "
        "0.41 s (50 %) of it compiling train_step again"
    )
    both = made.joined(made.built(), again, made.built("f", start=2, reason=reason))
    line = compiles_table.headline(both)
    assert line.endswith("0.82 s (67 %) of it compiling 2 functions again")


@pytest.mark.parametrize(
    ("reason", "avoidable", "advice"),
    [
        (
            made.of_arrays(
                "shape",
                "x",
                "f32[7,2]",
                "f32[8,2]",
                note="grows with each call: 7, 8",
            ),
            True,
            "give it its final size from the start and mask the rest, or pad it to few "
            "sizes (powers of two)",
        ),
        (
            made.of_arrays("shape", "x", "f32[7,2]", "f32[9,2]"),
            None,
            "pad it to few sizes: each shape is a program of its own",
        ),
        (
            made.of_arrays("dtype", 'batch["x"]', "bf16[8]", "f32[8]"),
            True,
            'make it an array of one dtype: jnp.asarray(batch["x"], jnp.bfloat16)',
        ),
        (
            made.of_arrays("weak type", "lr", "f32[]", "f32[], weakly typed"),
            True,
            "make it an array of one dtype: jnp.asarray(lr, jnp.float32)",
        ),
        (
            Reason("committed", "x", "not committed", "committed"),
            True,
            "place it before the first call too: jax.device_put(x, device)",
        ),
        (Reason("cell run again"), False, ""),
        (Reason("unknown"), None, ""),
        (Reason("a cause of a later version"), None, ""),
    ],
)
def test_advice_by_cause(reason: Reason, avoidable: bool | None, advice: str) -> None:
    told = judged(reason)
    assert (told.avoidable, told.advice) == (avoidable, advice)


def test_what_the_recorder_knows_stays() -> None:
    known = Reason("dtype", avoidable=False, advice="nothing to do")
    assert judged(known) == known


def test_many_sizes_are_no_partial_batches() -> None:
    sizes = [f"f32[{n},8]" for n in (179, 174, 170, 168)]
    reasons = [
        made.of_arrays(
            "partial batch", "x", a, b, note="possibly the last partial batch"
        )
        for a, b in itertools.pairwise(sizes)
    ]
    few = made.joined(*(made.built(start=i, reason=r) for i, r in enumerate(reasons)))
    told = {(e.reason.cause, e.reason.note) for e in advised(few) if e.reason}
    assert told == {("shape", "")}
    assert lost(advised(advised(few))) == (0, 0)
    assert lost(advised(few[:3])) == (1, pytest.approx(0.41))


def test_of_eager_ops_only_a_loop_is_avoidable() -> None:
    dtype = made.of_arrays(
        "dtype", "x", "f32[]", "i32[]", avoidable=True, advice="asarray"
    )
    (event, *_) = advised(made.eager("add", 0, reason=dtype))
    assert event.reason == replace(dtype, avoidable=None, advice="")


def test_braces_in_a_name_are_no_format() -> None:
    told = judged(made.of_arrays("dtype", "x['{0}']", "f32[2]", "i32[2]"))
    assert "jnp.asarray(x['{0}'], jnp.float32)" in told.advice


# HTML.


class Tags(html.parser.HTMLParser):
    """Collects what a browser would be given, and whether each tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_says_what_the_text_says() -> None:
    events = advised(made.everything())
    tags = Tags()
    tags.feed(compiles_html.html(Compilations(events)))
    assert tags.open == []
    assert set(tags.seen) <= {
        "div",
        "b",
        "table",
        "tr",
        "th",
        "td",
        "details",
        "summary",
    }
    for cost in costs(events):
        assert cost.function in tags.text
    for line in (
        n for c in compiles_table.listed(events, eager=False) for n in reasons(c)
    ):
        assert line.strip() in tags.text


def test_html_of_a_hostile_name_is_text() -> None:
    events = made.built("<script>alert(1)</script>", reason=Reason("dtype", "<b>"))
    assert "<script>" not in compiles_html.html(Compilations(events))
    assert "<b>" not in compiles_html.html(Compilations(events)).replace("<b>0", "")


def test_html_has_no_colour_of_its_own() -> None:
    text = compiles_html.html(Compilations(made.everything()))
    assert "#" not in text
    assert "<script" not in text
    assert "rgb" not in text


# The value.


def test_compilations_round_trip() -> None:
    every = Compilations(made.everything(), "in a test")
    assert Compilations.from_json(every.to_json()) == every


def test_compilations_of_a_saved_report() -> None:
    report = Report(compilations=made.partial_batch(), cell=12)
    read = Compilations.from_json(report.to_json())
    assert (read.events, read.what) == (advised(made.partial_batch()), "in cell 12")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ('{"jaxdbg_compilations": 3, "events": []}', "the text has format 3"),
        ('{"other": 1}', "the text names no format"),
        ("[1, 2]", "the text names no format"),
    ],
)
def test_what_is_no_compilations_is_refused(text: str, has: str) -> None:
    with pytest.raises(ValueError) as error:
        Compilations.from_json(text)
    assert str(error.value) == (
        f"Not compilations that jaxdbg has saved in format 1 to 2: {has}. Expected "
        "what Compilations.to_json() or Report.to_json() wrote; a newer format needs "
        "a newer jaxdbg."
    )


def test_of_a_function_and_of_a_cell() -> None:
    every = Compilations(made.everything(), "since %load_ext jaxdbg")
    assert {e.function for e in every.of(cell=8).events} == {"outer", "sin"}
    assert every.of("train_step", 3).what == "of train_step in cell 3"
    assert len(every.of("train_step", 3)) == 6
    assert every.of().what == "since %load_ext jaxdbg"


def test_it_shows_itself() -> None:
    every = Compilations(advised(made.partial_batch()), "in cell 12")
    assert str(every) == every.text() == PARTIAL
    assert every._repr_html_() == compiles_html.html(every)


def test_pandas() -> None:
    import pandas

    frame = Compilations(advised(made.everything())).to_pandas()
    assert len(frame) == len(made.everything())
    assert frame["self_time"].sum() == pytest.approx(6.393, abs=0.01)
    row = frame[frame["cause"] == "partial batch"].iloc[0]
    told = row["function"], row["cell"], row["line"], row["before"], row["avoidable"]
    assert told == ("train_step", 3, 7, "f32[32,8,8]", True)
    assert isinstance(row["start"], pandas.Timestamp)
    assert list(Compilations().to_pandas().columns) == list(frame.columns)


@pytest.mark.parametrize(
    ("library", "use", "says"),
    [
        (
            "pandas",
            Compilations.to_pandas,
            "to_pandas() needs pandas: `pip install pandas`",
        ),
        ("matplotlib", Compilations.figure, "figure() needs matplotlib: `pip install"),
    ],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    use: Callable[[Compilations], Any],
    says: str,
) -> None:
    plain = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(f"No module named {library!r}")
        return plain(name, *args, **kwargs)

    ours = [m for m in sys.modules if m.startswith("jaxdbg.views.fig")]
    for module in ours:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as error:
        use(Compilations(made.built()))
    assert str(error.value).startswith(says)


# Differences.


def test_difference_of_a_mended_run() -> None:
    before = Report(compilations=made.partial_batch())
    after = Report(compilations=made.built("train_step", cell=14))
    assert (
        str(after.diff(before))
        == """\
1.31 s → 0.41 s tracing, lowering and compiling · 0.41 s → 0 s avoidable
  train_step: traces 2 → 1 · compiles 2 → 1 · 1.31 s → 0.41 s
    - train_step traced again (2nd time): batch["x"] f32[32,8,8] → f32[17,8,8], \
batch["y"] i32[32] → i32[17] · 0.41 s · cell 12, line 7 · possibly the last partial \
batch"""
    )


def test_difference_of_what_is_new_and_gone() -> None:
    before = Compilations(made.joined(made.built("old"), made.built("kept")))
    new = made.joined(made.built("kept"), made.growing_loop(), made.built("new"))
    assert str(Compilations(advised(new)).diff(before)).splitlines() == [
        "0.82 s → 0.91 s tracing, lowering and compiling · 0 s → 70 ms avoidable",
        "- old: traces 1 → 0 · compiles 1 → 0 · 0.41 s → 0 s",
        "+ new: traces 0 → 1 · compiles 0 → 1 · 0 s → 0.41 s",
        "+ eager ops and library functions: traces 0 → 9 · compiles 0 → 9 · 0 s → 90 "
        "ms",
        "    + concatenate traced 7 more times: operand 1 f32[1] → f32[2] → … → f32[8] "
        "· 70 ms in all · cell 12, line 7",
    ]


def test_no_difference() -> None:
    slower = tuple(replace(e, duration=9, self_time=9) for e in made.partial_batch())
    said = str(Compilations(slower).diff(Compilations(made.partial_batch())))
    assert said.endswith("\n  the same functions, as often, for the same reasons")


def test_difference_to_something_else() -> None:
    with pytest.raises(TypeError) as error:
        Compilations().diff("run.json")  # type: ignore[arg-type]
    assert str(error.value) == (
        "diff() compares with Compilations or a Report, not with str. A saved one: "
        "Compilations.from_json(Path(...).read_text())."
    )


# The trace for Perfetto; tests/lab opens it in Perfetto itself.


def test_slices_nest_and_hold_what_is_known(tmp_path: Path) -> None:
    events = advised(made.everything())
    Compilations(events).to_perfetto(tmp_path / "all.trace")
    trace = json.loads((tmp_path / "all.trace").read_text())["traceEvents"]
    slices = [e for e in trace if e["ph"] == "X" and e["cat"] != "cell"]
    assert len(slices) == len(events)
    told = next(s for s in slices if s["args"].get("cause") == "partial batch")
    assert told["name"] == "trace train_step"
    assert told["args"] | {"advice": ""} == {
        "event": 3,
        "function": "train_step",
        "defined": "<ipython-input>:3",
        "from": "cell 3, line 7",
        "self time": "0.100000 s",
        "cause": "partial batch",
        "changed": 'batch["x"]',
        "before": "f32[32,8,8]",
        "after": "f32[17,8,8]",
        "also": 'batch["y"] i32[32] → i32[17]',
        "note": "possibly the last partial batch",
        "avoidable": "yes",
        "advice": "",
    }
    names = [e["args"]["name"] for e in trace if e["name"] == "thread_name"]
    assert names == ["MainThread", "loader", "cells"]
    tracks = {s["tid"] for s in trace if s["ph"] == "X"}
    assert all(
        nested([s for s in trace if s["ph"] == "X" and s["tid"] == t]) for t in tracks
    )


def nested(slices: list[dict[str, Any]]) -> bool:
    """Whether no slice ends after the one around it has ended."""
    ends: list[float] = []
    for s in sorted(slices, key=lambda s: (s["ts"], -s["dur"])):
        begin, end = round(s["ts"] * 1000), round((s["ts"] + s["dur"]) * 1000)
        while ends and ends[-1] <= begin:
            ends.pop()
        if ends and end > ends[-1]:
            return False
        ends.append(end)
    return True


def test_calls_that_overlap_are_cut_so_that_a_track_can_hold_them() -> None:
    times = CallTimes(("f",), (0, 0), (1, 2), (0.0, 0.5), (2.0, 1.0))
    trace = perfetto.trace((), Report(began=made.T0, call_times=times))
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert [(s["name"], s["ts"], s["dur"]) for s in slices] == [
        ("f call 1", 0, 500_000),
        ("f call 2", 500_000, 1_000_000),
    ]


def test_an_empty_trace_is_one() -> None:
    trace = perfetto.trace(())
    assert [e["name"] for e in trace["traceEvents"]] == ["process_name"]


# The figure.


def lanes(figure: Any) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_timeline_has_a_lane_for_each_function() -> None:
    figure = Compilations(advised(made.everything())).figure()
    expected = ["train_step", "forward", "<lambda>", "big_step", "outer", "loss_of"]
    assert lanes(figure) == [*expected, "load", "predict", "eager ops, libraries"]
    bars = [p for p in figure.axes[0].patches if p.get_width() > 0]
    assert len(bars) == len(made.everything())
    said = {t.get_text().strip() for t in figure.axes[0].texts}
    assert {"cell 3", "29 s"} <= said
    signs = [t.get_text() for t in figure.legends[0].get_texts()]
    assert signs == [
        *("trace", "lower", "compile"),
        *("from the persistent cache", "avoidable", "failed"),
    ]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_timeline_leaves_pauses_out() -> None:
    from jaxdbg.views.figures.timeline import Clock

    first, then = made.built("f", 0), made.built("f", 3600)
    clock = Clock(made.joined(first, then))
    assert clock.length == pytest.approx(0.82 * 1.03)
    assert clock(made.T0 + 0.2) == pytest.approx(0.2)
    assert clock(made.T0 + 3600 + 0.2) == pytest.approx(0.41 + 0.82 * 0.03 + 0.2)
    assert clock(made.T0 + 1000) == pytest.approx(0.41)


def test_timeline_of_many_functions_and_of_nothing() -> None:
    many = made.joined(*(made.built(f"f{i}", i) for i in range(20)))
    assert lanes(Compilations(many).figure())[-1] == "6 more functions"
    assert lanes(Compilations().figure()) == []
    assert lanes(Report().figure()) == []


def test_events_are_plain() -> None:
    assert all(
        isinstance(e, CompileEvent)
        for e in Report.from_json(
            Report(compilations=made.everything()).to_json()
        ).compilations
    )


# One verdict for an argument.


def of_lengths(*lengths: int, seconds: float = 1.0) -> made.Events:
    """A function that is compiled for an argument of these lengths."""
    phases = (("trace", seconds),)
    first, *_ = lengths
    again = [
        made.built("learn", i, phases, reason=_of_length(first, n))
        for i, n in enumerate(lengths[1:], 1)
    ]
    return made.joined(made.built("learn", 0, phases), *again)


def _of_length(before: int, after: int) -> Reason:
    cause = "partial batch" if after < before else "shape"
    return made.of_arrays(cause, "obs", f"f32[4,{before}]", f"f32[4,{after}]")


def test_many_lengths_are_one_row_that_the_headline_adds_up_to() -> None:
    every = Compilations(advised(of_lengths(16, 3, 5, 30, 7, 31, 15, 14, 29)))
    headline, *_, row, advice = str(every).splitlines()
    assert headline == (
        "9.00 s tracing, lowering and compiling · 8.00 s (89 %) of it compiling learn "
        "again for 9 lengths of obs"
    )
    assert row == (
        "learn traced 8 more times: 9 lengths of obs, 3 to 31 · 8.00 s in all · "
        "cell 12, line 7"
    )
    assert advice == (
        "  → pad it to a few lengths and mask the rest: 3 fit (7, 16, 31), with 7 % "
        "padding if each length is as frequent"
    )
    assert Compilations(advised(every.events)) == every


def test_a_few_lengths_have_one_row_and_no_advice() -> None:
    every = Compilations(advised(of_lengths(16, 8, 32)))
    assert lost(every.events) == (0, 0)
    (line,) = reasons(costs(every.events)[0])
    assert line.startswith("learn traced 2 more times: obs f32[4,16] → f32[4,32]")


def test_what_grows_with_each_call_has_one_verdict() -> None:
    events = of_lengths(1, 2, 3, 4, 5, 6)
    last = replace(events[-1].reason, note="grows with each call: 3, 4, 5, 6")
    grows = advised((*events[:-1], replace(events[-1], reason=last)))
    assert lost(grows) == (5, pytest.approx(5.0))
    ragged = advised((*grows, *of_lengths(6, 2)[1:]))
    assert lost(ragged) == (0, 0)


@pytest.mark.parametrize(
    "lengths", [(1, 2, 3, 50, 51), (3, 9, 10, 11, 40, 41), tuple(range(1, 9))]
)
def test_buckets_are_the_best(lengths: tuple[int, ...]) -> None:
    found = buckets(lengths)
    assert found is not None
    n = len(found.lengths)
    best = min(
        sum(min(b for b in chosen if b >= x) for x in lengths)
        for some in itertools.combinations(lengths[:-1], n - 1)
        for chosen in [(*some, lengths[-1])]
    )
    assert found.padding == pytest.approx(1 - sum(lengths) / best)
    assert buckets(lengths[:4]) is None


# The report says why.


def test_the_quiet_line_says_why_and_the_next_what_to_do() -> None:
    counts = {"f0": 1, "f1": 1, "f2": 1, "f3": 1, "learn": 9}
    learn = advised(of_lengths(16, 3, 5, 30, 7, 31, 15, 14, 29))
    report = Report(calls=9, traces=counts, compiles=counts, compilations=learn)
    assert str(report).splitlines() == [
        "✓ 9 calls checked · learn traced and compiled 9 times (9 lengths of obs, 3 to "
        "31), f0 traced and compiled once, f1 traced and compiled once, f2 traced and "
        "compiled once, 1 more function · 0 s compiling · 0 s checking",
        "  → learn: pad it to a few lengths and mask the rest: 3 fit (7, 16, 31), with "
        "7 % padding if each length is as frequent",
    ]


def test_the_quiet_line_says_why_where_nothing_is_to_be_done() -> None:
    twice = {"forward": 2}
    events = advised(made.train_and_eval())
    report = Report(calls=9, traces=twice, compiles=twice, compilations=events)
    assert str(report) == (
        "✓ 9 calls checked · forward traced and compiled twice "
        "(model.drop.deterministic: False → True) · 0 s compiling · 0 s checking"
    )


def test_exports_have_the_title_of_control_flow() -> None:
    scan = tuple(replace(e, bodies=("body",)) for e in made.built("scan"))
    names = [e["name"] for e in perfetto.trace(scan)["traceEvents"] if e["ph"] == "X"]
    assert "compile scan of body" in names
    table = Compilations(scan).to_pandas()
    assert list(table["title"]) == ["scan of body"] * 3
