"""From a folder as a person keeps it to a model that reads a video."""

import csv
import json

import keras
import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("sacrebleu")

from applications.runs import MODEL, RunFolder
from applications.sign_translation import training
from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.show import save_animation, save_video
from applications.sign_translation.video_folder import load_video_folder
from applications.sign_translation.videos import read_video


def write_folder(folder, clips):
    """Videos, MP4 but for one GIF, and the table of their sentences."""
    (folder / "videos").mkdir()
    with (folder / "sentences.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "sentence"))
        for number, clip in enumerate(clips):
            name = f"{number}.gif" if number == 1 else f"{number}.mp4"
            write = save_animation if number == 1 else save_video
            write(clip, folder / "videos" / name, scale=2 + 2 * (number % 2))  # videos of two sizes
            table.writerow((name, clip.sentence))
    return folder


def moving(length, words, side=16):
    frames = np.random.default_rng(length).integers(0, 90, (length, side, side, 1), dtype="uint8")
    for place, word in enumerate(words.split()):
        frames[3 * place : 3 * place + 3, len(word) % side] = 255
    return SignedClip(frames, words)


@pytest.mark.slow
def test_a_folder_of_videos_becomes_a_model_that_reads_them(tmp_path):
    world = SigningWorld(0, size=32, folder=tmp_path / "cache")
    clips = [world.compose(record, place) for place, record in enumerate(world.records(12))]
    data = write_folder(tmp_path, clips)
    (data / "videos" / "damaged.mp4").write_bytes(b"no video")
    with (data / "sentences.csv").open("a", encoding="utf-8") as file:
        file.write("damaged.mp4,rain in the north\n")
    run = RunFolder(tmp_path / "run")
    model = training.train(run, data=data, epochs=1)
    run.save_model(model)
    run.finish()
    assert len(model.history.history["loss"]) == 1
    assert np.isfinite(model.history.history["loss"]).all()
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert {"frames/loss", "pairs/contrast_loss", "translation/loss"} <= set(history)
    assert not list((tmp_path / "run").glob("checkpoint*"))
    loaded = keras.models.load_model(tmp_path / "run" / MODEL)
    frames = read_video(data / "videos" / "3.mp4", training.SIZE, channels=1)
    ours, theirs = (one.translate([frames])[0] for one in (model, loaded))
    assert ours.sentence == theirs.sentence
    words = {word for clip in clips for word in clip.sentence.split()}
    assert set(ours.sentence.split()) <= words


@pytest.mark.once
def test_what_no_model_can_learn_from_is_refused_before_any_training(tmp_path, caplog):
    equal = tmp_path / "equal"
    equal.mkdir()
    write_folder(equal, [moving(12, "rain"), moving(14, "rain")])
    with pytest.raises(ValueError, match="at least two different ones"):
        training.train(RunFolder(tmp_path / "run"), data=equal, epochs=1)
    assert "All 2 sentences are equal" in caplog.text
    single = tmp_path / "single"
    single.mkdir()
    write_folder(single, [moving(12, "rain")])
    with pytest.raises(ValueError, match="at least two different ones"):
        training.train(RunFolder(tmp_path / "run2"), data=single, epochs=1)


def test_videos_of_all_sizes_and_lengths_are_clips_of_one_size(tmp_path):
    write_folder(tmp_path, [moving(2, "a"), moving(9, "fog", 24), moving(310, "sun in the west", 8)])
    clips = load_video_folder(tmp_path, (16, 16), channels=1)
    assert [np.shape(clip.frames) for clip in clips] == [(length, 16, 16, 1) for length in (2, 9, 310)]


def test_huge_frames_are_refused(tmp_path):
    path = tmp_path / "a.mp4"
    save_video(moving(4, "rain", 64), path, scale=1)
    assert len(read_video(path, most_pixels=64 * 64)) == 4
    with pytest.raises(ValueError, match=r"a\.mp4 cannot be decoded: its frames have 64 x 64 pixels"):
        read_video(path, most_pixels=64 * 64 - 1)


def test_a_video_looks_like_its_clip(tmp_path):
    steps = np.linspace(20, 220, 6 * 16 * 16).reshape(6, 16, 16, 1)
    clip = SignedClip(steps.astype("uint8")[:, ::-1], "rain")
    save_video(clip, tmp_path / "a.mp4", scale=8)
    frames = read_video(tmp_path / "a.mp4", (16, 16), channels=1)
    np.testing.assert_allclose(frames.astype(int), clip.frames, atol=8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "a.avi"}, r"path must end on \.mp4, got a\.avi"),
        ({"frames_per_second": 0}, "frames_per_second must be at least 1, got 0"),
        ({"scale": 0}, "scale must be at least 1"),
        ({"side": 9, "scale": 1}, "must be even, got 9 x 9"),
    ],
)
def test_bad_videos_to_write(tmp_path, options, words):
    options = {"path": "a.mp4", "side": 8, **options}
    clip = moving(4, "rain", options.pop("side"))
    with pytest.raises(ValueError, match=words):
        save_video(clip, tmp_path / options.pop("path"), **options)
    assert not list(tmp_path.iterdir())
