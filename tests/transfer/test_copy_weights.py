import re

import keras
import numpy as np
import pytest

from contrast.transfer import TransferReport, copy_weights, weight_names
from tests.case import assert_close, to_numpy


def encoder(name=None, units=4):
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(units), keras.layers.BatchNormalization()], name=name
    )


class Pair(keras.Model):
    """A contrastive model: two encoders, held as attributes, and heads."""

    def __init__(self):
        super().__init__()
        self.image_encoder, self.text_encoder = encoder(), encoder()
        self.heads = [keras.layers.Dense(3), keras.layers.Dense(3, name="text_head")]
        self.dropout = keras.layers.Dropout(0.5)

    def call(self, x):
        return [
            h(e(self.dropout(x)))
            for h, e in zip(self.heads, (self.image_encoder, self.text_encoder), strict=True)
        ]


class Captioner(keras.Model):
    """A second stage: an encoder of the first, and a decoder."""

    def __init__(self, units=4):
        super().__init__()
        self.encoder = encoder(units=units)
        self.decoder = keras.layers.Dense(5)

    def call(self, x):
        return self.decoder(self.encoder(x))


def built(model):
    model(np.zeros((1, 6), "float32"))
    generator = np.random.default_rng(sum(map(ord, model.name)))
    model.set_weights([generator.uniform(0.5, 1.5, size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def stages():
    return built(Pair()), built(Captioner())


def values(model):
    return [to_numpy(w) for w in model.weights]


def test_names_do_not_depend_on_what_was_made_before():
    first = weight_names(built(Pair()))
    assert first == weight_names(built(Pair()))
    layers = ["image_encoder/dense", "text_encoder/dense", "heads/0", "text_head"]
    assert [name for name in first if name.endswith("kernel")] == [f"{layer}/kernel" for layer in layers]
    assert first["image_encoder/batch_normalization/moving_mean"] == (4,)
    assert not any("seed" in name for name in first)


def test_names_cover_every_weight_once():
    inputs = keras.Input((4, 6))
    shared = keras.layers.Dense(6)
    x = keras.layers.MultiHeadAttention(2, 3)(shared(inputs), shared(inputs))
    x = keras.layers.Bidirectional(keras.layers.GRU(2))(x)
    model = keras.Model(inputs, [keras.layers.Dense(2)(x), keras.layers.Dense(2)(x)])
    names = weight_names(model)
    assert sorted(names.values()) == sorted(tuple(w.shape) for w in model.weights)
    assert {"dense/kernel", "dense_1/kernel", "dense_2/kernel", "multi_head_attention/query/kernel"} < set(
        names
    )
    assert "bidirectional/forward_layer/cell/kernel" in names


def test_encoder_of_one_stage_starts_the_next(stages):
    first, second = stages
    before = to_numpy(second.decoder.kernel)
    report = copy_weights(first, second, {"encoder": "text_encoder"})
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    assert_close(second.encoder(x), to_numpy(first.text_encoder(x)))
    assert_close(second.decoder.kernel, before)
    assert isinstance(report, TransferReport)
    assert len(report.moved) == 6 and len(report.untouched) == 2 and len(report.unused) == 10
    assert report.moved[0] == ("encoder/dense/kernel", "text_encoder/dense/kernel", (6, 4))
    assert "6 weights moved, 2 of the target untouched, 10 of the source unused." in str(report)
    assert "decoder/kernel" in str(report) and "not in the mapping" in str(report)


def test_buffers_are_not_shared(stages):
    first, second = stages
    copy_weights(first.text_encoder, second.encoder)
    kept = to_numpy(first.text_encoder.layers[0].kernel).copy()
    second.compile(keras.optimizers.SGD(0.5), "mse")
    second.fit(np.ones((4, 6)), np.ones((4, 5)), verbose=0)
    assert_close(first.text_encoder.layers[0].kernel, kept)
    assert np.abs(to_numpy(second.encoder.layers[0].kernel) - kept).max() > 0


def test_into_and_out_of_a_bigger_model(stages):
    first, second = stages
    alone = built(encoder("alone"))
    copy_weights(alone, second, {"encoder/": ""})
    assert_close(second.encoder.layers[0].kernel, to_numpy(alone.layers[0].kernel))
    other = built(encoder("other"))
    assert len(copy_weights(first, other, {"": "image_encoder"}).moved) == 6
    assert_close(other.layers[1].moving_mean, to_numpy(first.image_encoder.layers[1].moving_mean))


def test_longest_prefix_counts_and_one_source_fills_many(stages):
    first, second = stages
    report = copy_weights(second, first, {"image_encoder": "encoder", "text_encoder": "encoder"})
    assert len(report.moved) == 12
    mapping = {"encoder": "image_encoder", "encoder/dense": "text_encoder/dense"}
    with pytest.raises(ValueError, match="unused: image_encoder/dense/kernel"):
        copy_weights(first, second, mapping)
    report = copy_weights(first, second, mapping, allow_unused="image_encoder/dense")
    assert {row.source.split("/")[0] for row in report.moved if "/dense/" in row.target} == {"text_encoder"}


def test_expression_with_groups():
    def blocks(pattern):
        return built(
            keras.Sequential(
                [keras.Input((6,)), *(keras.layers.Dense(6, name=pattern.format(i)) for i in (1, 2))]
            )
        )

    source, target = blocks("stage_{}"), blocks("block{}")
    report = copy_weights(source, target, {re.compile(r"block(\d)/(.*)"): r"stage_\1/\2"})
    assert len(report.moved) == 4
    assert_close(target.layers[1].kernel, to_numpy(source.layers[1].kernel))
    both = {re.compile(r"block1/(.*)"): r"stage_1/\1", re.compile(r"block(.)/kernel"): r"stage_2/kernel"}
    with pytest.raises(ValueError, match="block1/kernel: stage_1/kernel, stage_2/kernel"):
        copy_weights(source, target, both)
    with pytest.raises(ValueError, match="matched by this expression"):
        copy_weights(source, target, {re.compile("blok.*"): "stage_1"})


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"encodr": "image_encoder"}, "'encodr': no weight of the target .* did you mean 'encoder'"),
        (
            {"encoder": "imageencoder"},
            "'imageencoder': no weight of the source .* did you mean 'image_encoder'",
        ),
        ({"enc": "image_encoder"}, "'enc': no weight of the target"),
        (
            {"encoder/dense/kernel": "text_encoder/dense/bias"},
            r"misshaped: encoder/dense/kernel \(6, 4\) <- .*bias \(4,\)",
        ),
        (None, r"missing: encoder/dense/kernel \(6, 4\) <- encoder/dense/kernel; did you mean"),
        ({}, "mapping is empty"),
    ],
)
def test_what_does_not_fit_changes_nothing(stages, mapping, message):
    first, second = stages
    before = values(second)
    with pytest.raises(ValueError, match=message):
        copy_weights(first, second, mapping)
    for now, then in zip(values(second), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_one_misfit_holds_all_back_until_permitted():
    source, target = built(Captioner()), built(Captioner(units=7))
    before = values(target)
    with pytest.raises(
        ValueError, match=r"misshaped: encoder/dense/kernel \(6, 7\) <- encoder/dense/kernel \(6, 4\)"
    ):
        copy_weights(source, target, allow_misshaped=["encoder/batch_normalization", "decoder"])
    np.testing.assert_array_equal(values(target)[-1], before[-1])
    report = copy_weights(source, target, allow_misshaped=True)
    assert [row.target for row in report.moved] == ["decoder/bias"]
    assert report.untouched[0].reason == "encoder/dense/kernel has shape (6, 4)"
    with pytest.raises(
        ValueError, match="allow_misshaped: no weight has the name or prefix 'decodr'; did you mean 'decoder'"
    ):
        copy_weights(source, target, allow_misshaped="decodr")


def test_missing_and_unused_are_permitted_by_name():
    small, big = built(encoder()), built(Captioner())
    with pytest.raises(ValueError, match="missing: decoder/kernel"):
        copy_weights(small, big, {"encoder": "", "": ""})
    report = copy_weights(small, big, {"encoder": "", "": ""}, allow_missing="decoder")
    assert len(report.moved) == 6
    without = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, use_bias=False)])
    with pytest.raises(ValueError, match=r"unused: dense/bias \(4,\)"):
        copy_weights(small, without, allow_unused="batch_normalization")
    assert len(copy_weights(small, without, allow_unused=True).unused) == 5


