import logging

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from applications.anomaly_detection.formats import load_folder, read_category, read_pictures

pytestmark = pytest.mark.once


def save(path, shape=(8, 8, 3), value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, "uint8")).save(path)


@pytest.fixture
def category(tmp_path):
    for name in ("000", "001", "002"):
        save(tmp_path / "train" / "good" / f"{name}.png", value=50)
    save(tmp_path / "test" / "good" / "000.png", value=60)
    save(tmp_path / "test" / "scratch" / "000.png", value=200)
    mask = np.zeros((8, 8), "uint8")
    mask[2:4, 5:] = 255
    (tmp_path / "ground_truth" / "scratch").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "ground_truth" / "scratch" / "000_mask.png")
    return tmp_path


def test_a_flat_folder_has_no_labels(tmp_path):
    save(tmp_path / "b.jpg", value=255)
    save(tmp_path / "a.PNG", value=0)
    pictures = read_pictures(tmp_path)
    assert pictures.files == ("a.PNG", "b.jpg")
    assert pictures.labels is None
    assert pictures.images.dtype == np.float32
    assert pictures.images[:, 0, 0, 0].tolist() == [0, 1]


def test_class_folders_are_labels(tmp_path):
    for file in ("cat/1.png", "cat/more/2.png", "ant/1.png"):
        save(tmp_path / file)
    pictures = read_pictures(tmp_path)
    assert pictures.classes == ("ant", "cat")
    assert pictures.labels.tolist() == [0, 1, 1]


def test_grey_transparent_and_16_bit_pictures_become_rgb(tmp_path):
    Image.fromarray(np.full((4, 4), 51, "uint8")).save(tmp_path / "1.png")
    Image.fromarray(np.full((4, 4), 257 * 51, "uint16")).save(tmp_path / "2.png")
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "3.png")
    images, labels = load_folder(tmp_path)
    assert images.shape == (3, 4, 4, 3)
    assert labels is None
    np.testing.assert_allclose(images[:, 1, 1], [[0.2] * 3, [0.2] * 3, [1.0] * 3], atol=1e-6)


def test_what_cannot_be_read_is_listed(tmp_path, caplog):
    save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.WARNING, logger="contrast"):
        pictures = read_pictures(tmp_path)
    assert pictures.files == ("good.png",)
    assert [line.partition(":")[0] for line in pictures.skipped] == ["bad.png", "cut.png"]
    assert "2 of 3 pictures" in caplog.text
    assert "bad.png" in caplog.text
    assert "cut.png" in caplog.text


def test_mixed_sizes_need_a_size(tmp_path):
    save(tmp_path / "1.png", (8, 8, 3))
    save(tmp_path / "2.png", (4, 6, 3))
    with pytest.raises(ValueError, match=r"one height and width, got .*4 x 6 \(1\).*size="):
        read_pictures(tmp_path)
    assert read_pictures(tmp_path, size=5).images.shape == (2, 5, 5, 3)
    assert read_pictures(tmp_path, size=(3, 5)).images.shape == (2, 3, 5, 3)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        read_pictures(tmp_path, size=0)


def test_folders_that_are_no_data(tmp_path):
    with pytest.raises(ValueError, match="existing folder"):
        read_pictures(tmp_path / "missing")
    with pytest.raises(ValueError, match="must hold pictures"):
        read_pictures(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        read_pictures(tmp_path)
    save(tmp_path / "class" / "1.png")
    with pytest.raises(ValueError, match=r"got both.*bad\.png"):
        read_pictures(tmp_path)


def test_a_category_with_masks(category):
    read = read_category(category)
    assert len(read.train.images) == 3
    assert read.test.classes == ("good", "scratch")
    assert read.is_normal.tolist() == [True, False]
    assert read.masks.sum(axis=(1, 2)).tolist() == [0, 6]
    assert read.masks[1, 2:4, 5:].all()
    assert len(read.held_out()) == 1
    images, labels = load_folder(category)
    assert len(images) == 3
    assert labels is None


def test_masks_are_scaled_with_their_pictures(category):
    read = read_category(category, size=16)
    assert read.masks.shape == (2, 16, 16)
    assert read.masks[1].sum() == 24


def test_a_category_without_masks_or_with_missing_ones(category):
    save(category / "test" / "scratch" / "001.png")
    with pytest.raises(ValueError, match=r"missing: ground_truth/scratch/001_mask\.png"):
        read_category(category)
    for file in (category / "ground_truth" / "scratch").iterdir():
        file.unlink()
    (category / "ground_truth" / "scratch").rmdir()
    (category / "ground_truth").rmdir()
    assert read_category(category).masks is None


def test_a_mask_of_another_size(category):
    save(category / "ground_truth" / "scratch" / "000_mask.png", (4, 4, 3))
    with pytest.raises(ValueError, match=r"size of its picture, \(8, 8\), got \(4, 4\)"):
        read_category(category)


def test_a_folder_that_is_no_category(tmp_path):
    save(tmp_path / "1.png")
    with pytest.raises(ValueError, match="train/good is missing"):
        read_category(tmp_path)
