"""Reports and trees as a real run gives them, made by hand, for the tests of the panel.

`python -m tests.programs.panel` writes them to fixtures/, beside this file, where the
tests in TypeScript read them; tests/views/panel/test_data.py holds them fresh.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxdbg.records import (
    CallTimes,
    Compilations,
    CompileEvent,
    Finding,
    LeafPicture,
    LeafStats,
    Operand,
    Origin,
    Passed,
    Reached,
    Reason,
    Report,
    SourceFrame,
    TreeHistory,
    TreeStats,
    Turn,
)
from jaxdbg.views.panel.data import panel_data

FIXTURES = Path(__file__).parent / "fixtures"

BEGAN = 1_790_000_000.0

LAYERS = ("conv1", "conv2", "head")
SHAPES = {
    "model.conv1.kernel": (3, 3, 1, 16),
    "model.conv1.bias": (16,),
    "model.conv2.kernel": (3, 3, 16, 32),
    "model.conv2.bias": (32,),
    "model.head.kernel": (512, 10),
    "model.head.bias": (10,),
}


def leaf(path: str, group: str = "params", nan: int = 0, **more: Any) -> LeafStats:
    shape = SHAPES[path.replace("opt.mu", "model")]
    size = math.prod(shape)
    return LeafStats(
        path,
        group=group,
        shape=shape,
        dtype="float32",
        nbytes=4 * size,
        size=size,
        nan=nan,
        zeros=size // 7,
        smallest=3.1e-4,
        largest=1.25,
        mean=0.0125,
        std=0.21,
        headroom=127.7,
        first_bad=(0,) * len(shape) if nan else None,
        **more,
    )


MODEL = TreeStats("model", tuple(leaf(path) for path in SHAPES), seconds=0.002)

OPTIMIZER = TreeStats(
    "opt",
    (
        LeafStats("opt.step", "optimizer", "int", (), "uint32", 4, "", 1),
        *(leaf(p.replace("model", "opt.mu"), "optimizer") for p in SHAPES),
    ),
)

KEPT = (1, 50, 100, 150, 180, 190, 191, 192)

HISTORY = TreeHistory(
    "model",
    tuple(SHAPES),
    calls=KEPT,
    functions=("train_step",) * len(KEPT),
    largest=tuple(
        tuple(
            None if call == 192 and i == 0 else 0.2 + 0.01 * i + call / 200
            for i in range(len(SHAPES))
        )
        for call in KEPT
    ),
    bad=tuple(
        tuple({0: 144, 1: 16, 4: 10}.get(i, 0) * (call == 192) for i in range(6))
        for call in KEPT
    ),
    nan=tuple(
        tuple({0: 144, 1: 16, 4: 10}.get(i, 0) * (call == 192) for i in range(6))
        for call in KEPT
    ),
    first_bad=0,
    first_bad_call=192,
)

LINE = SourceFrame(
    file="<ipython-input-5>",
    line=13,
    function="Net.normalise",
    code="        return (x - mean) / (std + self.eps)",
    cell=5,
    column=15,
    end_line=13,
    end_column=44,
)

CALL = SourceFrame(
    file="<ipython-input-8>",
    line=5,
    function="<module>",
    code="    loss = train_step(model, opt, x, y)",
    cell=8,
    column=11,
    end_line=5,
    end_column=39,
)

ORIGIN = Origin(
    verdict="born",
    kind="nan",
    primitive="div",
    expression="(x - mean) / (std + self.eps)",
    source=LINE,
    module="model",
    direction="forward",
    operands=(
        Operand(
            name="x - mean",
            role="numerator",
            shape=(64, 8, 8, 1),
            dtype="float32",
            low=-0.91,
            high=0.88,
            size=4096,
            zeros=64,
            element=(17, 0, 0, 0),
            value="0.0",
        ),
        Operand(
            name="std + self.eps",
            role="denominator",
            shape=(64, 1, 1, 1),
            dtype="float32",
            low=0.0,
            high=0.44,
            size=64,
            zeros=1,
            element=(17, 0, 0, 0),
            value="0.0",
        ),
    ),
    element=(17, 0, 0, 0),
    steps=(
        Turn(
            "nan", "dot_general", CALL, "model.head", "forward", text="NaN in the sum"
        ),
    ),
    reached=(
        Reached("model.conv1.kernel", 144, 144, ("nan",)),
        Reached("model.conv1.bias", 16, 16, ("nan",)),
        Reached("model.head.kernel", 10, 5120, ("nan",), (17, 0)),
        Reached("train_step(...)[0]", 1, 1, ("nan",), ()),
    ),
    rows=(("x", 17),),
    rows_note="row 17 alone",
    passed=(Passed("x", "X[idx]"),),
    cause="division by a standard deviation of 0",
    advice="Add a small number to the denominator: std + 1e-6.",
    notes=("found by evaluating the call again, operation by operation",),
)

PICTURE = LeafPicture(
    "model.head.kernel",
    shape=(512, 10),
    axes=(0, 1),
    step=(8, 1),
    rows=64,
    columns=10,
    worst="".join("2" * 10 if row == 2 else "0" * 10 for row in range(64)),
    largest=tuple(
        None if row == 5 else 0.01 * (1 + row) for row in range(64) for _ in range(10)
    ),
)

OUTPUTS = (
    leaf("model.conv1.kernel", "results", nan=144),
    leaf("model.conv1.bias", "results", nan=16),
    replace(leaf("model.head.kernel", "results", nan=10), first_bad=(17, 0)),
    LeafStats(
        "train_step(...)[0]",
        "results",
        "float",
        (),
        "float32",
        4,
        "",
        1,
        1,
        first_bad=(),
    ),
)

NAN = Finding(
    kind="nan",
    function="train_step",
    call=192,
    path="model.conv1.kernel",
    paths=tuple(output.path for output in OUTPUTS),
    index=(0, 0, 0, 0),
    shape=(3, 3, 1, 16),
    dtype="float32",
    nan=144,
    size=144,
    location="cell 5, line 13",
    message="NaN in model.conv1.kernel, 144 of 144 elements, after call 192 of "
    "train_step.\n\nBorn in cell 5, line 13: (x - mean) / (std + self.eps)",
    origin=ORIGIN,
    time=BEGAN + 3.4,
    outputs=OUTPUTS,
    pictures=(PICTURE,),
    allow="# jaxdbg: allow nan",
    allow_at="cell 5, line 13",
)

BUDGET = Finding(
    kind="traces",
    function="accuracy",
    call=3,
    message="accuracy was traced 3 times in this cell; the budget is 2.\n\n"
    "x: float32[64,8,8,1] → float32[5,8,8,1]",
    time=BEGAN + 2.9,
)


def _compiled(
    function: str, start: float, seconds: float, **more: Any
) -> tuple[CompileEvent, ...]:
    spans = (("trace", 0.0, 0.3), ("lower", 0.3, 0.1), ("compile", 0.4, 0.6))
    return tuple(
        CompileEvent(
            function,
            phase,
            BEGAN + start + seconds * from_,
            seconds * share,
            seconds * share,
            "MainThread",
            source=CALL,
            defined="cell 6:4",
            cell=8,
            **more,
        )
        for phase, from_, share in spans
    )


AGAIN = Reason(
    cause="shape",
    where="x",
    before="float32[64,8,8,1]",
    after="float32[5,8,8,1]",
    others=("y: int32[64] → int32[5]",),
    avoidable=True,
    advice="Leave the last, partial batch out, or fill it up to 64 rows.",
)

COMPILATIONS = (
    *_compiled("train_step", 0.1, 1.4, signature={"x": "float32[64,8,8,1]"}),
    *_compiled("broadcast_in_dim", 1.6, 0.05, user=False),
    *_compiled("accuracy", 1.8, 0.35, signature={"x": "float32[64,8,8,1]"}),
    *_compiled("accuracy", 2.4, 0.3, signature={"x": "float32[5,8,8,1]"}, reason=AGAIN),
)

REPORT = Report(
    calls=195,
    eager_ops=12,
    calls_by_function={"train_step": 192, "accuracy": 3},
    traces={"train_step": 1, "accuracy": 2},
    compiles={"train_step": 1, "accuracy": 2},
    retraces=("accuracy: x: float32[64,8,8,1] → float32[5,8,8,1]",),
    library_compiles=1,
    findings=(BUDGET, NAN),
    placed=("attend: mask",),
    notices=("one call could not be looked at",),
    seconds=3.5,
    compile_seconds=2.1,
    check_seconds=0.83,
    origin_seconds=0.75,
    cell=8,
    options="--record",
    compilations=COMPILATIONS,
    histories=(HISTORY,),
    began=BEGAN,
    call_times=CallTimes(
        functions=("train_step", "accuracy"),
        which=(0, 0, 1, 0),
        numbers=(1, 2, 1, 192),
        starts=(0.1, 1.6, 1.9, 3.3),
        seconds=(1.5, 0.004, 0.8, 0.0045),
    ),
)

EVERY = Compilations(
    (*COMPILATIONS, replace(COMPILATIONS[0], start=BEGAN + 7200, cell=9)),
    "since jaxdbg was loaded",
)
"""Two cells, hours apart."""

CLEAN = Report(calls=3, seconds=0.2, cell=4, began=BEGAN)


def many(leaves: int, bad: int) -> TreeStats:
    """A deep model of so many leaves, of which one holds a NaN."""
    each = ("kernel", "bias")
    found = []
    for i in range(leaves):
        block, rest = divmod(i // 2, 8)
        path = f"model.blocks[{block}].mlp.layers[{rest}].{each[i % 2]}"
        size = 256 if i % 2 == 0 else 16
        found.append(
            LeafStats(
                path,
                "params",
                shape=(16, 16) if i % 2 == 0 else (16,),
                dtype="float32",
                nbytes=4 * size,
                size=size,
                nan=int(i == bad),
                largest=10 ** math.sin(i / 37),
                headroom=127 - 3 * math.sin(i / 37),
                first_bad=(3,) if i == bad else None,
            )
        )
    return TreeStats("model", tuple(found))


def all_fixtures() -> dict[str, str]:
    """What lies in tests/programs/fixtures, by file name."""
    panels = {
        "failed": panel_data(REPORT, (MODEL, OPTIMIZER)),
        "clean": panel_data(CLEAN),
        "compilations": panel_data(None, (), "compilations", EVERY),
        "tree": panel_data(None, (many(600, 417),), "model"),
    }
    texts = {f"{name}.json": _pretty(data) for name, data in panels.items()}
    return {"report.json": REPORT.to_json() + "\n", **texts}


def _pretty(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


if __name__ == "__main__":
    for name, text in all_fixtures().items():
        (FIXTURES / name).write_text(text)
