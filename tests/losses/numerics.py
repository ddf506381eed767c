"""Gradients of float64 oracles."""

import numpy as np

from tests.case import assert_value_and_gradient


def numerical_gradient(function, array, step=1e-5):
    """Central differences of a scalar NumPy function at a float64 array."""
    array = np.array(array, "float64")
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + step
        above = function(array)
        array[index] = value - step
        gradient[index] = (above - function(array)) / (2 * step)
        array[index] = value
    return gradient


def assert_agrees(function, oracle, *arrays, constant=()):
    """`function` and the float64 `oracle` have the same value and the same gradients for all arrays.

    Arrays whose numbers are in `constant` must have gradient zero.
    """
    exact = [np.asarray(a, "float64") for a in arrays]
    gradients = []
    for number, array in enumerate(exact):

        def of_this(x, number=number):
            return oracle(*exact[:number], x, *exact[number + 1 :])

        gradients.append(np.zeros_like(array) if number in constant else numerical_gradient(of_this, array))
    floats = [a.astype("float32") for a in exact]
    assert_value_and_gradient(function, floats, np.asarray(oracle(*exact)), gradients)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
