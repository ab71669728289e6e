"""What the panel receives: reports and trees, as the JSON that `contract.ts` types.

Leaves go column by column, packed where there are many: of 100,000 leaves the panel
gets a few megabytes, and no Python object for each number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from jaxdbg.records import (
    CallTimes,
    Compilations,
    Finding,
    LeafPicture,
    LeafStats,
    Reached,
    Report,
    TreeHistory,
    TreeStats,
    tree_name,
)
from jaxdbg.records.serial import plain
from jaxdbg.views.panel.columns import column
from jaxdbg.views.panel.stories import stories_data
from jaxdbg.views.panel.timeline import name_of, timeline_data

FORMAT = 1
"""Version of the contract; the panel refuses another."""

_NUMBERS = (
    "nbytes",
    "size",
    "nan",
    "posinf",
    "neginf",
    "zeros",
    "subnormals",
    "smallest",
    "largest",
    "mean",
    "std",
    "headroom",
    "detailed",
)
_TEXTS = ("group", "kind", "dtype", "sharding")
_ATTRIBUTES = ("path", "shape", "first_bad", "also", *_TEXTS, *_NUMBERS)

Json = dict[str, Any]


def panel_data(
    report: Report | None = None,
    trees: Iterable[TreeStats] = (),
    title: str = "",
    compilations: Compilations | None = None,
) -> Json:
    """All that a panel shows.

    Arguments:
        report: of a region; its histories join the trees of the same name and leaves.
        trees: statistics of trees, in the order they are shown.
        title: what the panel is about; by default the cell of the report.
        compilations: those to show without a region.
    """
    events = report.compilations if report else ()
    what = ""
    if compilations is not None:
        events, what = compilations.events, compilations.what
    trees = tuple(trees)
    known = _trees_data(trees, report.histories if report else ())
    shown = {path for tree in known for path in (*tree["paths"], *tree["also"])}
    results = [_tree(tree, None, known=False) for tree in _results(report, shown)]
    return {
        "jaxdbg_panel": FORMAT,
        "title": title or (name_of(report) if report else ""),
        "report": report and _report_data(report),
        "stories": stories_data(report, trees) if report else [],
        "trees": known + results,
        "timeline": timeline_data(report, events, what),
        "outputs": _outputs_data(report) if report else [],
    }


def _report_data(report: Report) -> Json:
    """A report without its histories and outputs, which go with the trees.

    Its compilations and calls go with the timeline, and origins with the stories.
    """
    findings = tuple(
        replace(f, origin=None, outputs=(), pictures=(), detail="")
        for f in report.findings
    )
    short = replace(report, histories=(), compilations=(), findings=findings)
    data: Json = plain(replace(short, call_times=CallTimes()))
    del data["histories"], data["compilations"], data["call_times"]
    for finding in data["findings"]:
        del finding["outputs"], finding["pictures"], finding["detail"]
        del finding["origin"], finding["message"]
    return data


def _outputs_data(report: Report) -> list[Json]:
    """The results of failing calls, each as a tree of its bad leaves."""
    outputs = ((i, f, _outputs(f)) for i, f in enumerate(report.findings))
    return [
        {
            "finding": i,
            "leaves": _tree(TreeStats(finding.function, leaves), None),
            "pictures": [_picture(picture) for picture in finding.pictures],
        }
        for i, finding, leaves in outputs
        if leaves
    ]


def _outputs(finding: Finding) -> tuple[LeafStats, ...]:
    """The bad leaves; of those not measured, what the origin says of them."""
    measured = {leaf.path for leaf in finding.outputs}
    reached = finding.origin.reached if finding.origin else ()
    return finding.outputs + tuple(
        _counted(leaf) for leaf in reached if leaf.path not in measured
    )


def _counted(leaf: Reached) -> LeafStats:
    is_nan = "nan" in leaf.kinds
    return LeafStats(
        leaf.path,
        size=leaf.size,
        nan=leaf.bad if is_nan else 0,
        posinf=0 if is_nan else leaf.bad,
        first_bad=leaf.first,
        detailed=False,
    )


def _picture(picture: LeafPicture) -> Json:
    data: Json = plain(replace(picture, largest=()))
    return {**data, "largest": column(picture.largest)}


def _trees_data(
    trees: Iterable[TreeStats], histories: Sequence[TreeHistory] = ()
) -> list[Json]:
    """The trees, each with its history; a history without a tree is one of its own."""
    left = list(histories)
    found = []
    for tree in trees:
        paths = {leaf.path: i for i, leaf in enumerate(tree.leaves)}
        fitting = [
            h for h in left if h.name == tree.name and paths.keys() >= {*h.paths}
        ]
        history = _spread(fitting[0], paths) if fitting else None
        left = [h for h in left if h not in fitting[:1]]
        found.append(_tree(tree, history))
    return found + [_tree(_unknown(h), h, known=False) for h in left]


def _spread(history: TreeHistory, paths: Mapping[str, int]) -> TreeHistory:
    """A history, which is of the leaves that hold floats, over all leaves of a tree."""
    places = [paths[path] for path in history.paths]

    def spread(call: Sequence[Any], nothing: Any) -> tuple[Any, ...]:
        row = [nothing] * len(paths)
        for place, value in zip(places, call, strict=True):
            row[place] = value
        return tuple(row)

    return replace(
        history,
        paths=tuple(paths),
        largest=tuple(spread(call, None) for call in history.largest),
        bad=tuple(spread(call, 0) for call in history.bad),
        nan=tuple(spread(call, 0) for call in history.nan),
        first_bad=places[history.first_bad] if history.first_bad >= 0 else -1,
    )


def tree_names(report: Report) -> list[str]:
    """The trees that a report is about: those it has watched, then those gone bad."""
    names = [history.name for history in report.histories]
    names += [tree_name(path) for path in _bad_paths(report)]
    return list(dict.fromkeys(names))


def _results(report: Report | None, shown: Collection[str]) -> list[TreeStats]:
    """The bad leaves that the findings name and that no tree holds: loss, gradients."""
    found: dict[str, dict[str, LeafStats]] = {}
    for path in _bad_paths(report) if report else ():
        if path not in shown:
            leaf = LeafStats(path, group="", kind="", detailed=False)
            found.setdefault(tree_name(path), {})[path] = leaf
    return [TreeStats(name, tuple(leaves.values())) for name, leaves in found.items()]


def _bad_paths(report: Report) -> list[str]:
    reached = [
        leaf.path
        for finding in report.findings
        if finding.origin
        for leaf in finding.origin.reached
    ]
    return [path for finding in report.findings for path in finding.paths] + reached


def _unknown(history: TreeHistory) -> TreeStats:
    leaf = LeafStats("", group="", kind="", detailed=False)
    leaves = tuple(replace(leaf, path=path) for path in history.paths)
    return TreeStats(history.name, leaves)


def _tree(tree: TreeStats, history: TreeHistory | None, known: bool = True) -> Json:
    leaves = tree.leaves
    columns = _columns(leaves)
    shapes = {shape: "×".join(map(str, shape)) for shape in {*columns["shape"]}}
    return {
        "name": tree.name,
        "seconds": tree.seconds,
        "call": tree.call,
        "paths": list(columns["path"]),
        "known": known,
        "also": {path: i for i, paths in enumerate(columns["also"]) for path in paths},
        **{name: _coded(columns[name]) for name in _TEXTS},
        "shape": _coded([shapes[shape] for shape in columns["shape"]]),
        **{name: column(columns[name]) for name in _NUMBERS},
        "first_bad": {
            str(i): list(index)
            for i, index in enumerate(columns["first_bad"])
            if index is not None
        },
        "history": history and _history(history),
    }


def _columns(leaves: Sequence[LeafStats]) -> dict[str, Sequence[Any]]:
    """The attributes of leaves that the panel gets, column by column."""
    rows = map(attrgetter(*_ATTRIBUTES), leaves)
    columns = [*zip(*rows, strict=True)] or [()] * len(_ATTRIBUTES)
    return dict(zip(_ATTRIBUTES, columns, strict=True))


def _history(history: TreeHistory) -> Json:
    return {
        "calls": list(history.calls),
        "functions": list(history.functions),
        "largest": [column(call) for call in history.largest],
        "bad": [column(call) for call in history.bad],
        "nan": [column(call) for call in history.nan],
        "first_bad": history.first_bad,
        "first_bad_call": history.first_bad_call,
    }


def _coded(texts: Sequence[str]) -> Json:
    table = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return {"table": list(table), "index": column([table[text] for text in texts])}
