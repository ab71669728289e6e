"""Programs after public reports of programs that compile too often, and their truth.

Each names the report; those of libraries that the tests need not have say which. As in
`tests/programs/retraces.py` all was written down before jaxdbg has run them.
"""

# ruff: noqa: B023 -- functions that close over the variable of a loop are the subject

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import jax.scipy.optimize
import numpy as np
import optax
from flax import nnx
from flax.training.train_state import TrainState

from tests.programs import compiles
from tests.programs.compiles import THE_FUNCTION, Program, ones

REPORTED: list[Program] = []

program = functools.partial(compiles.program, into=REPORTED)

NONE = ""
"""No advice is right."""


# --- Equinox, and what is built on it -----------------------------------------------


class Trajectory(eqx.Module):
    weight: Any
    forward: Any

    def __init__(self, forward):
        self.weight = jnp.asarray(ones(3))
        self.forward = jax.jit(forward)

    def __call__(self, x):
        return self.forward(self.weight * x)


def _double(x):
    return x * 2


@program(
    3,
    3,
    "static identity",
    "model.forward",
    "jitted function",
    "another",
    advice="once|one ",
)
def equinox_686_a_module_that_holds_a_jitted_function(traced):
    @eqx.filter_jit
    @traced
    def f(model, x):
        return model(x)

    for _ in range(3):
        f(Trajectory(_double), ones(3))


@program(
    3,
    3,
    "static identity",
    "model.forward",
    "jitted function",
    "another",
    advice="once|one ",
)
def equinox_686_a_module_that_holds_a_new_jitted_lambda(traced):
    @eqx.filter_jit
    @traced
    def f(model, x):
        return model(x)

    for k in range(3):
        f(Trajectory(lambda x: x * k), ones(3))


class Counter(eqx.Module):
    weight: Any
    calls: int = 0


@program(4, 4, "static value", "model.calls", "2", "3", advice="array|asarray")
def equinox_tree_at_of_a_python_counter(traced):
    @eqx.filter_jit
    @traced
    def f(model, x):
        return model.weight * x

    model = Counter(jnp.asarray(ones(3)))
    for _ in range(4):
        f(model, ones(3))
        model = eqx.tree_at(lambda m: m.calls, model, model.calls + 1)


@program(
    0,
    2,
    "static value",
    "stepsize_controller.rtol",
    "1e-05",
    "0.0001",
    function="diffeqsolve",
    phase="compile",
    advice="array|asarray",
    needs="diffrax",
)
def diffrax_466_another_tolerance(traced):
    import diffrax

    for tolerance in (1e-5, 1e-4):
        diffrax.diffeqsolve(
            diffrax.ODETerm(_decay),
            diffrax.Tsit5(),
            t0=0,
            t1=1,
            dt0=0.1,
            y0=jnp.ones(2),
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=1e-6),
        )


def _decay(t, y, args):
    return -y


@program(
    9,
    3,
    "static identity",
    "terms.vector_field",
    "a function <lambda>",
    "another function <lambda>",
    function="diffeqsolve",
    python="<lambda>",
    phase="compile",
    advice="once|one ",
    needs="diffrax",
)
def diffrax_a_new_lambda_for_each_solve(traced):
    import diffrax

    for k in (1.0, 2.0, 3.0):
        diffrax.diffeqsolve(
            diffrax.ODETerm(traced(lambda t, y, args: -k * y)),
            diffrax.Euler(),
            t0=0,
            t1=1,
            dt0=0.1,
            y0=jnp.ones(2),
        )


# --- solvers and optimizers ---------------------------------------------------------


class SolverState(NamedTuple):
    stepsize: Any
    error: Any


@program(
    2,
    2,
    "weak type",
    "state.stepsize",
    "f32[], weakly typed",
    "f32[]",
    advice=r"asarray\(state\.stepsize, jnp\.float32\)",
)
def jaxopt_451_a_weakly_typed_state(traced):
    @jax.jit
    @traced
    def f(params, state):
        error = (params**2).sum()
        return params * 0.9, SolverState(state.stepsize * error / error, error)

    params, state = ones(3), SolverState(jnp.asarray(1.0), jnp.float32(1))
    for _ in range(3):
        params, state = f(params, state)


