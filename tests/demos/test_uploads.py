import io

import numpy as np
import pytest

pytestmark = pytest.mark.once

Image = pytest.importorskip("PIL.Image")

from demos import uploads  # noqa: E402
from demos.uploads import UploadError, read_picture  # noqa: E402
from tests.demos.pictures import png_header  # noqa: E402


def encoded(array, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture
def saved(tmp_path):
    def save(content, name="upload.png"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return save


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_known_formats_are_read_whatever_the_file_is_called(saved, form):
    grey = np.full((40, 60), 128, "uint8")
    picture = read_picture(saved(encoded(grey, form), "upload.txt"))
    assert picture.shape == (40, 60, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - 128).max() < 4


def test_transparency_is_shown_on_white(saved):
    clear = np.zeros((20, 20, 4), "uint8")
    assert (read_picture(saved(encoded(clear))) == 255).all()


def test_sixteen_bits_a_pixel_keep_their_grey(saved):
    deep = np.full((20, 20), 40000, "uint16")
    assert np.abs(read_picture(saved(encoded(deep))).astype(int) - 155).max() <= 1


def test_a_photo_that_lies_on_its_side_is_set_upright(saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_picture(saved(encoded(np.zeros((20, 50), "uint8"), "JPEG", exif=exif))).shape == (50, 20, 3)


def test_large_pictures_are_made_smaller(saved):
    assert read_picture(saved(encoded(np.zeros((1000, 2560), "uint8")))).shape == (500, 1280, 3)


@pytest.mark.parametrize(("width", "height"), [(5000, 5000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_from_the_header(saved, monkeypatch, width, height):
    monkeypatch.setattr(uploads, "decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(UploadError, match="pixels; at most 16 million can be read"):
        read_picture(saved(png_header(width, height)))


def test_too_many_bytes_are_refused_unread(saved, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 1024**2)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(UploadError, match="The file has 1.5 MB; at most 1 MB can be read"):
        read_picture(saved(bytes(3 * 1024**2 // 2)))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_cut_off_files_are_refused(saved, form):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90), "uint8")
    content = encoded(noise, form)
    with pytest.raises(UploadError, match="damaged or cut off"):
        read_picture(saved(content[: len(content) * 2 // 3]))


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a" + bytes(50)]
)
def test_other_files_are_refused_whatever_they_are_called(saved, content):
    with pytest.raises(UploadError, match="PNG, JPEG or WebP"):
        read_picture(saved(content))


def test_a_missing_file_and_a_tiny_picture_are_refused(saved, tmp_path):
    with pytest.raises(UploadError, match="did not arrive"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(UploadError, match="9 x 30 pixels; both sides must have at least 16"):
        read_picture(saved(encoded(np.zeros((30, 9), "uint8"))))
