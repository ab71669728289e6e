"""Each question of the protocol, put to NNX and to Equinox alike."""

from __future__ import annotations

import subprocess
import sys
from types import FunctionType
from typing import Any

import equinox as eqx
import flax.core
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdbg.frameworks import loaded, readers
from jaxdbg.frameworks.equinox import FRAMEWORK as EQUINOX
from jaxdbg.frameworks.framework import Framework
from jaxdbg.frameworks.linen import FRAMEWORK as LINEN
from jaxdbg.frameworks.nnx.framework import FRAMEWORK as NNX
from jaxdbg.frameworks.reader_parts import VariableReader


class NnxNet(nnx.Module):
    def __init__(self):
        self.layers = nnx.List([nnx.Linear(2, 3, rngs=nnx.Rngs(0))])
        self.width = 3

    def __call__(self, x):
        return self.layers[0](x)


class EqxNet(eqx.Module):
    layers: list
    width: int = eqx.field(static=True)

    def __init__(self):
        self.layers = [eqx.nn.Linear(2, 3, key=jax.random.key(0))]
        self.width = 3

    def __call__(self, x):
        return jax.vmap(self.layers[0])(x)


ALL = [NNX, LINEN, EQUINOX]


def steps(framework: Framework, value: Any) -> list[str]:
    reader = framework.reader(type(value))
    assert reader is not None
    return [step for step, _ in reader(value)]


def test_those_that_are_loaded_are_asked():
    # Another test may have loaded Haiku.
    assert loaded()[:3] == [NNX, LINEN, EQUINOX]


def test_none_is_loaded_by_us():
    use = "import jaxdbg, sys\nwith jaxdbg.checked(): import jax; jax.jit(abs)(1.0)"
    say = "print({'flax', 'equinox'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{use}\n{say}"],
        check=True,
        text=True,
        capture_output=True,
    )
    assert done.stdout.strip() == "set()"


def test_a_library_that_says_nothing_is_as_if_it_were_not_there():
    silent = Framework()
    cls = type(NnxNet())
    assert not silent.is_module(cls)
    assert not silent.is_updated_in_place(cls)
    assert silent.reader(cls) is None
    assert not silent.is_view(cls)
    assert silent.group(cls) == ""
    assert silent.with_item({}, "a", 1) is None
    assert silent.wrapped(print) is None
    assert silent.kind_of(print) == ""
    assert not silent.is_machinery("a.py")
    assert silent.call_codes() == frozenset()
    assert silent.called({}) is None
    assert not silent.hides_traces(print)
    assert silent.call_arguments({}) is None
    assert silent.running_call({}, None) is None
    assert silent.call_paths(["x"], ["result"]) is None
    assert silent.scopes(lambda value: None, lambda name: None, True) is None


# Its values.


@pytest.mark.parametrize(
    ("framework", "net"), [(NNX, NnxNet()), (EQUINOX, EqxNet())], ids=["nnx", "equinox"]
)
def test_its_modules_are_known(framework, net):
    assert framework.is_module(type(net))
    assert framework.is_module(type(net.layers[0]))
    assert readers.is_module(net)
    assert not framework.is_module(type(net.layers))
    assert not framework.is_module(dict)
    assert [f for f in ALL if f.is_module(type(net))] == [framework]


def test_a_module_that_is_made_anew_is_not_updated_in_place():
    assert NNX.is_updated_in_place(NnxNet)
    assert NNX.is_updated_in_place(nnx.Optimizer)
    assert NNX.is_updated_in_place(nnx.List)
    assert not EQUINOX.is_updated_in_place(EqxNet)


def test_a_wrapper_of_a_function_is_no_module_of_the_user():
    assert EQUINOX.is_machinery_class(type(eqx.filter_jit(say_code)))
    assert EQUINOX.is_machinery_class(eqx.Partial)
    assert not EQUINOX.is_module(eqx.Partial)
    assert not EQUINOX.is_machinery_class(eqx.nn.Linear)
    assert not EQUINOX.is_machinery_class(EqxNet)
    assert NNX.is_machinery_class(nnx.Sequential)
    assert not NNX.is_machinery_class(NnxNet)


def test_its_children_have_steps_as_typed():
    state = nnx.state(NnxNet())
    assert steps(NNX, state) == [".layers[0].bias", ".layers[0].kernel"]
    assert steps(NNX, NnxNet().layers) == ["[0]"]
    assert steps(EQUINOX, EqxNet()) == [".layers"]
    assert steps(EQUINOX, EqxNet().layers[0]) == [".weight", ".bias"]
    frozen = flax.core.FrozenDict({"params": {"w": 1}})
    assert steps(LINEN, frozen) == ['["params"]']


