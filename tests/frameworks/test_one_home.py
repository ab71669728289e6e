"""What is known of a library of models is known in `jaxdbg/frameworks` only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "jaxdbg"

LIBRARIES = re.compile("flax|nnx|linen|equinox|eqx")

NNX, LINEN, EQUINOX = "frameworks/nnx/", "frameworks/linen.py", "frameworks/equinox.py"
HOMES = {
    "flax": (NNX, LINEN),
    "nnx": (NNX,),
    "linen": (LINEN,),
    "equinox": (EQUINOX,),
    "eqx": (EQUINOX,),
}

ADVICE = {
    "records/retrace_causes.py": "what to write, in words",
    "doctor.py": "the versions of packages that are installed",
    "frameworks/loaded.py": "the table of those that are known",
    "jax_internals/requirements.py": "what the doctor says is lost",
}
"""Files that may name a library, and why."""


def test_a_library_is_named_in_its_home_only() -> None:
    assert [*strays(PACKAGE)] == []


def test_a_stray_name_is_found(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "import flax.nnx as f")
    write(tmp_path, "b.py", "x = sys.modules.get('flax.nnx')")
    write(tmp_path, "c.py", "def is_nnx(x):\n    return x.nnx_state")
    write(tmp_path, "d.py", "def f(eqx_module=None): ...")
    write(tmp_path, "e.py", "from a import b as linen_reader")
    write(tmp_path, "frameworks/nnx/home.py", "import flax")
    write(tmp_path, "frameworks/linen.py", "import equinox")
    write(tmp_path, "prose.py", '"""As `nnx.jit` does."""\nx = f_lineno  # flax')
    write(tmp_path, "text.py", 'x = f"use {y} in nnx.jit"')
    write(tmp_path, "records/retrace_causes.py", "FIX = 'nnx.Variable'")
    assert [*strays(tmp_path)] == [
        "a.py:1",
        "b.py:1",
        "c.py:1",
        "c.py:2",
        "d.py:1",
        "e.py:1",
        "frameworks/linen.py:1",
        "text.py:1",
    ]


def strays(package: Path) -> Iterator[str]:
    """Where a library is named by the code of a file that is not its home."""
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name not in ADVICE and path.name not in ADVICE:
            lines = {line for line, text in texts(path) if is_stray(text, name)}
            yield from (f"{name}:{line}" for line in sorted(lines))


def is_stray(text: str, file: str) -> bool:
    named = LIBRARIES.findall(text.replace("lineno", "").replace("line_no", ""))
    return any(not file.startswith(HOMES[library]) for library in named)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The names and strings of a module, with their lines; no docstrings."""
    tree = ast.parse(path.read_text())
    prose = {id(node) for node in ast.walk(tree) if is_statement_of_text(node)}
    parents = {id(c): p for p in ast.walk(tree) for c in ast.iter_child_nodes(p)}
    for node in ast.walk(tree):
        if id(parents.get(id(node))) not in prose:
            line = getattr(node, "lineno", 0)
            yield from ((line, text) for text in named_by(node))


def is_statement_of_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def named_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.keyword(arg=str(name)):
            yield name
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield f"{name} {other}"
        case ast.ImportFrom(module=str(name)):
            yield name


def write(package: Path, name: str, source: str) -> None:
    path = package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
