import keras
import numpy as np
import pytest

from contrast.encoders import TextTransformer
from tests.case import assert_close, check_every_weight_moves, check_saved, to_numpy

IDS = np.array([[7, 2, 3, 0, 0], [4, 9, 9, 1, 2], [5, 0, 0, 0, 0]], "int32")
SEGMENTS = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 1, 2], [2, 0, 0, 0, 0]], "int32")


def small(**kwargs):
    arguments = {"vocabulary_size": 10, "dim": 8, "depth": 2, "heads": 2, "max_length": 8, "seed": 0}
    return TextTransformer(**{**arguments, **kwargs})


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_shapes_saving_and_training(pooling, tmp_path):
    encoder = small(pooling=pooling)
    assert tuple(encoder(keras.Input((None,), dtype="int32")).shape) == (None, 8)
    assert encoder.predict(IDS, verbose=0).shape == (3, 8) == encoder.compute_output_shape(IDS.shape)
    check_saved(encoder, IDS, tmp_path)
    check_every_weight_moves(encoder, IDS, np.random.default_rng(1).normal(size=(3, 8)))


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_padding_has_no_influence(pooling):
    encoder = small(pooling=pooling)
    features, tokens = to_numpy(encoder(IDS)), to_numpy(encoder.token_features(IDS))
    longer = np.pad(IDS, ((0, 0), (0, 3)))
    assert_close(encoder(longer), features, 1e-5)
    assert_close(to_numpy(encoder.token_features(longer))[:, :5], tokens, 1e-5)
    # Whatever the padding's own embedding and the places beyond the text hold.
    table, places = to_numpy(encoder.embedding.embeddings), to_numpy(encoder.places)
    encoder.embedding.embeddings.assign(np.where(np.arange(10)[:, None] == 0, 50.0, table))
    encoder.places.assign(np.where(np.arange(8)[:, None] >= 3, 50.0, places))
    changed = to_numpy(encoder(IDS))
    assert_close(changed[[0, 2]], features[[0, 2]], 1e-5)
    assert not np.allclose(changed[1], features[1], atol=1e-3)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_pooling_of_token_features(pooling):
    encoder = small(pooling=pooling)
    tokens = to_numpy(encoder.token_features(IDS))
    assert (tokens[IDS == 0] == 0).all() and (np.abs(tokens[IDS != 0]).max(-1) > 0.1).all()
    mean = tokens.sum(1) / (IDS != 0).sum(1, keepdims=True)
    expected = {"mean": mean, "first": tokens[:, 0], "last": tokens[[0, 1, 2], [2, 4, 0]]}
    assert_close(encoder(IDS), expected[pooling], 1e-5)


def test_another_id_of_padding():
    """Padding 1 in place of 0, with the rows of the two ids exchanged, is the same encoder."""
    encoder, other = small(pooling="last"), small(pooling="last", padding_id=1)
    swapped = np.array([1, 0, *range(2, 10)])
    expected = to_numpy(encoder(IDS))
    other(swapped[IDS])
    weights = encoder.get_weights()
    table = next(i for i, weight in enumerate(weights) if weight.shape == (10, 8))
    weights[table] = weights[table][swapped]
    other.set_weights(weights)
    assert_close(other(swapped[IDS]), expected)
    assert_close(other.token_features(swapped[IDS]), to_numpy(encoder.token_features(IDS)))


def test_order_and_neighbours_matter():
    features = to_numpy(small()(np.array([[1, 2, 3], [3, 2, 1]])))
    assert not np.allclose(features[0], features[1], atol=1e-4)
    tokens = to_numpy(small().token_features(np.array([[1, 2, 3], [1, 2, 4]])))
    assert not np.allclose(tokens[0, 0], tokens[1, 0], atol=1e-6)


def test_a_text_of_padding_is_zero_and_finite():
    encoder = small()
    ids = np.array([[0, 0, 0], [1, 2, 3]])
    features = to_numpy(encoder(ids))
    assert (features[0] == 0).all() and np.isfinite(features).all()


