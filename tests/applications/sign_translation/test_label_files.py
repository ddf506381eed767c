import gzip
import json
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from applications.sign_translation.frame_folders import load_labelled_frames, read_frames
from applications.sign_translation.label_files import ClipLabel, convert_labels, read_labels

pytestmark = pytest.mark.once

LABELS = {
    "train/rain": {
        "name": "train/rain",
        "gloss": "NORD REGEN",
        "text": "im norden regnet es .",
        "length": 3,
        "imgs_path": [f"rain/{number}.png" for number in range(3)],
    },
    "train/fog": {
        "name": "train/fog",
        "gloss": "NEBEL",
        "text": "nebel am morgen .",
        "length": 2,
        "imgs_path": ("fog/a.jpg", "fog/b.jpg"),
        "others": [None, True, 1.5, b"bytes", {1, 2}],
    },
}


def write(path, labels, protocol=pickle.DEFAULT_PROTOCOL):
    path.write_bytes(gzip.compress(pickle.dumps(labels, protocol)))
    return path


@pytest.fixture
def frames(tmp_path):
    """The frames of `LABELS`; those of one clip are grey and get lighter."""
    for name in ("rain", "fog"):
        (tmp_path / "frames" / name).mkdir(parents=True)
    for number in range(3):
        Image.new("L", (8, 6), 100 + number).save(tmp_path / "frames" / "rain" / f"{number}.png")
    for name in "ab":
        Image.new("RGB", (8, 6), (255, 0, 0)).save(tmp_path / "frames" / "fog" / f"{name}.jpg")
    return tmp_path / "frames"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_labels_and_their_safe_form_are_read_alike(tmp_path, protocol):
    given = LABELS
    if protocol < 4:  # where sets and bytes are written as calls
        given = {name: {**label, "others": [None, True, 1.5, "ü"]} for name, label in LABELS.items()}
    path = write(tmp_path / "labels.train", given, protocol)
    labels = read_labels(path)
    files = tuple(f"rain/{number}.png" for number in range(3))
    assert labels[0] == ClipLabel("train/rain", "im norden regnet es .", files, "NORD REGEN")
    assert [label.name for label in labels] == list(LABELS)
    assert convert_labels(path, tmp_path / "labels.json") == 2
    assert read_labels(tmp_path / "labels.json") == labels
    (tmp_path / "plain.train").write_bytes(pickle.dumps(given, protocol))
    assert read_labels(tmp_path / "plain.train") == labels


class Attack:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_cannot_run_code(tmp_path, protocol):
    mark = tmp_path / "was-here"
    path = write(tmp_path / "labels.train", {"clip": {"text": Attack(mark)}}, protocol)
    with pytest.raises(ValueError, match=r"it asks for (posix|os)\.system; only plain lists"):
        read_labels(path)
    assert not mark.exists()
    pickle.loads(gzip.decompress(path.read_bytes()))
    assert mark.exists()  # the attack is a real one


def test_objects_of_any_class_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"it asks for numpy.*only plain lists"):
        read_labels(write(tmp_path / "labels.train", {"clip": {"length": np.int64(3)}}))
    with pytest.raises(ValueError, match="refers to objects outside the file"):
        (tmp_path / "persistent").write_bytes(b"Pobject\n.")
        read_labels(tmp_path / "persistent")


