"""Names of arrays: each must lead to that very array when it is typed."""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import chex
import flax.core
import flax.struct
import jax
import jax._src.pjit as pjit
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.frameworks.nnx.calls import NnxCall
from jaxdbg.trees.call_names import input_names, output_names, updates
from jaxdbg.trees.call_site import CallSite
from jaxdbg.trees.calling_lines import Assigned, Target
from jaxdbg.trees.names import Names, frame_namespaces
from jaxdbg.trees.paths import element_path
from tests import quick

# --- the walk -----------------------------------------------------------------------


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Data:
    w: Any
    rest: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    w: Any
    unset: Any = dataclasses.field(init=False)


@chex.dataclass
class ChexState:
    w: Any


@flax.struct.dataclass
class FlaxState:
    w: Any


class Trainer:
    """A user's object, with all that must not be touched."""

    def __init__(self, model: Any):
        self.model = model
        self._hidden = jnp.ones(3)
        self.__dict__["shadowed"] = jnp.ones(4)

    @property
    def shadowed(self) -> Any:
        raise AssertionError("a property was run")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("== was run")

    def __hash__(self) -> int:
        raise AssertionError("hash was run")

    def __repr__(self) -> str:
        raise AssertionError("repr was run")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("__getattr__ was run")


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.dropout(self.norm(self.linear(x)))


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.blocks = nnx.List([Block(rngs) for _ in range(2)])
        self.head = nnx.Sequential(nnx.Linear(2, 2, rngs=rngs), jax.nn.relu)
        self.scales = nnx.Dict(a=nnx.Param(jnp.ones(2)))
        self.scales["odd name"] = nnx.Param(jnp.ones(2))
        self.bundle = nnx.Param({"p": jnp.ones(2), "q": {"r": jnp.ones(2)}})

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        x = self.head(x) * self.scales["a"] * self.scales["odd name"]
        return x * self.bundle["p"] * self.bundle["q"]["r"]


def net_and_optimizer() -> tuple[Net, nnx.Optimizer]:
    net = Net(nnx.Rngs(0))
    return net, nnx.Optimizer(net, optax.adam(1e-3), wrt=nnx.Param)


def value_of(found: Any) -> Any:
    return found.get_raw_value() if isinstance(found, nnx.Variable) else found


def assert_typed(array: Any, path: str | None, namespace: dict[str, Any]) -> None:
    assert path is not None
    assert value_of(eval(path, {}, namespace)) is array


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda a: a, "v"),
        (lambda a: nnx.Param(a), "v"),
        (lambda a: {"x": a}, 'v["x"]'),
        (lambda a: {"it's": a}, 'v["it\'s"]'),
        (lambda a: {'say "x"': a}, "v['say \"x\"']"),
        (lambda a: {"\n\\": a}, r'v["\n\\"]'),
        (lambda a: {3: {True: a}}, "v[3][True]"),
        (lambda a: {(1, "b"): a}, "v[(1, 'b')]"),
        (lambda a: collections.OrderedDict(x=a), 'v["x"]'),
        (lambda a: collections.defaultdict(list, x=[a]), 'v["x"][0]'),
        (lambda a: [0, (1, a)], "v[1][1]"),
        (lambda a: collections.deque([0, a]), "v[1]"),
        (lambda a: Point(0, [a]), "v.y[0]"),
        (lambda a: Data(0, Data(a)), "v.rest.w"),
        (lambda a: Slotted(a), "v.w"),
        (lambda a: ChexState(w=a), "v.w"),
        (lambda a: FlaxState(w={"k": a}), 'v.w["k"]'),
        (lambda a: flax.core.freeze({"dense": {"w": a}}), 'v["dense"]["w"]'),
        (lambda a: Trainer({"w": a}), 'v.model["w"]'),
        (lambda a: nnx.List([nnx.List([nnx.Param(a)])]), "v[0][0]"),
        (lambda a: nnx.Dict(x=nnx.Param(a)), 'v["x"]'),
        (lambda a: nnx.State({"l": {0: {"w": nnx.Param(a)}}}), "v.l[0].w"),
        (lambda a: nnx.State({"keys": {"w": nnx.Param(a)}}), 'v["keys"].w'),
        (lambda a: nnx.Param({"p": [a]}), 'v["p"][0]'),
        (lambda a: (optax.EmptyState(), optax.TraceState({"w": a})), 'v[1].trace["w"]'),
    ],
)
@pytest.mark.parametrize("kind", [jnp.ones, np.ones])
def test_path(
    kind: Callable[[int], Any], make: Callable[[Any], Any], path: str
) -> None:
    array = kind(2)
    namespace = {"v": make(array)}
    assert Names(namespace).of(array) == path
    assert_typed(array, path, namespace)


