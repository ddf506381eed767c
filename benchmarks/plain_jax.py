"""SimCLR and a dual encoder by hand in JAX: the architectures and losses of `contrast.models`.

Weights are a tree of arrays in Keras's layouts, as `training_step.weights_of` lists them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def convolution(x, weights, stride):
    """A 3x3 convolution, batch normalisation and ReLU; also the batch's statistics."""
    kernel, scale, shift = weights
    x = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x, statistics = batch_norm(x, scale, shift)
    return jax.nn.relu(x), statistics


def batch_norm(x, scale, shift):
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    return (x - mean) * (scale * jax.lax.rsqrt(variance + 1e-5)) + shift, (mean, variance)


def conv_net(x, weights):
    """Two convolutions a stage, the first one with stride 2; the mean over the last map."""
    statistics = []
    for stage in weights:
        for number, layer in enumerate(stage):
            x, found = convolution(x, layer, 2 - number)
            statistics.append(found)
    return x.mean((1, 2)), statistics


def unit(x):
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True))


def cross_entropy(logits, targets):
    chosen = jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)


def simclr(weights, settings, views):
    """The loss of views `(batch, 2, height, width, channels)`."""
    x, statistics = conv_net(views.reshape(-1, *views.shape[2:]), weights["encoder"])
    kernel, bias, scale, shift, last_kernel, last_bias = weights["head"]
    x, found = batch_norm(x @ kernel + bias, scale, shift)
    z = unit(jax.nn.relu(x) @ last_kernel + last_bias)
    logits = z @ z.T / settings["temperature"]
    logits = jnp.where(jnp.eye(len(z), dtype=bool), -jnp.inf, logits)
    return cross_entropy(logits, jnp.arange(len(z)) ^ 1), [*statistics, found]


def layer_norm(x, scale, shift):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-6) * scale + shift


def dense(x, kernel, bias=0.0):
    return x @ kernel + bias


def block(x, weights, mask, heads):
    """Attention and a perceptron, each behind a layer normalisation and beside a shortcut."""

    def split(tokens):
        return tokens.reshape(*tokens.shape[:2], heads, -1)

    y = layer_norm(x, *weights["attention_norm"])
    query, key, value = (split(dense(y, *weights[name])) for name in ("query", "key", "value"))
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(query.shape[-1])
    shares = jax.nn.softmax(jnp.where(mask[:, None, None], scores, -1e9))
    attended = jnp.einsum("bhqk,bkhd->bqhd", shares, value).reshape(x.shape)
    x = x + dense(attended, *weights["output"])
    hidden = jax.nn.gelu(dense(layer_norm(x, *weights["mlp_norm"]), *weights["hidden"]), approximate=False)
    return x + dense(hidden, *weights["contract"])


def dual_encoder(weights, settings, images, ids):
    """The symmetric loss of images and token ids `(batch, length)`, 0 being padding."""
    features, statistics = conv_net(images, weights["encoder"])
    real = ids != 0
    x = weights["tokens"][ids] + weights["places"][: ids.shape[1]]
    for part in weights["blocks"]:
        x = block(x, part, real, settings["heads"])
    x = layer_norm(x, *weights["norm"]) * real[:, :, None]
    a = unit(features @ weights["projections"][0])
    b = unit((x.sum(1) / real.sum(1, keepdims=True)) @ weights["projections"][1])
    logits = jnp.exp(weights["log_scale"]) * a @ b.T
    diagonal = jnp.arange(len(a))
    return (cross_entropy(logits, diagonal) + cross_entropy(logits.T, diagonal)) / 2, statistics


class Trainer:
    """Plain gradient descent with momentum, compiled, with the state donated from step to step."""

    def __init__(self, name, weights, settings, device):
        loss = functools.partial({"SimCLR": simclr, "DualEncoder": dual_encoder}[name], settings=settings)
        rate = settings["learning_rate"]

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def step(state, total, batch):
            weights, momentum, moving = state
            (value, found), gradients = jax.value_and_grad(
                lambda weights: loss(weights, **batch), has_aux=True
            )(weights)
            momentum = jax.tree.map(lambda m, g: 0.9 * m - rate * g, momentum, gradients)
            weights = jax.tree.map(jnp.add, weights, momentum)
            moving = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, moving, found)
            return (weights, momentum, moving), total + value

        self.step, self.loss = step, loss
        self.names = {"SimCLR": ("views",), "DualEncoder": ("images", "ids")}[name]
        # Copies: the state is given away to each step.
        self.weights = jax.tree.map(jnp.array, weights)
        self.state = None

    def prepared(self, batch):
        """The batch's arrays by the names of the loss's arguments."""
        return dict(zip(self.names, batch, strict=True))

    def epoch(self, batches):
        """Trains on each batch once; the mean loss."""
        if self.state is None:
            shapes = jax.eval_shape(lambda weights: self.loss(weights, **batches[0]), self.weights)[1]
            moving = jax.tree.map(lambda shape: jnp.zeros(shape.shape), shapes)
            self.state = (self.weights, jax.tree.map(jnp.zeros_like, self.weights), moving)
        total = jnp.zeros(())
        for batch in batches:
            self.state, total = self.step(self.state, total, batch)
        return float(total) / len(batches)