@program(
    3,
    3,
    "new function",
    "the body of while",
    function="while",
    python="value",
    phase="compile",
    advice="once|jit what is around",
)
def optax_1171_a_line_search_outside_of_jit(traced):
    @traced
    def value(x):
        return (x**2).sum()

    opt = optax.chain(
        optax.sgd(0.1), optax.scale_by_backtracking_linesearch(max_backtracking_steps=4)
    )
    x = jnp.asarray(ones(3))
    state = opt.init(x)
    for _ in range(3):
        loss, grad = jnp.float32(3), x
        _, state = opt.update(grad, state, x, value=loss, grad=grad, value_fn=value)


@program(
    2,
    2,
    "Python scalar",
    'opt_state.hyperparams["learning_rate"]',
    "f32[]",
    "Python float",
    advice="asarray.*float32",
)
def optax_a_learning_rate_set_by_hand(traced):
    opt = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)

    @jax.jit
    @traced
    def f(params, opt_state):
        updates, opt_state = opt.update(params, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    params = jnp.asarray(ones(3))
    opt_state = opt.init(params)
    params, opt_state = f(params, opt_state)
    opt_state.hyperparams["learning_rate"] = 0.01
    f(params, opt_state)


@program(
    0,
    3,
    "static identity",
    "fn",
    "a function <lambda>",
    "another function <lambda>",
    function="minimise",
    phase="compile",
    advice="once|one ",
    needs="optimistix",
)
def optimistix_a_new_objective_for_each_data_set(traced):
    import optimistix

    for k in (1.0, 2.0, 3.0):
        optimistix.minimise(
            lambda y, args: ((y - k) ** 2).sum(),
            optimistix.BFGS(rtol=1e-3, atol=1e-3),
            jnp.ones(2),
        )


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a lambda",
    "another lambda",
    function="<lambda>",
    advice="argument",
    says="data",
    never="nothing",
)
def tinygp_239_an_objective_made_for_each_data_set(traced):
    def fit(data):
        loss = jax.jit(traced(lambda p: ((p - data) ** 2).sum()))
        return loss(ones(3))

    for data in (0.5, 1.5, 2.5):
        fit(data)


# --- Flax ---------------------------------------------------------------------------


@program(
    3,
    3,
    "static identity",
    "opt.tx",
    "a GradientTransformation",
    "another GradientTransformation",
    advice="optimizer once|one ",
)
def flax_5548_module_and_optimizer_made_for_each_epoch(traced):
    @nnx.jit
    @traced
    def f(model, opt, x):
        grads = nnx.grad(lambda m: m(x).sum())(model)
        opt.update(model, grads)

    for _ in range(3):
        model = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        f(model, nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param), ones(1, 3))


def _yes(x):
    return x + 1.0


def _no(x):
    return x - 1.0


@program(
    3,
    3,
    "new function",
    "the branches of cond",
    "a function",
    "the same function",
    function="cond",
    python="_yes",
    phase="compile",
    advice="jit what is around",
)
def flax_5512_nnx_cond_of_the_same_functions(traced):
    yes = traced(_yes)
    for _ in range(3):
        nnx.cond(np.bool_(True), yes, _no, ones(3))


class Mlp(nn.Module):
    width: int = 4
    act: Any = None

    @nn.compact
    def __call__(self, x):
        return (self.act or nn.relu)(nn.Dense(self.width)(x))


def _of_module(traced):
    @functools.partial(jax.jit, static_argnums=0)
    @traced
    def f(model, params, x):
        return model.apply(params, x)

    return f


def _params(width=4):
    dense = {"kernel": ones(3, width), "bias": ones(width)}
    return {"params": {"Dense_0": dense}}


@program(1, 1)
def flax_an_equal_linen_module_made_anew(traced):
    f = _of_module(traced)
    for _ in range(3):
        f(Mlp(4), _params(), ones(1, 3))


@program(
    3,
    3,
    "static identity",
    "model.act",
    "a function <lambda>",
    "another function <lambda>",
    advice="once|one ",
)
def flax_a_linen_module_with_a_new_activation(traced):
    f = _of_module(traced)
    for _ in range(3):
        f(Mlp(4, act=lambda x: x), _params(), ones(1, 3))


@program(2, 2, "pytree", 'variables["batch_stats"]', "(not there)", advice="same keys")
def flax_batch_stats_that_come_later(traced):
    @jax.jit
    @traced
    def f(variables, x):
        return x * variables["params"]

    f({"params": ones(3)}, ones(3))
    f({"params": ones(3), "batch_stats": {"mean": ones(3)}}, ones(3))