def test_every_leaf_of_modules_and_optimizers_can_be_typed() -> None:
    net, opt = net_and_optimizer()
    namespace = {"net": net, "opt": opt, "state": nnx.state(nnx.clone(net))}
    names = Names(namespace)
    leaves = [x for v in namespace.values() for x in jax.tree.leaves(nnx.state(v))]
    leaves += jax.tree.leaves(namespace["state"])
    assert len(leaves) > 60
    for leaf in leaves:
        assert_typed(leaf, names.of(leaf), namespace)


def test_paths_are_those_a_user_types() -> None:
    net, opt = net_and_optimizer()
    names = Names({"net": net, "opt": opt})

    def path(variable: Any) -> str | None:
        return names.of(value_of(variable))

    assert path(net.blocks[1].linear.kernel) == "net.blocks[1].linear.kernel"
    assert path(net.head.layers[0].bias) == "net.head.layers[0].bias"
    assert path(net.scales["odd name"]) == 'net.scales["odd name"]'
    assert path(net.blocks[0].norm.mean) == "net.blocks[0].norm.mean"
    assert path(net.blocks[0].dropout.rngs.key) == "net.blocks[0].dropout.rngs.key"
    assert path(opt.step) == "opt.step"
    mu = opt.opt_state[0].mu
    assert path(mu["blocks"][0]["linear"]["kernel"]) == (
        "opt.opt_state[0].mu.blocks[0].linear.kernel"
    )


def test_the_shortest_then_the_first_name_wins() -> None:
    a, b = jnp.ones(2), jnp.ones(2)
    names = Names({"deep": [[a]], "first": [a, b], "second": [b]})
    assert names.of(a) == "first[0]"
    assert names.of(b) == "first[1]"


def test_the_nearest_namespace_wins() -> None:
    a = jnp.ones(2)
    assert Names({"near": [[a]]}, {"far": a}).of(a) == "near[0][0]"


def test_an_array_nobody_holds_has_no_name() -> None:
    assert Names({"a": jnp.ones(2)}).of(jnp.ones(2)) is None
    assert Names().of(jnp.ones(2)) is None


def test_shell_names_and_private_names_are_skipped() -> None:
    a = jnp.ones(2)
    hidden = ("_", "__", "_12", "Out", "In", "exit", "not a name", "lambda")
    names = Names({**{h: [a] for h in hidden}, "last": {"x": a}})
    assert names.of(a) == 'last["x"]'


def test_cycles_and_shared_objects() -> None:
    a = jnp.ones(2)
    first, second = Trainer(None), Trainer(None)
    first.model, second.model = second, first
    second.array = a
    loop: list[Any] = [a]
    loop.append(loop)
    names = Names({"first": first, "loop": loop})
    assert names.of(a) == "loop[0]"
    assert Names({"first": first}).of(a) == "first.model.array"


def test_nothing_of_the_user_is_run() -> None:
    a = jnp.ones(2)

    class Meta(type):
        def __hash__(cls) -> int:
            raise AssertionError("hash of a class was run")

    class Proxy(metaclass=Meta):
        @property
        def __class__(self) -> Any:  # type: ignore[override]
            raise AssertionError("__class__ was asked for")

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError("__getattribute__ was run")

    class Lookup(dict):
        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("[] was run")

        def items(self) -> Any:
            raise AssertionError("items was run")

    namespace = {"p": Proxy(), "l": Lookup(x=[a]), "t": Trainer(1), "k": {Data(1).w: a}}
    namespace["keys"] = {frozenset([1]): a}
    assert Names(namespace).of(a) == "k[1]"
    shadowed = vars(namespace["t"])["shadowed"]
    assert Names(namespace).of(shadowed) is None


