"""Asking for the story: `jaxdbg.origin()` and `%origin`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import jaxdbg
from jaxdbg.checks.afterwards import last
from jaxdbg.records import Origin, Report

BAD = np.array([[1, -1], [2, 3]], np.float32)


@jax.jit
def logs(x):
    return {"log": jnp.log(x), "twice": [x * 2]}


@pytest.fixture
def failed(monkeypatch):
    """The report of a region with two findings about a value."""
    monkeypatch.setattr(last, "_last_failing", None)
    with jaxdbg.checked(record=True) as region:
        logs(BAD)
        jax.jit(lambda x: x / x)(np.float32(0))
    return region.report


@pytest.fixture
def shell():
    """An IPython shell with the extension loaded."""
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    ip = InteractiveShell.instance(config=config)
    jaxdbg.load_ipython_extension(ip)
    yield ip
    jaxdbg.unload_ipython_extension(ip)
    InteractiveShell.clear_instance()


def unwrapped(text):
    """A text whose lines do not depend on how long the path of this file is."""
    return text.replace("\n        ", " ")


def test_the_whole_story(failed):
    line = logs.__wrapped__.__code__.co_firstlineno + 2
    assert unwrapped(str(jaxdbg.origin())) == unwrapped(
        'NaN in logs(...)["log"], from logs (call 1 in this region)\n'
        "  born\n"
        f"    NaN was born in `jnp.log` at {__file__}:{line}\n"
        '      return {"log": jnp.log(x), "twice": [x * 2]}\n'
        "                     ^^^^^^^^^^\n"
        "  cause\n"
        "    log of a negative number\n"
        "  likely fix\n"
        "    look at why the argument is negative: a probability that is rounded, or "
        "a\n"
        "        scale without `softplus` or `exp`\n"
        "  operands\n"
        "    argument of log `x` is -1 at [0, 1] (float32[2,2], -1 to 3, 1 negative)\n"
        "  passed\n"
        "    `x` is your `BAD`\n"
        "  reached\n"
        '    logs(...)["log"]: 1 of 4 (NaN), first at [0, 1]'
    )


def test_of_a_finding_or_of_an_error(failed):
    first, second = failed.findings
    assert jaxdbg.origin() is first.origin
    assert jaxdbg.origin(second).primitive == "div"
    with pytest.raises(jaxdbg.NonFiniteError) as caught, jaxdbg.checked():
        logs(BAD)
    assert jaxdbg.origin(caught.value) is caught.value.finding.origin


def test_a_clean_region_does_not_hide_the_story(failed):
    with jaxdbg.checked():
        logs(-BAD * BAD + 20)
    assert jaxdbg.origin() is failed.findings[0].origin


def test_an_origin_survives_json(failed):
    again = Report.from_json(failed.to_json())
    assert again == failed
    assert isinstance(again.findings[0].origin, Origin)
    assert str(again.findings[0].origin) == str(jaxdbg.origin())


def test_what_cannot_be_told(monkeypatch):
    monkeypatch.setattr(last, "_last_failing", None)
    with pytest.raises(jaxdbg.UsageError) as caught:
        jaxdbg.origin()
    assert str(caught.value) == (
        "No region has failed yet, so there is no finding. Run the code under "
        "%%checked, or in `with jaxdbg.checked():`."
    )
    with pytest.raises(TypeError) as wrong:
        jaxdbg.origin("loss")
    assert str(wrong.value) == (
        "jaxdbg.origin() takes a Finding, the error raised for one, or nothing for the "
        "last one; it was given str."
    )
    with pytest.raises(jaxdbg.TraceBudgetError), jaxdbg.checked(max_traces=0):
        jax.jit(lambda x: x + 1)(np.zeros(2))
    with pytest.raises(jaxdbg.UsageError) as caught:
        jaxdbg.origin()
    assert str(caught.value) == (
        "This finding has no origin, it is about tracing: <lambda> is being traced for "
        "the 1st time in this region; max_traces allows 0."
    )


def test_the_magic(shell, failed):
    assert shell.run_line_magic("origin", "") is failed.findings[0].origin
    assert shell.run_line_magic("origin", "2") is failed.findings[1].origin
    path = failed.findings[0].path
    assert shell.run_line_magic("origin", path) is failed.findings[0].origin
    with pytest.raises(UsageError) as caught:
        shell.run_line_magic("origin", "3")
    assert str(caught.value) == (
        "There is no finding '3'. Expected a number from 1 to 2, or one of: "
        'logs(...)["log"], <lambda>(...).'
    )


def test_the_magic_completes_and_explains_itself(shell, failed, capsys):
    def offered(text):
        with provisionalcompleter():
            return [c.text for c in shell.Completer.completions(text, len(text))]

    assert offered("%origin ") == ["1", "2", "<lambda>(...)", 'logs(...)["log"]']
    assert offered("story = %origin 2") == ["2"]
    shell.run_line_magic("pinfo", "%origin")
    assert "Show the whole story of a bad value" in capsys.readouterr().out


def test_what_a_notebook_shows(shell, failed):
    data, _ = shell.display_formatter.format(jaxdbg.origin())
    assert data["text/plain"] == str(jaxdbg.origin())
    html = data["text/html"]
    assert ">jnp.log(x)</span>" in html  # the exact expression is marked
    assert "log of a negative number" in html
    assert "logs(...)[&quot;log&quot;]" in html
    assert "<script" not in html
