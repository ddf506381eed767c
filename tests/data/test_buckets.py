import keras
import numpy as np
import pytest

from contrast.data.buckets import RaggedBatches, bucket_lengths

LENGTHS = np.random.default_rng(4).integers(2, 30, 41)
CLIPS = [np.full((length, 3), row, "int16") for row, length in enumerate(LENGTHS)]


def epoch(batches):
    return [batches[index] for index in range(len(batches))]


def test_all_sequences_come_once_with_their_masks():
    batches = RaggedBatches(CLIPS, {"label": np.arange(41) * 2}, batch_size=4, buckets=(8, 16, 30))
    rows = np.concatenate([batch["rows"] for batch in epoch(batches)])
    assert sorted(rows) == list(range(41))
    for batch in epoch(batches):
        assert batch["sequences"].dtype == np.int16
        np.testing.assert_array_equal(batch["mask"].sum(axis=1), LENGTHS[batch["rows"]])
        np.testing.assert_array_equal(batch["label"], 2 * batch["rows"])
        expected = batch["rows"][:, None] * batch["mask"]
        np.testing.assert_array_equal(batch["sequences"], np.repeat(expected[..., None], 3, axis=-1))


def test_one_shape_a_bucket_and_one_for_the_rest():
    batches = RaggedBatches(CLIPS, batch_size=4, buckets=(8, 16, 30))
    shapes = {batch["sequences"].shape[:2] for batch in epoch(batches)}
    assert shapes == {(4, 8), (4, 16), (4, 30), (1, 30)}
    full = RaggedBatches(CLIPS, batch_size=4, buckets=(8, 16, 30), drop_remainder=True)
    assert {batch["sequences"].shape[:2] for batch in epoch(full)} == {(4, 8), (4, 16), (4, 30)}
    assert len(full) == len(batches) - 1


def test_order_is_a_function_of_seed_and_epoch():
    def order(batches):
        return [batch["rows"].tolist() for batch in epoch(batches)]

    one, same, other = (RaggedBatches(CLIPS, batch_size=4, seed=seed) for seed in (1, 1, 2))
    first = order(one)
    assert first == order(same) != order(other)
    one.on_epoch_end()
    assert order(one) != first
    one.epoch = 0
    assert order(one) == first
    still = RaggedBatches(CLIPS, batch_size=4, shuffle=False)
    before = order(still)
    still.on_epoch_end()
    assert order(still) == before


def test_no_id_twice_in_a_batch():
    ids = np.arange(41) % 7
    for drop in (False, True):
        batches = RaggedBatches(CLIPS, batch_size=4, ids=ids, drop_remainder=drop)
        for batch in epoch(batches):
            assert len(set(ids[batch["rows"]])) == len(batch["rows"])
            assert not drop or len(batch["rows"]) == 4
        if not drop:
            assert sum(len(batch["rows"]) for batch in epoch(batches)) == 41


def test_equal_ids_only(caplog):
    batches = RaggedBatches(CLIPS, batch_size=4, ids=np.zeros(41, int))
    assert len(batches) == 41
    assert "because their ids repeat" in caplog.text
    with pytest.raises(ValueError, match="different ids, 1, with drop_remainder; got 4"):
        RaggedBatches(CLIPS, batch_size=4, ids=np.zeros(41, int), drop_remainder=True)


def test_transform_draws_by_seed_epoch_and_batch():
    def draw(batch, generator):
        return {**batch, "draw": generator.random()}

    batches = RaggedBatches(CLIPS, batch_size=4, transform=draw)
    draws = [batch["draw"] for batch in epoch(batches)]
    assert len(set(draws)) == len(draws)
    assert draws == [batch["draw"] for batch in epoch(batches)]


def test_sequences_may_be_read_when_they_are_needed():
    class Reader:
        asked = 0

        def __len__(self):
            return 6

        def __getitem__(self, row):
            self.asked += 1
            return np.zeros((row + 1, 2))

    reader = Reader()
    batches = RaggedBatches(reader, lengths=np.arange(1, 7), batch_size=2, pad_value=1)
    assert reader.asked == 0
    batch = batches[0]
    assert reader.asked == 2
    assert (batch["sequences"][~batch["mask"]] == 1).all()


def test_fit_on_buckets():
    layers = [keras.layers.Masking(), keras.layers.GRU(2), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    sequences = [np.ones((length, 3), "float32") for length in (3, 4, 8, 7)]

    def inputs(batch, generator):
        return batch["sequences"], batch["target"]

    targets = {"target": np.zeros((4, 1), "float32")}
    batches = RaggedBatches(sequences, targets, buckets=(4, 8), batch_size=2, transform=inputs)
    history = model.fit(batches, epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert batches.epoch == 3  # `fit` ends an epoch before the first


def test_buckets_hold_everything_and_are_used_alike():
    for lengths in (LENGTHS, np.ones(3, int), np.arange(1, 500)):
        buckets = bucket_lengths(lengths, 4, 4)
        assert buckets[-1] >= lengths.max() and all(bucket % 4 == 0 for bucket in buckets)
        assert len(buckets) <= 4
    places = np.searchsorted(bucket_lengths(np.arange(1, 501), 5, 4), np.arange(1, 501))
    np.testing.assert_allclose(np.bincount(places), 100, atol=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequences": []}, "at least one"),
        ({"sequences": [np.zeros((0, 2)), np.zeros((1, 2))]}, "at least one step, got none in 0"),
        ({"buckets": (8, 16)}, "longer than the last bucket, 16; sequence"),
        ({"buckets": (16, 8)}, "ascending lengths"),
        ({"arrays": {"mask": np.zeros(41)}}, "other names than mask"),
        ({"arrays": {"text": np.zeros(40)}}, "a row for each of 41 sequences, got text 40"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 42, "drop_remainder": True}, "with drop_remainder; got 42"),
        ({"lengths": [3]}, "one a sequence, 41, got 1"),
        ({"ids": [3]}, "one a sequence, 41, got 1"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        RaggedBatches(**{"sequences": CLIPS, **options})


def test_steps_that_differ_in_shape_are_named():
    batches = RaggedBatches([np.zeros((3, 2)), np.zeros((3, 4))], batch_size=2, shuffle=False)
    with pytest.raises(ValueError, match=r"sequence 1 must have the shape \(3, 2\), got \(3, 4\)"):
        batches[0]
    with pytest.raises(IndexError):
        batches[1]