class Chain:
    def __init__(self, rest: Any):
        self.rest = rest


def huge() -> dict[str, Any]:
    chain: Any = jnp.ones(2)
    for _ in range(50_000):
        chain = Chain(chain)
    array = np.ones(2)
    return {
        "arrays": [array + i for i in range(100_000)],
        "rows": [{"id": i, "text": str(i)} for i in range(100_000)],
        "numbers": list(range(1_000_000)),
        "table": {i: (i, [i]) for i in range(200_000)},
        "chain": chain,
    }


def test_a_huge_namespace_is_walked_in_bounded_time_and_hides_no_model() -> None:
    net, _ = net_and_optimizer()
    array = value_of(net.blocks[1].linear.kernel)
    namespace = {**huge(), "net": net}
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        names = Names(namespace)
        assert names.of(array) == "net.blocks[1].linear.kernel"
        seconds.append(time.perf_counter() - start)
    assert names.of(namespace["arrays"][200]) == "arrays[200]"
    # It takes about 0.1 s; the machine may be busy.
    assert min(seconds) < 1.0


def test_element() -> None:
    assert element_path("w", (np.int64(3), 7)) == "w[3, 7]"
    assert element_path("w", (3,)) == "w[3]"
    assert element_path("loss", ()) == "loss"


# --- calls --------------------------------------------------------------------------


@dataclasses.dataclass
class Call:
    """A jitted call, and what could be named while it ran."""

    name: str
    args: Any
    outs: Any
    debug_info: Any
    frames: Any
    then: Names

    def inputs(self, *namespaces: Any, names: Names | None = None) -> list[str]:
        names = names or Names(*namespaces)
        return input_names(self.name, self.args, self.debug_info, names)

    def outputs(self, *namespaces: Any, names: Names | None = None) -> list[str]:
        names = names or Names(*namespaces)
        return output_names(self.name, self.args, self.outs, self.debug_info, names)


@contextmanager
def captured(namespace: dict[str, Any]) -> Iterator[list[Call]]:
    """Collects the jitted calls made inside, as jaxdbg's own hook sees them."""
    original: Any = pjit._pjit_call_impl_python
    calls: list[Call] = []

    def patched(*args: Any, jaxpr: Any, name: str, **params: Any) -> Any:
        outs = original(*args, jaxpr=jaxpr, name=name, **params)[0]
        info = jaxpr.jaxpr.debug_info
        _of_this_function, *frames = frame_namespaces()
        # Without this file's own frames: what a notebook's cell could name.
        then = Names(namespace, *[f for f in frames if isinstance(f, NnxCall)])
        then.of(None)  # Walks now, before flax puts the new values in.
        calls.append(Call(name, args, outs, info, frames, then))
        return outs, None, None, []

    pjit._pjit_call_impl_python = patched
    try:
        yield calls
    finally:
        pjit._pjit_call_impl_python = original


def call_in(
    namespace: dict[str, Any], function: Any, *args: Any, **kwargs: Any
) -> Call:
    with captured(namespace) as calls:
        function(*args, **kwargs)
    return calls[-1]


call_of = functools.partial(call_in, {})


def train_step(
    model: Any, optimizer: Any, batch: Any, scale: Any = 1.0, **more: Any
) -> Any:
    def loss_of(model: Any) -> Any:
        return jnp.mean((model(batch["x"]) - batch["y"]) ** 2) * scale

    loss, grads = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, grads)
    return loss, {"twice": loss * 2}


def a_batch() -> dict[str, Any]:
    return {"x": jnp.ones((3, 2)), "y": jnp.zeros((3, 2))}


NNX_MODES: list[dict[str, Any]] = [
    {},
    {"donate_argnums": (0, 1)},
    {"graph": True, "graph_updates": False},
    {"graph": False},
    {"graph": False, "donate_argnums": (0, 1)},
]
nnx_modes = pytest.mark.parametrize(
    "mode",
    [quick.row(m, when=m in ({}, {"graph": False}), name=str(m)) for m in NNX_MODES],
)


