"""Batches of P classes with M samples each, from arrays, folders and `tf.data`."""

import keras
import numpy as np
import pytest

from contrast.data import ClassBalancedBatches, ImageFolder, class_balanced_from_tf_data

IDS = np.repeat(np.arange(5), [4, 6, 5, 9, 2])
SAMPLES = np.stack([np.arange(26), IDS], axis=1).astype("float32")  # row number and class


def epoch(batches):
    return [batches[index] for index in range(len(batches))]


def rows_of(batches):
    return np.stack([np.asarray(samples)[:, 0, 0] for samples, _ in epoch(batches)]).astype(int)


def test_every_batch_has_p_classes_with_m_samples():
    batches = ClassBalancedBatches(SAMPLES, IDS, 3, 2)
    assert len(batches) == 26 // 6
    for samples, ids in epoch(batches):
        assert samples.shape == (6, 1, 2)
        np.testing.assert_array_equal(samples[:, 0, 1], ids)
        assert np.unique(ids, return_counts=True)[1].tolist() == [2, 2, 2]
        assert len(np.unique(samples[:, 0, 0])) == 6, "no sample twice"


@pytest.mark.once
def test_classes_and_samples_come_equally_often():
    batches = ClassBalancedBatches(SAMPLES, IDS, 2, 2, batches=20)
    classes = np.concatenate([ids for _, ids in epoch(batches)])
    assert np.unique(classes, return_counts=True)[1].tolist() == [16] * 5
    times = np.bincount(rows_of(batches).ravel(), minlength=26)
    for one in range(5):
        assert np.ptp(times[one == IDS]) <= 1


def test_order_is_a_function_of_seed_and_epoch():
    first, again, other = (ClassBalancedBatches(SAMPLES, IDS, 3, 2, seed=seed) for seed in (1, 1, 2))
    one = rows_of(first)
    np.testing.assert_array_equal(one, rows_of(again))
    assert not np.array_equal(one, rows_of(other))
    first.on_epoch_end()
    assert not np.array_equal(one, rows_of(first))
    first.epoch = 0
    np.testing.assert_array_equal(one, rows_of(first))


@pytest.mark.once
def test_classes_with_too_few_samples():
    repeated = ClassBalancedBatches(SAMPLES, IDS, 5, 4)
    for row in rows_of(repeated):
        few = row[IDS[row] == 4]
        assert sorted(few.tolist()) == [24, 24, 25, 25], "each as often as the other"
    dropped = ClassBalancedBatches(SAMPLES, IDS, 4, 4, few="drop")
    assert 4 not in np.concatenate([ids for _, ids in epoch(dropped)])
    with pytest.raises(ValueError, match="at most the 4 classes with 4 samples, got 5"):
        ClassBalancedBatches(SAMPLES, IDS, 5, 4, few="drop")


@pytest.mark.once
def test_positives_come_from_other_groups():
    """Class 3 has nine samples, seven of them by one camera; its batches still show three cameras."""
    groups = np.zeros(26, int)
    groups[[1, 5, 7, 11, 16, 25]], groups[[2, 8, 12, 17]] = 1, 2
    cameras = [
        groups[row[IDS[row] == 3]] for row in rows_of(ClassBalancedBatches(SAMPLES, IDS, 4, 3, 40, groups))
    ]
    cameras = [camera for camera in cameras if len(camera)]
    assert cameras and all(sorted(camera.tolist()) == [0, 1, 2] for camera in cameras)
    blind = [groups[row[IDS[row] == 3]] for row in rows_of(ClassBalancedBatches(SAMPLES, IDS, 4, 3, 40))]
    assert any(len(set(camera.tolist())) == 1 for camera in blind if len(camera))
    used = rows_of(ClassBalancedBatches(SAMPLES, IDS, 4, 3, 40, groups))
    assert set(used.ravel().tolist()) == set(range(26)), "all samples of the large group have their turn"


@pytest.mark.once
def test_views():
    def noise(samples, generator):
        return samples + generator.uniform(0.1, 0.4, samples.shape)

    samples, _ = ClassBalancedBatches(SAMPLES, IDS, 2, 2, augmentation=noise, views=3)[0]
    assert samples.shape == (4, 3, 2)
    assert (samples[:, 0] != samples[:, 1]).all()
    np.testing.assert_array_equal(np.floor(samples[:, 0]), np.floor(samples[:, 1]))


