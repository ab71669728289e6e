"""`jaxdbg.testing.devices`: another number of CPU devices while JAX runs."""

from __future__ import annotations

import subprocess
import sys

import jax
import pytest

import jaxdbg
from jaxdbg.testing import devices

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
import jaxdbg
from jaxdbg.testing import devices

double = jax.jit(lambda x: 2 * x)
before, key = jnp.arange(3.0), jax.random.key(0)
double(before)

with devices(8) as eight:
    assert len(eight) == jax.device_count() == 8
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.NamedSharding(mesh, jax.P("data"))
    shards = jax.device_put(jnp.arange(16.0), rows)
    assert len(shards.addressable_shards) == 8
    assert double(before).tolist() == [0, 2, 4]  # compiled again, on the new devices
    jax.random.normal(key)
    with jaxdbg.checked(record=True) as region:  # checks run there too
        jax.jit(jnp.log)(shards - 3)
    assert "on cpu:0" in region.report.findings[0].message, region.report.findings
assert jax.device_count() == 2
assert np.asarray(shards).sum() == 120 and double(before).tolist() == [0, 2, 4]
assert repr(devices(3)).startswith("3 CPU devices, 2 before. Functions are traced")
assert jax.device_count() == 3
print("done")
"""


def test_devices_change_and_change_back() -> None:
    """In a process of its own, since what other tests have compiled would be lost."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True
    )
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("number", [0, -1, "8", 2.0, True, None, 5000])
def test_what_is_no_number_of_devices(number: object) -> None:
    with pytest.raises(jaxdbg.UsageError) as refused:
        devices(number)  # type: ignore[arg-type]
    assert str(refused.value) == (
        f"devices({number!r}): expected a whole number of CPU devices from 1 to 1,024."
    )


def test_not_in_a_region() -> None:
    with jaxdbg.checked(), pytest.raises(jaxdbg.UsageError, match="in a checked regio"):
        devices(8)
    assert jax.device_count() == 2


def test_not_where_there_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(jaxdbg.UsageError, match="JAX runs on gpu here, and to change"):
        devices(8)