@nnx_modes
def test_nnx_jit_with_what_the_user_can_name(mode: dict[str, Any]) -> None:
    net, opt = net_and_optimizer()
    batch = a_batch()
    namespace = {"net": net, "opt": opt, "data": [batch]}
    step = nnx.jit(train_step, **mode)
    call = call_in(namespace, step, net, opt, batch, scale=jnp.ones(()))
    inputs, outputs = call.inputs(names=call.then), call.outputs(names=call.then)
    assert 'data[0]["x"]' in inputs
    assert "net.blocks[1].norm.mean" in inputs
    assert "scale" in inputs
    assert "opt.opt_state[0].mu.blocks[0].linear.kernel" in outputs
    assert "train_step(...)[0]" in outputs
    assert 'train_step(...)[1]["twice"]' in outputs
    assert len(set(outputs)) == len(outputs)
    check_updates(outputs, call.outs, namespace)
    # Flax has made other containers of some by now.
    after = Names(namespace)
    for leaf in jax.tree.leaves(nnx.state((net, opt))):
        assert_typed(leaf, after.of(leaf), namespace)


def check_updates(outputs: list[str], outs: Any, namespace: dict[str, Any]) -> None:
    """After the call, the user's path leads to what the output put there."""
    checked = 0
    for path, out in zip(outputs, outs, strict=True):
        if not path.startswith("train_step"):
            found = value_of(eval(path, {}, namespace))
            if jnp.issubdtype(out.dtype, jax.dtypes.prng_key):
                found, out = jax.random.key_data(found), jax.random.key_data(out)
            np.testing.assert_array_equal(found, out)
            checked += 1
    assert checked > 30


@nnx_modes
def test_nnx_jit_of_what_nobody_else_holds(mode: dict[str, Any]) -> None:
    step = nnx.jit(train_step, **mode)
    call = call_of(lambda: step(*net_and_optimizer(), a_batch(), z=jnp.ones(1)))
    inputs, outputs = call.inputs(names=call.then), call.outputs(names=call.then)
    assert 'batch["x"]' in inputs
    assert 'more["z"]' in inputs
    assert "model.blocks[1].linear.kernel" in inputs
    assert "model.blocks[1].linear.kernel" in outputs
    assert "optimizer.opt_state[0].nu.head.layers[0].bias" in outputs
    assert "train_step(...)[0]" in outputs


@nnx_modes
def test_nnx_jit_without_frames_or_namespace(mode: dict[str, Any]) -> None:
    net, opt = net_and_optimizer()
    call = call_of(nnx.jit(train_step, **mode), net, opt, a_batch())
    inputs, outputs = call.inputs(), call.outputs()
    assert "train_step(...)[0]" in outputs
    assert 'train_step(...)[1]["twice"]' in outputs
    assert 'batch["y"]' in inputs
    internal = re.compile(r"states\[|__state__|result|\.value")
    assert not [n for n in inputs + outputs if internal.search(n)]


class Growing(nnx.Module):
    """Holds one variable more after each call."""

    def __init__(self, rngs: nnx.Rngs):
        self.last = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        self.inner = nnx.Intermediate(x)
        return self.last(x)


def test_nnx_jit_that_changes_the_structure_names_no_wrong_variable() -> None:
    model = Growing(nnx.Rngs(0))

    def forward(model: Any, x: Any) -> Any:
        return model(x)

    call = call_of(nnx.jit(forward), model, jnp.ones((1, 2)))
    outputs = call.outputs(names=call.then)
    assert outputs[-1] == "forward(...)"
    for path, out in zip(outputs, call.outs, strict=True):
        if path.startswith("model"):
            found = value_of(eval(path, {}, {"model": model}))
            np.testing.assert_array_equal(found, out)


def test_nnx_jit_without_modules_and_of_methods() -> None:
    call = call_of(nnx.jit(lambda x: (x, [x])), jnp.ones(2))
    assert call.outputs(names=call.then) == [
        "<lambda>(...)[0]",
        "<lambda>(...)[1][0]",
    ]

    class Runner(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.ones(2))
            self.total = nnx.Variable(jnp.zeros(2))

        @nnx.jit
        def run(self, *xs: Any) -> Any:
            self.total[...] += xs[1]
            return self.scale * xs[0]

    x = np.ones(2)
    call = call_of(lambda: Runner().run(x + 1, x))
    assert call.inputs(names=call.then)[-2:] == ["xs[0]", "xs[1]"]
    assert "run(...)" in call.outputs(names=call.then)
    assert "self.total" in call.outputs(names=call.then)