def test_clips_without_a_sentence_are_left_out(tmp_path, caplog):
    labels = {**LABELS, "train/silent": {**LABELS["train/fog"], "text": "  "}}
    assert len(read_labels(write(tmp_path / "labels.train", labels))) == 2
    assert "clips without a sentence (1): train/silent" in caplog.text
    with pytest.raises(ValueError, match="no clip with a sentence"):
        read_labels(write(tmp_path / "labels.train", {"a": labels["train/silent"]}))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "at least one clip, got none"),
        ([1], "must hold a dict of clips, got list"),
        ({"a": 3}, "a dict for each named clip, got int"),
        ({1: {}}, "a dict for each named clip"),
        ({"a": {"imgs_path": []}}, "clip 'a': text must be a string, got NoneType"),
        ({"a": {"text": "x", "imgs_path": "b"}}, "clip 'a': imgs_path must be a list of strings, got str"),
        ({"a": {"text": "x", "imgs_path": [3]}}, "imgs_path must be a list of strings"),
        ({"a": {"text": "x", "imgs_path": ["../b"]}}, "clip 'a': '../b' must be a path below"),
        ({"a": {"text": "x", "imgs_path": ["b"], "gloss": 3}}, "gloss must be a string, got int"),
    ],
)
def test_wrong_labels(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        read_labels(write(tmp_path / "labels.train", labels))


def test_damaged_files_are_named(tmp_path):
    whole = write(tmp_path / "labels.train", LABELS).read_bytes()
    for content in (b"", b"text", whole[:40], gzip.compress(gzip.decompress(whole)[:60])):
        (tmp_path / "cut.train").write_bytes(content)
        with pytest.raises(ValueError, match=r"cut\.train cannot be (read|opened)"):
            read_labels(tmp_path / "cut.train")
    with pytest.raises(ValueError, match=r"none\.train does not exist"):
        read_labels(tmp_path / "none.train")
    for content in (
        "{",
        "[]",
        '{"clips": []}',
        json.dumps({"format": "signed clips", "clips": [3]}),
        "[" * 10**5,
    ):
        (tmp_path / "labels.json").write_text(content)
        with pytest.raises(ValueError, match=r"labels\.json (is no JSON|must hold)"):
            read_labels(tmp_path / "labels.json")
    with pytest.raises(ValueError, match=r"target must end on \.json"):
        convert_labels(tmp_path / "labels.train", tmp_path / "labels.txt")


def test_frames_are_read_when_they_are_asked_for(tmp_path, frames):
    rain, fog = load_labelled_frames(write(tmp_path / "labels.train", LABELS), frames, (4, 4))
    assert (rain.sentence, rain.glosses, rain.key) == (
        "im norden regnet es .",
        ("NORD", "REGEN"),
        "train/rain",
    )
    assert np.shape(rain.frames) == (3, 4, 4, 3) and len(fog.frames) == 2
    np.testing.assert_array_equal(np.asarray(rain.frames)[:, 0, 0, 0], [100, 101, 102])
    assert np.asarray(rain.frames).dtype == np.uint8
    (frames / "rain" / "1.png").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"1\.png"):
        np.asarray(rain.frames)


def test_frames_may_keep_their_size_and_be_grey(tmp_path, frames):
    rain, fog = load_labelled_frames(
        read_labels(write(tmp_path / "l", LABELS)), frames, size=None, channels=1
    )
    assert rain.frames.shape == (3, 6, 8, 1)
    np.testing.assert_array_equal(rain.frames[1:, 0, 0, 0], [101, 102])
    np.testing.assert_allclose(fog.frames[0], 76, atol=2)
    Image.new("L", (9, 6)).save(frames / "rain" / "1.png")
    with pytest.raises(ValueError, match=r"clip 'train/rain' must be of one size, got \(6, 8\), \(6, 9\)"):
        np.asarray(rain.frames)
    assert read_frames([frames / "rain" / "1.png", frames / "rain" / "2.png"], (6, 8)).shape == (2, 6, 8, 3)


def test_short_clips_and_those_without_frames_are_left_out(tmp_path, frames, caplog):
    labels = {f"short-{count}": {"text": "x", "imgs_path": ["rain/0.png"] * count} for count in (0, 1)}
    labels["gone"] = {"text": "x", "imgs_path": ["rain/0.png", "gone/1.png"]}
    clips = load_labelled_frames(write(tmp_path / "labels.train", {**labels, **LABELS}), frames)
    assert [clip.key for clip in clips] == list(LABELS)
    assert "fewer than two frames (2): short-0 (0), short-1 (1)" in caplog.text
    assert "(1): gone" in caplog.text
    with pytest.raises(ValueError, match="at least one of 3 clips, got none"):
        load_labelled_frames(write(tmp_path / "labels.train", labels), frames)
    with pytest.raises(ValueError, match="channels must be 1 or 3, got 2"):
        load_labelled_frames([], frames, channels=2)


def test_equal_sentences_are_warned_of(tmp_path, frames, caplog):
    labels = {name: {**label, "text": "regen"} for name, label in LABELS.items()}
    load_labelled_frames(write(tmp_path / "labels.train", labels), frames)
    assert "All 2 sentences are equal: 'regen'" in caplog.text
