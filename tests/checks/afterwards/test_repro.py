"""`Finding.repro`: what it writes runs elsewhere, alone, and shows the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.experimental import checkify

import jaxdbg
from jaxdbg.checks.afterwards import kept_calls

ALONE = """
import sys
sys.modules["jaxdbg"] = sys.modules["flax"] = sys.modules["chex"] = None
import runpy
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def run_alone(folder: Path) -> tuple[int, str]:
    """Exit status and output of the script, where jaxdbg, flax and chex are missing."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", ALONE, str(folder / "repro.py")],
        capture_output=True,
        text=True,
        cwd=folder.parent,
        env=env,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def failing(function: Any, *args: Any, **options: Any) -> jaxdbg.Finding:
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked(**options):
        function(*args)
    finding: jaxdbg.Finding = raised.value.finding
    return finding


@jax.jit
def loss_of(x: jax.Array, y: jax.Array) -> jax.Array:
    p = x / x.sum(-1, keepdims=True)
    return -(y * jnp.log(p + 1)).sum()


def test_operation_and_call(tmp_path: Path) -> None:
    x = jnp.ones((3, 4)).at[1].set(0)
    finding = failing(loss_of, x, jnp.ones((3, 4)))
    written = finding.repro(tmp_path / "bug")
    script = (tmp_path / "bug" / "repro.py").read_text()
    assert re.search(r'"""div: .*p = x / x.sum\(-1, keepdims=True\)"""', script)
    assert re.search(r"return x / \w+\n", script)
    assert re.fullmatch(
        rf"wrote {tmp_path}/bug: repro.py [\d.]+ kB, call.txt [\d.]+ k?B, call.json "
        r"\d+ B, call.mlirbc [\d.]+ k?B, inputs.npz [\d.]+ k?B, operation.npz "
        rf"[\d.]+ k?B\nrun it: python {tmp_path}/bug/repro.py",
        str(written),
    )
    status, said = run_alone(tmp_path / "bug")
    assert said == (
        "the operation alone: 4 of 12 elements are bad, the first at [1, 0]: nan\n"
        "the call: loss_of(...): nan\n"
        "Reproduced.\n"
    )
    assert status == 0
    listing = (tmp_path / "bug" / "call.txt").read_text()
    assert "  a0  float32[3,4]  x\n" in listing
    assert "div" in listing


def test_what_is_good_elsewhere_is_not_reproduced(tmp_path: Path) -> None:
    x = jnp.ones((3, 4)).at[1].set(0)
    failing(loss_of, x, jnp.ones((3, 4))).repro(tmp_path)
    for name in ("inputs.npz", "operation.npz"):
        with np.load(tmp_path / name) as file:
            good = {k: v if k == "dtypes" else np.ones_like(v) for k, v in file.items()}
        np.savez(tmp_path / name, **good)
    status, said = run_alone(tmp_path)
    assert status == 1
    assert said == (
        "the operation alone: finite\n"
        "the call: loss_of(...): finite\n"
        "Not reproduced: not everything is bad that was bad then. Another\n"
        "version of JAX, or another device, may compute in another order.\n"
    )


@pytest.mark.slow
def test_training_step_of_nnx(tmp_path: Path) -> None:
    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.inner = nnx.Linear(4, 4, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.scale = nnx.Param(jnp.zeros(()))

        def __call__(self, x: jax.Array) -> jax.Array:
            return jnp.sqrt(self.scale[...]) * self.drop(self.inner(x))

    model = Net()
    opt = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit(donate_argnums=(0, 1))
    def train_step(model: Net, opt: nnx.Optimizer, x: jax.Array) -> jax.Array:
        loss, grads = nnx.value_and_grad(lambda m: m(x).sum())(model)
        opt.update(model, grads)
        return loss

    finding = failing(train_step, model, opt, jnp.ones((2, 4)))
    finding.repro(tmp_path)
    status, said = run_alone(tmp_path)
    assert status == 0, said
    assert "the operation alone: inf" in said
    assert "the call: model.scale: nan" in said


@jax.custom_vjp
def clipped(x: jax.Array) -> jax.Array:
    return jnp.log(x)


clipped.defvjp(lambda x: (jnp.log(x), x), lambda x, g: (g / x,))


def rolled(x: jax.Array) -> jax.Array:
    def body(carry: jax.Array, x: jax.Array) -> Any:
        return carry * x, jnp.log(carry - x)

    return jax.lax.scan(body, x[0], x)[1]


CASES: dict[str, tuple[Any, Any]] = {
    "custom_vjp": (jax.grad(lambda x: clipped(x).sum()), lambda: jnp.zeros(3)),
    "scan": (rolled, lambda: jnp.arange(1.0, 5.0)),
    "remat": (
        jax.grad(lambda x: jax.checkpoint(lambda x: jnp.sqrt(x).sum())(x)),
        lambda: jnp.zeros(3),
    ),
    "cholesky": (jnp.linalg.cholesky, lambda: -jnp.eye(3)),
    "eigh": (lambda x: jnp.linalg.eigh(x)[0] / 0, lambda: jnp.eye(3)),
    "bfloat16": (lambda x: x * x, lambda: jnp.full(3, 3e38, "bfloat16")),
    "float16": (lambda x: x.astype("float16"), lambda: jnp.full(3, 1e5)),
    "float8": (
        lambda x: x.astype("float8_e5m2").astype("float32"),
        lambda: jnp.full(3, 1e6),
    ),
    "complex": (lambda x: 1 / x, lambda: jnp.zeros(2, "complex64")),
    "matmul": (lambda x: x @ x.T, lambda: jnp.full((2, 2), 3e38)),
    "gather": (
        lambda x: x.at[jnp.array([7])].get(mode="fill"),
        lambda: jnp.ones(3),
    ),
    "cumsum": (jnp.cumsum, lambda: jnp.full(3, 3e38)),
    "debug print": (
        lambda x: (jax.debug.print("{}", x), jnp.log(x))[1],
        lambda: -jnp.ones(2),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_kinds_of_calls(name: str, tmp_path: Path) -> None:
    function, argument = CASES[name]
    finding = failing(jax.jit(function), argument())
    written = finding.repro(tmp_path)
    assert written.notes == ()
    status, said = run_alone(tmp_path)
    assert status == 0, said
    assert "the operation alone:" in said
    assert "the call:" in said


@pytest.mark.slow
def test_typed_keys_and_numbers(tmp_path: Path) -> None:
    @jax.jit
    def sample(key: jax.Array, n: int) -> Any:
        key, sub = jax.random.split(key)
        return key, jnp.log(jax.random.normal(sub, (50,)) * n)

    finding = failing(sample, jax.random.key(0, impl="rbg"), 2)
    finding.repro(tmp_path)
    status, said = run_alone(tmp_path)
    assert status == 0, said
    want = int(np.isnan(np.asarray(sample(jax.random.key(0, impl="rbg"), 2)[1])).sum())
    assert f"the call: sample(...)[1]: {want} of 50 elements are bad" in said


def test_double_precision(tmp_path: Path) -> None:
    with jax.enable_x64(True):
        finding = failing(jax.jit(lambda x: 1 / x), jnp.zeros(2))
        finding.repro(tmp_path)
    script = (tmp_path / "repro.py").read_text()
    assert 'jax.config.update("jax_enable_x64", True)' in script
    status, said = run_alone(tmp_path)
    assert status == 0, said


def test_eager_operation(tmp_path: Path) -> None:
    finding = failing(lambda x: jnp.log(x), -jnp.ones(3))
    finding.repro(tmp_path)
    assert run_alone(tmp_path)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["jit", "shard_map"])
def test_sharded_arrays(how: str, tmp_path: Path) -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("d",))
    rows = jax.sharding.PartitionSpec("d")
    x = jax.device_put(jnp.arange(4.0), jax.sharding.NamedSharding(mesh, rows))

    def step(x: jax.Array) -> jax.Array:
        return jnp.log(x) * 0

    if how == "shard_map":
        step = jax.shard_map(step, mesh=mesh, in_specs=rows, out_specs=rows)
    finding = failing(jax.jit(step), x)
    finding.repro(tmp_path)
    status, said = run_alone(tmp_path)
    assert status == 0, said
    assert "step(...): 1 of 4 elements are bad, the first at [0]: nan" in said


def test_value_that_never_leaves_the_call(tmp_path: Path) -> None:
    hidden = jax.jit(lambda x: jnp.where(x > 0, jnp.log(x), 0.0))
    finding = failing(hidden, -jnp.ones(3), every_op=True)
    finding.repro(tmp_path)
    status, said = run_alone(tmp_path)
    assert (status, said.split(",")[0]) == (
        0,
        "the operation alone: 3 of 3 elements are bad",
    )


def test_failing_check(tmp_path: Path) -> None:
    @jax.jit
    def step(x: jax.Array) -> jax.Array:
        checkify.check((x > 0).all(), "x must be positive")
        return x * 2

    with pytest.raises(jaxdbg.CheckError) as raised, jaxdbg.checked():
        step(-jnp.ones(3))
    raised.value.finding.repro(tmp_path)
    status, said = run_alone(tmp_path)
    assert (status, said) == (0, "the call: the check fails\nReproduced.\n")


def test_later_finding_of_a_recorded_run(tmp_path: Path) -> None:
    log = jax.jit(lambda x: jnp.log(x))
    with jaxdbg.checked(record=True) as region:
        log(-jnp.ones(3))
        log(-jnp.ones(4))
    first, second = region.report.findings
    first.repro(tmp_path / "1")
    second.repro(tmp_path / "2")
    assert "of 4 elements" in run_alone(tmp_path / "2")[1]


def test_what_cannot_be_exported_leaves_the_operation(tmp_path: Path) -> None:
    @jax.jit
    def step(x: jax.Array) -> jax.Array:
        y = jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        return jnp.log(y - 2)

    written = failing(step, jnp.ones(3)).repro(tmp_path)
    (note,) = written.notes
    assert note.startswith("the call itself is not here: JAX cannot export it (")
    status, said = run_alone(tmp_path)
    assert status == 0, said
    assert "the call" not in said


# What is refused, and how.


def test_folder_that_is_not_empty(tmp_path: Path) -> None:
    finding = failing(loss_of, jnp.zeros((3, 4)), jnp.ones((3, 4)))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError) as raised:
        finding.repro(tmp_path)
    assert str(raised.value) == (
        f"The folder {tmp_path} is not empty: it holds mine.txt. Name a new one, or "
        "say overwrite=True to replace what an earlier repro wrote there."
    )
    finding.repro(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(FileExistsError, match=r"is a file\. repro writes a folder"):
        finding.repro(tmp_path / "mine.txt")


NOT_KEPT = (
    "What the failing call was given is not kept, or not any more: it is kept for the "
    "first failing calls of the region that failed last, until a later checked region "
    "calls a jitted function; never in a file, and not for functions that were "
    "compiled ahead of time. Run the failing code again in a checked region, then call "
    "repro at once."
)


def test_compiled_ahead_of_time(tmp_path: Path) -> None:
    x = -jnp.ones(3)
    finding = failing(jax.jit(jnp.log).lower(x).compile(), x)
    with pytest.raises(RuntimeError) as raised:
        finding.repro(tmp_path)
    assert str(raised.value) == NOT_KEPT


def test_finding_from_a_file(tmp_path: Path) -> None:
    failing(loss_of, jnp.zeros((3, 4)), jnp.ones((3, 4)))
    report = jaxdbg.last_report()
    assert report is not None
    again = jaxdbg.Report.from_json(report.to_json()).findings[0]
    with pytest.raises(RuntimeError) as raised:
        again.repro(tmp_path / "bug")
    assert str(raised.value) == NOT_KEPT
    assert not (tmp_path / "bug").exists()


def test_dropped_inputs(tmp_path: Path) -> None:
    finding = failing(loss_of, jnp.zeros((3, 4)), jnp.ones((3, 4)))
    kept_calls.forget()
    with pytest.raises(RuntimeError, match="is not kept, or not any more"):
        finding.repro(tmp_path)


def test_donated_inputs(tmp_path: Path) -> None:
    step = jax.jit(lambda w, x: w / x, donate_argnums=0)
    args = jnp.ones(3), jnp.zeros(3)
    finding = failing(step, *args, keep_donation=True)
    with pytest.raises(RuntimeError) as raised:
        finding.repro(tmp_path)
    assert str(raised.value) == (
        "What call 1 of <lambda> was given is gone: args[0] was donated "
        "to it or to a later call, or was written to in place. Run it again without "
        "--keep-donation, and call repro before the next step."
    )


def test_budget_is_no_value(tmp_path: Path) -> None:
    f = jax.jit(lambda x: x + 1)
    with pytest.raises(jaxdbg.TraceBudgetError) as raised, jaxdbg.checked(max_traces=0):
        f(1.0)
    with pytest.raises(RuntimeError) as refused:
        raised.value.finding.repro(tmp_path)
    assert str(refused.value) == (
        "Nothing to reproduce: <lambda> was over its budget of traces, which is no "
        "value that went bad."
    )