@pytest.fixture
def folder(tmp_path):
    """Two pictures of each of three classes, whose brightness is 10 * class + number."""
    for one, name in enumerate(["ant", "bee", "cat"]):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for number, place in enumerate(["", "deeper"]):
            picture = np.full((5, 7, 3), 10 * one + number)
            keras.utils.save_img(tmp_path / name / place / f"{number}.png", picture, scale=False)
    (tmp_path / "readme.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


@pytest.mark.once
def test_folder_of_classes(folder):
    pictures = ImageFolder(folder, size=(4, 4), channels=1)
    assert (pictures.classes, pictures.ids.tolist()) == (["ant", "bee", "cat"], [0, 0, 1, 1, 2, 2])
    assert pictures.shape == (6, 4, 4, 1)
    assert pictures[2].shape == (4, 4, 1)
    np.testing.assert_allclose(pictures[[5, 0, 3]][:, 0, 0, 0] * 255, [21, 0, 11], atol=1e-4)
    part = pictures.subset([5, 1])
    assert (part.shape[0], part.ids.tolist(), part.classes) == (2, [2, 0], ["ant", "bee", "cat"])
    np.testing.assert_array_equal(part[[0, 1]], pictures[[5, 1]])
    samples, ids = ClassBalancedBatches(pictures, None, 2, 2)[0]
    assert samples.shape == (4, 1, 4, 4, 1)
    np.testing.assert_allclose(np.round(samples[:, 0, 0, 0, 0] * 255) // 10, ids)


@pytest.mark.once
def test_folder_keeps_a_bounded_number_of_pictures(folder, monkeypatch):
    pictures = ImageFolder(folder, size=(4, 4), kept_bytes=2 * 48)
    read = []
    monkeypatch.setattr(
        pictures, "_read", lambda path, read_one=pictures._read: (read.append(path), read_one(path))[1]
    )
    for row in (0, 1, 1, 0, 2, 0, 1):
        pictures[row]
    assert [pictures.paths.index(path) for path in read] == [0, 1, 2, 1]
    assert len(pictures._kept) == 2


@pytest.mark.once
def test_bad_folders(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ValueError, match="sub-folder for each class"):
        ImageFolder(empty)
    with pytest.raises(ValueError, match="existing folder"):
        ImageFolder(empty / "nothing")
    with pytest.raises(ValueError, match="channels"):
        ImageFolder(folder, channels=4)
    with pytest.raises(ValueError, match="brings its own"):
        ClassBalancedBatches(ImageFolder(folder), np.arange(6), 2, 2)
    (folder / "ant" / "0.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"0\.png cannot be read"):
        ImageFolder(folder)[0]


@pytest.mark.once
def test_stream_of_tf_data():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((SAMPLES, IDS)).shuffle(26, seed=1)
    batches = list(class_balanced_from_tf_data(dataset, 3, 2))
    assert len(batches) >= 3
    for samples, ids in batches:
        assert samples.shape == (6, 1, 2)
        np.testing.assert_array_equal(samples[:, 0, 1], ids)
        np.testing.assert_array_equal(ids[::2], ids[1::2])
    rows = np.concatenate([samples[:, 0, 0] for samples, _ in batches])
    assert len(set(rows.tolist())) == len(rows)
    assert batches[0][0].shape == class_balanced_from_tf_data(dataset, 3, 2).element_spec[0].shape
    with pytest.raises(ValueError, match="not batched"):
        class_balanced_from_tf_data(dataset.batch(2))
    with pytest.raises(TypeError, match="StringLookup"):
        class_balanced_from_tf_data(dataset.map(lambda x, y: (x, tf.as_string(y))))
    with pytest.raises(TypeError, match=r"tf\.data\.Dataset"):
        class_balanced_from_tf_data(SAMPLES)
    with pytest.raises(ValueError, match="classes_per_batch"):
        class_balanced_from_tf_data(dataset, 1)


@pytest.mark.once
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: ClassBalancedBatches(SAMPLES), ValueError, "class of each sample, got None"),
        (lambda: ClassBalancedBatches(SAMPLES, IDS.astype(str)), TypeError, "np.unique"),
        (lambda: ClassBalancedBatches(SAMPLES, IDS[:3]), ValueError, "same length"),
        (lambda: ClassBalancedBatches(SAMPLES, IDS, 1, 4), ValueError, "at least 2"),
        (lambda: ClassBalancedBatches(SAMPLES, IDS, 6, 2), ValueError, "at most the 5 classes, got 6"),
        (lambda: ClassBalancedBatches(SAMPLES, np.zeros(26, int), 2, 2), ValueError, "at most the 1 classes"),
        (lambda: ClassBalancedBatches(SAMPLES, IDS, 2, 2, few="pad"), ValueError, "'repeat'"),
        (lambda: ClassBalancedBatches(SAMPLES, IDS, 2, 2, views=2), ValueError, "without an augmentation"),
        (
            lambda: ClassBalancedBatches(SAMPLES, IDS, 2, 2, groups=list("ab")),
            TypeError,
            "groups must be int",
        ),
        (lambda: ClassBalancedBatches(SAMPLES, IDS, 2, 2, groups=[1, 2]), ValueError, r"shape \(26,\)"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()
