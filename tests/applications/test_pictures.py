import numpy as np
import pytest
from PIL import Image

from applications.pictures import image_files, listed, read_image, relative_name

pytestmark = pytest.mark.once

GRADIENT = np.arange(24, dtype="uint8").reshape(4, 6) * 10


def saved(tmp_path, image, name="a.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_grey_becomes_three_equal_channels(tmp_path):
    image = read_image(saved(tmp_path, Image.fromarray(GRADIENT)))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.repeat(GRADIENT[..., None], 3, axis=2))


def test_sixteen_bits_are_scaled(tmp_path):
    image = read_image(saved(tmp_path, Image.fromarray(GRADIENT.astype("uint16") * 257)))
    np.testing.assert_array_equal(image[..., 0], GRADIENT)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_white(mode, tmp_path):
    picture = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    picture.paste((200, 0, 0, 255), (0, 0, 3, 4))
    picture = picture.quantize(8) if mode == "PA" else picture.convert(mode)
    image = read_image(saved(tmp_path, picture))
    assert (image[:, 3:] == 255).all()
    assert (image[:, :3, 1] < 100).all()


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the top is at the right
    flat = np.zeros((8, 16), "uint8")
    flat[:, :4] = 255
    image = read_image(saved(tmp_path, Image.fromarray(flat), exif=exif))
    assert image.shape == (16, 8, 3)
    assert (image[:4] == 255).all() and (image[4:] == 0).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png"])
def test_large_pictures_can_be_made_smaller(name, tmp_path):
    path = saved(tmp_path, Image.new("RGB", (400, 200), "red"), name)
    assert read_image(path).shape == (200, 400, 3)
    assert read_image(path, 100).shape == (50, 100, 3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("no picture"), "no picture of a known format"),
        (lambda path: path.write_bytes(b""), "no picture of a known format"),
        (lambda path: path.mkdir(), "cannot be decoded"),
        (lambda path: Image.new("F", (4, 4)).save(path, "TIFF"), "floating point"),
    ],
)
def test_what_is_no_picture(make, says, tmp_path):
    path = tmp_path / "a.png"
    make(path)
    with pytest.raises(ValueError, match=f"a.png .*{says}"):
        read_image(path)


def test_a_picture_that_is_cut_off(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype("uint8")
    path = saved(tmp_path, Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="cannot be decoded: .*truncated"):
        read_image(path)


def test_too_many_pixels(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new("RGB", (40, 40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="too many pixels"):
        read_image(path)


def test_files_of_a_folder(tmp_path):
    for name in ("b.JPG", "a.png", "old/c.jpeg", ".d.jpg", ".hidden/e.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "f.jpg").mkdir()
    found = image_files(tmp_path, (".jpg", ".jpeg", ".png"))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.png", "b.JPG", "old/c.jpeg"]


@pytest.mark.parametrize(
    "name", ["../a.jpg", "b/../../a.jpg", "/etc/passwd", "C:\\a.jpg", "..\\a.jpg", "\\\\host\\a.jpg", "", "."]
)
def test_paths_that_leave_the_folder(name):
    with pytest.raises(ValueError, match=r"below the folder of pictures"):
        relative_name(name)


def test_paths_that_stay():
    assert relative_name(" b\\a.jpg ") == relative_name("./b//a.jpg") == "b/a.jpg"


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(13)]).endswith("8, 9 and 3 more")