@pytest.mark.parametrize("mode", [{}, {"graph": False}], ids=str)
def test_nnx_jit_with_static_and_unchanged_arguments(mode: dict[str, Any]) -> None:
    def step(kind: str, first: Any, second: Any) -> Any:
        second.scale[...] *= 2
        return first.scale + second.scale

    class Scale(nnx.Module):
        def __init__(self) -> None:
            self.scale = nnx.Param(jnp.ones(2))

    a, b = Scale(), Scale()
    step_jit = nnx.jit(step, static_argnums=0, **mode)
    call = call_in({"a": a, "b": b}, step_jit, "kind", a, b)
    outputs = call.outputs(names=call.then)
    bumped = [p for p, out in zip(outputs, call.outs, strict=True) if out[0] == 2]
    assert bumped == ["b.scale"]
    assert "step(...)" in outputs


# --- plain JAX ----------------------------------------------------------------------


def update(params: Any, batch: Any, lr: Any = 0.1) -> Any:
    new = jax.tree.map(lambda p: p * lr, params)
    return new, {"loss": batch["x"].sum(), 'odd "key"': [batch["x"]]}


def test_jit() -> None:
    params = {"dense": {"kernel": jnp.ones(2)}, "it's": jnp.ones(1)}
    call = call_of(jax.jit(update), params, a_batch(), lr=jnp.ones(()))
    assert call.inputs() == [
        'params["dense"]["kernel"]',
        'params["it\'s"]',
        'batch["x"]',
        'batch["y"]',
        "lr",
    ]
    assert call.inputs({"p": params})[:2] == ['p["dense"]["kernel"]', 'p["it\'s"]']
    assert call.outputs({"p": params}) == [
        'update(...)[0]["dense"]["kernel"]',
        'update(...)[0]["it\'s"]',
        'update(...)[1]["loss"]',
        "update(...)[1]['odd \"key\"'][0]",
    ]


@pytest.mark.parametrize(
    ("passed", "is_one_line", "known"),
    [
        ("self.params", True, {0: 0, 1: 1}),
        ("self.others", True, {}),
        ("self.params", False, {}),  # another function may have another `self`
        ("states[i]", True, {}),  # by now `i` may be another
    ],
)
def test_an_output_that_the_line_assigns_to_its_argument_updates_it(
    passed: str, is_one_line: bool, known: dict[int, int]
) -> None:
    params = {"dense": {"kernel": jnp.ones(2)}, "it's": jnp.ones(1)}
    call = call_of(jax.jit(update), params, a_batch())
    target = "states[i]" if "[" in passed else "self.params"
    site = CallSite(
        (Assigned(("[0]",), Target(target)),),
        {"params": passed},
        jax.tree.structure(update(params, a_batch())),
        is_one_line,
    )
    assert updates(call.args, call.outs, call.debug_info, site) == known


def test_an_output_that_has_a_name_bears_it() -> None:
    call = call_of(jax.jit(lambda x: x * 2), jnp.ones(2))
    assert call.outputs({"loss": call.outs[0]}) == ["loss"]


@pytest.mark.parametrize(
    ("function", "inputs", "outputs"),
    [
        (jax.jit(lambda a, b: a + b), ["a", "b"], ["f(...)"]),
        (jax.jit(lambda a, b: (a + b,)), ["a", "b"], ["f(...)[0]"]),
        (
            jax.jit(lambda a, b: Point(a, {1: b})),
            ["a", "b"],
            ["f(...).x", "f(...).y[1]"],
        ),
        (jax.jit(lambda *a: a[0] + a[1]), ["a[0]", "a[1]"], ["f(...)"]),
        (jax.jit(jax.vmap(lambda a, b: a + b)), ["a", "b"], ["f(...)"]),
        (jax.vmap(jax.jit(lambda a, b: a + b)), ["a", "b"], ["f(...)"]),
        (jax.jit(jax.grad(lambda a, b: (a * b).sum())), ["a", "b"], ["f(...)"]),
        (jax.jit(lambda a, b: (None, None, a + b)), ["a", "b"], ["f(...)[2]"]),
        (jax.jit(lambda a, b: ()), ["a", "b"], []),
    ],
)
def test_transformed(function: Any, inputs: list[str], outputs: list[str]) -> None:
    call = call_of(function, np.ones(2), np.ones(2))
    call.name = "f"
    assert call.inputs() == inputs
    assert call.outputs() == outputs


