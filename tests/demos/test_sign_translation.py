import base64
import io
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("tokenizers")
pytest.importorskip("sacrebleu")
pytest.importorskip("av")

from PIL import Image

from applications.sign_translation.formats import SignedClip
from applications.sign_translation.gfslt_vlp import Translation
from applications.sign_translation.meaning import Record
from applications.sign_translation.show import save_animation, save_video
from demos import sign_translation_answers as answers
from demos import sign_translation_pictures as pictures
from demos.sign_translation import build
from demos.sign_translation_upload import FEWEST, MOST, read_clip
from demos.uploads import MOST_BYTES, UploadError
from tests.demos.signing import untrained

pytestmark = pytest.mark.once

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def model():
    return untrained()


@pytest.fixture(scope="module")
def given(model):
    return answers.gallery(model)


def text_of(markup):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup)).strip()


def images_of(markup):
    return [
        Image.open(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r"data:image/\w+;base64,([^\"]+)", markup)
    ]


def noise(frames):
    return np.random.default_rng(0).integers(0, 256, (frames, 16, 16, 3), dtype="uint8")


def test_a_clip_is_shown_translated_and_explained(model):
    clip = model.held_out[0]
    signer, verdict, alternatives, attention = answers.shown(model, clip)
    (moving,) = images_of(signer)
    assert moving.n_frames > 0.8 * len(clip.frames)  # equal frames are written as one
    assert f"{len(clip.frames)} frames of 8 x 8" in signer
    found = answers.translate(model, clip.frames)
    assert text_of(verdict).startswith("translation")
    assert alternatives.count("<tr>") == 1 + answers.BEAMS
    columns = -(-len(clip.frames) // 4) + 1
    assert len(images_of(attention)) == columns
    assert attention.count('class="cell"') == columns * len(found.tokens)


def test_attention_is_strongest_where_the_word_looked():
    weights = np.array([[0.1, 0.9], [0.5, 0.25]])
    drawn = pictures.attention(["<b>rain</b>", "(end)"], weights, np.zeros((5, 8, 8, 1), "uint8"))
    assert re.findall(r"--strength:(\d+)%", drawn) == ["11", "100", "100", "50"]
    assert "&lt;b&gt;rain&lt;/b&gt;, frame 5: 90%" in drawn
    assert "<b>" not in drawn


def translation(sentence, *others):
    scores = [(one, np.log(0.5) - place) for place, one in enumerate((sentence, *others))]
    return Translation(sentence, scores[0][1], tuple(scores), (5, 2))


def test_the_verdict_marks_what_differs_from_the_nearest_wording():
    references = ("fog in the north on monday", "on monday we expect fog in the north")
    right = answers.verdict(translation(references[1]), references)
    assert "Right, word for word" in right and "<del>" not in right
    wrong = answers.verdict(translation("on monday we expect heavy fog in the south"), references)
    assert re.findall(r"<del>(.*?)</del>", wrong) == ["heavy", "south"]
    assert re.findall(r"<ins>(.*?)</ins>", wrong) == ["north"]
    assert "2 places differ" in wrong
    assert "true sentence" not in answers.verdict(translation("fog"))
    assert "(no words)" in answers.verdict(translation(""))


def test_alternatives_come_with_the_mean_probability_of_their_words():
    rows = answers.alternatives(translation("fog", "<i>rain</i>"))
    assert text_of(rows).endswith("50% fog 18% &lt;i&gt;rain&lt;/i&gt;")


def test_the_origin_of_a_meaning_is_told(model):
    known = next(iter(model.trained_on))
    assert "was in training" in answers.origin(model, model.world.compose(known))
    assert "never in training" in answers.origin(model, model.held_out[0])
    assert "never came together" in answers.origin(model, model.new_pairs[0])


def test_a_meaning_is_composed_of_what_was_chosen(model):
    assert answers.composed("monday", "-", "north", "fog", None, 1, "16") == Record(
        "monday", None, "north", "fog", None, True, 16
    )
    cold = answers.composed("monday", "night", "north", "fog", "heavy", False, "0")
    assert cold.degrees == 0
    first, other = (model.world.compose(cold, seed) for seed in (1, 2))
    assert first.glosses == other.glosses
    assert len(first.frames) != len(other.frames) or (first.frames != other.frames).any()


def test_sentences_are_ranked_for_a_clip(given):
    count = len(given.clips)
    perfect = answers.Gallery(given.clips, np.eye(count), np.eye(count), ())
    found = answers.find_sentences(perfect, 2)
    assert f"1st of {count}" in found
    assert found.count('class="right"') == 1 and found.count("<tr ") == answers.FOUND_SENTENCES
    worst = answers.Gallery(given.clips, np.eye(count), -np.eye(count), ())
    found = answers.find_sentences(worst, 2)
    assert f"{count}th of {count}" in text_of(found)
    assert found.count("<tr ") == answers.FOUND_SENTENCES + 1


def test_clips_are_ranked_for_a_sentence(model, given, monkeypatch):
    monkeypatch.setattr(answers, "sentence_vectors", lambda *_: np.eye(len(given.clips))[[3]])
    perfect = answers.Gallery(given.clips, np.eye(len(given.clips)), None, given.vocabulary)
    found = answers.find_clips(model, perfect, "in the north")
    assert found.count('class="card"') == answers.FOUND_CLIPS
    assert text_of(found).startswith(f"1.00 {given.clips[3].sentence}")


def test_typed_words_are_text_and_unknown_ones_are_named(model, given):
    assert answers.normalized("In the North, 16 degrees!") == ["in", "the", "north", "1", "6", "degrees"]
    found = answers.find_clips(model, given, "north <img src=x onerror=alert(1)> zebra")
    assert "zebra" in found and "<img src=x" not in found
    assert "Left out" in found
    nothing = answers.find_clips(model, given, "zebra</s>")
    assert "none of these words" in nothing and "north" in nothing
    assert "type a sentence" in answers.find_clips(model, given, " ?! ")
    assert 'class="card"' in answers.find_clips(model, given, "in the north " * 500)


def test_special_tokens_are_no_words(given):
    assert not {"<pad>", "</s>", "<mask>", "en_XX", ""} & set(given.vocabulary)
    assert "degrees" in given.vocabulary


def test_the_curve_shows_measured_epochs_only(monkeypatch):
    plotted = []

    def drawn(title, dark, plot):
        class Axis:
            def plot(self, x, y, **_):
                plotted.append((list(x), list(y)))

            def __getattr__(self, name):
                return lambda *_, **__: None

        plot(Axis(), "ink")

    monkeypatch.setattr(pictures, "drawn", drawn)
    pictures.draw_bleu([0.0, 20.0, 20.0, 40.0], 2, {"line": 10.0}, dark=False)
    assert plotted == [([2, 4], [20.0, 40.0])]


def test_an_uploaded_video_is_decoded(tmp_path):
    clip = SignedClip(noise(30), "rain")
    save_video(clip, tmp_path / "Clip.mp4")
    save_animation(clip, tmp_path / "clip.gif")
    shutil.copy(tmp_path / "Clip.mp4", tmp_path / "CLIP.MP4")
    shutil.copy(tmp_path / "clip.gif", tmp_path / "clip.avi")
    for name in ("Clip.mp4", "clip.gif", "CLIP.MP4", "clip.avi"):
        assert read_clip(str(tmp_path / name), SHAPE).shape == (30, *SHAPE)


def test_an_upload_has_no_true_sentence(model):
    frames = model.held_out[0].frames
    signer, verdict, _, attention = answers.shown_upload(model, frames)
    assert "as the model sees it" in signer and "true sentence" not in verdict and attention
    long = np.concatenate([frames] * 3)
    signer, verdict, _, attention = answers.shown_upload(model, long)
    assert "80 of its frames were read" in signer and "translation" in verdict and attention == ""


def damaged(path):
    save_video(SignedClip(noise(20), "rain"), path)
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.mp4", lambda path: path.write_text("no video"), "^The file is no MP4, MOV"),
        ("a.mp4", damaged, "^The video cannot be decoded"),
        ("a.txt", lambda path: path.write_text("no video"), "whatever its name says"),
        ("a.mp4", lambda path: path.write_bytes(bytes(MOST_BYTES + 1)), "10.0 MB; at most 10 MB"),
        (
            "a.mp4",
            lambda path: save_video(SignedClip(noise(FEWEST - 1), "a"), path),
            f"has {FEWEST - 1} frames; at least {FEWEST}",
        ),
        ("a.gif", lambda path: Image.new("L", (8, 8)).save(path), "^The video must have at least 2 frames"),
        (
            "a.mp4",
            lambda path: save_video(SignedClip(noise(MOST + 1), "a"), path),
            f"more than {MOST} frames; cut it",
        ),
        (
            "a.gif",
            lambda path: Image.new("L", (4000, 4000)).save(path, save_all=True, append_images=[]),
            "4000 x 4000 pixels; at most",
        ),
        ("a.mp4", lambda path: None, "did not arrive"),
    ],
)
def test_a_video_that_cannot_be_used_is_explained(tmp_path, name, write, words):
    write(tmp_path / name)
    with pytest.raises(UploadError, match=words) as raised:
        read_clip(str(tmp_path / name), SHAPE)
    assert str(tmp_path) not in str(raised.value)
    assert "Errno" not in str(raised.value)


def test_no_video_is_explained():
    with pytest.raises(UploadError, match="choose a video"):
        read_clip(None, SHAPE)


def test_the_line_for_the_terminal(model):
    assert answers.plain(model).startswith("6 clips that the model has never seen: BLEU-4 71, against")


def test_the_page_is_built_from_a_model(model):
    page = build(model)
    labels = {block.label for block in page.blocks.values() if hasattr(block, "label")}
    assert {"Weather", "Signer", "Video of one signed sentence", "Degrees"} <= labels
    sample = next(block.value for block in page.blocks.values() if type(block).__name__ == "DownloadButton")
    path = sample["path"] if isinstance(sample, dict) else sample.path if hasattr(sample, "path") else sample
    assert len(read_clip(path, SHAPE)) == len(model.held_out[0].frames)
