"""Value and gradient of a loss on each backend, and the bare work that they are compared with."""

import math

from benchmarks.common import peak_memory

TEMPERATURE = 0.5


def embeddings(size: int, dim: int):
    import numpy as np

    return np.random.default_rng(0).normal(size=(size, dim)).astype("float32")


def stepper(loss, size: int, dim: int, graph: bool):
    """A function that computes value and gradient and waits for them; it returns both as NumPy arrays."""
    import keras

    z = embeddings(size, dim)
    match keras.backend.backend():
        case "torch":
            import torch

            z = keras.ops.convert_to_tensor(z).requires_grad_()

            def step():
                value = loss(z)
                (gradient,) = torch.autograd.grad(value, z)
                return float(value.detach()), gradient.cpu().numpy()

        case "jax":
            import jax

            z = jax.numpy.asarray(z)
            compiled = jax.jit(jax.value_and_grad(loss))

            def step():
                value, gradient = jax.block_until_ready(compiled(z))
                return float(value), gradient

        case "tensorflow":
            import tensorflow as tf

            z = tf.constant(z)

            def value_and_gradient(z):
                with tf.GradientTape() as tape:
                    tape.watch(z)
                    value = loss(z)
                return value, tape.gradient(value, z)

            compiled = tf.function(value_and_gradient, autograph=False, jit_compile=not graph)

            def step():
                value, gradient = compiled(z)
                return float(value), gradient.numpy()

    return step


def reference(size: int, dim: int, tile: int, graph: bool):
    """Three products of all rows with all rows and two exponentials of the logits, in two passes."""
    import keras
    import numpy as np

    number = max(1, size // tile)
    z = embeddings(size, dim)
    z = z / np.linalg.norm(z, axis=1, keepdims=True) / math.sqrt(TEMPERATURE)
    z = z[: number * (size // number)].reshape(number, -1, dim)
    match keras.backend.backend():
        case "torch":
            import torch

            z = keras.ops.convert_to_tensor(z)

            def step():
                total = torch.zeros_like(z)
                with torch.no_grad():
                    for i in range(number):
                        for j in range(number):
                            last = torch.exp(z[i] @ z[j].T)
                    for i in range(number):
                        for j in range(number):
                            total[i] += torch.exp(z[i] @ z[j].T) @ z[j]
                return float(last[0, 0]), float(total[0, 0, 0])

        case "jax":
            import jax
            import jax.numpy as jnp

            z = jnp.asarray(z)

            @jax.jit
            def passes(z):
                def exponentials(index):
                    tile = jnp.exp(z[index // number] @ z[index % number].T)
                    return jax.lax.optimization_barrier(tile)  # else only what is used would be computed

                def forward(total, index):
                    return total + exponentials(index)[0, 0], None

                def backward(total, index):
                    return total.at[index // number].add(exponentials(index) @ z[index % number]), None

                tiles = jnp.arange(number**2)
                first, _ = jax.lax.scan(forward, jnp.zeros(()), tiles)
                return first, jax.lax.scan(backward, jnp.zeros_like(z), tiles)[0]

            def step():
                return jax.block_until_ready(passes(z))

        case "tensorflow":
            import tensorflow as tf

            z = tf.constant(z)

            def exponentials(index):
                return tf.exp(tf.matmul(z[index // number], z[index % number], transpose_b=True))

            def loop(body, start):
                return tf.while_loop(
                    lambda index, _: index < number**2,
                    lambda index, total: (index + 1, body(total, index)),
                    (tf.constant(0), start),
                    parallel_iterations=1,
                )[1]

            def passes():
                def forward(total, index):
                    tile = exponentials(index)
                    # XLA would compute no more than what is used.
                    return total + (tile[0, 0] if graph else tf.reduce_sum(tile))

                def backward(total, index):
                    i, j = index // number, index % number
                    product = total[i] + tf.matmul(exponentials(index), z[j])
                    return tf.tensor_scatter_nd_update(total, [[i]], product[None])

                return loop(forward, tf.zeros(())), loop(backward, tf.zeros_like(z))

            compiled = tf.function(passes, autograph=False, jit_compile=not graph)

            def step():
                return [x.numpy() for x in compiled()]

    return step


def used_memory(device: str) -> float:
    """The peak so far in MB, of the process or of the accelerator."""
    import keras

    if device == "cpu":
        return peak_memory()
    match keras.backend.backend():
        case "torch":
            import torch

            peak = torch.cuda.max_memory_allocated()
        case "jax":
            import jax

            peak = jax.devices()[0].memory_stats()["peak_bytes_in_use"]
        case "tensorflow":
            import tensorflow as tf

            peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return peak / 2**20