def test_the_state_of_stateful_layers_has_steps_too():
    make = eqx.nn.make_with_state(eqx.nn.BatchNorm)
    _, state = make(4, axis_name="batch", mode="batch")
    (first, *_) = steps(EQUINOX, state)
    assert eval(f"state{first}") is state._state["BatchNorm.batch_counter"]


def test_a_static_field_is_none_of_the_children():
    assert ".width" not in steps(EQUINOX, EqxNet())
    assert ".in_features" not in steps(EQUINOX, EqxNet().layers[0])


def test_the_array_in_a_variable():
    variable = nnx.Param(jnp.ones(2))
    reader = readers.variable_reader(variable)
    assert isinstance(reader, VariableReader)
    assert reader.raw(variable) is variable.get_raw_value()
    reader.put(variable, jnp.zeros(2))
    assert variable[...].tolist() == [0, 0]
    assert readers.variable_reader(EqxNet()) is None
    assert readers.variable_reader(jnp.ones(2)) is None


def test_what_is_held_twice_is_seen_as_a_view():
    assert NNX.is_view(nnx.State)
    assert not NNX.is_view(NnxNet)
    assert not EQUINOX.is_view(EqxNet)


@pytest.mark.parametrize(
    ("framework", "cls", "group"),
    [
        (NNX, nnx.Param, "params"),
        (NNX, nnx.BatchStat, "batch stats"),
        (NNX, nnx.RngCount, "rng"),
        (NNX, nnx.Optimizer, "optimizer"),
        (NNX, nnx.Variable, ""),
        (EQUINOX, EqxNet, "params"),
        (EQUINOX, eqx.nn.Linear, "params"),
        (EQUINOX, eqx.nn.State, "batch stats"),
        (EQUINOX, eqx.Partial, ""),
        (LINEN, flax.core.FrozenDict, ""),
    ],
)
def test_the_group_of_a_leaf(framework, cls, group):
    assert framework.group(cls) == group


def test_an_immutable_container_is_copied():
    frozen = flax.core.FrozenDict({"a": 1, "b": 2})
    assert LINEN.with_item(frozen, "a", 3) == {"a": 3, "b": 2}
    assert LINEN.with_item({"a": 1}, "a", 3) is None


# What its jit makes of a function.


def say_code() -> Any:
    return sys._getframe().f_code


def loss(net, x, *more, scale=1.0, **rest):
    return (net(x) * scale).mean()


@pytest.mark.parametrize(
    ("framework", "wrapper"),
    [
        (NNX, nnx.jit(loss)),
        (NNX, nnx.grad(loss)),
        (EQUINOX, eqx.filter_jit(loss)),
        (EQUINOX, eqx.filter_grad(loss)),
        (EQUINOX, eqx.filter_vmap(loss)),
        (EQUINOX, eqx.Partial(loss)),
    ],
)
def test_the_function_inside_a_wrapper(framework, wrapper):
    inner = wrapper
    while not isinstance(inner, FunctionType) or inner.__module__ != __name__:
        inner = framework.wrapped(inner)
        assert inner is not None
    assert inner is loss
    others = [f for f in ALL if f is not framework]
    assert [f.wrapped(wrapper) for f in others] == [None, None]


def test_a_function_of_the_user_is_no_wrapper():
    assert [f.wrapped(loss) for f in ALL] == [None, None, None]


@pytest.mark.parametrize(
    ("framework", "made", "kind"),
    [
        (NNX, nnx.jit(loss), "nnx.jit function"),
        (EQUINOX, eqx.filter_jit(loss), "function of Equinox"),
        (NNX, loss, ""),
        (EQUINOX, loss, ""),
        (EQUINOX, EqxNet(), ""),
    ],
)
def test_what_a_callable_is_in_words(framework, made, kind):
    assert framework.kind_of(made) == kind


def test_which_code_only_passes_a_call_on():
    assert NNX.is_machinery(nnx.jit.__code__.co_filename)
    assert not NNX.is_machinery(nnx.Linear.__call__.__code__.co_filename)
    assert EQUINOX.is_machinery(eqx.filter_jit.__code__.co_filename)
    assert EQUINOX.is_machinery(eqx.filter_grad.__code__.co_filename)
    assert not EQUINOX.is_machinery(sys.modules["equinox.nn._mlp"].__file__)
    assert not EQUINOX.is_machinery(__file__)


# A call of its jit.


class Stack:
    """The frame of the library's call, as it is while JAX traces inside."""

    def __init__(self, framework: Framework):
        self.framework = framework
        self.local: dict[str, Any] = {}

    def __call__(self, net: Any, x: Any, *more: Any, scale: Any = 1.0, **rest: Any):
        frame = sys._getframe()
        while frame.f_code not in self.framework.call_codes():
            assert frame.f_back is not None
            frame = frame.f_back
        self.local = dict(frame.f_locals)
        return net(x)


