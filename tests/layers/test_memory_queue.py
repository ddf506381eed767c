import keras
import numpy as np
import pytest
from keras import ops

from contrast.layers import MemoryQueue
from contrast.losses import InfoNCE
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(0)
ROWS = rng.normal(size=(12, 3)).astype("float32")


@keras.saving.register_keras_serializable(package="contrast_tests")
class Remembering(keras.Model):
    """Contrasts with a queue of what it encoded before."""

    def __init__(self, size=8, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.dense = keras.layers.Dense(3, kernel_initializer="identity")
        self.queue = MemoryQueue(size, 3)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        negatives, _, valid = self.queue.read()
        batch = ops.shape(y_pred)[0]
        seen = ops.concatenate([ops.ones((batch,), "bool"), valid])
        mask = ops.broadcast_to(seen[None, :], (batch, ops.shape(seen)[0]))
        loss = InfoNCE(0.5, tile_size=None)(None, (y_pred, x), negatives=negatives, candidate_mask=mask)
        self.queue.enqueue(x, ids=y)
        return loss

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def cross_entropy(queries, keys):
    """InfoNCE at temperature 0.5, the first keys being the queries' own."""
    queries, keys = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, keys))
    logits = queries @ keys.T / 0.5
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diagonal(logits))


def contents(queue, **arguments):
    return [to_numpy(part) for part in queue.read(**arguments)]


def test_fit_fills_the_ring_and_is_saved_with_the_model(tmp_path):
    model = Remembering()
    model.compile(keras.optimizers.SGD(0.0))
    history = model.fit(ROWS[:10], np.arange(100, 110), batch_size=4, shuffle=False, verbose=0)
    # Places not filled yet do not change the loss: each batch competes with itself and all before it.
    batches = [(ROWS[start:stop], ROWS[:start]) for start, stop in ((0, 4), (4, 8), (8, 10))]
    expected = sum(len(rows) * cross_entropy(rows, np.concatenate([rows, old])) for rows, old in batches) / 10
    assert history.history["loss"] == pytest.approx([expected], rel=1e-5)
    embeddings, stored, valid = contents(model.queue)
    assert_close(embeddings, np.concatenate([ROWS[8:10], ROWS[2:8]]))
    assert stored.tolist() == [108, 109, 102, 103, 104, 105, 106, 107]
    assert valid.all()
    assert not any("queue" in weight.path for weight in model.trainable_variables)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    for ours, theirs in zip(contents(loaded.queue), contents(model.queue), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_validity_and_missing_ids_while_it_fills():
    queue = MemoryQueue(4, 3)
    assert contents(queue)[2].tolist() == [False] * 4
    queue.enqueue(ROWS[:3])
    assert contents(queue)[1].tolist() == [-1] * 4
    assert contents(queue)[2].tolist() == [True, True, True, False]
    read = queue.read()
    queue.enqueue(ROWS[3:5], ids=[7, 8])
    assert contents(queue)[1].tolist() == [8, -1, -1, 7]
    assert_close(contents(queue)[0], ROWS[[4, 1, 2, 3]])
    assert_close(read.embeddings[:3], ROWS[:3])


def test_against_a_list_over_many_rounds():
    queue, expected = MemoryQueue(4, 3), np.zeros((4, 3), "float32")
    place = 0
    for length in (3, 4, 2, 3, 3, 4, 4, 2, 3):
        rows = rng.normal(size=(length, 3)).astype("float32")
        queue.enqueue(rows)
        for row in rows:
            expected[place % 4] = row
            place += 1
    assert_close(contents(queue)[0], expected)
    assert contents(queue)[2].all()


def test_groups():
    queue = MemoryQueue(4, 3, groups=3)
    queue.enqueue(ROWS[:4], ids=[0, 1, 2, 3], group=[2, 0, 2, -1])
    read = queue.read()
    queue.enqueue(ROWS[4:8], ids=[4, 5, 6, 7], group=2)
    embeddings, ids, valid = contents(queue)
    assert embeddings.shape == (3, 4, 3)
    assert_close(read.embeddings[2], [*ROWS[[0, 2]], *np.zeros((2, 3))])
    assert ids.tolist() == [[1, -1, -1, -1], [-1] * 4, [6, 7, 4, 5]]
    assert valid.sum(axis=1).tolist() == [1, 0, 4]
    assert_close(embeddings[2], ROWS[[6, 7, 4, 5]])
    assert_close(contents(queue, group=2)[0], embeddings[2])
    assert contents(queue, group=[0, 2, 0, 0, 1])[1].tolist() == ids[[0, 2, 0, 0, 1]].tolist()


def test_config_and_dtype_policy():
    queue = MemoryQueue(4, 3, groups=2, dtype="mixed_bfloat16")
    queue.enqueue(ROWS[:2], group=1)
    assert_close(contents(queue)[0][1, :2], ROWS[:2], 1e-7)
    assert MemoryQueue.from_config(queue.get_config()).get_config() == queue.get_config()


@pytest.mark.parametrize("arguments", [(0, 3), (4, 0), (4, 3, 0)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="at least 1"):
        MemoryQueue(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"embeddings": ROWS[:5]}, ValueError, "batch of 5 does not fit into a queue of size 4"),
        ({"embeddings": ROWS[:2, :2]}, ValueError, r"must be \(batch, 3\)"),
        ({"embeddings": ROWS[0]}, ValueError, r"must be \(batch, 3\)"),
        ({"embeddings": ROWS[:2], "ids": [1, 2, 3]}, ValueError, "ids must have shape"),
        ({"embeddings": ROWS[:2], "ids": [1.0, 2.0]}, TypeError, "ids must be integers"),
        ({"embeddings": ROWS[:2], "group": 0}, ValueError, "without groups"),
    ],
)
def test_bad_batches(arguments, error, message):
    with pytest.raises(error, match=message):
        MemoryQueue(4, 3).enqueue(**arguments)


def test_bad_groups():
    queue = MemoryQueue(4, 3, groups=2)
    with pytest.raises(ValueError, match="which of the 2 groups"):
        queue.enqueue(ROWS[:2])
    with pytest.raises(ValueError, match="group must have shape"):
        queue.enqueue(ROWS[:2], group=[0, 1, 0])
    with pytest.raises(TypeError, match="group must be integers"):
        queue.read(group=0.5)


def test_a_queue_smaller_than_the_batch_says_so_in_fit():
    model = Remembering(size=2)
    model.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="batch of 4 does not fit into a queue of size 2"):
        model.fit(ROWS[:4], np.arange(4), batch_size=4, verbose=0)