def test_values_are_cast():
    half = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, dtype="bfloat16")])
    full = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, dtype="float32")])
    copy_weights(half, full)
    assert_close(full.layers[0].kernel, to_numpy(keras.ops.cast(half.layers[0].kernel, "float32")), 0)
    copy_weights(full, half)
    assert half.layers[0].kernel.dtype == "bfloat16"


def test_kinds_of_numbers_do_not_mix():
    class Step(keras.Layer):
        def __init__(self, number):
            super().__init__()
            self.step = self.add_weight(shape=(), dtype=number, name="step", trainable=False)
            self.built = True

    with pytest.raises(ValueError, match="another kind of number: step int32 <- step float32"):
        copy_weights(Step("float32"), Step("int32"))


def test_normalization_uses_the_new_statistics():
    source, target = keras.layers.Normalization(), keras.layers.Normalization()
    source.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], "float32"))
    target.build((None, 2))
    copy_weights(source, target)
    assert_close(target(np.array([[3.0, 10.0]], "float32")), [[1.0, -1.0]])


def test_from_a_file(tmp_path, stages):
    _, second = stages
    source = built(encoder("saved"))
    source.save(tmp_path / "encoder.keras")
    assert len(copy_weights(tmp_path / "encoder.keras", second, {"encoder": ""}).moved) == 6
    assert_close(second.encoder.layers[0].kernel, to_numpy(source.layers[0].kernel))


def test_bad_sources(tmp_path, stages):
    _, second = stages
    with pytest.raises(FileNotFoundError, match="no file"):
        copy_weights(tmp_path / "nowhere.keras", second)
    second.save_weights(tmp_path / "second.weights.h5")
    with pytest.raises(ValueError, match="numbers the weights of a layer instead of naming"):
        copy_weights(tmp_path / "second.weights.h5", second)
    (tmp_path / "broken.keras").write_text("nothing")
    with pytest.raises(ValueError, match="is not a .keras file"):
        copy_weights(tmp_path / "broken.keras", second)
    with pytest.raises(ValueError, match=r"source 'captioner.*has no weights yet.*source.build"):
        copy_weights(Captioner(), second)
    with pytest.raises(ValueError, match="target"):
        copy_weights(second, Captioner())
    with pytest.raises(TypeError, match="source must be a Keras 3 model or layer, got dict"):
        copy_weights({}, second)
    with pytest.raises(TypeError, match="mapping must be a dict"):
        copy_weights(second, second, ["encoder"])
    with pytest.raises(TypeError, match="strings or compiled"):
        copy_weights(second, second, {"encoder": 3})
