"""Batches on which losses over distances are compared with pytorch-metric-learning."""

import numpy as np

_rng = np.random.default_rng(11)
RANDOM = _rng.normal(size=(12, 1, 6)).astype("float32")
BALANCED = np.repeat(np.arange(4), 3)
RAGGED = np.array([0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 4, 5])
_duplicates = RANDOM.copy()
_duplicates[1], _duplicates[4], _duplicates[11] = _duplicates[0], _duplicates[3], _duplicates[2]
_zeros = RANDOM.copy()
_zeros[[2, 7]] = 0

# Name: embeddings, ids, and the rows at which gradients are compared. At a zero vector the gradient of its
# direction does not exist: pytorch-metric-learning has one of the order of 1e12 there.
BATCHES = {
    "balanced": (RANDOM, BALANCED, np.arange(12)),
    "ragged": (RANDOM, RAGGED, np.arange(12)),
    "one class": (RANDOM, np.zeros(12, int), np.arange(12)),
    "all distinct": (RANDOM, np.arange(12), np.arange(12)),
    "duplicates": (_duplicates, BALANCED, np.arange(12)),
    "zero vectors": (_zeros, BALANCED, np.setdiff1d(np.arange(12), [2, 7])),
}
