"""Models of other people's making, each with one step of training.

Only what a library's wheel ships is used: layers, nets, losses, optimizers,
distributions and flows as their authors wrote them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Step = Callable[..., Any]


@dataclass(frozen=True)
class Model:
    """A model with a step of training.

    Attributes:
        library: whose it is; the name to import.
        files: of its sources, where a bug may be planted.
        build: makes a jitted step anew, and its arguments; the last is the data.
    """

    library: str
    files: tuple[str, ...]
    build: Callable[[], tuple[Step, tuple[Any, ...]]] = field(repr=False)

    @property
    def name(self) -> str:
        """Of the function that builds it."""
        return self.build.__name__

    @property
    def is_installed(self) -> bool:
        """Whether its library is here."""
        return importlib.util.find_spec(self.library) is not None

    @property
    def paths(self) -> list[Path]:
        """The files of `files`."""
        spec = importlib.util.find_spec(self.library)
        assert spec is not None
        assert spec.origin is not None
        return [Path(spec.origin).parent / file for file in self.files]


MODELS: list[Model] = []


def model(library: str, *files: str) -> Callable[..., Any]:
    """Adds a model."""

    def add(build: Callable[[], tuple[Step, tuple[Any, ...]]]) -> Any:
        MODELS.append(Model(library, files, build))
        return build

    return add


def data(*shape: int) -> jax.Array:
    """Values like those of a standard normal, no two alike."""
    values = np.random.default_rng(0).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


def trained(loss: Callable[..., Any], params: Any, x: jax.Array) -> Any:
    """A step of gradient descent on a loss of parameters and data."""

    def step(params: Any, x: jax.Array) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), value

    return jax.jit(step), (params, x)


# -- dm-haiku --------------------------------------------------------------------------


def _haiku(net: Callable[[Any], Any], x: jax.Array) -> Any:
    import haiku as hk

    made = hk.transform_with_state(net)
    params, state = made.init(jax.random.key(0), x)

    def loss(params: Any, x: jax.Array) -> Any:
        out, _ = made.apply(params, state, jax.random.key(1), x)
        return jnp.mean((out - 1) ** 2)

    return trained(loss, params, x)


@model("haiku", "_src/nets/mlp.py", "_src/layer_norm.py", "_src/basic.py")
def haiku_mlp() -> Any:
    import haiku as hk

    def net(x: jax.Array) -> Any:
        x = hk.LayerNorm(-1, True, True)(x)
        return hk.nets.MLP([8, 8, 2])(x, 0.1, hk.next_rng_key())

    return _haiku(net, data(6, 5))


@model("haiku", "_src/attention.py", "_src/layer_norm.py", "_src/basic.py")
def haiku_attention() -> Any:
    import haiku as hk

    def net(x: jax.Array) -> Any:
        init = hk.initializers.VarianceScaling(1.0)
        x = x + hk.MultiHeadAttention(2, 4, w_init=init, model_size=8)(x, x, x)
        return hk.Linear(1)(hk.RMSNorm(-1)(x))

    return _haiku(net, data(2, 5, 8))


@model("haiku", "_src/nets/resnet.py", "_src/batch_norm.py", "_src/conv.py")
def haiku_resnet() -> Any:
    import haiku as hk

    def net(x: jax.Array) -> Any:
        small = hk.nets.ResNet((1, 1, 1, 1), 3, {}, False, False, (4, 4, 4, 4))
        return small(x, is_training=True)

    return _haiku(net, data(2, 16, 16, 3))


@model("haiku", "_src/recurrent.py", "_src/basic.py")
def haiku_recurrent() -> Any:
    import haiku as hk

    def net(x: jax.Array) -> Any:
        core = hk.DeepRNN([hk.LSTM(4), hk.GRU(4)])
        out, _ = hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))
        return hk.Linear(1)(out)

    return _haiku(net, data(5, 3, 4))


@model("haiku", "_src/nets/vqvae.py", "_src/basic.py")
def haiku_quantizer() -> Any:
    import haiku as hk

    def net(x: jax.Array) -> Any:
        coded = hk.Linear(4)(x)
        out = hk.nets.VectorQuantizer(4, 8, 0.25)(coded, is_training=True)
        return hk.Linear(2)(out["quantize"]) + out["loss"]

    return _haiku(net, data(6, 5))


# -- jraph -----------------------------------------------------------------------------


def _graph(x: jax.Array) -> Any:
    import jraph

    senders, receivers = jnp.array([0, 1, 2, 3, 4, 0]), jnp.array([1, 2, 3, 4, 0, 2])
    return jraph.GraphsTuple(
        nodes=x,
        edges=jnp.ones((6, 2)),
        senders=senders,
        receivers=receivers,
        n_node=jnp.array([5]),
        n_edge=jnp.array([6]),
        globals=jnp.ones((1, 2)),
    )


@model("jraph", "_src/models.py", "_src/utils.py")
def jraph_network() -> Any:
    import jraph

    def loss(params: Any, x: jax.Array) -> Any:
        def layer(w: Any) -> Any:
            return jraph.concatenated_args(lambda v: jnp.tanh(v @ w))

        net = jraph.GraphNetwork(
            layer(params["edge"]),
            layer(params["node"]),
            layer(params["global"]),
            aggregate_edges_for_nodes_fn=jraph.segment_normalize and jraph.segment_mean,
        )
        out = net(_graph(x))
        return jnp.mean(out.nodes**2) + jnp.mean(out.globals**2)

    params = {"edge": data(10, 3), "node": data(11, 3), "global": data(8, 2)}
    return trained(loss, params, data(5, 3))


@model("jraph", "_src/models.py", "_src/utils.py")
def jraph_attention() -> Any:
    import jraph

    def loss(params: Any, x: jax.Array) -> Any:
        def logits(sent: Any, received: Any, edges: Any) -> Any:
            both = jnp.concatenate([sent, received], -1)
            return jax.nn.leaky_relu(both @ params["logits"])

        net = jraph.GAT(lambda n: n @ params["query"], logits)
        conv = jraph.GraphConvolution(lambda n: n @ params["conv"], add_self_edges=True)
        graph = _graph(x)._replace(edges=None, globals=None)
        return jnp.mean(conv(net(graph)).nodes ** 2)

    params = {"query": data(3, 4), "logits": data(8, 1), "conv": data(4, 2)}
    return trained(loss, params, data(5, 3))


# -- distrax ---------------------------------------------------------------------------


@model(
    "distrax",
    "_src/bijectors/rational_quadratic_spline.py",
    "_src/bijectors/masked_coupling.py",
    "_src/bijectors/scalar_affine.py",
    "_src/distributions/transformed.py",
    "_src/distributions/normal.py",
    "_src/utils/math.py",
)
def distrax_flow() -> Any:
    import distrax

    def loss(params: Any, x: jax.Array) -> Any:
        def spline(p: Any) -> Any:
            return distrax.RationalQuadraticSpline(p, -3.0, 3.0)

        def affine(p: Any) -> Any:
            return distrax.ScalarAffine(p[..., 0], log_scale=jnp.tanh(p[..., 1]))

        def layer(make: Any, w: Any, size: int, odd: bool) -> Any:
            mask = (jnp.arange(4) % 2 == 0) ^ odd
            return distrax.MaskedCoupling(
                mask, lambda v: jnp.tanh(v @ w).reshape(*v.shape, size), make
            )

        flow = distrax.Chain(
            [
                layer(spline, params["a"], 13, False),
                layer(affine, params["b"], 2, True),
            ]
        )
        base = distrax.Independent(distrax.Normal(jnp.zeros(4), jnp.ones(4)), 1)
        return -distrax.Transformed(base, flow).log_prob(x).mean()

    return trained(loss, {"a": data(4, 52), "b": data(4, 8)}, data(6, 4))


@model(
    "distrax",
    "_src/distributions/normal.py",
    "_src/distributions/beta.py",
    "_src/distributions/gamma.py",
    "_src/distributions/laplace.py",
    "_src/distributions/logistic.py",
    "_src/distributions/von_mises.py",
    "_src/distributions/categorical.py",
    "_src/distributions/mixture_same_family.py",
    "_src/distributions/mvn_from_bijector.py",
    "_src/distributions/log_stddev_normal.py",
    "_src/utils/math.py",
)
def distrax_distributions() -> Any:
    import distrax

    def loss(params: Any, x: jax.Array) -> Any:
        w = params["w"]
        scale = jax.nn.softplus(w)
        unit = jax.nn.sigmoid(x)
        mixture = distrax.MixtureSameFamily(
            distrax.Categorical(logits=w), distrax.Normal(w, scale)
        )
        total = mixture.log_prob(x[:, 0]).mean() + mixture.log_prob(x[:, 1]).mean()
        for one in (distrax.Normal, distrax.Laplace, distrax.Logistic):
            total += one(w, scale).log_prob(x).mean() + one(w, scale).entropy().mean()
        total += distrax.Beta(1 + scale, 1 + scale).log_prob(unit).mean()
        total += distrax.Gamma(1 + scale, scale).log_prob(unit).mean()
        total += distrax.VonMises(w, scale).log_prob(x).mean()
        total += distrax.LogStddevNormal(w, w).log_prob(x).mean()
        total += distrax.MultivariateNormalDiag(w, scale).log_prob(x).mean()
        other = distrax.Categorical(logits=-w)
        total += distrax.Categorical(logits=w).kl_divergence(other) + other.entropy()
        return -total

    return trained(loss, {"w": data(3)}, data(6, 3))


# -- optax -----------------------------------------------------------------------------


@model(
    "optax",
    "losses/_classification.py",
    "losses/_regression.py",
    "losses/_smoothing.py",
    "losses/_self_supervised.py",
    "losses/_ranking.py",
    "losses/_segmentation.py",
)
def optax_losses() -> Any:
    import optax

    def loss(params: Any, x: jax.Array) -> Any:
        logits = x @ params["w"]
        hot = jnp.eye(4)[jnp.arange(6) % 4]
        log_p = jax.nn.log_softmax(logits)
        total = optax.softmax_cross_entropy(logits, optax.smooth_labels(hot, 0.1))
        total += optax.sigmoid_binary_cross_entropy(logits, hot).mean(-1)
        total += optax.sigmoid_focal_loss(logits, hot).mean(-1)
        total += optax.losses.poly_loss_cross_entropy(logits, hot)
        total += optax.kl_divergence(log_p, jax.nn.softmax(hot))
        total += optax.huber_loss(logits, hot).mean(-1)
        total += optax.log_cosh(logits, hot).mean(-1)
        total += optax.cosine_distance(logits, hot, epsilon=1e-6)
        total += optax.hinge_loss(logits[:, 0], 2 * hot[:, 0] - 1)
        total += optax.losses.ranking_softmax_loss(logits, hot).mean()
        total += optax.ntxent(logits, jnp.arange(6) % 3).mean()
        return total.mean()

    return trained(loss, {"w": data(5, 4)}, data(6, 5))


@model(
    "optax",
    "_src/transform.py",
    "_src/factorized.py",
    "_src/linear_algebra.py",
    "_src/numerics.py",
    "transforms/_clipping.py",
    "transforms/_accumulation.py",
    "contrib/_privacy.py",
)
def optax_optimizers() -> Any:
    import optax

    params = {"w": data(5, 4), "b": jnp.ones(4)}
    tx = optax.chain(
        optax.clip_by_global_norm(10.0),
        optax.scale_by_adam(),
        optax.scale_by_rms(),
        optax.scale_by_belief(),
        optax.scale_by_yogi(),
        optax.scale_by_trust_ratio(),
        optax.scale_by_factored_rms(min_dim_size_to_factor=2),
        optax.adaptive_grad_clip(0.5),
        optax.add_decayed_weights(0.01),
    )

    def step(params: Any, state: Any, x: jax.Array) -> Any:
        def loss(params: Any) -> Any:
            return jnp.mean((jnp.tanh(x @ params["w"]) + params["b"]) ** 2)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return jax.jit(step), (params, tx.init(params), data(6, 5))


# -- Equinox ---------------------------------------------------------------------------


def _equinox(net: Any, x: jax.Array) -> Any:
    import equinox as eqx

    @eqx.filter_jit
    def step(net: Any, x: jax.Array) -> Any:
        def loss(net: Any) -> Any:
            return jnp.mean((jax.vmap(net)(x) - 1) ** 2)

        value, grads = eqx.filter_value_and_grad(loss)(net)
        updates = jax.tree.map(lambda g: -0.1 * g, grads)
        return eqx.apply_updates(net, updates), value

    return step, (net, x)


@model(
    "equinox",
    "nn/_attention.py",
    "nn/_normalisation.py",
    "nn/_mlp.py",
    "nn/_linear.py",
    "nn/_embedding.py",
)
def equinox_attention() -> Any:
    import equinox as eqx

    class Block(eqx.Module):
        attention: Any
        norm: Any
        rms: Any
        mlp: Any

        def __call__(self, x: jax.Array) -> Any:
            h = jax.vmap(self.norm)(x)
            x = x + self.attention(h, h, h)
            return jax.vmap(self.mlp)(jax.vmap(self.rms)(x))

    keys = jax.random.split(jax.random.key(0), 2)
    net = Block(
        eqx.nn.MultiheadAttention(2, 4, key=keys[0]),
        eqx.nn.LayerNorm(4),
        eqx.nn.RMSNorm(4),
        eqx.nn.MLP(4, 2, 8, 1, key=keys[1]),
    )
    return _equinox(net, data(3, 5, 4))


@model("equinox", "nn/_conv.py", "nn/_normalisation.py", "nn/_linear.py")
def equinox_convolution() -> Any:
    import equinox as eqx

    keys = jax.random.split(jax.random.key(0), 2)
    net = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(3, 4, 3, key=keys[0]),
            eqx.nn.GroupNorm(2, 4),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.AvgPool2d(2, 2),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(36, 2, key=keys[1]),
        ]
    )
    return _equinox(net, data(3, 3, 8, 8))


@model("equinox", "nn/_rnn.py", "nn/_linear.py")
def equinox_recurrent() -> Any:
    import equinox as eqx

    class Net(eqx.Module):
        lstm: Any
        gru: Any

        def __call__(self, x: jax.Array) -> Any:
            def one(state: Any, row: jax.Array) -> Any:
                lstm = self.lstm(row, state[0])
                return (lstm, self.gru(lstm[0], state[1])), None

            start = ((jnp.zeros(4), jnp.zeros(4)), jnp.zeros(4))
            return jax.lax.scan(one, start, x)[0][1]

    keys = jax.random.split(jax.random.key(0), 2)
    net = Net(eqx.nn.LSTMCell(3, 4, key=keys[0]), eqx.nn.GRUCell(4, 4, key=keys[1]))
    return _equinox(net, data(3, 5, 3))


# -- Flax ------------------------------------------------------------------------------


def _nnx(make: Callable[[Any], Any], x: jax.Array) -> Any:
    from flax import nnx

    net = make(nnx.Rngs(0))

    @nnx.jit
    def step(net: Any, x: jax.Array) -> Any:
        value, grads = nnx.value_and_grad(lambda n: jnp.mean((n(x) - 1) ** 2))(net)
        params = nnx.state(net, nnx.Param)
        nnx.update(net, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads))
        return value

    return step, (net, x)


@model(
    "flax",
    "nnx/nn/attention.py",
    "nnx/nn/normalization.py",
    "nnx/nn/linear.py",
)
def nnx_attention() -> Any:
    from flax import nnx

    class Block(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.norm = nnx.LayerNorm(4, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)
            self.rms = nnx.RMSNorm(4, rngs=rngs)
            self.head = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x: jax.Array) -> Any:
            return self.head(self.rms(x + self.attention(self.norm(x))))

    return _nnx(Block, data(3, 5, 4))


@model("flax", "nnx/nn/normalization.py", "nnx/nn/linear.py")
def nnx_convolution() -> Any:
    from flax import nnx

    def make(rngs: Any) -> Any:
        return nnx.Sequential(
            nnx.Conv(3, 4, (3, 3), rngs=rngs),
            nnx.BatchNorm(4, rngs=rngs),
            nnx.relu,
            nnx.Conv(4, 4, (3, 3), rngs=rngs),
            nnx.GroupNorm(4, 2, rngs=rngs),
            nnx.relu,
            lambda x: x.reshape(x.shape[0], -1),
            nnx.Linear(256, 2, rngs=rngs),
        )

    return _nnx(make, data(3, 8, 8, 3))


@model("flax", "nnx/nn/recurrent.py", "nnx/nn/linear.py")
def nnx_recurrent() -> Any:
    from flax import nnx

    def make(rngs: Any) -> Any:
        return nnx.Sequential(
            nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs)),
            nnx.RNN(nnx.GRUCell(4, 4, rngs=rngs)),
        )

    return _nnx(make, data(3, 5, 3))


@model("flax", "linen/attention.py", "linen/normalization.py", "linen/linear.py")
def linen_attention() -> Any:
    from flax import linen

    class Block(linen.Module):
        @linen.compact
        def __call__(self, x: jax.Array) -> Any:
            h = linen.MultiHeadDotProductAttention(2)(linen.LayerNorm()(x))
            return linen.Dense(2)(linen.RMSNorm()(x + h))

    net, x = Block(), data(3, 5, 4)
    params = net.init(jax.random.key(0), x)
    return trained(lambda p, x: jnp.mean((net.apply(p, x) - 1) ** 2), params, x)
