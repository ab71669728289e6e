"""How the project is built: who imports whom, what `import jaxdbg` costs, what ships.

A check that cannot fail is worth nothing, so the checks are functions of a source
tree, and each is shown a tree that breaks it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import jaxdbg

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jaxdbg"

HEAVY = ("IPython", "ipywidgets", "anywidget", "matplotlib", "jax", "numpy", "flax")
"""What `import jaxdbg` does not load."""

LIGHT = ("records", "errors", "options", "views")
"""The parts of the package that do without JAX: enough to show a saved report."""

OPTIONAL = {
    "jaxdbg.views.figures": "matplotlib",
    "jaxdbg.views.exports.dataframe": "pandas",
}
"""The views that need a library, and which."""

LAYERS = (
    ("records",),
    ("errors",),
    ("options",),
    ("views", "jax_internals"),
    ("frameworks",),
    ("trees", "compiles"),
    ("origins",),
    ("checks",),
    ("notebook", "command", "testing"),
    ("__main__",),
)
"""The folders and files of the package, from low to high; see ARCHITECTURE.md."""

DOOR = "jaxdbg.records.shown"
"""The one module that may look up: from a record to the view that shows it."""


# Imports go one way. All are read: those inside functions and for type checkers too.


def test_imports_go_down() -> None:
    assert upward(imports(PACKAGE, lazy=True)) == []


def test_an_import_that_goes_up_is_found(tmp_path: Path) -> None:
    for folder in ("records", "views", "jax_internals", "checks"):
        (tmp_path / folder).mkdir()
    write(tmp_path, __init__="", records="", errors="", stray="")
    write(tmp_path / "records", a="def f():\n    from jaxdbg.views import b")
    write(tmp_path / "records", shown="import importlib\nimportlib.import_module(NAME)")
    write(tmp_path / "views", b="from jaxdbg.records import a")
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
    write(tmp_path / "jax_internals", c=f"{lazy}from jaxdbg.views.b import x")
    write(tmp_path / "checks", d="import jaxdbg\nfrom jaxdbg.jax_internals import c")
    assert upward(imports(tmp_path, lazy=True)) == [
        ("jaxdbg.checks.d", "jaxdbg"),
        ("jaxdbg.jax_internals.c", "jaxdbg.views.b"),
        ("jaxdbg.records.a", "jaxdbg.views.b"),
    ]


def test_each_part_of_the_package_has_its_layer() -> None:
    parts = {first_of(name.removeprefix("jaxdbg.")) for name in imports(PACKAGE)}
    assert parts - {"jaxdbg"} == {part for layer in LAYERS for part in layer}


def test_the_root_of_the_package_is_small() -> None:
    entries = [p for p in PACKAGE.iterdir() if not p.name.startswith("__")]
    assert len(entries) <= 14


def test_imports_have_no_cycle() -> None:
    assert cycle(imports(PACKAGE, lazy=True)) is None


def test_a_cycle_is_found(tmp_path: Path) -> None:
    write(tmp_path, a="from jaxdbg import b", b="import jaxdbg.c", c="from . import a")
    assert cycle(imports(tmp_path)) == ["jaxdbg.a", "jaxdbg.b", "jaxdbg.c", "jaxdbg.a"]


def test_a_cycle_for_type_checkers_is_one(tmp_path: Path) -> None:
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jaxdbg.b"
    write(tmp_path, a=lazy, b="def f():\n    import jaxdbg.a")
    assert cycle(imports(tmp_path, lazy=True)) == ["jaxdbg.a", "jaxdbg.b", "jaxdbg.a"]


def test_imports_between_folders_have_no_cycle() -> None:
    """A folder may import its subfolders, or they may import it, but not both."""
    graph = folders(imports(PACKAGE, lazy=True))
    assert cycle(graph) is None


@pytest.mark.parametrize(
    ("below", "found"),
    [
        ("from jaxdbg import errors", None),
        (
            "def f():\n    from jaxdbg.checks import c",
            ["jaxdbg.checks", "jaxdbg.checks.watch", "jaxdbg.checks"],
        ),
    ],
)
def test_a_cycle_between_folders_is_found(
    tmp_path: Path, below: str, found: list[str] | None
) -> None:
    watch = tmp_path / "checks" / "watch"
    watch.mkdir(parents=True)
    write(tmp_path, __init__="", errors="")
    write(tmp_path / "checks", __init__="", a="from jaxdbg.checks.watch import b", c="")
    write(watch, __init__="", b=below)
    assert cycle(imports(tmp_path, lazy=True)) is None  # between files there is none
    assert cycle(folders(imports(tmp_path, lazy=True))) == found


@pytest.mark.parametrize(
    ("library", "room"),
    [
        ("IPython", "jaxdbg.notebook"),
        ("jax._src", "jaxdbg.jax_internals."),
        ("chex._src", "jaxdbg.jax_internals."),
        ("anywidget", "jaxdbg.notebook.widget"),
        ("matplotlib", "jaxdbg.views.figures"),
    ],
)
def test_library_stays_in_its_room(library: str, room: str) -> None:
    assert strays(PACKAGE, library, room) == []


def test_a_stray_import_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="from IPython.core import magic",
        b="def f():\n    import IPython",
        c="import importlib\nimportlib.import_module('IPython.core')",
        notebook="import IPython",
        d="import IPython_genutils",
    )
    found = strays(tmp_path, "IPython", "jaxdbg.notebook")
    assert found == ["jaxdbg.a", "jaxdbg.b", "jaxdbg.c"]


def test_views_and_records_do_without_jax() -> None:
    assert libraries(PACKAGE) == []


def test_a_library_in_a_view_is_found(tmp_path: Path) -> None:
    for folder in ("records", "views", "views/figures"):
        (tmp_path / folder).mkdir()
    write(tmp_path, options="import json", region="import jax")
    write(tmp_path / "records", a="def f():\n    import numpy")
    write(tmp_path / "views/figures", b="import matplotlib.style, jax")
    assert libraries(tmp_path) == [
        ("jaxdbg.records.a", "numpy"),
        ("jaxdbg.views.figures.b", "jax"),
    ]


# `import jaxdbg` is light.


def test_import_is_light() -> None:
    assert loaded_by("import jaxdbg") == []


def test_public_names_do_not_need_ipython() -> None:
    use = "import jaxdbg\nwith jaxdbg.checked(): pass\njaxdbg.last_report()"
    loaded = loaded_by(use)
    assert "jax" in loaded
    assert not {"IPython", "ipywidgets", "anywidget", "matplotlib"} & set(loaded)


def test_a_heavy_import_is_found() -> None:
    assert loaded_by("import jaxdbg, numpy") == ["numpy"]


def test_every_public_name_is_there() -> None:
    public = [name for name in dir(jaxdbg) if not name.startswith("_")]
    assert {"checked", "last_report", "Report", "Finding"} <= set(public)
    assert all(getattr(jaxdbg, name) is not None for name in public)


# What is in the repository, and what ships.


def test_nothing_points_at_a_home() -> None:
    assert homes(tracked()) == []


def test_a_home_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("see /" + "home/me/notes\n")
    assert homes([path]) == [f"{path}:1"]


def test_notebooks_have_no_outputs() -> None:
    notebooks = [path for path in tracked() if path.suffix == ".ipynb"]
    assert notebooks
    for path in notebooks:
        # As committed: whoever looks at the tour in JupyterLab may have saved it.
        committed = json.loads(git("show", f":{path.relative_to(ROOT)}"))
        code = [c for c in committed["cells"] if c["cell_type"] == "code"]
        assert not any(c["outputs"] or c["execution_count"] for c in code), path


def test_links_of_the_texts_lead_somewhere() -> None:
    texts = [path for path in tracked() if path.suffix == ".md"]
    links = {
        (path.parent / link).resolve()
        for path in texts
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text())
    }
    assert links
    assert [link for link in links if not link.exists()] == []


def test_architecture_draws_the_layers() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (`[^|]*`) \|", section(text, "Layers"), re.MULTILINE)
    assert [tuple(re.findall(r"`(\w+)`", row)) for row in rows] == [*LAYERS[::-1]]


def test_architecture_names_what_is_there() -> None:
    assert not_there((ROOT / "ARCHITECTURE.md").read_text()) == []


def test_a_name_of_nothing_is_found() -> None:
    text = (
        "`records/` `records/report.py` `js/src/` `print(x)` `nowhere/` `records/a.py`"
    )
    assert not_there(text) == ["nowhere/", "records/a.py"]


def test_contributing_says_what_a_test_holds() -> None:
    rules = re.split(r"^- ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    assert len(rules) > 5
    # Where the links lead, the test of links looks.
    assert [rule for rule in rules[1:] if "](" not in rule] == []


def test_version_is_written_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", jaxdbg.__version__)
    assert f"## {jaxdbg.__version__}" in (ROOT / "CHANGELOG.md").read_text()


# The checks.


@cache
def imports(package: Path, lazy: bool = False) -> dict[str, set[str]]:
    """For each module the modules it imports when it is loaded; or ever, if `lazy`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        module = module_name(package, path)
        home = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found[module] = {
            name
            for node in nodes(ast.parse(path.read_text()), lazy)
            for name in imported(node, home)
        }
    return {module: known(names, found) for module, names in found.items()}


