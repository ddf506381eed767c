"""A user's folder of photographs, and the kinds of folders that are told apart."""

import functools
import json
import logging
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from applications.face_naming import CaptionedPhoto, PhotoBatches, load_folder, save_folder
from applications.face_naming.photo_folder import load_photo_folder
from applications.face_naming.photo_table import read_table

pytestmark = pytest.mark.once

HEADER = "file,caption,names\n"
SEEN = []


class Found(NamedTuple):
    boxes: np.ndarray
    vectors: np.ndarray
    scores: np.ndarray


def find_bright(image, threshold=0.5):
    """A stand-in for a face detector: one face a bright picture, described by its mean colour."""
    assert image.dtype == np.uint8 and image.shape[2] == 3
    SEEN.append(image.shape)
    count = int(image.mean() / 255 > threshold)
    vectors = np.tile(image.mean(axis=(0, 1), dtype="float32"), (count, 1))
    height, width = image.shape[:2]
    return Found(np.tile([0, 0, width, height], (count, 1)), vectors, np.ones(count, "float32"))


def capitalised(caption):
    return tuple(word for word in caption.split() if word.istitle())


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


@pytest.fixture
def folder(tmp_path):
    """Three pictures, bright, bright and dark, with their table."""
    for name, colour in (("a.jpg", "white"), ("b.PNG", "yellow"), ("old/c.webp", "black")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), colour).save(path)
    write(tmp_path, HEADER + "a.jpg,Ada smiles,\nb.PNG,two friends,Alan T.;Kay\nold/c.webp,Night,;\n")
    return tmp_path


def write(folder, text, encoding="utf-8"):
    (folder / "captions.csv").write_bytes(text.encode(encoding))


def load(folder):
    return load_photo_folder(folder, find_bright, capitalised)


def test_photos_of_a_folder(folder, caplog):
    with caplog.at_level(logging.INFO, "contrast"):
        photos = load(folder)
    assert [photo.key for photo in photos] == ["a.jpg", "b.PNG", "old/c.webp"]
    assert [photo.names for photo in photos] == [("Ada",), ("Alan T.", "Kay"), ()]
    assert [photo.caption for photo in photos] == ["Ada smiles", "two friends", "Night"]
    assert [photo.faces.shape for photo in photos] == [(1, 3), (1, 3), (0, 3)]
    np.testing.assert_array_equal(photos[0].boxes, [[0, 0, 12, 8]])
    assert [record.getMessage().split(": ")[-1] for record in caplog.records] == [
        "3 photos with 2 faces, 1 of them without a face; 3 different names."
    ]
    assert PhotoBatches(photos, batch_size=3)[0]["faces"].shape == (3, 1, 3)


def test_second_start_reads_what_was_kept(folder):
    first = load(folder)
    assert len(SEEN) == 3
    second = load(folder)
    assert len(SEEN) == 3
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours.faces, theirs.faces)
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)


def test_interrupted_start_goes_on(folder):
    def once(image, threshold=0.5):
        if len(SEEN) == 2:
            raise KeyboardInterrupt
        return find_bright(image, threshold)

    once.__qualname__, once.__module__ = find_bright.__qualname__, find_bright.__module__
    with pytest.raises(KeyboardInterrupt):
        load_photo_folder(folder, once, capitalised)
    assert len(SEEN) == 2
    assert len(load(folder)) == 3
    assert len(SEEN) == 3


def test_changed_pictures_and_other_options_are_looked_at_again(folder):
    load(folder)
    Image.new("RGB", (12, 8), "red").save(folder / "photos" / "a.jpg")
    load(folder)
    assert len(SEEN) == 4
    photos = load_photo_folder(folder, functools.partial(find_bright, threshold=0.2), capitalised)
    assert len(SEEN) == 7
    assert [len(photo.faces) for photo in photos] == [1, 1, 0]


def test_damaged_cache_is_made_again(folder):
    load(folder)
    kept = sorted((folder / ".faces").iterdir())
    assert len(kept) == 3
    kept[0].write_bytes(b"PK")
    kept[1].write_bytes(b"")
    load(folder)
    assert len(SEEN) == 5
    assert sorted((folder / ".faces").iterdir()) == kept


def test_functions_without_a_name_are_not_kept(folder):
    for _ in range(2):
        load_photo_folder(folder, lambda image: find_bright(image), capitalised)
    assert len(SEEN) == 6
    assert not (folder / ".faces").exists()


class Detector:
    def __init__(self, threshold):
        self.threshold = threshold

    def find(self, image):
        return find_bright(image, self.threshold)


def test_what_methods_find_is_not_kept_for_those_of_another_object(folder):
    for threshold, faces in ((0.5, [1, 1, 0]), (0.8, [1, 0, 0])):
        photos = load_photo_folder(folder, Detector(threshold).find, capitalised)
        assert [len(photo.faces) for photo in photos] == faces
    assert not (folder / ".faces").exists()


def test_folder_that_cannot_be_written(folder, caplog):
    (folder / ".faces").write_text("in the way")
    assert len(load(folder)) == 3
    assert "Faces are not kept for the next time" in caplog.text
    assert len(caplog.records) == 1


