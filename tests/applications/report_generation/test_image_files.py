import numpy as np
import pytest
from PIL import Image

from applications import environment
from applications.report_generation.image_files import load_image
from applications.report_generation.study import check_image

pytestmark = pytest.mark.once

pydicom = pytest.importorskip("pydicom")

RAMP = np.arange(48, dtype="uint16").reshape(6, 8) * 85  # 0 to 3995, so 12 bits


def dicom(path, pixels=RAMP, kind="MONOCHROME2", bits=12, **elements):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, "1.2.3"
    if pixels is not None:
        dataset.set_pixel_data(pixels, kind, bits)
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.dcm"


def test_without_a_window_pixels_are_stretched(path):
    image = load_image(dicom(path))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, RAMP / RAMP.max(), atol=1e-6)
    check_image(image)


def test_a_window_is_applied_to_rescaled_values(path):
    image = load_image(
        dicom(path, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=2001)
    )
    # a linear window, PS3.3 C.11.2.1.2: from 0 to 2000, and flat beyond
    np.testing.assert_allclose(image, ((2.0 * RAMP - 1000) / 2000).clip(0, 1), atol=1e-3)
    narrow = load_image(dicom(path, np.full((4, 4), 2000, "uint16"), WindowCenter=2000, WindowWidth=500))
    np.testing.assert_allclose(narrow, 0.5, atol=2e-3)  # it does not stretch what it shows


def test_a_sigmoid_window(path):
    image = load_image(dicom(path, WindowCenter=2000, WindowWidth=800, VOILUTFunction="SIGMOID"))
    np.testing.assert_allclose(image, 1 / (1 + np.exp(-4 * (RAMP - 2000.0) / 800)), atol=1e-3)


def test_inverted_images(path):
    straight = load_image(dicom(path, WindowCenter=2000, WindowWidth=1000))
    inverted = load_image(dicom(path, kind="MONOCHROME1", WindowCenter=2000, WindowWidth=1000))
    np.testing.assert_allclose(inverted, 1 - straight, atol=1e-6)
    assert inverted[0, 0] == 1 and inverted[-1, -1] == 0


def test_padding_is_dark_and_does_not_count(path):
    pixels = RAMP // 4 + 500
    pixels[:, -1] = 4000
    image = load_image(dicom(path, pixels, PixelPaddingValue=4000))
    assert (image[:, -1] == 0).all()
    assert image[:, :-1].max() == 1


def test_colours_become_grey(path, tmp_path):
    colours = np.zeros((4, 5, 3), "uint8")
    colours[..., 0] = 200
    grey = np.full((4, 5), round(0.299 * 200))
    np.testing.assert_allclose(load_image(dicom(path, colours, "RGB", 8)) * 255, grey, atol=1)
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_allclose(load_image(tmp_path / "a.png"), grey, atol=1)


def test_pictures_of_eight_bits_keep_their_values(tmp_path):
    pixels = (RAMP // 32).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(load_image(tmp_path / "a.jpg").astype(int), pixels, atol=3)


def test_pictures_of_sixteen_bits_are_stretched(tmp_path):
    Image.fromarray(RAMP + 100).save(tmp_path / "a.png")
    np.testing.assert_allclose(load_image(tmp_path / "a.png"), RAMP / RAMP.max(), atol=1e-6)


def test_dicom_is_known_by_its_content(path, tmp_path):
    dicom(path).rename(tmp_path / "without_suffix")
    assert load_image(tmp_path / "without_suffix").shape == RAMP.shape


@pytest.mark.parametrize("shape", [(40, 80), (80, 40)])
def test_sizes_are_filled_and_the_rest_cut_off_at_both_ends(shape, path, tmp_path):
    pixels = np.full(shape, 100, "uint16")
    pixels[:10] = pixels[-10:] = 0  # a frame
    pixels[:, :10] = pixels[:, -10:] = 0
    image = load_image(dicom(path, pixels), 20)
    assert image.shape == (20, 20)
    check_image(image)  # no overshoot
    long = 0 if shape[0] > shape[1] else 1
    assert (image.max(axis=1 - long) > 0.9).all()  # the ends of the long side are gone
    assert (image.max(axis=long) > 0.9).sum() == 10
    Image.fromarray(pixels.astype("uint8")).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", (16, 24)).shape == (16, 24)
    assert load_image(tmp_path / "a.png", 16).dtype == np.uint8


def not_a_number(path):
    dicom(path, None, Rows=2, Columns=2, SamplesPerPixel=1, BitsAllocated=32)
    dataset = pydicom.dcmread(path)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.FloatPixelData = np.array([[0, 1], [2, np.nan]], "float32").tobytes()
    dataset.save_as(path)


def cut_off(path):
    content = dicom(path).read_bytes()
    path.write_bytes(content[:-30])


def without_decoder(path):
    dataset = pydicom.dcmread(dicom(path))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    dataset.PixelData = pydicom.encaps.encapsulate([b"\x00" * 20])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"no image" * 40), "is no DICOM file"),
        (lambda path: path.write_bytes(b""), "is no DICOM file|cannot be read"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: dicom(path, None), "a DICOM file without pixel data"),
        (lambda path: dicom(path, Rows=60000, Columns=60000), "too many pixels: 3,600,000,000"),
        (lambda path: dicom(path, np.zeros((3, 4, 4), "uint16")), "3 frames instead of one radiograph"),
        (not_a_number, "finite numbers, got NaN"),
        (cut_off, "cannot be decoded"),
        (without_decoder, "cannot be decoded"),
    ],
)
def test_what_is_no_dicom_image(make, says, path):
    make(path)
    with pytest.raises(ValueError, match=f"a.dcm .*({says})"):
        load_image(path)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "does not exist"), (b"no picture", "no picture of a known format")]
)
def test_what_is_no_picture(content, says, tmp_path):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=f"a.png .*{says}"):
        load_image(tmp_path / "a.png")


def test_pictures_that_are_too_large(tmp_path, monkeypatch):
    Image.new("L", (60, 60)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"a.png has too many pixels"):
        load_image(tmp_path / "a.png")


def test_wrong_size_and_missing_package(path, monkeypatch):
    with pytest.raises(ValueError, match="size must be positive, got 0"):
        load_image(dicom(path), 0)
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keras-contrast\[radiology\]'"):
        load_image(path)
