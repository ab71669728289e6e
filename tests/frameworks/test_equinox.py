"""What a user of Equinox sees: paths of modules, leaves and results."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdbg
from jaxdbg.trees.names import Names

X = np.ones((2, 4), np.float32)


class Block(eqx.Module):
    lin: eqx.nn.Linear
    act: Any
    name: str = eqx.field(static=True)

    def __init__(self, key):
        self.lin = eqx.nn.Linear(4, 4, key=key)
        self.act = jax.nn.relu
        self.name = "block"

    def __call__(self, x):
        return self.act(self.lin(x))


class Net(eqx.Module):
    layers: list

    def __init__(self):
        self.layers = [Block(key) for key in jax.random.split(jax.random.key(0), 2)]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return jnp.log(x - 10)


def loss(model, x):
    return jax.vmap(model)(x).mean()


@pytest.fixture
def model():
    return Net()


def failure(call: Any, *args: Any) -> jaxdbg.NonFiniteError:
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        call(*args)
    return caught.value


def with_nan(model: Net) -> Net:
    weight = model.layers[1].lin.weight.at[2, 3].set(jnp.nan)
    return eqx.tree_at(lambda m: m.layers[1].lin.weight, model, weight)


def test_a_weight_is_called_as_one_types_it(model):
    names = Names({"model": model})
    weight = model.layers[1].lin.weight
    assert names.of(weight) == "model.layers[1].lin.weight"


def test_the_leaves_of_a_model_are_its_arrays(model):
    leaves = jaxdbg.finite_map(model).stats.leaves
    steps = [".lin.weight", ".lin.bias"]
    paths = [f"model.layers[{i}]{step}" for i in range(2) for step in steps]
    assert [leaf.path for leaf in leaves] == paths
    assert {leaf.group for leaf in leaves} == {"params"}


def test_the_state_of_an_optimizer_is_not_of_the_model(model):
    opt_state = optax.adam(1e-3).init(eqx.filter(model, eqx.is_array))
    leaves = jaxdbg.finite_map(opt_state).stats.leaves
    assert leaves[1].path == "opt_state[0].mu.layers[0].lin.weight"
    assert {leaf.group for leaf in leaves} == {"optimizer"}


def test_gradients_are_gradients(model):
    grads = eqx.filter_grad(lambda m, x: m.layers[0](x).sum())(model, X[0])
    leaves = jaxdbg.finite_map(grads).stats.leaves
    assert {leaf.group for leaf in leaves} == {"gradients"}


@pytest.mark.parametrize("jit", [jax.jit, eqx.filter_jit], ids=["jax", "equinox"])
def test_a_bad_weight_is_found_by_its_path(model, jit):
    model = with_nan(model)
    arrays, static = eqx.partition(model, eqx.is_array)
    if jit is jax.jit:
        call, given = jit(lambda m, x: eqx.combine(m, static).layers[1](x)), arrays
    else:
        call, given = jit(lambda m, x: m.layers[1](x)), model
    error = failure(call, given, X[0])
    assert "layers[1].lin.weight[2, 3]" in str(error)
    del arrays


def test_results_of_filter_jit_are_those_of_the_function(model):
    @eqx.filter_jit
    def step(model, x):
        return {"loss": jnp.log(x).mean()}, model

    error = failure(step, model, -X)
    assert error.finding.path == 'step(...)[0]["loss"]'
    error = failure(eqx.filter_jit(loss), model, X)
    assert error.finding.path == "loss(...)"


class Outer(eqx.Module):
    inner: Net

    def __call__(self, x):
        return self.inner(x)


@pytest.mark.parametrize("jit", [jax.jit, eqx.filter_jit], ids=["jax", "equinox"])
def test_the_module_in_which_a_value_was_born(jit):
    outer, static = eqx.partition(Outer(Net()), eqx.is_array)
    error = failure(jit(lambda m, x: loss(eqx.combine(m, static), x)), outer, X)
    assert error.finding.origin is not None
    assert error.finding.origin.module == "outer.inner"


def test_the_module_in_a_gradient_step(model):
    step = eqx.filter_jit(eqx.filter_value_and_grad(loss))
    error = failure(step, model, X)
    assert error.finding.origin is not None
    assert error.finding.origin.module == "model"


def test_a_class_is_as_it_was_after_a_search(model):
    plain = dict(vars(Net))
    failure(eqx.filter_jit(loss), model, X)
    assert dict(vars(Net)) == plain
    assert set(vars(model)) == {"layers"}


def test_a_budget_counts_what_filter_jit_traces():
    double = eqx.filter_jit(lambda x: x * 2)
    with pytest.raises(jaxdbg.TraceBudgetError), jaxdbg.checked(max_traces=1):
        for n in (1, 2):
            double(np.ones(n, np.float32))