def module_name(package: Path, path: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(["jaxdbg", *parts]).removesuffix(".__init__")


def nodes(tree: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    """The nodes below a tree; of functions and type-checker blocks only if `lazy`."""
    for node in ast.iter_child_nodes(tree):
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if lazy or not (later or for_type_checkers(node)):
            yield node
            yield from nodes(node, lazy)


def for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported(node: ast.AST, home: str) -> list[str]:
    """The modules that one statement or `import_module("...")` may load."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            package = home.rsplit(".", level - 1)[0] if level else ""
            base = ".".join(filter(None, [package, module]))
            return [base, *(f"{base}.{alias.name}" for alias in names)]
        case ast.Call(func=func, args=[ast.Constant(value=str(name))]):
            return [name] if ast.unparse(func).endswith("import_module") else []
    return []


def known(names: set[str], modules: dict[str, set[str]]) -> set[str]:
    """Without the attributes of our modules, which look like modules above.

    And without the package of what is imported from it: `from jaxdbg import errors`
    needs `jaxdbg.errors`, and what the package's `__init__` offers is not asked for.
    """
    ours = {n for n in names if first_of(n) != "jaxdbg" or n in modules}
    packages = {n.rpartition(".")[0] for n in ours if n in modules}
    attributes = {n.rpartition(".")[0] for n in names if n not in modules}
    return {n for n in ours if n not in packages or n in attributes}


def upward(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The imports of our modules that do not go down, from one layer to a lower one."""
    rank = {part: i for i, layer in enumerate(LAYERS) for part in layer}

    def layer(module: str) -> tuple[str, int]:
        part = first_of(module.removeprefix("jaxdbg."))
        return part, rank.get(part, len(LAYERS))

    return [
        (module, name)
        for module, names in sorted(graph.items())
        for name in sorted(names)
        if first_of(name) == "jaxdbg" and module not in ("jaxdbg", DOOR)
        if layer(name)[0] != layer(module)[0] and layer(name)[1] >= layer(module)[1]
    ]


def folders(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports between folders, and the files beside them in the root."""
    packages = {m.rpartition(".")[0] for m in graph} - {"jaxdbg", ""}

    def folder(module: str) -> str:
        above = module.rpartition(".")[0]
        return module if module in packages or above == "jaxdbg" else above

    found: dict[str, set[str]] = {}
    for module, names in graph.items():
        if module != "jaxdbg":
            ours = {folder(n) for n in names if n in graph}
            found.setdefault(folder(module), set()).update(ours - {folder(module)})
    return found


def libraries(package: Path) -> list[tuple[str, str]]:
    """What modules of `LIGHT` import beside Python's own, and may not."""
    return [
        (module, library)
        for module, names in imports(package, lazy=True).items()
        if first_of(module.removeprefix("jaxdbg.")) in LIGHT
        for library in sorted({first_of(name) for name in names})
        if library != "jaxdbg" and library not in sys.stdlib_module_names
        if not any(module.startswith(m) and library == n for m, n in OPTIONAL.items())
    ]


def first_of(name: str) -> str:
    return name.partition(".")[0]


def cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """Some cycle in the graph of modules, or None."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str] | None:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done or module not in graph:
            return None
        for name in sorted(graph[module]):
            if found := walk(name, [*path, module]):
                return found
        done.add(module)
        return None

    return next(filter(None, (walk(module, []) for module in sorted(graph))), None)


def strays(package: Path, library: str, room: str) -> list[str]:
    """The modules outside a room that import a library."""
    return [
        module
        for module, names in imports(package, lazy=True).items()
        if any(f"{name}.".startswith(f"{library}.") for name in names)
        and not module.startswith(room)
    ]


def write(package: Path, **modules: str) -> None:
    for name, source in modules.items():
        (package / f"{name}.py").write_text(source)


def loaded_by(code: str) -> list[str]:
    """Which heavy libraries a fresh Python has loaded after some code."""
    say = f"\nimport sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + say],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    )
    return done.stdout.split()


def tracked() -> list[Path]:
    """The files of the repository."""
    return [ROOT / name for name in git("ls-files", "-z").split("\0") if name]


def git(*args: str) -> str:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), *args]
    done = subprocess.run(command, check=True, text=True, capture_output=True)
    return done.stdout


def section(text: str, title: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def not_there(text: str) -> list[str]:
    """The files and folders that a text names, and that are not in the repository."""
    names = re.findall(r"`([\w/]+/|[\w/]+\.(?:py|json|ts))`", text)
    return [n for n in names if not ((PACKAGE / n).exists() or (ROOT / n).exists())]


def homes(paths: list[Path]) -> list[str]:
    """Lines that name a place on somebody's machine."""
    place = re.compile(r"(?<![\w.])/(home|Users|work|root|opt|mnt)/\w")
    return [
        f"{path}:{number}"
        for path in paths
        if path.is_file() and path.suffix != ".png"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if place.search(line)
    ]
