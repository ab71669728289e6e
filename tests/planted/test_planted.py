"""A bug that is planted in a library's source is found at its line."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jaxdbg
from tests.planted import runs, sites
from tests.planted.models import MODELS

LIBRARY = """\
import jax.numpy as jnp


def normalise(x):
    centred = x - x.mean()
    return centred * 2
"""


@pytest.fixture
def library(tmp_path):
    file = tmp_path / "library.py"
    file.write_text(LIBRARY)
    spec = importlib.util.spec_from_file_location("planted_library", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("planted_library", None)


def test_a_bug_has_the_line_that_it_is_planted_in(library, tmp_path):
    file, x = Path(library.__file__), jnp.array([1.0, 2.0])

    def step():
        return jax.jit(lambda x: library.normalise(x))(x)

    found = sites.reached([file], step)
    assert [s.text for s in found if s.line == 6] == ["centred", "centred * 2"]
    copy = tmp_path / "planted" / "library.py"
    with (
        pytest.raises(jaxdbg.NonFiniteError) as raised,
        sites.planted(found[-1], "jnp.log(centred)", copy),
        jaxdbg.checked(namespace={}),
    ):
        step()
    source = raised.value.finding.origin.source
    assert (source.file, source.line) == (str(copy), 6)
    assert "log(centred)" in source.code
    assert bool(jnp.isfinite(step()).all())


SAMPLE = [
    "jraph_network",
    "distrax_flow",
    "optax_losses",
    "equinox_recurrent",
    "linen_attention",
]
"""One model of each library, but haiku, whose take longest."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of libraries that are older than this JAX
@pytest.mark.parametrize(
    "model", [m for m in MODELS if m.name in SAMPLE], ids=lambda model: model.name
)
def test_bugs_in_a_model_are_found_at_their_lines(model, tmp_path):
    if not model.is_installed:
        pytest.skip(f"{model.library} is not installed")
    planted = runs.choices(model, runs.reached(model), n=2, seed=1)
    scores = [runs.score(bug, tmp_path) for bug in planted]
    lines = {s.line for s in scores if s.non_finite}
    assert lines == {"right"}
