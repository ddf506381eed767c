import av
import numpy as np
import pytest
from PIL import Image

from applications.sign_translation import video_folder, videos
from applications.sign_translation.formats import FramesOnDisk, SignedClip
from applications.sign_translation.video_folder import load_video_folder
from applications.sign_translation.videos import read_video

pytestmark = pytest.mark.once

CODECS = {".mp4": "mpeg4", ".avi": "mjpeg", ".webm": "libvpx", ".mov": "mpeg4"}


def write(path, count=6, rate=25, side=32):
    """A video that gets lighter, the lower half of it black."""
    levels = np.linspace(40, 220, count).astype("uint8")
    pictures = [np.full((side, side, 3), level, "uint8") for level in levels]
    for picture in pictures:
        picture[side // 2 :] = 0
    if path.suffix == ".gif":
        pictures = [Image.fromarray(picture) for picture in pictures]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=1000 / rate)
        return path
    with av.open(str(path), "w") as container:
        codec = CODECS[path.suffix]
        stream = container.add_stream(codec, rate=rate)
        stream.width = stream.height = side
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "videos" / "more").mkdir(parents=True)
    write(tmp_path / "videos" / "rain.mp4", 6)
    write(tmp_path / "videos" / "more" / "Fog.gif", 4)
    table(tmp_path, 'rain.mp4,Rain in the north\nvideos/more/fog.gif,"Fog, then sun"\n')
    return tmp_path


def table(folder, rows, header="file,sentence\n"):
    (folder / "sentences.csv").write_text(header + rows)


@pytest.mark.parametrize("suffix", [*CODECS, ".gif"])
def test_videos_are_decoded(tmp_path, suffix):
    frames = read_video(write(tmp_path / f"a{suffix}"), (16, 24), frames_per_second=None)
    assert frames.shape == (6, 16, 24, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(frames[:, 2, 5].mean(axis=1), np.linspace(40, 220, 6), atol=14)
    assert frames[:, 13].max() < 40
    grey = read_video(tmp_path / f"a{suffix}", (16, 24), 1, None)
    assert grey.shape == (6, 16, 24, 1)
    np.testing.assert_allclose(grey[..., 0], frames.mean(axis=-1), atol=4)


def test_frames_of_faster_videos_are_left_out(tmp_path):
    path = write(tmp_path / "fast.mp4", 20, rate=50)
    assert len(read_video(path, (8, 8))) == 10
    assert len(read_video(path, (8, 8), frames_per_second=None)) == 20
    slow = write(tmp_path / "slow.mp4", 5, rate=12)
    assert len(read_video(slow, (8, 8))) == 5


def test_a_turned_camera():
    class Turned:
        rotation = -90

        def reformat(self, width, height, format):
            self.size = (height, width)
            return self

        def to_ndarray(self):
            return np.arange(np.prod(self.size) * 3, dtype="uint8").reshape(*self.size, 3)

    picture = videos._upright(Turned(), (2, 3))
    assert picture.shape == (2, 3, 3)
    assert picture[0, -1, 0] == 0  # turned clockwise, the upper left corner is the upper right one


def test_unusable_videos_are_named(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"text\.mp4 cannot be decoded"):
        read_video(tmp_path / "text.mp4")
    with pytest.raises(ValueError, match=r"none\.mp4 cannot be decoded"):
        read_video(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match=r"one\.gif must have at least 2 frames, got 1"):
        read_video(write(tmp_path / "one.gif", 1))
    with pytest.raises(ValueError, match="more than 5 frames; cut it"):
        read_video(write(tmp_path / "long.mp4", 6), most_frames=5)
    with pytest.raises(ValueError, match=r"path must end on \.mp4.*got a\.txt"):
        read_video(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="size and frames_per_second"):
        read_video(tmp_path / "long.mp4", (0, 4))
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="has sound, but no picture"):
        read_video(tmp_path / "sound.mp4")


def test_a_playlist_does_not_open_other_files(tmp_path):
    write(tmp_path / "secret.mp4")
    for number, content in enumerate(
        ("#EXTM3U\n#EXTINF:1\nsecret.mp4\n", "ffconcat version 1.0\nfile secret.mp4\n")
    ):
        path = tmp_path / f"{number}.mp4"
        path.write_text(content)
        with pytest.raises(ValueError, match="cannot be decoded"):
            read_video(path)


def test_folder_is_read_and_frames_are_kept(folder, monkeypatch):
    rain, fog = load_video_folder(folder, (16, 16), channels=1)
    assert (rain.key, rain.sentence, rain.references) == (
        "rain.mp4",
        "Rain in the north",
        ("Rain in the north",),
    )
    assert (fog.key, fog.sentence) == ("more/Fog.gif", "Fog, then sun")
    assert np.shape(rain.frames) == (6, 16, 16, 1) and isinstance(rain.frames, FramesOnDisk)
    assert np.asarray(rain.frames)[-1, 0, 0, 0] > 180
    monkeypatch.setattr(videos, "read_video", None)
    monkeypatch.setattr(video_folder, "read_video", lambda *_, **__: pytest.fail("decoded again"))
    again = load_video_folder(folder, (16, 16), channels=1)
    np.testing.assert_array_equal(again[0].frames, rain.frames)
    (folder / ".frames").rename(folder / "moved")
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        load_video_folder(folder, (16, 16), channels=1)


