"""After `--record` and `--async`: the model, the optimizer and the arrays go back."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxdbg
from jaxdbg.checks.afterwards import kept_calls
from jaxdbg.trees import paths as slots


class Net(nnx.Module):
    """A layer and a norm that divides by what may be zero."""

    def __init__(self) -> None:
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=nnx.Rngs(0)) for _ in range(2)])

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x / x.std(-1, keepdims=True)
        for layer in self.layers:
            x = layer(x)
        return x


def training(**options: Any) -> Any:
    model = Net()
    opt = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit(**options)
    def train_step(model: Net, opt: nnx.Optimizer, x: jax.Array) -> jax.Array:
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        opt.update(model, grads)
        return loss

    return model, opt, train_step


def batches(n: int, bad: int) -> list[jax.Array]:
    """Batches of which one holds a row without variance."""
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(n, 8, 4)).astype(np.float32)
    xs[bad, 3] = 1.0
    return [jnp.asarray(x) for x in xs]


def values(*trees: Any) -> list[np.ndarray[Any, Any]]:
    leaves = jax.tree.leaves([nnx.state(t) for t in trees])
    return [np.array(leaf) for leaf in leaves]


def same(a: list[Any], b: list[Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("options", [{}, {"donate_argnums": (0, 1)}])
@pytest.mark.parametrize("how", [{"record": True}, {"async_": True, "record": True}])
def test_model_and_optimizer_go_back(
    options: dict[str, Any], how: dict[str, bool]
) -> None:
    model, opt, train_step = training(**options)
    kernel = id(model.layers[0].kernel)
    good: list[Any] = []
    with jaxdbg.checked(**how) as region:
        for i, x in enumerate(batches(8, bad=4)):
            if i == 4:
                good = values(model, opt)
            train_step(model, opt, x)
    assert not np.isfinite(model.layers[0].kernel[...]).any()
    done = region.rewind()
    assert same(values(model, opt), good)
    assert id(model.layers[0].kernel) == kernel  # the same Variable, with another value
    assert int(opt.step[...]) == 4
    assert str(done) == (
        "put back 4 arrays of model, 10 of opt: as before call 5 of train_step"
    )
    train_step(model, opt, batches(8, bad=4)[5])  # and the program goes on from there
    assert all(np.isfinite(v).all() for v in values(model, opt))


def test_first_call_of_all() -> None:
    model, opt, train_step = training(donate_argnums=(0, 1))
    good = values(model, opt)
    with jaxdbg.checked(async_=True, record=True) as region:
        for x in batches(3, bad=0):
            train_step(model, opt, x)
    region.rewind()
    assert same(values(model, opt), good)


def test_async_failure_that_raises() -> None:
    model, opt, train_step = training(donate_argnums=(0, 1))
    good: list[Any] = []
    region = jaxdbg.checked(async_=True)
    with pytest.raises(jaxdbg.NonFiniteError), region:
        for i, x in enumerate(batches(8, bad=4)):
            if i == 4:
                good = values(model, opt)
            train_step(model, opt, x)
    region.rewind()
    assert same(values(model, opt), good)


def test_nothing_was_overwritten() -> None:
    model, opt, train_step = training()
    region = jaxdbg.checked()
    with pytest.raises(jaxdbg.NonFiniteError), region:
        for x in batches(3, bad=1):
            train_step(model, opt, x)
    done = region.rewind()
    assert done.back == ()
    assert str(done) == (
        "nothing to put back: as before call 2 of train_step still: "
        "4 arrays of model, 10 of opt, x"
    )


@jax.jit
def grad_step(params: Any, x: jax.Array) -> Any:
    return jax.grad(lambda p: jnp.log(x @ p["w"]).sum() + p["b"][0].sum())(params)


@jax.jit
def update(params: Any, grads: Any) -> Any:
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


params: Any = None
state: Any = None


def test_arrays_of_the_namespace_go_back() -> None:
    global params
    params = {"w": jnp.ones(3), "b": (jnp.zeros(1), jnp.ones(1))}
    before = params["w"]
    region = jaxdbg.checked(record=True)
    with region:
        for x in (jnp.ones((2, 3)), jnp.zeros((2, 3)), jnp.ones((2, 3))):
            grads = grad_step(params, x)
            good = params if not np.isfinite(grads["w"]).all() else None
            params = update(params, grads)
            if good is not None and before is not None:
                kept, before = good, None
    assert not np.isfinite(params["w"]).all()
    done = region.rewind()
    assert params["w"] is kept["w"]
    assert params["b"][0] is kept["b"][0]  # a tuple is made anew around it
    assert set(done.back) == {'params["w"]', 'params["b"][0]', 'params["b"][1]'}


def test_what_the_user_has_put_there_stays() -> None:
    global state
    state = [jnp.ones(3), jnp.full(3, 2.0)]

    @jax.jit
    def step(state: Any) -> Any:
        return [jnp.log(state[0] - 1) * 0, state[1] * 3]

    with jaxdbg.checked(record=True) as region:
        state[:] = step(state)
    mine = state[1] = jnp.zeros(3)
    done = region.rewind()
    assert state[1] is mine
    assert np.array_equal(state[0], [1, 1, 1])
    assert done.left == (
        ("state[1]", "what is there now was not put there by a checked call"),
    )


def test_donated_and_deleted() -> None:
    model, opt, train_step = training(donate_argnums=(0, 1))
    with jaxdbg.checked(record=True, keep_donation=True) as region:
        for x in batches(3, bad=1):
            train_step(model, opt, x)
    done = region.rewind()
    assert done.back == ()
    assert dict(done.left)["model.layers[0].kernel"] == (
        "it was donated to the call and is gone; without --keep-donation it is kept"
    )
    assert "and 6 more" in str(done)


def test_a_ref_is_not_put_back() -> None:
    ref = jax.new_ref(jnp.ones(2))

    @jax.jit
    def step(ref: Any) -> None:
        ref[...] = ref[...] / 0 - ref[...] / 0

    with jaxdbg.checked(record=True) as region:
        step(ref)
    done = region.rewind()
    assert done.left == (("ref", "it is a Ref, which was written to in place"),)


def test_a_local_array_cannot_be_rebound() -> None:
    local = jnp.ones(3)
    with jaxdbg.checked(record=True) as region:
        local = jax.jit(lambda x: x / 0 * 0)(local)
    done = region.rewind()
    assert done.left == (
        ("local", "local is a local variable, which only its function sets"),
    )


def test_a_number_is_told() -> None:
    with jaxdbg.checked(record=True) as region:
        jax.jit(lambda n: jnp.log(n))(-2)
    assert dict(region.rewind().left) == {"n": "it is a number of Python's, and was -2"}


def test_region_without_failures() -> None:
    with jaxdbg.checked() as region:
        jax.jit(lambda x: x + 1)(1.0)
    with pytest.raises(RuntimeError, match="Nothing to rewind: this region has found"):
        region.rewind()


def test_the_next_region_drops_what_is_kept() -> None:
    def failing() -> tuple[Any, Any, Any]:
        with jaxdbg.checked(record=True) as region:
            x = jnp.full(8, -1.0)
            y = jax.jit(jnp.log)(x)
        return region, y, weakref.ref(x)

    region, y, kept = failing()
    gc.collect()
    assert kept() is not None
    with jaxdbg.checked():
        jnp.isnan(y).any()  # looking at things drops nothing
    assert kept_calls.latest() != []
    with jaxdbg.checked():
        jax.jit(lambda x: x + 1)(1.0)
    assert kept_calls.latest() == []
    gc.collect()
    assert kept() is None
    with pytest.raises(RuntimeError) as raised:
        region.rewind()
    assert str(raised.value) == (
        "Nothing to rewind with: nothing has failed, or what the failing calls were "
        "given is not kept any more. It is kept until a later checked region calls a "
        "jitted function."
    )


def test_how_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_calls, "MORE", 1000)
    log = jax.jit(lambda x: jnp.log(x))
    with jaxdbg.checked(record=True):
        big = jnp.full(1000, -1.0)
        log(big)  # the first, whatever its size
        for _ in range(3):
            log(jnp.full(100, -1.0))  # two more of 400 bytes each
        log(big)
    sizes = [h.args[0].size for _, h in kept_calls.latest()]
    assert sizes == [1000, 100, 100]
    kept_calls.forget()
    assert kept_calls.latest() == []


def test_what_was_made_after_the_first_failure_is_not_put_back() -> None:
    global state
    log, invert = jax.jit(lambda x: jnp.log(x)), jax.jit(lambda y: 1 / y)
    state = {"x": jnp.array([-1.0, 1.0])}
    with jaxdbg.checked(record=True) as region:
        state["y"] = log(state["x"])  # [nan, 0]
        state["y"] = invert(state["y"])  # [nan, inf]
    assert [f.function for f in region.report.findings] == ["<lambda>", "<lambda>"]
    assert len(kept_calls.latest()) == 2
    done = region.rewind()
    assert done.back == ()
    assert done.unchanged == ('state["x"]',)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("t[1]", tuple), ("s.mu", tuple), ('d["a"][0]', dict), ("f.x", object)],
)
def test_places(path: str, kind: type) -> None:
    from collections import namedtuple
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Frozen:
        x: int

    pair = namedtuple("pair", "mu nu")  # noqa: PYI024  (this kind is tested)
    there = {
        "__name__": "m",
        "t": (1, 2),
        "s": pair(1, 2),
        "d": {"a": [1]},
        "f": Frozen(1),
    }
    before = dict(there)
    slots.write(there, path, 7)
    assert slots.read(there, path) == 7
    root = path[0]
    assert isinstance(there[root], kind)
    assert type(there[root]) is type(before[root])
    assert (there[root] is before[root]) == (kind is dict)


def test_no_such_place() -> None:
    with pytest.raises(slots.NoSuchPlace, match="there is no x"):
        slots.read({}, "x.y")
    with pytest.raises(slots.NoSuchPlace, match=r"dict has no \['b'\]"):
        slots.read({"x": {}}, 'x["b"]')
    with pytest.raises(slots.NoSuchPlace, match="is no path"):
        slots.read({"f": len}, "f(1)")


@pytest.fixture
def shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell

    ip = InteractiveShell()
    ip.run_line_magic("load_ext", "jaxdbg")
    yield ip
    ip.run_line_magic("unload_ext", "jaxdbg")
    InteractiveShell.clear_instance()


CELL = """%%checked --record
for x in xs:
    loss = train_step(model, opt, x)
