import keras
import numpy as np
import pytest
from keras import ops

from contrast.augmentation.shifts import CutPerm, RotationShift, Shift
from tests.case import assert_close, check_saved, to_numpy

IMAGES = np.random.default_rng(0).random((3, 4, 4, 2)).astype("float32")
SWAPS = ((0, 1, 2, 3), (3, 0, 2, 1))
SHIFTS = {"rotation": RotationShift, "halves": CutPerm, "two": lambda **kwargs: CutPerm(SWAPS, **kwargs)}


@pytest.mark.golden
def test_rotation_matches_official_code(golden):
    case = golden("anomaly_detection")
    expected = case["image_rot"]
    shifted = to_numpy(RotationShift()(case["image"]))
    assert_close(shifted.reshape(expected.shape), expected, 1e-7)


def test_quarter_turns_are_counter_clockwise():
    expected = np.concatenate([np.rot90(IMAGES, turns, axes=(1, 2)) for turns in range(4)])
    assert_close(RotationShift()(IMAGES), expected, 1e-7)


def test_halves_are_swapped():
    left_right, top_bottom = np.roll(IMAGES, 2, axis=2), np.roll(IMAGES, 2, axis=1)
    both = np.roll(left_right, 2, axis=1)
    assert_close(CutPerm()(IMAGES), np.concatenate([IMAGES, left_right, top_bottom, both]), 1e-7)


def test_any_permutation_of_the_quarters():
    wide = np.random.default_rng(1).random((2, 4, 6, 1)).astype("float32")
    quarters = [wide[:, :2, :3], wide[:, :2, 3:], wide[:, 2:, :3], wide[:, 2:, 3:]]
    rows = [np.concatenate([quarters[a], quarters[b]], axis=2) for a, b in ((3, 0), (2, 1))]
    assert_close(CutPerm(SWAPS)(wide)[2:], np.concatenate(rows, axis=1), 1e-7)


@pytest.mark.parametrize("name", SHIFTS)
def test_shapes_labels_config_and_precision(name):
    layer = SHIFTS[name]()
    assert isinstance(layer, Shift)
    outputs = layer(IMAGES)
    assert tuple(outputs.shape) == (3 * layer.shifts, 4, 4, 2) == layer.compute_output_shape(IMAGES.shape)
    assert tuple(layer(keras.Input((4, 4, 2))).shape) == (None, 4, 4, 2)
    labels = to_numpy(layer.labels(3))
    assert labels.dtype == "int32" and labels.tolist() == sorted(list(range(layer.shifts)) * 3)
    copy = type(layer).from_config(layer.get_config())
    assert_close(copy(IMAGES), to_numpy(outputs), 1e-7)
    assert_close(layer(IMAGES, training=True), to_numpy(outputs), 1e-7)
    half = SHIFTS[name](dtype="mixed_bfloat16")(IMAGES)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"


class Probe(keras.Model):
    """Tells by which transform an image was shifted."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift
        self.head = keras.layers.Dense(shift.shifts)

    def call(self, images):
        shifted = self.shift(images)
        return self.head(ops.reshape(shifted, (-1, 32)))

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        labels = self.shift.labels(ops.shape(x)[0])
        return ops.mean(keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True))


@pytest.mark.once
@pytest.mark.parametrize("name", SHIFTS)
def test_a_probe_learns_the_shift_inside_fit_with_a_partial_batch(name):
    slope = np.linspace(0, 1, 8)
    upright = (slope[:4, None, None] + 0.4 * slope[None, :4, None] + np.zeros(2)).astype("float32")
    images = upright + 0.01 * IMAGES[[0, 1, 2, 0, 1]]
    model = Probe(SHIFTS[name]())
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(images, batch_size=3, epochs=40, verbose=0)
    logits = to_numpy(model(images))
    assert (logits.argmax(1) == to_numpy(model.shift.labels(5))).all()


def test_saved_with_the_model(tmp_path):
    inputs = keras.Input((4, 4, 2))
    outputs = CutPerm(SWAPS)(RotationShift()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(outputs)))
    check_saved(model, IMAGES, tmp_path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RotationShift()(IMAGES[:, :3]), "needs square images, got shape \\(3, 3, 4, 2\\)"),
        (lambda: RotationShift()(IMAGES[0]), "batch, height, width, channels"),
        (lambda: RotationShift()(keras.Input((None, None, 3))), "known height and width"),
        (lambda: CutPerm()(IMAGES[:, :3]), "even height and width"),
        (lambda: CutPerm()(IMAGES[:, :, :3]), "even height and width"),
        (lambda: CutPerm([(0, 1, 2, 4)]), "permutations must be"),
        (lambda: CutPerm([]), "permutations must be"),
        (lambda: CutPerm([(1, 0, 2, 3), (0, 1, 2, 3)]), "permutations must be"),
        (lambda: CutPerm([(0, 1, 2, 3), (0, 1, 2, 3)]), "permutations must be"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
