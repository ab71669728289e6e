"""Where the test modules of a package are."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("chex", "optax", "distrax", "haiku", "jraph")
"""The packages whose wheels hold their tests, by the name they are imported by."""


@dataclass(frozen=True)
class Module:
    """A test module, and the folder that names in it are counted from."""

    suite: str
    root: Path
    file: Path

    @property
    def name(self) -> str:
        """The file, from the folder."""
        return self.file.relative_to(self.root).as_posix()


def is_installed(package: str) -> bool:
    """Whether the package can be imported here."""
    return importlib.util.find_spec(package) is not None


def of_package(package: str) -> list[Module]:
    """The test modules in an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed here")
    folder = Path(spec.origin).parent
    return [Module(package, folder.parent, file) for file in _tests(folder)]


def of_path(path: Path) -> list[Module]:
    """The test modules below a folder of a checkout, or one file of it."""
    path = path.resolve()
    root = path if path.is_dir() else path.parent
    files = _tests(path) if path.is_dir() else [path]
    return [Module(root.parent.name, root, file) for file in files]


def _tests(folder: Path) -> Iterator[Path]:
    found = {*folder.rglob("*_test.py"), *folder.rglob("test_*.py")}
    return iter(sorted(found))
