"""One seed for many layers."""

from collections.abc import Sequence

import numpy as np


def apart(seed: int | Sequence[int] | None, count: int) -> list[int] | list[None]:
    """As many seeds far apart, from one int or several; `None` for each if `seed` is `None`.

    On PyTorch the n-th draw of a `keras.random.SeedGenerator` depends on its seed plus n: the draws of
    neighbouring seeds are not independent.

    Example:

    >>> from contrast.seeds import apart
    >>> len({seed for first in range(100) for seed in apart(first, 10)})
    1000
    """
    if seed is None:
        return [None] * count
    return [int(word) >> 2 for word in np.random.SeedSequence(seed).generate_state(count)]