@program(1, 1)
def flax_the_step_of_a_train_state(traced):
    @jax.jit
    @traced
    def f(state):
        return state.apply_gradients(grads=state.params)

    params = {"w": jnp.asarray(ones(3))}
    state = TrainState.create(apply_fn=None, params=params, tx=optax.sgd(0.1))
    for _ in range(3):
        state = f(state)


@program(1, 1)
def nnx_other_seeds(traced):
    @nnx.jit
    @traced
    def f(model, rngs, x):
        return model(x) + jax.random.normal(rngs.noise(), x.shape)

    model = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    for seed in range(3):
        f(model, nnx.Rngs(noise=seed), ones(1, 3))


# --- shapes -------------------------------------------------------------------------


@program(3, 3, "shape", "indices", "i32[8]", "i32[10]", advice=NONE, never="grows")
def jax_15761_other_numbers_of_indices(traced):
    @jax.jit
    @traced
    def f(vec, indices):
        return vec[indices].sum()

    for n in (5, 8, 10, 10, 10):
        f(ones(20), np.zeros(n, np.int32))


@program(5, 5, "shape", "image", "f32[50,20,3]", "f32[24,36,3]", advice="pad|few")
def tapnet_44_frames_of_other_sizes(traced):
    @jax.jit
    @traced
    def f(image):
        return image.mean()

    for height, width in ((32, 48), (40, 30), (28, 28), (50, 20), (24, 36)):
        f(ones(height, width, 3))


class Graph(NamedTuple):
    nodes: Any
    edges: Any
    senders: Any


@program(6, 6, "shape", "graph.nodes", "f32[9,2]", "f32[4,2]", advice="pad")
def jraph_graphs_of_other_sizes(traced):
    @jax.jit
    @traced
    def f(graph):
        return graph.nodes[graph.senders].sum() + graph.edges.sum()

    for n in (5, 8, 3, 7, 9, 4):
        f(Graph(ones(n, 2), ones(2 * n, 1), np.zeros(2 * n, np.int32)))


@program(
    0,
    8,
    "eager loop",
    "the result",
    function="iota",
    phase="compile",
    advice="final size|mask|once",
)
def jax_an_arange_that_grows_in_a_loop(traced):
    for n in range(21, 29):
        jnp.arange(n)


# --- functions made anew ------------------------------------------------------------


class Policy:
    def __init__(self, scale, traced):
        self.scale = scale
        self._traced = traced

    def __call__(self, x):
        @jax.jit
        @self._traced
        def inner(x):
            return x * self.scale

        return inner(x)


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a function",
    "another function",
    function="inner",
    advice="once",
)
def jax_9288_a_function_jitted_inside_a_method(traced):
    policy = Policy(2.0, traced)
    for _ in range(3):
        policy(ones(3))


class Integrator:
    def __init__(self, traced):
        self._step = traced(_euler)

    def step(self, carry, x):
        return self._step(carry, x)


def _euler(carry, x):
    return carry + 0.1 * x, carry


@program(
    3,
    3,
    "new function",
    "the body of scan",
    "a bound method",
    "another bound method",
    function="scan",
    python="_euler",
    phase="compile",
    advice="once|jit what is around",
)
def flowmc_133_scan_of_a_bound_method(traced):
    integrator = Integrator(traced)
    for _ in range(3):
        jax.lax.scan(integrator.step, np.float32(0), ones(5))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "checkpoint function",
    "another",
    function="<lambda>",
    advice="once|outside",
)
def jax_a_rematerialized_lambda_in_a_loop(traced):
    for k in range(3):
        jax.jit(jax.checkpoint(traced(lambda x: (x * k).sum())))(ones(3))


@program(
    0,
    2,
    "new function",
    THE_FUNCTION,
    "a functools.partial",
    "another functools.partial",
    function="sum",
    phase="compile",
    advice="once|outside",
    says="axis",
)
def jax_a_partial_of_a_library_function_in_a_loop(traced):
    for axis in (0, 1):
        jax.jit(functools.partial(jnp.sum, axis=axis))(ones(3, 3))


