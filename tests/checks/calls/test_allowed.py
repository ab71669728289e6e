"""Values that the user says are meant: where, for what, and what is said of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import jaxdbg
from jaxdbg.checks.calls.allowed import commented

X = jnp.array([0.0, 1.0])


@jax.jit
def spectrum(x):
    return 20 * jnp.log10(x)  # jaxdbg: allow -inf


@jax.jit
def later(x):
    y = jnp.log(x)  # jaxdbg: allow -inf
    return y * 0


@jax.jit
def beside(x):
    y = jnp.log(x)  # jaxdbg: allow inf, -inf
    return y, 1 / x


@jax.jit
def in_a_block(x):
    with jaxdbg.allowed("-inf"):
        return helper(x)


def helper(x):
    return jnp.log(x)


@jax.jit
def after_a_block(x):
    with jaxdbg.allowed("-inf"):
        y = x + 1
    return y + jnp.log(x)


@jaxdbg.allowed("inf")
@jax.jit
def inverse(x):
    return 1 / x


@jax.jit
def plain(x):
    return 1 / x


@jax.jit
def idle(x):
    return x + 1  # jaxdbg: allow inf


def report_of(function, *args, **options):
    with jaxdbg.checked(**options) as region:
        function(*args)
    return region.report


@pytest.mark.parametrize("options", [{}, {"async_": True}, {"every_op": True}])
@pytest.mark.parametrize("function", [spectrum, in_a_block, inverse])
def test_what_is_allowed_is_counted_and_no_failure(function, options):
    report = report_of(function, X, **options)
    assert report.ok
    assert report.notices == ()
    (found,) = report.allowed
    assert found.kind == ("inf" if function is inverse else "-inf")
    assert found.count == 1
    assert __file__ in found.where


def test_the_quiet_line_says_so():
    report = report_of(lambda: (spectrum(X), spectrum(X)))
    line = spectrum.__wrapped__.__code__.co_firstlineno + 2
    assert f"✓ 2 calls checked · 2 allowed -Infs at {__file__}:{line}" in str(report)
    again = type(report).from_json(report.to_json())
    assert again.allowed == report.allowed


@pytest.mark.parametrize("function", [later, beside, after_a_block])
def test_what_is_made_of_it_or_elsewhere_fails(function):
    with pytest.raises(jaxdbg.NonFiniteError) as raised:
        report_of(function, X)
    kind = {later: "nan", beside: "inf", after_a_block: "-inf"}[function]
    assert raised.value.finding.origin.kind == kind


def test_eager_code():
    def on_the_line():
        return 1 / X  # jaxdbg: allow inf

    def inside():
        with jaxdbg.allowed("inf"):
            return plain(X), 1 / X

    def outside():
        with jaxdbg.allowed("inf"):
            1 / X
        return 1 / X

    assert report_of(on_the_line).ok
    assert report_of(inside).ok
    with pytest.raises(jaxdbg.NonFiniteError):
        report_of(outside)
    with pytest.raises(jaxdbg.NonFiniteError):
        report_of(plain, X)


@pytest.mark.parametrize("options", [{"allow": "inf"}, {"only": ("nan",)}])
def test_a_region_may_allow_a_kind(options):
    report = report_of(plain, X, **options)
    assert report.ok
    assert [a.count for a in report.allowed] == [1]
    with pytest.raises(jaxdbg.NonFiniteError, match=r"^NaN"):
        report_of(later, X, **options)
    with pytest.raises(jaxdbg.NonFiniteError):  # it holds for the region only
        report_of(plain, X)


def test_the_program_is_untouched():
    def bare(x):
        return jnp.log(x)

    @jaxdbg.allowed("inf")
    def decorated(x):
        return jnp.log(x)

    def blocked(x):
        with jaxdbg.allowed("inf"):
            return jnp.log(x)

    assert decorated.__name__ == "decorated"
    want = jax.jit(bare).lower(X).as_text().replace("bare", "f")
    for function in (decorated, blocked):
        text = jax.jit(function).lower(X).as_text()
        assert text.replace(function.__name__, "f") == want


def test_the_message_says_how_to_allow():
    with pytest.raises(jaxdbg.NonFiniteError) as raised:
        report_of(plain, X)
    line = plain.__wrapped__.__code__.co_firstlineno + 2
    assert str(raised.value).splitlines()[-1] == (
        f'  meant? `# jaxdbg: allow inf` on {__file__}:{line}, or allow="inf".'
    )


def test_a_comment_that_allows_nothing_is_reported():
    line = idle.__wrapped__.__code__.co_firstlineno + 2
    assert report_of(idle, X).notices == (
        f"`# jaxdbg: allow inf` at {__file__}:{line} allowed nothing in this region",
    )


def test_several_kinds_may_be_in_a_comment():
    assert commented("x = 1 / y  # jaxdbg: allow inf, nan") == {"inf", "nan"}
    assert commented("x = 1  # noqa # jaxdbg:allow -inf  # more") == {"-inf"}
    assert commented("x = 1  # jaxdbg: allow infinity") == frozenset()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: jaxdbg.checked(allow=("infinity",)),
        lambda: jaxdbg.checked(only="infinity"),
        lambda: jaxdbg.allowed("infinity"),
    ],
)
def test_another_word_is_refused(wrong):
    with pytest.raises(jaxdbg.UsageError) as raised:
        wrong()
    assert str(raised.value) == (
        "Unknown kind of value: 'infinity'. Expected some of nan, inf, -inf."
    )


def test_a_block_needs_a_kind_and_a_function():
    with pytest.raises(jaxdbg.UsageError, match="takes some of nan, inf, -inf"):
        jaxdbg.allowed()
    with pytest.raises(jaxdbg.UsageError, match="goes above a function"):
        jaxdbg.allowed("nan")(3)


def test_a_value_inside_a_call_says_how_to_allow_it_too():
    @jax.jit
    def masked(x):
        return jnp.where(x > 0, jnp.log(x), 0.0)

    line = masked.__wrapped__.__code__.co_firstlineno + 2
    with pytest.raises(jaxdbg.NonFiniteError) as raised, jaxdbg.checked(every_op=True):
        masked(-X - 1)
    assert str(raised.value).endswith(
        f'  meant? `# jaxdbg: allow nan` on {__file__}:{line}, or allow="nan".'
    )
    finding = raised.value.finding
    assert (finding.allow, finding.allow_at) == (
        "# jaxdbg: allow nan",
        f"{__file__}:{line}",
    )
    with jaxdbg.checked(every_op=True, allow="nan") as region:
        masked(-X - 1)
    assert region.report.ok
