import keras
import numpy as np
import pytest

from contrast.augmentation import block_mask, random_mask, span_mask, token_ids
from tests.case import to_numpy

MASKS = {
    "random": lambda batch, seed: random_mask(batch, 48, count=20, seed=seed),
    "blocks": lambda batch, seed: block_mask(batch, 6, 8, count=20, area=(2, 9), blocks=16, seed=seed),
    "one block": lambda batch, seed: block_mask(batch, 6, 8, count=20, area=(20, 20), blocks=16, seed=seed),
    "spans": lambda batch, seed: span_mask(batch, 48, span=5, count=20, seed=seed),
}


def generator(seed=0):
    return keras.random.SeedGenerator(seed)


def spans_of(row):
    """Lengths of the hidden stretches of a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("name", MASKS)
def test_every_row_hides_the_same_number_of_its_own(name):
    seed = generator()
    mask = to_numpy(MASKS[name](64, seed))
    assert mask.dtype == bool and mask.shape == (64, 48)
    np.testing.assert_array_equal(mask.sum(axis=1), 20)
    assert len(np.unique(mask, axis=0)) >= (20 if name == "one block" else 62)
    assert mask.any(axis=0).all() and not mask.all(axis=0).any()
    np.testing.assert_array_equal(to_numpy(MASKS[name](64, generator())), mask)
    assert not np.array_equal(to_numpy(MASKS[name](64, seed)), mask)
    np.testing.assert_array_equal(to_numpy(MASKS[name](64, 3)), to_numpy(MASKS[name](64, 3)))


def test_masks_in_a_compiled_step_of_unknown_batch():
    """One model holds all masks; the last batch is smaller."""
    model = keras.Sequential([keras.Input((2,)), Masks()])
    masks = model.predict(np.zeros((6, 2), "float32"), batch_size=4, verbose=0)
    assert masks.shape == (6, 5, 48)
    np.testing.assert_array_equal(masks.sum(axis=2), 20)
    assert len(np.unique(masks.reshape(30, -1), axis=0)) >= 20
    np.testing.assert_array_equal(masks[:, 4], masks[:, 0])


@keras.saving.register_keras_serializable(package="tests")
class Masks(keras.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = generator()

    def call(self, inputs):
        batch = keras.ops.shape(inputs)[0]
        masks = [keras.ops.cast(make(batch, self.generator), "float32") for make in MASKS.values()]
        hidden = token_ids(masks[0], 20)[1]
        masks.append(keras.ops.sum(keras.ops.one_hot(hidden, 48), axis=1))
        return keras.ops.stack(masks, axis=1)


def test_random_tokens_are_equally_likely():
    seed = generator()
    mask = np.concatenate([to_numpy(random_mask(64, 48, ratio=0.25, seed=seed)) for _ in range(60)])
    np.testing.assert_allclose(mask.mean(axis=0), 0.25, atol=0.03)
    assert (mask[:, 1:] & mask[:, :-1]).mean() == pytest.approx(12 / 48 * 11 / 47, abs=0.005)


@pytest.mark.parametrize("count", [0, 20, 48])
def test_ids_of_seen_and_hidden_tokens(count):
    mask = random_mask(64, 48, count=count, seed=generator())
    seen, hidden = (to_numpy(ids) for ids in token_ids(mask, count))
    assert seen.shape == (64, 48 - count) and hidden.shape == (64, count)
    for row, (visible, gone) in enumerate(zip(seen, hidden, strict=True)):
        np.testing.assert_array_equal(np.flatnonzero(~to_numpy(mask)[row]), visible)
        np.testing.assert_array_equal(np.flatnonzero(to_numpy(mask)[row]), gone)


def blocks(count, area, **arguments):
    """Masks of 64 grids, `(64, 6, 8)`."""
    mask = block_mask(64, 6, 8, count=count, area=area, blocks=16, seed=generator(), **arguments)
    return to_numpy(mask).reshape(64, 6, 8)


def test_one_block_is_a_rectangle_but_for_its_last_row():
    for row in blocks(20, (20, 20)):
        heights, widths = np.flatnonzero(row.any(axis=1)), np.flatnonzero(row.any(axis=0))
        assert (np.diff(heights) == 1).all() and (np.diff(widths) == 1).all()
        full = row[heights[0] : heights[-1], widths[0] : widths[-1] + 1]
        assert full.all() and row[heights[-1], widths[0]]


def test_the_aspect_of_blocks_is_that_asked_for():
    for aspect in ((0.25, 0.25), (1, 1), (4, 4)):
        boxes = blocks(4, (4, 4), aspect=aspect)
        tall, wide = boxes.any(axis=2).sum(axis=1), boxes.any(axis=1).sum(axis=1)
        np.testing.assert_array_equal(tall / wide, aspect[0])
    # A ratio that does not fit in the grid gives way, the number does not.
    boxes = blocks(12, (12, 12), aspect=(12, 12))
    np.testing.assert_array_equal(boxes.sum(axis=1).max(axis=1), 6)
    np.testing.assert_array_equal(boxes.any(axis=1).sum(axis=1), 2)


def test_blocks_hold_together_more_than_random_tokens():
    def neighbours(grid):
        return (grid[:, 1:] & grid[:, :-1]).sum() / grid[:, 1:].sum()

    random = to_numpy(random_mask(64, 48, count=20, seed=generator())).reshape(64, 6, 8)
    assert neighbours(blocks(20, (6, 12))) > 0.65 > 0.5 > neighbours(random)


def test_blocks_too_few_for_the_count_are_made_up_for():
    np.testing.assert_array_equal(blocks(40, (1, 1)).sum(axis=(1, 2)), 40)
    assert blocks(48, (20, 20)).all() and not blocks(0, (20, 20)).any()


def test_areas_and_blocks_have_defaults():
    mask = to_numpy(block_mask(64, 6, 8, ratio=0.4, seed=generator()))
    np.testing.assert_array_equal(mask.sum(axis=1), round(0.4 * 48))


def test_spans_are_as_long_as_asked():
    exact = to_numpy(MASKS["spans"](64, generator()))
    lengths = np.concatenate([spans_of(row) for row in exact])
    assert (lengths < 5).sum() <= 64  # at most the last span of each row
    seed = generator()
    free = [to_numpy(span_mask(64, 48, span=5, start=0.05, seed=seed)) for _ in range(8)]
    free = np.concatenate(free)
    assert min(np.concatenate([spans_of(row) for row in free])) == 5
    assert free[:, 4:-4].mean() == pytest.approx(1 - 0.95**5, abs=0.03)
    assert free.any(axis=0).all() and len(np.unique(free.sum(axis=1))) > 5
    for start in (0.0, 1.0):
        assert (to_numpy(span_mask(64, 48, span=5, start=start, seed=generator())) == start).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: random_mask(2, 8), "one of ratio and count, got ratio=None and count=None"),
        (lambda: random_mask(2, 8, ratio=0.5, count=4), "one of ratio and count"),
        (lambda: random_mask(2, 8, ratio=1.5), "ratio must be from 0 to 1, got 1.5"),
        (lambda: random_mask(2, 8, count=9), "count must be from 0 to the number of tokens, 8, got 9"),
        (
            lambda: token_ids(np.zeros((2, 2, 2), bool), 1),
            r"mask must be \(batch, tokens\), got shape \(2, 2",
        ),
        (lambda: block_mask(2, 4, 4, count=4, area=(1, 17)), "area must be .* at most 16"),
        (lambda: block_mask(2, 4, 4, count=4, aspect=(0, 1)), "aspect must be"),
        (lambda: block_mask(2, 4, 4, count=4, blocks=0), "blocks must be at least 1, got 0"),
        (lambda: block_mask(2, 4, 4, count=17), "count must be from 0"),
        (lambda: span_mask(2, 8, span=9, count=2), "span must be from 1 to .* 8, got 9"),
        (lambda: span_mask(2, 8, span=2), "one of start, ratio and count"),
        (lambda: span_mask(2, 8, span=2, start=0.1, count=2), "one of start, ratio and count"),
        (lambda: span_mask(2, 8, span=2, start=-0.1), "start must be from 0 to 1"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
