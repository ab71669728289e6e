"""Programs on a mesh of eight devices that go wrong, with the truth beside each.

    python -m tests.programs.on_a_mesh [NAME ...]

Each is run plain and in a region with good data, then in a region with bad data. Prints
a line of JSON for each, with what was found. The bad line has a comment, `# <- origin`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx  # a program without modules says nothing of them all the same
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import jaxdbg

LIBRARY = nnx.__name__


@dataclass(frozen=True)
class Truth:
    """What is true of a program with bad data.

    Attributes:
        primitive: in which the value is born; empty where it came in.
        device: on which the value is born, as far as the program says that.
        rows: the failing row of the batch, and its devices; empty where it has none.
        kind: what the value is.
        loop: the loops around it.
        function: name of the function that is called.
        argument: through which it came in.
        direction: of the pass.
    """

    primitive: str = ""
    device: str = ""
    rows: str = ""
    kind: str = "nan"
    loop: tuple[tuple[str, int, int | None], ...] = ()
    function: str = "step"
    argument: str = ""
    direction: str = "forward"


Program = Callable[[bool], Any]
PROGRAMS: dict[str, tuple[Program, Truth]] = {}


def program(**truth: Any) -> Callable[[Program], Program]:
    def add(make: Program) -> Program:
        PROGRAMS[make.__name__] = make, Truth(**truth)
        return make

    return add


def mesh(*sizes: int, explicit: bool = False) -> jax.sharding.Mesh:
    names = ("data", "model")[: len(sizes)]
    kind = AxisType.Explicit if explicit else AxisType.Auto
    return jax.make_mesh(sizes, names, axis_types=(kind,) * len(sizes))


def batch(bad_row: int | None, rows: int = 32, width: int = 6) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    if bad_row is not None:
        x[bad_row] = 1.5
    return x


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def put(x: Any, at: jax.sharding.Mesh, *spec: Any) -> jax.Array:
    return jax.device_put(x, NamedSharding(at, P(*spec)))


@program(primitive="div", rows="row 21, on cpu:5")
def data_parallel(bad: bool) -> Any:
    m = mesh(8)

    def loss(w, x):
        y = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)  # <- origin
        return jnp.mean((y @ w) ** 2)

    @jax.jit
    def step(w, x):
        value, gradient = jax.value_and_grad(loss)(w, x)
        return w - 0.1 * gradient, value

    x = put(batch(21 if bad else None), m, "data")
    return step(put(weights(6, 4), m), x)


@program(primitive="div", rows="row 21, on cpu:5")
def fully_sharded(bad: bool) -> Any:
    m = mesh(8)

    def loss(w, x):
        y = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)  # <- origin
        return jnp.mean((y @ w["in"] @ w["out"]) ** 2)

    @jax.jit
    def step(w, x):
        value, gradient = jax.value_and_grad(loss)(w, x)
        return jax.tree.map(lambda p, g: p - 0.1 * g, w, gradient), value

    w = {"in": put(weights(16, 8), m, "data"), "out": put(weights(8, 16), m, "data")}
    return step(w, put(batch(21 if bad else None, width=16), m, "data"))


@program(primitive="div", device="cpu:5", rows="row 21, on cpu:5")
def gradient_in_shard_map(bad: bool) -> Any:
    m = mesh(8)

    def body(w, x):
        def loss(w):
            y = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)  # <- origin
            return jax.lax.pmean(jnp.mean((y @ w) ** 2), "data")

        value, gradient = jax.value_and_grad(loss)(w)
        return w - 0.1 * gradient, value

    @jax.jit
    def step(w, x):
        return jax.shard_map(
            body, mesh=m, in_specs=(P(), P("data")), out_specs=(P(), P())
        )(w, x)

    return step(put(weights(6, 4), m), put(batch(21 if bad else None), m, "data"))


@program(primitive="log", device="cpu:2", rows="row 2, on cpu:2")
def ring(bad: bool) -> Any:
    """The NaN of device 2 is passed on to device 3."""
    m = mesh(8)

    def body(x):
        everything = jax.lax.all_gather(x, "data", tiled=True)
        y = jnp.log(x)  # <- origin
        y = jax.lax.ppermute(y, "data", [(i, (i + 1) % 8) for i in range(8)])
        return y + 0 * everything.sum()

    @jax.jit
    def step(x):
        return jax.shard_map(body, mesh=m, in_specs=P("data"), out_specs=P("data"))(x)

    x = np.arange(1, 25, dtype=np.float32).reshape(8, 3)
    if bad:
        x[2, 1] = -1
    return step(put(x, m, "data"))


@program(primitive="div", device="cpu:6", loop=(("scan", 3, 5),))
def shard_map_in_scan(bad: bool) -> Any:
    m = mesh(8)

    def body(c, x, n):
        bad_here = (jax.lax.axis_index("data") == 6) & (n == (3 if bad else -1))
        scale = jnp.where(bad_here, 0.0, 1.0)
        return c + (x - x) / scale  # <- origin

    def inner(c, xn):
        spec = P("data")
        each = jax.shard_map(
            body, mesh=m, in_specs=(spec, spec, P()), out_specs=spec, check_vma=False
        )
        return each(c, *xn), None

    @jax.jit
    def step(c, xs):
        return jax.lax.scan(inner, c, (xs, jnp.arange(5)))[0]

    return step(put(batch(None), m, "data"), np.stack([batch(None)] * 5))


def eager(body: Any, bad: bool, explicit: bool) -> Any:
    m = mesh(8, explicit=explicit)
    x = np.full((8, 3), 9, np.float32)
    if bad:
        x[4, 1] = 0.5
    return jax.shard_map(body, mesh=m, in_specs=P("data"), out_specs=P())(
        put(x, m, "data")
    )


@program(primitive="log", device="cpu:4", function="log")
def shard_map_without_jit(bad: bool) -> Any:
    def body(x):
        return jax.lax.psum(jnp.log(x - 1.0), "data")  # <- origin

    return eager(body, bad, explicit=False)


@program(primitive="log", device="cpu:4", function="log")
def shard_map_without_jit_on_an_explicit_mesh(bad: bool) -> Any:
    def body(x):
        return jax.lax.psum(jnp.log(x - 1.0), "data")  # <- origin

    return eager(body, bad, explicit=True)


@program(
    primitive="sqrt",
    device="cpu:4",
    rows="row 4, on cpu:4",
    loop=(("scan", 2, 4),),
)
def scan_of_collectives_in_shard_map(bad: bool) -> Any:
    m = mesh(8)

    def body(x):
        def inner(c, _):
            c = c - 1.0
            root = jnp.sqrt(c)  # <- origin
            return c, jax.lax.psum(root, "data")

        return jax.lax.scan(inner, x, None, length=4)[1]

    @jax.jit
    def step(x):
        return jax.shard_map(body, mesh=m, in_specs=P("data"), out_specs=P())(x)

    x = np.full((8, 3), 9, np.float32)
    if bad:
        x[4, 1] = 2.5
    return step(put(x, m, "data"))


@program(
    primitive="sqrt",
    device="cpu:4",
    rows="row 4, on cpu:4",
    loop=(("scan", 2, 4),),
)
def scan_in_shard_map(bad: bool) -> Any:
    m = mesh(8)

    def body(x):
        def inner(c, _):
            c = c - 1.0
            return c, jnp.sqrt(c)  # <- origin

        return jax.lax.scan(inner, x, None, length=4)[1]

    @jax.jit
    def step(x):
        return jax.shard_map(
            body, mesh=m, in_specs=P("data"), out_specs=P(None, "data")
        )(x)

    x = np.full((8, 3), 9, np.float32)
    if bad:
        x[4, 1] = 2.5
    return step(put(x, m, "data"))


@program(primitive="div", device="cpu:4", kind="inf", function="by_index")
def pmap_with_axis_index(bad: bool) -> Any:
    def by_index(x):
        i = jax.lax.axis_index("devices").astype(jnp.float32)
        return jax.lax.psum(x / (i - (4 if bad else 99)), "devices")  # <- origin

    return jax.pmap(by_index, axis_name="devices")(np.ones((8, 3), np.float32))


@program(primitive="div", device="cpu:5", function="loss")
def pmap_of_a_gradient(bad: bool) -> Any:
    def loss(w, x):
        y = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)  # <- origin
        return jnp.mean((y @ w) ** 2)

    x = batch(21 if bad else None).reshape(8, 4, 6)
    return jax.pmap(jax.value_and_grad(loss), in_axes=(None, 0))(weights(6, 2), x)


@program(primitive="log", device="cpu:7", rows="row 15, on cpu:7")
def vmap_in_shard_map(bad: bool) -> Any:
    m = mesh(8)

    def one(row):
        return jnp.log(row.sum())  # <- origin

    @jax.jit
    def step(x):
        spec = P("data")
        return jax.shard_map(jax.vmap(one), mesh=m, in_specs=spec, out_specs=spec)(x)

    x = np.abs(batch(None, rows=16))
    if bad:
        x[15] = -1
    return step(put(x, m, "data"))


@program(primitive="div", rows="row 21, on cpu:5")
def uneven(bad: bool) -> Any:
    m = mesh(8)

    @jax.jit
    def step(x):
        y = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)  # <- origin
        return jax.lax.with_sharding_constraint(y[:27], P("data"))

    with jax.set_mesh(m):
        return step(put(batch(21 if bad else None), m, "data"))


@program(primitive="div", rows="row 21, on cpu:4 and cpu:5")
def explicit(bad: bool) -> Any:
    m = mesh(4, 2, explicit=True)

    def loss(w, x):
        y = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)  # <- origin
        return jnp.mean((y @ w) ** 2)

    @jax.jit
    def step(w, x):
        value, gradient = jax.value_and_grad(loss)(w, x)
        return w - 0.1 * gradient, value

    with jax.set_mesh(m):
        x = jax.device_put(batch(21 if bad else None), P("data", None))
        return step(jax.device_put(weights(6, 4), P(None, "model")), x)


@program(primitive="log", device="cpu:4")
def one_shard(bad: bool) -> Any:
    @jax.jit
    def step(w):
        return jnp.log(w)  # <- origin

    w = np.abs(weights(64, 8)) + 1
    if bad:
        w[37, 5] = -2
    return step(put(w, mesh(8), "data"))


@program(primitive="psum", kind="inf")
def only_in_the_psum(bad: bool) -> Any:
    m = mesh(8)

    def body(x):
        return jax.lax.psum(x, "data")  # <- origin

    @jax.jit
    def step(x):
        return jax.shard_map(body, mesh=m, in_specs=P("data"), out_specs=P())(x)

    return step(put(np.full((8, 3), 3e38 if bad else 1, np.float32), m, "data"))


@program(argument="x[13, 2]", device="cpu:3", rows="row 13, on cpu:3")
def came_in_with_the_batch(bad: bool) -> Any:
    m = mesh(8)

    @jax.jit
    def step(w, x):
        return jnp.mean((x @ w) ** 2)

    x = batch(None)
    if bad:
        x[13, 2] = np.nan
    return step(put(weights(6, 4), m), put(x, m, "data"))


@program(primitive="dot_general", device="cpu:3", kind="inf")
def columns_of_a_matmul(bad: bool) -> Any:
    """Only the right operand is another one on each device."""
    m = mesh(8)

    def body(x, w):
        return x @ w  # <- origin

    @jax.jit
    def step(x, w):
        return jax.shard_map(
            body, mesh=m, in_specs=(P(), P(None, "data")), out_specs=P(None, "data")
        )(x, w)

    w = weights(6, 32)
    if bad:
        w[:, 13] = 3e38
    return step(np.full((5, 6), 2, np.float32), put(w, m, None, "data"))


@program(primitive="log", device="cpu:4 and cpu:5", rows="row 5, on cpu:4 and cpu:5")
def two_axes(bad: bool) -> Any:
    """What is split over one axis of the mesh is the same along the other."""
    m = mesh(4, 2)

    def body(x, w):
        return jax.lax.psum(jnp.log(x) @ w, "data")  # <- origin

    @jax.jit
    def step(x, w):
        return jax.shard_map(
            body,
            mesh=m,
            in_specs=(P("data"), P(None, "model")),
            out_specs=P(None, "model"),
        )(x, w)

    x = np.abs(batch(None, rows=8)) + 1
    if bad:
        x[5, 3] = -1
    return step(put(x, m, "data"), put(weights(6, 4), m, None, "model"))


@program(primitive="log", rows="row 5, on cpu:4 and cpu:5")
def partly_manual(bad: bool) -> Any:
    """Along the axis that is not manual the compiler has the choice of the device."""
    m = mesh(4, 2)

    @jax.jit
    def step(x):
        return jax.shard_map(
            lambda x: jnp.log(x),  # <- origin
            mesh=m,
            in_specs=P("data"),
            out_specs=P("data"),
            axis_names={"data"},
        )(x)

    return step(put(positive(8, 5 if bad else None), m, "data", "model"))


@program(primitive="log", device="cpu:5", rows="row 5, on cpu:5")
def as_many_rows_as_devices(bad: bool) -> Any:
    """By its shape alone an array does not say which of its axes is the mesh's."""
    m = mesh(8)

    def body(x, w):
        return jnp.log((w @ x.T).T)  # <- origin

    @jax.jit
    def step(x, w):
        return jax.shard_map(
            body, mesh=m, in_specs=(P("data"), P()), out_specs=P("data")
        )(x, w)

    x = np.repeat(positive(8, 5 if bad else None), 8, axis=1)
    return step(put(x, m, "data"), np.eye(64, dtype=np.float32))


