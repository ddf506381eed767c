import functools

import keras
import numpy as np
import pytest

from contrast.features.digests import layer_digests, preprocessing_digest

MEAN = 0.5


def centred(rows):
    return rows - MEAN


def helped(rows):
    return centred(rows)


def scaled(factor):
    return lambda rows: rows * factor


def with_default(factor):
    def scale(rows, by=factor):
        return rows[..., :] * by

    return scale


def same(first, second, **versions):
    return preprocessing_digest(first, "") == preprocessing_digest(second, "")


def test_equal_functions_are_equal():
    for make in (scaled, with_default):
        assert same(make(2.0), make(2.0))
    assert same(functools.partial(np.add, 1), functools.partial(np.add, 1))
    assert same(scaled(np.ones(3)), scaled(np.ones(3)))
    assert same(None, None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, centred),
        (centred, helped),
        (scaled(2.0), scaled(3.0)),
        (scaled(1), scaled(1.0)),
        (scaled(np.ones(3)), scaled(np.zeros(3))),
        (scaled(centred), scaled(helped)),
        (with_default(2.0), with_default(3.0)),
        (functools.partial(np.add, 1), functools.partial(np.add, 2)),
        (np.log, np.exp),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: x in {"a", "b"}, lambda x: x in {"a", "c"}),
        (keras.layers.Rescaling(0.5), keras.layers.Rescaling(0.25)),
        (keras.layers.Normalization(mean=0, variance=1), keras.layers.Normalization(mean=1, variance=1)),
    ],
)
def test_other_functions_differ(first, second):
    assert not same(first, second)


def test_constants_and_helpers_of_the_module_count(monkeypatch):
    before = preprocessing_digest(helped, "")
    monkeypatch.setitem(globals(), "MEAN", 0.4)
    assert preprocessing_digest(helped, "") != before
    monkeypatch.undo()
    assert preprocessing_digest(helped, "") == before


class Reader:
    def __call__(self, rows):
        return rows

    def read(self, rows):
        return rows


@pytest.mark.parametrize("function", [Reader(), Reader().read, scaled(Reader()), functools.cache(centred)])
def test_what_cannot_be_digested_needs_a_version(function):
    with pytest.raises(ValueError, match="a change cannot be noticed; give a version"):
        preprocessing_digest(function, "")
    assert preprocessing_digest(function, "1") == preprocessing_digest(function, "1")
    assert preprocessing_digest(function, "1") != preprocessing_digest(function, "2")


def functional(first, second, name=None):
    inputs = keras.Input((4,))
    left, right = keras.layers.Dense(4, name=name), keras.layers.Dense(4)
    outputs = {"left": right(left(inputs)), "right": left(inputs)}
    model = keras.Model(inputs, outputs)
    left.set_weights([np.full((4, 4), first), np.zeros(4)])
    right.set_weights([np.full((4, 4), second), np.zeros(4)])
    return model


def test_automatic_names_do_not_count_but_the_graph_does():
    assert layer_digests(functional(1, 2)) == layer_digests(functional(1, 2))
    assert layer_digests(functional(1, 2))["weights"] != layer_digests(functional(2, 1))["weights"]
    inputs = keras.Input((4,))
    chain = [keras.layers.Dense(4), keras.layers.Dense(4)]
    model = keras.Model(inputs, {"left": chain[0](inputs), "right": chain[1](chain[0](inputs))})
    ours, theirs = (layer_digests(m)["architecture"] for m in (model, functional(1, 2)))
    assert ours != theirs


def test_a_name_that_is_also_a_value_hides_nothing():
    relu, tanh = (
        keras.Sequential([keras.Input((3,)), keras.layers.Activation(kind, name=kind)])
        for kind in ("relu", "tanh")
    )
    assert layer_digests(relu)["architecture"] != layer_digests(tanh)["architecture"]


def test_training_leaves_the_architecture_alone():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    before = layer_digests(model)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    after = layer_digests(model)
    assert [part for part in before if before[part] != after[part]] == ["weights"]