def test_damaged_frames_are_decoded_again(folder):
    load_video_folder(folder, (16, 16))
    for kept in (folder / ".frames").iterdir():
        kept.write_bytes(kept.read_bytes()[:300])
    assert np.asarray(load_video_folder(folder, (16, 16))[0].frames).shape == (6, 16, 16, 3)


def test_a_folder_that_cannot_be_written_costs_memory_only(folder, caplog):
    (folder / ".frames").write_text("in the way")
    clips = load_video_folder(folder, (16, 16))
    assert isinstance(clips[0].frames, np.ndarray)
    assert "stay in memory" in caplog.text


def test_what_cannot_be_used_is_listed(folder, caplog):
    (folder / "videos" / "broken.mp4").write_text("no video")
    write(folder / "videos" / "still.gif", 1)
    write(folder / "videos" / "silent.gif", 3)
    write(folder / "videos" / "lonely.gif", 3)
    table(
        folder,
        "rain.mp4,Rain\nbroken.mp4,Snow\nstill.gif,Hail\nsilent.gif, \ngone.mp4,Fog\nmore/Fog.gif,Fog\n",
    )
    assert [clip.sentence for clip in load_video_folder(folder, (8, 8))] == ["Rain", "Fog"]
    assert "videos that cannot be used (2)" in caplog.text
    assert "broken.mp4 cannot be decoded" in caplog.text and "at least 2 frames, got 1" in caplog.text
    assert "rows without a video (1): gone.mp4 (line 6)" in caplog.text
    assert "rows without a sentence (1): silent.gif (line 5)" in caplog.text
    assert "videos without a row (1): lonely.gif" in caplog.text


def test_equal_sentences_are_warned_of(folder, caplog):
    table(folder, "rain.mp4,Rain\nmore/Fog.gif,Rain\n")
    load_video_folder(folder, (8, 8))
    assert "All 2 sentences are equal: 'Rain'" in caplog.text


def test_wrong_folders(tmp_path, folder):
    with pytest.raises(ValueError, match="must hold the folder videos"):
        load_video_folder(tmp_path / "videos")
    table(folder, "a.mp4,Rain\n", header="video,sentence\n")
    with pytest.raises(ValueError, match="missing: file; found: video, sentence"):
        load_video_folder(folder)
    table(folder, "rain.mp4,Rain\nRAIN.mp4,Snow\n")
    with pytest.raises(ValueError, match=r"line 3: rain\.mp4 has a sentence already, in line 2"):
        load_video_folder(folder)
    table(folder, "../rain.mp4,Rain\n")
    with pytest.raises(ValueError, match=r"line 2: '../rain\.mp4' must be a path below"):
        load_video_folder(folder)
    table(folder, "gone.mp4,Rain\n")
    with pytest.raises(ValueError, match="No row of .* has a sentence for a video"):
        load_video_folder(folder)
    table(folder, "rain.mp4,Rain\n")
    (folder / "videos" / "rain.mp4").write_text("no video")
    with pytest.raises(ValueError, match="No video in .* can be used"):
        load_video_folder(folder)
    (tmp_path / "empty" / "videos").mkdir(parents=True)
    with pytest.raises(ValueError, match="must hold videos"):
        load_video_folder(tmp_path / "empty")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"frames": np.zeros((0, 4, 4, 1), "uint8")}, ValueError, "at least 2, got 0"),
        ({"frames": np.zeros((1, 4, 4, 1), "uint8")}, ValueError, "of clip 'a' must be at least 2, got 1"),
        ({"frames": np.zeros((2, 4, 4), "uint8")}, ValueError, "height, width, 1 or 3"),
        ({"frames": np.zeros((2, 4, 4, 2), "uint8")}, ValueError, "height, width, 1 or 3"),
        ({"frames": np.zeros((2, 4, 4, 1))}, ValueError, "must be uint8"),
        ({"frames": [1, 2]}, TypeError, "must be an array, got list"),
        ({"sentence": " "}, ValueError, "sentence of clip 'a' must not be empty"),
        ({"sentence": 3}, TypeError, "sentence of clip 'a' must be a string, got int"),
        ({"references": "fog"}, TypeError, "must be a tuple of sentences"),
        ({"references": ("fog", "")}, ValueError, "must not be empty"),
        ({"joints": np.zeros((3, 13, 2))}, ValueError, "one row a frame, 2, got 3"),
    ],
)
def test_wrong_clips(arguments, error, message):
    with pytest.raises(error, match=message):
        SignedClip(**{"frames": np.zeros((2, 4, 4, 1), "uint8"), "sentence": "fog", "key": "a", **arguments})


def test_frames_on_disk_must_be_what_was_said():
    frames = FramesOnDisk((3, 4, 4, 1), lambda: np.zeros((2, 4, 4, 1), "uint8"), "a")
    with pytest.raises(ValueError, match=r"frames of clip 'a' must be \(3, 4, 4, 1\), got \(2, 4, 4, 1\)"):
        np.asarray(frames)
    good = FramesOnDisk((2, 4, 4, 1), lambda: np.ones((2, 4, 4, 1), "uint8"))
    assert np.asarray(good, "float32").dtype == np.float32 and good.ndim == 4