@program(primitive="log", device="cpu:5", rows="row 5, on cpu:5")
def branch_with_a_key(bad: bool) -> Any:
    m = mesh(8)

    def body(key, x):
        key = jax.random.fold_in(key, jax.lax.axis_index("data"))
        high = jax.lax.axis_index("data") > 3
        return jax.lax.cond(
            high,
            lambda x: jnp.log(x),  # <- origin
            lambda x: x * jax.random.bits(key).astype(jnp.float32),
            x,
        )

    @jax.jit
    def step(key, x):
        return jax.shard_map(
            body, mesh=m, in_specs=(P(), P("data")), out_specs=P("data")
        )(key, x)

    return step(jax.random.key(0), put(positive(8, 5 if bad else None), m, "data"))


def positive(rows: int, bad_row: int | None) -> np.ndarray:
    x = np.abs(batch(None, rows=rows, width=8)) + 1
    if bad_row is not None:
        x[bad_row] = -1
    return x


def hashed(tree: Any) -> str:
    leaves = b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(tree))
    return hashlib.sha256(leaves).hexdigest()[:12]


def line_of(make: Program) -> int:
    text, first = inspect.getsourcelines(make)
    return next((n for n, t in enumerate(text, first) if "# <- origin" in t), 0)


def outcome(make: Program) -> dict[str, Any]:
    plain = hashed(make(False))
    with jaxdbg.checked() as region:
        checked = hashed(make(False))
    said: dict[str, Any] = {"same": plain == checked, "good": str(region.report)}
    said["line"] = line_of(make)
    try:
        with jaxdbg.checked() as region:
            make(True)
    except jaxdbg.NonFiniteError as error:
        origin = error.finding.origin
        source = origin.source
        said["origin"] = json.loads(json.dumps(asdict(origin), default=str))
        said["found"] = source.line if source is not None else 0
        said["function"] = error.finding.function
        said["message"] = str(error)
    said["notices"] = list(region.report.notices)
    return said


def main(names: list[str]) -> None:
    for name in names or PROGRAMS:
        make, truth = PROGRAMS[name]
        said = {"program": name, "truth": asdict(truth), **outcome(make)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