def test_segments_are_saved_and_trained(tmp_path):
    encoder, inputs = small(segments=3), {"ids": IDS, "segment_ids": SEGMENTS}
    symbolic = {name: keras.Input((None,), dtype="int32") for name in inputs}
    assert tuple(encoder(symbolic).shape) == (None, 8)
    features = encoder.predict(inputs, verbose=0)
    assert (
        features.shape == (3, 8) == encoder.compute_output_shape({"ids": IDS.shape, "segment_ids": IDS.shape})
    )
    check_saved(encoder, inputs, tmp_path)
    path = tmp_path / "trained.keras"
    encoder.save(path)
    assert_close(keras.models.load_model(path)(IDS), to_numpy(encoder(IDS)), 1e-6)
    encoder.compile("sgd", loss="mse")
    before = to_numpy(encoder.segment_embeddings)
    encoder.fit(inputs, np.random.default_rng(1).normal(size=(3, 8)), verbose=0)
    assert (np.abs(to_numpy(encoder.segment_embeddings) - before).max(axis=1) > 0).all()


def test_a_segment_is_added_to_its_tokens():
    """The embedding of a segment does to a token what the same change of the token's own embedding does."""
    encoder, plain = small(segments=3), small()
    encoder(IDS), plain(IDS)
    plain.set_weights([to_numpy(w) for w in encoder.weights if w.name != "segment_embeddings"])
    table, segments = to_numpy(plain.embedding.embeddings), to_numpy(encoder.segment_embeddings)
    for segment in range(3):
        plain.embedding.embeddings.assign(table + segments[segment])
        everywhere = np.full_like(IDS, segment)
        expected = to_numpy(plain.token_features(IDS))
        assert_close(encoder.token_features(IDS, segment_ids=everywhere), expected)
        assert_close(encoder({"ids": IDS, "segment_ids": everywhere}), to_numpy(plain(IDS)))
        if segment == 0:
            assert_close(encoder.token_features(IDS), expected)
            assert_close(encoder({"ids": IDS}), to_numpy(plain(IDS)))
    mixed = to_numpy(encoder.token_features(IDS, segment_ids=SEGMENTS))
    assert np.abs(mixed - to_numpy(encoder.token_features(IDS)))[IDS != 0].max() > 1e-3
    elsewhere = np.where(IDS == 0, 2, SEGMENTS)
    assert_close(encoder.token_features(IDS, segment_ids=elsewhere), mixed, 1e-6)


def test_one_segment_has_no_embedding():
    one, two = small(), small(segments=2)
    one(IDS), two(IDS)
    assert len(two.weights) == len(one.weights) + 1
    assert_close(one({"ids": IDS}), to_numpy(one(IDS)))
    config = one.get_config()
    assert config["segments"] == 1
    del config["segments"]
    assert TextTransformer.from_config(config).segments == 1


def test_half_precision():
    features = small(dtype="mixed_bfloat16", segments=3)({"ids": IDS, "segment_ids": SEGMENTS})
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"
    assert np.isfinite(to_numpy(keras.ops.cast(features, "float32"))).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: small(vocabulary_size=1), "vocabulary_size must be at least 2"),
        (lambda: small(dim=9), "heads must divide dim"),
        (lambda: small(depth=0), "depth must be at least 1"),
        (lambda: small(pooling="max"), "pooling must be 'mean', 'first', 'last'"),
        (lambda: small(padding_id=10), "padding_id must be from 0 to vocabulary_size - 1 = 9, got 10"),
        (lambda: small(segments=0), "segments must be at least 1, got 0"),
        (lambda: small()({"ids": IDS, "segment_ids": SEGMENTS}), "segments=2 or more, this one has 1"),
        (lambda: small().token_features(IDS, segment_ids=SEGMENTS), "segments=2 or more, this one has 1"),
        (
            lambda: small(segments=2).token_features(IDS, segment_ids=SEGMENTS[:, :4]),
            r"shape of ids, \(3, 5\)",
        ),
        (lambda: small(segments=2).token_features(IDS, segment_ids=SEGMENTS * 1.0), "must be integers"),
        (lambda: small(segments=2)({"ids": IDS, "segments": SEGMENTS}), "must hold 'ids' and 'segment_ids'"),
        (lambda: small()(IDS.astype("float32")), "integer ids"),
        (lambda: small()(IDS[0]), "batch, length"),
        (lambda: small()(np.ones((2, 9), "int32")), "at most max_length=8"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