@program(
    0,
    2,
    "shape",
    "x",
    "f32[3]",
    "f32[4]",
    function="softmax",
    phase="compile",
    advice=NONE,
)
def jax_a_library_function_that_the_user_jits(traced):
    f = jax.jit(jax.nn.softmax)
    f(ones(3))
    f(ones(4))


@program(
    1,
    3,
    "new function",
    THE_FUNCTION,
    function="step_fn",
    python="logdensity",
    phase="compile",
    advice="once|outside",
    needs="blackjax",
)
def blackjax_a_kernel_for_each_step_size(traced):
    import blackjax

    def logdensity(x):
        return -(x**2).sum()

    logdensity = traced(logdensity)
    state = blackjax.mala(_quadratic, 0.1).init(jnp.ones(2))
    for step_size in (0.1, 0.2, 0.3):
        kernel = blackjax.mala(_once(logdensity), step_size).step
        jax.jit(kernel)(jax.random.key(0), state)


def _quadratic(x):
    return -(x**2).sum()


def _once(function):
    """Its value and gradient by one trace, so that it is counted once."""
    return lambda x: jax.jit(function)(x)


# --- static arguments ---------------------------------------------------------------


@dataclasses.dataclass(eq=False)
class Config:
    scale: float = 2.0


@program(
    3,
    3,
    "static identity",
    "config",
    "a Config",
    "another Config",
    advice="one object|frozen",
)
def jax_3701_a_config_made_for_each_call(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, config):
        return x * config.scale

    for _ in range(3):
        f(ones(3), Config())


@program(3, 3, "static value", "n", "3", "4", advice="static_argn")
def linx_13_a_static_order_in_a_nested_function(traced):
    @functools.partial(jax.jit, static_argnums=0)
    @traced
    def f(n, x):
        return x**n

    for n in (2, 3, 4):
        jax.vmap(functools.partial(f, n))(ones(5))


# --- configuration, types -----------------------------------------------------------


@program(
    2,
    2,
    "Python scalar",
    "epsilon",
    "Python float",
    "f32[]",
    advice=r"asarray\(epsilon, jnp\.float32\)",
)
def an_epsilon_that_decays_to_a_number_of_numpy(traced):
    @jax.jit
    @traced
    def f(x, epsilon):
        return x * epsilon

    epsilon = 1.0
    for _ in range(3):
        f(ones(3), epsilon)
        epsilon = np.maximum(epsilon * 0.9, 0.1)


@program(1, 1)
def jax_31319_a_callback(traced):
    @jax.jit
    @traced
    def f(x):
        return jax.pure_callback(lambda x: x, x, x)

    for _ in range(3):
        f(ones(3))


@program(1, 1, function="_double")
def jax_associative_scan_outside_of_jit(traced):
    f = jax.jit(traced(_double))
    for _ in range(3):
        f(jax.lax.associative_scan(lambda a, b: a + b, ones(4)))


@program(0, None, function="*", never_cause="eager loop")
def jax_masks_that_select_other_numbers(traced):
    x = jnp.arange(12)
    for n in (3, 7, 2, 9):
        x[np.arange(12) < n].sum()


@program(0, None, function="*", never_cause="new function", needs="numpyro")
def numpyro_a_run_of_mcmc(traced):
    import numpyro
    from numpyro import distributions as dist
    from numpyro.infer import MCMC, NUTS

    def model():
        numpyro.sample("x", dist.Normal(0, 1))

    mcmc = MCMC(NUTS(model), num_warmup=2, num_samples=2, progress_bar=False)
    for seed in range(2):
        mcmc.run(jax.random.PRNGKey(seed))


# --- a second set, written after the first was mended ---------------------------------