def test_static_and_partial_arguments() -> None:
    x = jnp.ones(2)
    static = jax.jit(lambda kind, a: a, static_argnums=0)
    assert call_of(static, "kind", x).inputs() == ["a"]
    bound = jax.jit(functools.partial(lambda a, b: a + b, x))
    assert call_of(bound, x).inputs() == ["b"]


def test_what_jax_does_not_know() -> None:
    for info in (
        None,
        object(),
        dataclasses.make_dataclass("I", ["arg_names"])(("a",)),
    ):
        assert input_names("f", [1.0, 2.0], info, Names()) == [
            "argument 1",
            "argument 2",
        ]
        assert output_names("f", [], [1.0], info, Names()) == ["f(...)"]
        assert output_names("f", [], [1.0, 2.0], info, Names()) == [
            "output 1 of f(...)",
            "output 2 of f(...)",
        ]


def test_names_in_frames() -> None:
    step = jax.jit(lambda a, b: a + b)

    def outer(far: Any) -> None:
        def inner(near: Any) -> None:
            step(near["w"], far)

        inner({"w": jnp.ones(2)})

    call = call_of(outer, jnp.ones(2))
    assert call.inputs(*call.frames) == ['near["w"]', "far"]
    assert call.inputs({"first": call.args[0]}, *call.frames) == ["first", "far"]


def test_ref() -> None:
    ref = jax.new_ref(jnp.ones(2))
    assert Names({"state": {"ref": ref}}).of(ref) == 'state["ref"]'


def scaled(net: Any, scale: Any, x: Any, y: Any = 1.0) -> Any:
    scale[...] = jnp.log(x[0, 0])
    return (net(x) * y).sum()


def partial_step() -> Any:
    if not hasattr(nnx, "jit_partial"):
        pytest.skip("flax has no jit_partial yet")
    net, scale = nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.Param(jnp.ones(()))
    return nnx.jit_partial(scaled, net, scale, graph=False), scale


def test_what_a_partial_jit_of_nnx_updates_has_the_users_name() -> None:
    step, scale = partial_step()
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        step(-jnp.ones((3, 2)))
    assert caught.value.finding.paths == ("scale",)
    assert scale.shape == ()  # the name is held to the end


@pytest.mark.parametrize("partial", [False, True])
def test_what_the_line_passes_to_a_jit_of_nnx_is_named(partial: bool) -> None:
    net, scale = nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.Param(jnp.ones(()))
    if partial:
        step, _ = partial_step()
    else:
        step = functools.partial(nnx.jit(scaled), net, scale)
    data, idx = np.full((5, 2), np.nan, np.float32), np.array([1, 3])
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        step(data[idx])
    origin = caught.value.finding.origin
    assert [(p.parameter, p.expression) for p in origin.passed] == [("x", "data[idx]")]


@pytest.mark.parametrize("keywords", [False, True])
def test_an_argument_of_a_partial_jit_of_nnx_has_its_own_name(keywords: bool) -> None:
    step, _ = partial_step()
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        if keywords:
            step(np.ones((3, 2)), y=np.full(2, np.nan))
        else:
            step(np.ones((3, 2)), np.full(2, np.nan))
    assert caught.value.finding.origin.argument_leaf == "y"


def test_a_variable_of_a_partial_jit_of_nnx_that_nobody_holds() -> None:
    partial_step()  # or flax is too old
    if not hasattr(nnx.transforms.compilation, "SimpleJitPartialWrapped"):
        pytest.skip("flax before 0.12.8 passes `scale.leaves[0]`, and so it is named")
    nets = [nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.Param(jnp.full(2, jnp.nan))]
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        nnx.jit_partial(
            lambda net, scale, x: (net(x) * scale[...]).sum(),
            *(nets.pop(0), nets.pop()),
            graph=False,
        )(np.ones((3, 2)))
    assert caught.value.finding.origin.argument_leaf == "variable 3 of net, scale"
