"""A checked cell that is interrupted in a real kernel leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """
%load_ext jaxdbg
import time, jax, jax.numpy as jnp
step = jax.jit(lambda x: x + 1)
"""

LOOP = """%%checked
x = jnp.zeros(3)
print("begun")
while True:
    x = step(x)
    time.sleep(0.001)
"""

AFTER = """
from jax._src import pjit
from jaxdbg.jax_internals.config import region_state
import jaxdbg
print(pjit._pjit_call_impl_python.__module__, region_state().value,
      jaxdbg.last_report().calls > 0, float(step(x)[0]) > 1)
"""


@pytest.fixture
def kernel() -> Iterator[tuple[Any, Any]]:
    """A kernel of this Python, and a client to it."""
    manager, client = start_new_kernel()  # ipykernel's own, which runs this Python
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client: Any, code: str) -> tuple[str, str]:
    """The status of a cell, or the name of its error, and what it printed."""
    printed = []

    def output(message: Any) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=output, timeout=120)
    content = reply["content"]
    return content.get("ename", content["status"]), "".join(printed)


def test_an_interrupted_cell(kernel: tuple[Any, Any]) -> None:
    manager, client = kernel
    assert run(client, SETUP)[0] == "ok"
    # Else a kernel also aborts what it receives in the moment after an error.
    client.execute(LOOP, stop_on_error=False)
    while True:
        message = client.get_iopub_msg(timeout=120)
        if "begun" in str(message["content"].get("text")):
            break
    time.sleep(0.5)  # well into the loop
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=120)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert run(client, AFTER) == ("ok", "jax._src.pjit False True True\n")