def test_pictures_of_many_kinds(folder):
    photos = folder / "photos"
    Image.new("L", (9, 20), 255).save(photos / "grey.png")
    Image.fromarray(np.full((5, 5), 65535, "uint16")).save(photos / "deep.png")
    Image.new("RGBA", (7, 7), (0, 0, 0, 0)).save(photos / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (10, 4), "white").save(photos / "turned.JPEG", exif=exif)
    names = ("grey.png", "deep.png", "clear.png", "turned.JPEG")
    write(folder, "file,caption\n" + "".join(f"{name},Ada\n" for name in names))
    read = load(folder)
    assert [photo.boxes[0].tolist() for photo in read] == [
        [0, 0, 9, 20],
        [0, 0, 5, 5],
        [0, 0, 7, 7],
        [0, 0, 4, 10],
    ]
    assert all((photo.faces == 255).all() for photo in read)


def test_damaged_pictures_are_left_out_and_listed(folder, caplog):
    (folder / "photos" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    assert [photo.key for photo in load(folder)] == ["b.PNG", "old/c.webp"]
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "pictures that cannot be read (1)" in record.getMessage() and "a.jpg" in record.getMessage()


def test_only_damaged_pictures(folder):
    for file in ("a.jpg", "b.PNG", "old/c.webp"):
        (folder / "photos" / file).write_bytes(b"?")
    with pytest.raises(ValueError, match=r"No picture in .*photos can be read: .*a.jpg"):
        load(folder)


def test_no_face_at_all(folder):
    with pytest.raises(ValueError, match="No face was found in the 3 pictures"):
        load_photo_folder(folder, functools.partial(find_bright, threshold=2), capitalised)


def test_rows_and_files_without_partner_are_listed_once(folder, caplog):
    write(folder, "file,caption\na.jpg,Ada\nlost.jpg,Alan\n")
    assert [photo.key for photo in load(folder)] == ["a.jpg"]
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "rows of captions.csv without a file in photos (1): lost.jpg (line 3)" in record.getMessage()
    assert "files in photos without a row (2): b.PNG, old/c.webp" in record.getMessage()


def test_files_are_found_whatever_case_and_accents(folder):
    Image.new("RGB", (4, 4), "white").save(folder / "photos" / "Zoe\u0308.jpg")  # as macOS writes it
    write(folder, "file,caption\nA.JPG,Ada\nphotos/b.png,Bob\nZo\u00eb.jpg,Zoe\nold\\c.webp,Cy\n")
    assert [photo.caption for photo in load(folder)] == ["Ada", "Bob", "Zoe", "Cy"]


def test_file_names_that_stand_twice(folder):
    write(folder, 'file,caption\na.jpg,"Ada\nand Alan"\nb.PNG,Bob\nphotos/A.jpg,Ada\nx.jpg,\nX.jpg,\n')
    says = r"each file once, got a.jpg \(lines 2, 5\), x.jpg \(lines 6, 7\)"
    with pytest.raises(ValueError, match=says):
        load(folder)


@pytest.mark.parametrize("name", ["../captions.csv", "/etc/passwd", "C:\\a.jpg", "old/../../a.jpg"])
def test_paths_out_of_the_folder_are_refused(name, folder):
    write(folder, f"file,caption\na.jpg,Ada\n{name},Alan\n")
    with pytest.raises(ValueError, match=r"captions.csv, line 3: .* below the folder of pictures"):
        load(folder)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "photos").rename(folder / "pictures"), "must hold the folder photos"),
        (lambda folder: (folder / "captions.csv").unlink(), "captions.csv cannot be read: No such file"),
        (lambda folder: write(folder, ""), "captions.csv is empty"),
        (lambda folder: write(folder, HEADER), "at least one row below the header"),
        (lambda folder: write(folder, "file,text\na.jpg,Ada\n"), "missing: caption; found: file, text"),
        (lambda folder: write(folder, "a.jpg,Ada\n"), "missing: file, caption; found: a.jpg, ada"),
        (lambda folder: write(folder, "file,caption,file\na.jpg,Ada,b\n"), "got file repeatedly"),
        (
            lambda folder: write(folder, "file,caption\na.jpg,Ada, left\n"),
            "line 2 has 3 columns",
        ),
        (lambda folder: write(folder, "file,caption\n\na.jpg\n"), "line 3 must have .* missing: caption"),
        (lambda folder: write(folder, "file,caption\n,Ada\n"), "line 2 must have .* missing: file"),
        (lambda folder: write(folder, 'file,caption\na.jpg,"Ada\nb.PNG,Bob\n'), "line 2: unexpected end"),
        (lambda folder: write(folder, "file,caption\nx.jpg,Ada\n"), "No row of .* names a picture"),
        (lambda folder: write(folder, HEADER + "a.jpg,Ada,NONAME\n"), "photo 'a.jpg' must not hold 'NONAME'"),
    ],
)
def test_damaged_folder(damage, says, folder):
    damage(folder)
    with pytest.raises(ValueError, match=says):
        load(folder)


