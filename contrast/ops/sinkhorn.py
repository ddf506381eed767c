"""Soft assignments of equal total mass."""

from keras import ops

from contrast.typing import Tensor


def sinkhorn(scores: Tensor, temperature: float | Tensor = 0.05, iterations: int = 3) -> Tensor:
    r"""Assigns samples to prototypes so that every prototype receives the same mass.

    Alternately scales the columns and the rows of $e^{S_{ik} / \tau}$, in logarithms and float32:
    $$\log Q \leftarrow \log Q - \log \sum_i e^{\log Q_{ik}}, \qquad
    \log Q \leftarrow \log Q - \log \sum_k e^{\log Q_{ik}}.$$

    Rows come last: they sum to 1 after any number of iterations, columns tend to samples / prototypes.

    Args:
        scores: float tensor `(samples, prototypes)`, finite.
        temperature: positive float or scalar tensor; the lower, the harder the assignment.
        iterations: how often columns and rows are scaled, at least 1.

    Returns:
        A float32 tensor `(samples, prototypes)` of non-negative numbers. Gradients pass; as a target, put it
        through `keras.ops.stop_gradient`.

    Raises:
        ValueError: if the rank of scores is not 2, the temperature is not positive or iterations is below 1.

    Example:

    >>> assignment = contrast.ops.sinkhorn([[2.0, 1.0], [3.0, 1.0]], temperature=1.0, iterations=50)
    >>> keras.ops.convert_to_numpy(assignment).sum(axis=0).round(3).tolist()
    [1.0, 1.0]

    References: [Cuturi, 2013](https://arxiv.org/abs/1306.0895),
        [Caron et al., 2020](https://arxiv.org/abs/2006.09882), section 3.1.
    """
    scores = ops.cast(ops.convert_to_tensor(scores), "float32")
    if len(scores.shape) != 2:
        raise ValueError(f"scores must be (samples, prototypes), got shape {tuple(scores.shape)}.")
    if isinstance(temperature, int | float) and not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}.")
    log_mass = scores / ops.cast(temperature, "float32")
    for _ in range(iterations):
        log_mass = log_mass - ops.logsumexp(log_mass, axis=0, keepdims=True)
        log_mass = log_mass - ops.logsumexp(log_mass, axis=1, keepdims=True)
    return ops.exp(log_mass)
