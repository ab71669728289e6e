"""A shard_map as one program on whole arrays, and births inside of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import json, linecache, sys
import jax, jax.numpy as jnp, numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec as P
from jaxdbg.jax_internals.jaxprs.higher_order import structure
from jaxdbg.jax_internals.names import jaxpr_as_fun
from jaxdbg.origins.search.search import search
from jaxdbg.jax_internals.jaxprs.shard_map import unsharded

mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("a", "b"))


def collectives(x, w):
    y = jnp.log(x) @ w
    y, _ = lax.scan(lambda c, _: (c + lax.axis_index("a"), None), y, None, length=2)
    moved = lax.ppermute(y, "a", [(0, 1), (1, 0)])
    return lax.psum(moved, "b"), lax.pmean(y.sum(), ("a", "b")), lax.all_gather(x, "a")


def varying(x, w):
    y = jnp.log(x) @ w
    return lax.psum(y, "b"), lax.pmean(y.sum(), ("a", "b")), x


CASES = {
    "collectives": (collectives, (P("a", None), P(), P(None, ("a", "b"))), False),
    "varying": (varying, (P("a", None), P(), P("a", "b")), True),
}
body, outs, check = CASES[sys.argv[1]]
specs = (P("a", "b"), P("b", None))
f = jax.shard_map(body, mesh=mesh, in_specs=specs, out_specs=outs, check_vma=check)
x, w = np.arange(1, 25, dtype=np.float32).reshape(4, 6), np.ones((6, 2), np.float32)
(eqn,) = jax.make_jaxpr(f)(x, w).eqns
made = unsharded(eqn, structure(eqn)).jaxpr
for mine, right in zip(jaxpr_as_fun(made)(x, w), f(x, w), strict=True):
    np.testing.assert_allclose(mine, right, rtol=1e-6)
x[3, 4] = -1
(found,) = search(jax.make_jaxpr(f)(x, w), [x, w], [1]).values()
birth = found.birth
(value,) = birth.operands
print(json.dumps({
    "born": f"{birth.kind} {birth.site.eqn.primitive}",
    "value": float(value[birth.element]),
    "shard": birth.element[:2],
    "outer": [e.primitive.name for e in birth.site.outer],
    "frames": [f.function_name for f in birth.site.eqn.source_info.traceback.frames],
    "notes": found.notes,
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", ["collectives", "varying"])
def test_a_birth_on_one_device_of_four(case):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, case],
        cwd=ROOT,
        env={**os.environ, **flags, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["born"] == "nan log"
    assert told["value"] == -1
    assert told["shard"] == [1, 1]
    assert told["outer"] == ["shard_map"]
    assert case in told["frames"]
    assert told["notes"] == [
        "inside shard_map and pmap, arrays have axes of the mesh: a (2), b (2)"
    ]
