"""The user's function is told where a library's transform stands around it."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen, nnx

import jaxdbg
from jaxdbg.jax_internals.functions import is_user_file
from jaxdbg.records import source
from jaxdbg.records.source import path_in_packages


def loss(model: Any, x: Any) -> jax.Array:
    return jnp.log(model(x) ** 2).sum()


def _model() -> nnx.Linear:
    return nnx.Linear(3, 1, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("transform", [nnx.grad, nnx.value_and_grad])
def test_a_gradient_of_nnx_is_told_by_its_loss(transform: Any) -> None:
    step = nnx.jit(transform(loss))

    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        step(_model(), jnp.zeros((2, 3)))

    assert "loss (call 1 in this region)" in str(caught.value)
    assert "grad_wrapper" not in str(caught.value)


def test_the_traces_of_a_gradient_of_nnx_are_counted() -> None:
    step, model = nnx.jit(nnx.value_and_grad(loss)), _model()

    with jaxdbg.checked(max_traces=1):
        step(model, jnp.ones((2, 3)))
        with pytest.raises(jaxdbg.TraceBudgetError, match="loss"):
            step(model, jnp.ones((4, 3)))


def test_what_another_library_made_is_no_eager_op() -> None:
    net, x = linen.Dense(2), jnp.ones((1, 3))
    params = jax.tree.map(lambda p: p / 0.0, net.init(jax.random.key(0), x))

    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        jax.jit(net.apply)(params, x)

    assert "eager op" not in str(caught.value)


def test_a_gradient_of_nnx_carries_its_budget() -> None:
    step, model = jaxdbg.max_traces(nnx.jit(nnx.value_and_grad(loss)), 1), _model()
    step(model, jnp.ones((2, 3)))
    with pytest.raises(jaxdbg.TraceBudgetError, match="loss"):
        step(model, jnp.ones((4, 3)))


def test_what_the_user_has_jitted_of_a_library_is_theirs() -> None:
    net = linen.Dense(2)
    params = net.init(jax.random.key(0), jnp.ones((4, 3)))
    opt = optax.adam(1e-3)
    state = opt.init(params)
    apply, update = jax.jit(net.apply), jax.jit(opt.update)
    norm = nnx.jit(optax.tree.norm)
    with jaxdbg.checked(record=True) as region:
        for n in (4, 4, 3):
            apply(params, jnp.ones((n, 3)))
        jax.jit(lambda p, s: update(p, s, p))(params, state)
        norm(params)
    counts = {
        "Dense.apply": 2,
        "update_fn": 1,
        "<lambda>": 1,
        optax.tree.norm.__name__: 1,
    }
    assert region.report.traces == counts
    assert region.report.calls_by_function["Dense.apply"] == 3
    assert region.report.compiles["Dense.apply"] == 2
    assert region.report.retraces == ("Dense.apply: args[0] f32[4,3] → f32[3,3]",)
    with pytest.raises(jaxdbg.TraceBudgetError) as caught, jaxdbg.checked(max_traces=1):
        for n in (5, 6):
            apply(params, jnp.ones((n, 3)))
    assert "Dense.apply is being traced for the 2nd time" in str(caught.value)


def test_two_nets_and_two_optimizers_have_a_budget_each() -> None:
    x = jnp.ones((1, 3))
    with jaxdbg.checked(max_traces=1) as region:
        for net in (linen.Dense(2), linen.Dense(5)):
            params = net.init(jax.random.key(0), x)
            jax.jit(net.apply)(params, x)
            opt = optax.sgd(1e-3)
            jax.jit(opt.update)(params, opt.init(params))
    assert region.report.traces == {"Dense.apply": 2, "update_fn": 2}
    assert region.report.retraces == ()


def test_a_function_of_a_library_carries_its_budget() -> None:
    net, x = linen.Dense(2), jnp.ones((1, 3))
    params = net.init(jax.random.key(0), x)
    apply = jaxdbg.max_traces(jax.jit(net.apply), 1)
    apply(params, x)
    with pytest.raises(jaxdbg.TraceBudgetError, match=r"Dense\.apply is being"):
        apply(params, jnp.ones((2, 3)))


LIBRARY = """
import jax

@jax.jit
def decorated(x):
    return x + 1

class Model:
    @jax.jit
    def method(x):
        return x + 1

def plain(x):
    return x + 1

inside = jax.jit(plain)

def jits_inside(x):
    return inside(x)
"""


def test_what_a_library_has_jitted_is_the_librarys(tmp_path, monkeypatch) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "a_library_that_jits.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(packages))
    library = importlib.import_module("a_library_that_jits")
    with jaxdbg.checked(max_traces=1) as region:
        for n in (3, 4):
            library.decorated(jnp.ones(n))
            library.Model.method(jnp.ones(n))
            library.jits_inside(jnp.ones(n))
        assert region.report.calls_by_function == {}
        jax.jit(library.plain)(jnp.ones(9))
    assert region.report.traces == {"plain": 1}
    monkeypatch.delitem(sys.modules, "a_library_that_jits")


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("/usr/local/lib/python3.11/dist-packages/flax/core.py", "flax/core.py"),
        ("/usr/lib/python3/dist-packages/scipy/linalg.py", "scipy/linalg.py"),
        ("/srv/me/.venv/lib/python3.13/site-packages/optax/a.py", "optax/a.py"),
        (r"C:\venv\Lib\site-packages\optax\a.py", r"optax\a.py"),
        (os.path.join(sysconfig.get_path("purelib"), "optax", "a.py"), "optax/a.py"),
        ("/srv/me/my-site-packages-tool/train.py", ""),
        ("<ipython-input-3>", ""),
    ],
)
def test_a_file_of_an_installed_library_is_not_the_users(file: str, path: str) -> None:
    assert path_in_packages(file) == path
    assert is_user_file(file) is not bool(path)
    assert is_user_file(f"{file}:12") is not bool(path)


def test_a_folder_for_libraries_of_another_name(monkeypatch) -> None:
    packages = source._package_folders
    packages.cache_clear()
    path_in_packages.cache_clear()
    monkeypatch.setattr(source.sysconfig, "get_path", lambda _: "/srv/python/libs")
    assert path_in_packages("/srv/python/libs/optax/a.py") == "optax/a.py"
    assert path_in_packages("/srv/python/libs2/optax/a.py") == ""
    packages.cache_clear()
    path_in_packages.cache_clear()