def called(framework: Framework, jit: Any, *args: Any, **kwargs: Any) -> Stack:
    stack = Stack(framework)

    def loss(net, x, *more, scale=1.0, **rest):
        return stack(net, x, *more, scale=scale, **rest)

    jit(loss)(*args, **kwargs)
    return stack


X = np.ones((1, 2), np.float32)


def test_the_arguments_of_a_running_call():
    stack = called(NNX, nnx.jit, NnxNet(), X)
    arguments = NNX.call_arguments(stack.local)
    assert arguments is not None
    assert str(arguments.attributes["net.layers[0].bias"]) == "Param f32[3]"
    assert str(arguments.attributes["net.width"]) == "3"
    assert str(arguments.attributes["x"]) == "f32[1,2]"
    assert NNX.call_arguments({"self": 3}) is None


@pytest.mark.parametrize(
    ("framework", "jit", "net"),
    [(NNX, nnx.jit, NnxNet()), (EQUINOX, eqx.filter_jit, EqxNet())],
    ids=["nnx", "equinox"],
)
def test_a_running_call_names_its_arguments(framework, jit, net):
    stack = called(framework, jit, net, X, 2, scale=3.0, other=4)
    call = framework.running_call(stack.local, None)
    assert call is not None
    assert call.function == "loss"
    assert call["net"] is net
    assert call["x"] is X
    assert (call["more"], call["scale"], call["rest"]) == ((2,), 3.0, {"other": 4})
    assert framework.running_call({"self": 3}, None) is None


def test_the_paths_of_a_call_of_filter_jit():
    stack = called(EQUINOX, eqx.filter_jit, EqxNet(), X, X, scale=X, other={"a": X})
    call = EQUINOX.running_call(stack.local, None)
    assert call is not None
    names = {
        "dynamic_nodonate['first'][0]": "net.layers[0].weight",
        "dynamic_nodonate['first'][1]": "net.layers[0].bias",
        "dynamic_donate['rest'][0]": "x",
        "dynamic_nodonate['rest'][1]": "more[0]",
        "dynamic_nodonate['rest'][2]": 'rest["other"]["a"]',
        "dynamic_nodonate['rest'][3]": "scale",
        "dynamic_nodonate['rest'][9]": "",
    }
    assert {path: call.paths.argument(path) for path in names} == names
    assert call.paths.result("result[1][0].weight") == "[0].weight"
    assert call.paths.result("result[0]") is None


@pytest.mark.parametrize(
    ("framework", "argument", "result", "steps"),
    [
        (NNX, "model.states[0][3]", "result[2]['loss']", None),
        (EQUINOX, "dynamic_nodonate['first'][0]", "result[1]['loss']", '["loss"]'),
    ],
)
def test_the_paths_of_a_call_that_is_over(framework, argument, result, steps):
    paths = framework.call_paths([argument], [result])
    if steps is not None:
        assert paths is not None
        assert paths.result(result) == steps
    assert framework.call_paths(["x"], ["result['loss']"]) is None


def test_the_updates_of_a_call_that_is_over():
    arguments = ["model.states[0][0]", "model.states[0][1]", "x"]
    results = ["result[0][0].states[0][0]", "result[0][0].states[0][1]", "result[2]"]
    paths = NNX.call_paths(arguments, results[:2])
    assert paths is not None
    assert paths.updates(results, arguments) == [0, 1, None]
    equinox = EQUINOX.call_paths(["dynamic_donate['first'][0]"], ["result[1]"])
    assert equinox is not None
    assert equinox.updates(["result[1]"], ["dynamic_donate['first'][0]"]) == [None]


# Its modules while a function is traced.


@pytest.mark.parametrize(
    ("framework", "net"), [(NNX, NnxNet()), (EQUINOX, EqxNet())], ids=["nnx", "equinox"]
)
def test_its_modules_are_named_while_a_function_is_traced(framework, net):
    assert framework.has_unnamed_modules
    scopes = framework.scopes(lambda value: None, lambda name: None, True)
    assert scopes is not None
    plain = type(net).__call__
    with scopes.installed():
        assert type(net).__call__ is not plain
        jaxpr = jax.make_jaxpr(scopes.naming(lambda x: net(x)))(X)
    assert type(net).__call__ is plain
    names = {str(eqn.source_info.name_stack) for eqn in jaxpr.eqns}
    assert any(f"jaxdbg:module:<{type(net).__name__}>" in name for name in names)
