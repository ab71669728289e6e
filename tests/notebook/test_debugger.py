"""A debugger after a failure stands inside the jitted function, in a real terminal."""

from __future__ import annotations

import io
import os
import pdb
import subprocess
import sys
from pathlib import Path

import pytest

import jaxdbg
from tests.programs.frames import PROGRAMS

PROGRAM = """\
import jax, jax.numpy as jnp

def normalise(x, eps=0.0):
    mean = x.mean()
    return (x - mean) / (x.std() + eps)

@jax.jit
def step(rows):
    scale = 2.0
    return scale * jax.lax.map(normalise, rows)

rows = jnp.ones((3, 4)).at[0, 0].set(5.0)
"""


def test_post_mortem_walks_the_users_frames_up_and_down():
    (program,) = (p for p in PROGRAMS if p.name == "scan_step")
    built = program.build()
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked(namespace={}):
        built.call(*built.args)
    said = io.StringIO()
    typed = io.StringIO(
        "p shifted.min()\nu\np sorted(locals())\nu\np rows\nd\nd\nw\nq\n"
    )
    debugger = pdb.Pdb(stdin=typed, stdout=said)
    debugger.reset()
    debugger.interaction(None, raised.value.__traceback__)
    text = said.getvalue()
    assert "Array(-0.5, dtype=float32)" in text
    assert "['c', 'row']" in text
    assert "Array([2. , 3. , 0.5, 7. ], dtype=float32)" in text
    stack = text.rpartition("-> built.call(*built.args)")[2]
    places = [line for line in stack.splitlines() if "frames.py(" in line]
    functions = [line.rpartition(")")[0].rpartition(")")[2] for line in places]
    assert functions == ["f(", "<lambda>(", "logarithm("]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_debug_in_ipython_opens_in_the_innermost_frame(tmp_path: Path):
    pexpect = pytest.importorskip("pexpect.fdpexpect")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    flags = "--simple-prompt --no-banner --no-confirm-exit --colors=NoColor"
    ours, its = os.openpty()  # pexpect would fork, which JAX warns of
    process = subprocess.Popen(
        [sys.executable, "-m", "IPython", *flags.split()],
        **dict.fromkeys(("stdin", "stdout", "stderr"), its),
        env={**os.environ, "IPYTHONDIR": str(tmp_path), "TERM": "dumb"},
    )
    shell = pexpect.fdspawn(ours, encoding="utf-8", timeout=120)
    try:
        shell.expect(r"In \[1\]: ")
        shell.sendline("%load_ext jaxdbg")
        shell.expect(r"In \[2\]: ")
        shell.sendline(f"%run {program}")
        shell.expect(r"In \[3\]: ")
        shell.sendline("%checked on")
        shell.expect(r"In \[4\]: ")
        shell.sendline("step(rows)")
        shell.expect(r"In \[5\]: ")
        assert "normalise" in shell.before
        assert "jaxdbg/" not in shell.before
        shell.sendline("%debug")
        shell.expect("ipdb> ")
        assert "return (x - mean) / (x.std() + eps)" in shell.before
        shell.sendline("p mean, x.std(), eps")
        shell.expect(
            r"\(Array\(1\., dtype=float32\), Array\(0\., dtype=float32\), 0\.0\)"
        )
        shell.sendline("u")
        shell.expect("jax.lax.map")
        shell.sendline("p scale, rows.shape")
        shell.expect(r"\(2\.0, \(3, 4\)\)")
        shell.sendline("q")
        shell.expect(r"In \[6\]: ")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(its)