"""


def test_magic(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model, opt, train_step = training(donate_argnums=(0, 1))
    xs = batches(4, bad=2)
    shell.user_ns.update(model=model, opt=opt, train_step=train_step, xs=xs)
    shell.run_cell(CELL)
    assert not np.isfinite(values(model)[0]).all()
    capsys.readouterr()
    shell.run_cell("%rewind")
    assert capsys.readouterr().out == (
        "put back 4 arrays of model, 10 of opt: as before call 3 of train_step\n"
    )
    assert all(np.isfinite(v).all() for v in values(model, opt))
    shell.run_cell("%rewind --forget")
    assert re.fullmatch(
        r"forgot the inputs of failing calls: [\d.]+ kB\n", capsys.readouterr().out
    )
    result = shell.run_cell("%rewind")
    assert type(result.error_in_exec).__name__ == "UsageError"
    assert str(result.error_in_exec).startswith("Nothing to rewind with: nothing has")
    result = shell.run_cell("%rewind --forgt")
    assert str(result.error_in_exec) == (
        "Unknown option of %rewind: '--forgt'. Did you mean '--forget'? Expected "
        "--forget."
    )
    assert shell.Completer.completions("%rewind --f", 11) is not None


def test_unloading_drops_what_is_kept(shell: Any) -> None:
    shell.user_ns.update(f=jax.jit(jnp.log), x=jnp.full(3, -1.0))
    shell.run_cell("%%checked --record\ny = f(x)")
    assert kept_calls.latest() != []
    shell.run_line_magic("unload_ext", "jaxdbg")
    assert kept_calls.latest() == []
    assert shell.find_line_magic("rewind") is None
    shell.run_line_magic("load_ext", "jaxdbg")
