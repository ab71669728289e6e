"""Private names of other packages are reached by `private(...)` alone.

Each rule is a function of a source tree, and is shown a tree that breaks it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import jaxdbg

PACKAGE = Path(jaxdbg.__file__).parent

INTERNALS = "jax_internals"

READERS = {
    "f_locals": ("frame_variables.py",),
    "__closure__": ("closures.py",),
    "cell_contents": (
        "closures.py",
        "chex/traced_values.py",
        "chex/tree_assertions.py",
    ),
}
"""Which files of `jax_internals` read the frames and cells of others."""

PUBLIC = {"_getframe", "_replace", "_fields", "_asdict", "_make", "_repr_mimebundle_"}
"""Names with an underscore that Python and IPython document."""

ACCESSES = ("getattr", "hasattr", "setattr", "delattr", "getattr_static")
"""Functions that take the name of an attribute as their second argument."""


def test_no_private_module_is_named_elsewhere() -> None:
    assert private_modules(PACKAGE) == []


def test_a_private_module_that_is_named_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": '"""Not in jax._src: a docstring."""\nfrom jax._src import core',
            "b.py": "def f(m):\n    return m == 'jax._src.pjit'",
            "c.py": "import chex._src.asserts_internal as internal",
            "jax_internals/d.py": "_A = private('jax._src.core.Literal', 'search')\n"
            "def _b(n):\n    return private(f'jax._src.{n}', 'search')\n"
            "_C = _b('jax._src.x')",
            "jax_internals/e.py": "import os\nos.path.join('jax', '_src')",
            "frameworks/f.py": "private('flax._src.x', 'search')",
        },
    )
    assert private_modules(tmp_path) == [
        "a.py:2",
        "b.py:2",
        "c.py:1",
        "jax_internals/e.py:2",
    ]


def test_frames_and_cells_are_read_in_few_files() -> None:
    assert frames_read(PACKAGE) == []


def test_a_frame_that_is_read_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "def f(frame):\n    return frame.f_locals",
            "b.py": "def f(g):\n    return [c.cell_contents for c in g.__closure__]",
            "c.py": "def f(g):\n    return getattr(g, 'f_locals')",
            "jax_internals/frame_variables.py": "def f(g):\n    return g.f_locals",
            "jax_internals/names.py": "def f(frame):\n    return frame.f_locals",
        },
    )
    assert frames_read(tmp_path) == [
        "a.py:2: f_locals",
        "b.py:2: __closure__",
        "b.py:2: cell_contents",
        "c.py:2: f_locals",
        "jax_internals/names.py:2: f_locals",
    ]


def test_no_private_attribute_of_another_package_is_used() -> None:
    assert foreign_attributes(PACKAGE) == []


def test_a_private_attribute_of_another_package_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "class A:\n    _own = 1\n    def f(self, b: 'A'):\n"
            "        self._set = 1\n        return b._own + b._set",
            "b.py": "def f(compiled):\n    return compiled._executable",
            "c.py": "def f(shell):\n    return getattr(shell, '_filename_map', {})",
            "d.py": "def f(state):\n    return vars(state)['_mapping']",
            "e.py": "import sys\ndef f(pair):\n    return pair._replace(x=1)",
        },
    )
    assert foreign_attributes(tmp_path) == [
        "b.py:2: _executable",
        "c.py:2: _filename_map",
        "d.py:2: _mapping",
    ]


def test_modules_are_imported_by_name_in_one_file() -> None:
    found = {
        str(path.relative_to(PACKAGE / INTERNALS))
        for path, tree in trees(PACKAGE / INTERNALS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and "import_module" in (getattr(node, "attr", ""), getattr(node, "id", ""))
    }
    assert found == {"requirements.py"}


# -- the rules -----------------------------------------------------------------------


def private_modules(package: Path) -> list[str]:
    """Where a module that is private is imported, or named outside of a declaration."""
    found = []
    for path, tree in trees(package):
        declared = declarations(tree) if may_declare(path, package) else set()
        docstrings = set(docstrings_of(tree))
        for node in ast.walk(tree):
            if names_a_private_module(node) and node not in declared | docstrings:
                found.append(f"{path.relative_to(package)}:{node.lineno}")
    return found


def names_a_private_module(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any("_src" in name.name.split(".") for name in names)
        case ast.ImportFrom(module=str(module)):
            return "_src" in module.split(".")
        case ast.Constant(value=str(text)):
            return "_src" in text.split(".")
    return False


def may_declare(path: Path, package: Path) -> bool:
    return path.relative_to(package).parts[0] in (INTERNALS, "frameworks")


def declarations(tree: ast.Module) -> set[ast.AST]:
    """What stands in calls of `private`, or of a function here that calls it."""
    helpers = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and calls(node, {"private"})
    }
    inside = calls(tree, {"private", *helpers})
    return {node for call in inside for node in ast.walk(call)}


def calls(tree: ast.AST, names: set[str]) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in names
    ]


def docstrings_of(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def frames_read(package: Path) -> list[str]:
    """Where the variables of a frame, or the cells of a function, are read."""
    return [
        f"{path.relative_to(package)}:{line}: {name}"
        for path, tree in trees(package)
        for line, name in sorted(set(attributes(tree)))
        if name in READERS
        and path not in [package / INTERNALS / file for file in READERS[name]]
    ]


def foreign_attributes(package: Path) -> list[str]:
    """Where an attribute with an underscore is used that nothing in a tree defines."""
    every = list(trees(package))
    own = {name for _, tree in every for name in defined(tree)} | PUBLIC
    return [
        f"{path.relative_to(package)}:{line}: {name}"
        for path, tree in every
        for line, name in sorted(set(attributes(tree)))
        if name.startswith("_") and not name.startswith("__") and name not in own
    ]


def attributes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The attributes that are read or set, by line: with a dot, or by name."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.Call(func=function, args=[_, ast.Constant(value=str(name)), *_]):
                if getattr(function, "id", getattr(function, "attr", "")) in ACCESSES:
                    yield node.lineno, name
            case ast.Subscript(
                value=ast.Call(func=ast.Name(id="vars")),
                slice=ast.Constant(value=str(name)),
            ):
                yield node.lineno, name


def defined(tree: ast.Module) -> Iterator[str]:
    """The names that code defines: functions, classes, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                yield from (str(e.value) for e in constants(value))


def constants(tree: ast.AST) -> Iterator[ast.Constant]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Constant))


def trees(package: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(package.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