def test_folder_without_pictures(folder):
    for file in ("a.jpg", "b.PNG", "old/c.webp"):
        (folder / "photos" / file).unlink()
    with pytest.raises(ValueError, match=r"photos must hold pictures \(.jpg, .jpeg, .png, .webp\), got none"):
        load(folder)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_and_separators(encoding, separator, tmp_path, caplog):
    rows = [["Names", "Caption", "File"], ['"Zoë K.;José"', '"Zoë, José; in Málaga"', "a.jpg"]]
    write(tmp_path, "\r\n".join(separator.join(row) for row in rows), encoding)
    (row,) = read_table(tmp_path / "captions.csv")
    assert (row.line, row.file, row.caption) == (2, "a.jpg", "Zoë, José; in Málaga")
    assert row.names == ("Zoë K.", "José")
    assert ("is read as Windows-1252" in caplog.text) == (encoding == "cp1252")


def test_big_endian_and_bytes_of_no_encoding(tmp_path, caplog):
    (tmp_path / "captions.csv").write_bytes(b"\xfe\xff" + "file,caption\na.jpg,Zoë".encode("utf-16-be"))
    assert read_table(tmp_path / "captions.csv")[0].caption == "Zoë"
    (tmp_path / "captions.csv").write_bytes(b"file,caption\na.jpg,Zo\xeb \x81")
    assert read_table(tmp_path / "captions.csv")[0].caption.startswith("Zoë")
    (tmp_path / "captions.csv").write_bytes(b"\xff\xfef")
    with pytest.raises(ValueError, match="marked as utf-16, but is not"):
        read_table(tmp_path / "captions.csv")


def test_empty_names_are_proposed_and_a_semicolon_means_none(tmp_path):
    write(tmp_path, HEADER + "a.jpg,Ada,\nb.jpg,Ada,;\nc.jpg,Ada, Ada ; Alan;Ada \nd.jpg,Ada\n")
    names = [row.names for row in read_table(tmp_path / "captions.csv")]
    assert names == [None, (), ("Ada", "Alan"), None]


def test_folder_of_photographs_is_recognised(folder, monkeypatch):
    from applications.face_naming import name_proposals, real_faces

    monkeypatch.setattr(real_faces, "find_faces", find_bright)
    monkeypatch.setattr(name_proposals, "propose_names", capitalised)
    photos, features = load_folder(folder)
    assert [photo.names for photo in photos] == [("Ada",), ("Alan T.", "Kay"), ()]
    assert features is None
    np.savez(folder / "name_features.npz", Ada=np.ones(3))
    assert set(load_folder(folder)[1]) == {"Ada"}


LFW = {
    "1": {
        "img_name": ["x/1.png"],
        "face_x": [4],
        "face_y": [4],
        "face_size": [3],
        "name_list": [["Ada"]],
        "ner": ["Ada_L"],
    }
}
CELEBRITIES = {
    "1": {"img_dir": "x/1.png", "bbox": [[1, 1, 7, 7]], "name_list": ["Kay"], "gt_link": [["Kay"]]}
}


@pytest.mark.parametrize(("content", "name"), [(LFW, "Ada"), (CELEBRITIES, "Kay")])
@pytest.mark.parametrize("place", ["faces.npz", "images/x/1.png", "x/1.png"])
def test_folder_of_a_dictionary_is_recognised(content, name, place, tmp_path):
    (tmp_path / "any.json").write_text(json.dumps(content))
    (tmp_path / "other.json").write_text('{"config": {}}')
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    if place == "faces.npz":
        np.savez(tmp_path / place, **{"1": np.ones((1, 5))})
    else:
        Image.new("RGB", (12, 12), "white").save(tmp_path / place)
    (photo,), features = load_folder(tmp_path)
    assert photo.names == photo.truth == (name,)
    assert photo.faces.shape[1:] == ((5,) if place == "faces.npz" else (64, 64, 3))
    assert features is None


def test_what_save_folder_wrote_is_read_first(folder):
    save_folder(folder, [CaptionedPhoto(np.ones((1, 2), "float32"), ("Kay",))])
    (photo,), _ = load_folder(folder)
    assert photo.names == ("Kay",)


def test_unknown_folders_are_told_what_is_known(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="known here") as caught:
        load_folder(tmp_path)
    for word in ("captions.csv", "photos.json", "augmented LFW", "faces.npz", "broken.json is no readable"):
        assert word in str(caught.value)
    with pytest.raises(ValueError, match="must be an existing folder"):
        load_folder(tmp_path / "none")


def test_several_dictionaries_and_damaged_vectors(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(LFW))
    (tmp_path / "faces.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="faces.npz cannot be read"):
        load_folder(tmp_path)
    (tmp_path / "full.json").write_text(json.dumps(LFW))
    with pytest.raises(ValueError, match="must hold one dictionary, got full.json, one.json"):
        load_folder(tmp_path)


def test_damaged_name_features(tmp_path):
    save_folder(tmp_path, [CaptionedPhoto(np.ones((1, 2), "float32"), ("Kay",))])
    (tmp_path / "name_features.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="name_features.npz cannot be read"):
        load_folder(tmp_path)