@program(
    12,
    3,
    "new function",
    "the body of while",
    function="while",
    python="<lambda>",
    phase="compile",
    advice="jit what is around",
)
def jax_a_minimizer_outside_of_jit(traced):
    for k in (1.0, 2.0, 3.0):
        jax.scipy.optimize.minimize(
            traced(lambda p: ((p - k) ** 2).sum()), jnp.zeros(2), method="BFGS"
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    lr: float = 0.1
    width: int = 4


@program(3, 3, "static value", "settings.lr", "0.2", "0.3", advice="array")
def jax_a_learning_rate_in_static_settings(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(w, settings):
        return w * settings.lr

    for lr in (0.1, 0.2, 0.3):
        f(ones(3), Settings(lr))


@program(4, 4, "static value", "step", "2", "3", advice="array")
def jax_a_step_number_that_is_static(traced):
    @functools.partial(jax.jit, static_argnames="step")
    @traced
    def f(w, step):
        return w * 0.9**step

    for step in range(4):
        f(ones(3), step=step)


@program(
    3,
    3,
    "new function",
    "the body of scan",
    "a lambda",
    "another lambda",
    function="scan",
    python="<lambda>",
    phase="compile",
    advice="once|jit what is around",
)
def jax_map_in_batches_of_a_new_lambda(traced):
    for k in range(3):
        jax.lax.map(traced(lambda x: x * k), ones(4), batch_size=2)


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a lambda",
    "another lambda",
    function="<lambda>",
    advice="once|outside",
    says="k",
)
def equinox_filter_jit_of_a_new_lambda(traced):
    for k in (1.0, 2.0, 3.0):
        eqx.filter_jit(traced(lambda x: x * k))(ones(3))


class Noisy(nnx.Module):
    def __init__(self, rate):
        self.linear = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        self.rate = rate

    def __call__(self, x):
        return self.linear(x) * self.rate


@program(3, 3, "NNX attribute", "model.rate", "0.2", "0.3", advice="Variable")
def nnx_a_rate_that_is_annealed(traced):
    @nnx.jit
    @traced
    def f(model, x):
        return model(x)

    model = Noisy(0.1)
    for rate in (0.1, 0.2, 0.3):
        model.rate = rate
        f(model, ones(1, 3))


@program(1, 1)
def jax_keywords_in_another_order(traced):
    @jax.jit
    @traced
    def f(x, y):
        return x - y

    f(x=ones(3), y=ones(3))
    f(y=ones(3), x=ones(3))


@program(1, 1, function="_double")
def jax_one_function_jitted_again_with_donation(traced):
    double = traced(_double)
    for _ in range(3):
        jax.jit(double, donate_argnums=0)(jnp.asarray(ones(3)))


@program(2, 2, "pytree", "opt_state", "tuple of 2", "list of 2", advice="restore|type")
def orbax_an_optimizer_state_restored_as_a_list(traced):
    @jax.jit
    @traced
    def f(params, opt_state):
        return params + opt_state[0]

    f(ones(3), (ones(3), ones(3)))
    f(ones(3), [ones(3), ones(3)])


@program(
    2, 2, "Python scalar", "flag", "Python bool", "Python int", advice="bool|dtype"
)
def jax_a_flag_that_is_a_number(traced):
    @jax.jit
    @traced
    def f(x, flag):
        return x * flag

    f(ones(3), True)
    f(ones(3), 1)


@program(3, 3, "static value", "shape", "(3, 3)", "(4, 4)", advice="static_argn")
def jax_a_static_shape(traced):
    @functools.partial(jax.jit, static_argnums=1)
    @traced
    def f(x, shape):
        return jnp.broadcast_to(x, shape)

    for n in (2, 3, 4):
        f(np.float32(1), (n, n))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a jax.value_and_grad function",
    "another",
    advice="once|outside",
)
def jax_a_custom_rule_made_in_a_factory(traced):
    def make(scale):
        @jax.custom_vjp
        def rule(x):
            return x * scale

        rule.defvjp(lambda x: (x * scale, None), lambda _, g: (g * scale,))

        def f(x):
            return rule(x).sum()

        return traced(f)

    for scale in (1.0, 2.0, 3.0):
        jax.jit(jax.value_and_grad(make(scale)))(ones(3))


@program(2, 2)
def jax_a_function_and_its_gradient(traced):
    @traced
    def f(x):
        return (x**2).sum()

    jax.jit(f)(ones(3))
    jax.jit(jax.grad(f))(ones(3))


@program(
    3,
    3,
    "new function",
    THE_FUNCTION,
    "a function",
    "another function",
    function="apply_fn",
    python="net",
    phase="compile",
    advice="once|outside",
    needs="haiku",
)
def haiku_a_transform_for_each_call(traced):
    import haiku

    params = {"linear": {"w": ones(3, 2), "b": ones(2)}}

    @traced
    def net(x):
        return haiku.Linear(2)(x)

    for _ in range(3):
        apply = haiku.without_apply_rng(haiku.transform(net)).apply
        jax.jit(apply)(params, ones(1, 3))
