import collections
import dataclasses
import logging

import numpy as np
import pytest
from PIL import Image

from applications.sign_translation import corpus
from applications.sign_translation.corpus import SigningWorld
from applications.sign_translation.grammar import GLOSSES, NEGATION, glosses, wordings
from applications.sign_translation.lexicon import MOVEMENTS, PLACES, SHAPES, lexicon, minimal_pairs
from applications.sign_translation.meaning import (
    INTENSITIES,
    PHENOMENA,
    REGIONS,
    SPLITS,
    Record,
    draw_record,
    held_out_pairs,
    split_of,
)
from applications.sign_translation.motion import JOINTS, Signer, joints
from applications.sign_translation.renderer import Colours, render
from applications.sign_translation.show import captioned_strips, save_animation, strip
from applications.sign_translation.text import SPECIALS, SentenceTokenizer

pytestmark = pytest.mark.once

RECORD = Record("monday", "night", "north", "fog", "heavy", True, 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def world(folder):
    return SigningWorld(seed=5, folder=folder)


@pytest.fixture(scope="module")
def records(world):
    return {split: world.records(300, split) for split in SPLITS}


def test_meanings_are_drawn_as_described():
    drawn = [draw_record(np.random.default_rng(seed)) for seed in range(2000)]
    assert np.mean([record.negated for record in drawn]) == pytest.approx(0.15, abs=0.03)
    assert np.mean([record.degrees is not None for record in drawn]) == pytest.approx(0.6, abs=0.04)
    assert {record.degrees for record in drawn} == {None, *range(30)}
    assert {record.intensity for record in drawn} == {None, *INTENSITIES}
    for values, field in ((REGIONS, "region"), (PHENOMENA, "phenomenon")):
        counts = collections.Counter(getattr(record, field) for record in drawn)
        assert set(counts) == set(values)
        assert min(counts.values()) > 0.6 * 2000 / len(values)


def test_splits_share_no_meaning_and_no_sentence(records):
    sentences = {
        split: {sentence for record in drawn for sentence in wordings(record)}
        for split, drawn in records.items()
    }
    for split in SPLITS:
        assert len(set(records[split])) == 300
        assert len(sentences[split]) == 4 * 300
    for one in SPLITS:
        assert all(split_of(record, 5) == one for record in records[one])
        assert all(not sentences[one] & sentences[other] for other in SPLITS if other != one)


def test_held_out_pairs_are_new_and_their_halves_are_not(records):
    pairs = {split: {(one.region, one.phenomenon) for one in drawn} for split, drawn in records.items()}
    assert pairs["held_out"] == held_out_pairs(5) != held_out_pairs(6)
    for split in ("train", "dev", "test"):
        assert not pairs[split] & held_out_pairs(5)
    regions, phenomena = map(set, zip(*pairs["train"], strict=True))
    assert regions == set(REGIONS) and phenomena == set(PHENOMENA)


def test_wordings_differ_in_order_and_words():
    sentences = wordings(RECORD)
    places = [(one.index("monday"), one.index("north"), one.index("fog")) for one in sentences]
    assert len({tuple(np.argsort(place)) for place in places}) >= 3
    assert any("strong" in one for one in sentences) and any("heavy" in one for one in sentences)
    assert wordings(dataclasses.replace(RECORD, negated=False)) != sentences


def test_signs_have_an_order_of_their_own():
    assert glosses(RECORD) == ("monday", "night", "north", "fog", "not", "heavy", "1", "6")
    assert set(GLOSSES) == set(lexicon()) and len(GLOSSES) == 41


def test_vocabulary_has_71_entries(records):
    sentences = [sentence for record in records["train"] for sentence in wordings(record)]
    assert SentenceTokenizer.fit(sentences).size == 71
    words = {word for sentence in sentences for word in sentence.split()}
    assert len(words) + len(SPECIALS) + 1 == 71


def test_lexicon_is_fixed_and_every_third_sign_is_easily_confused():
    signs = list(lexicon().values())
    assert len(set(signs)) == 41
    assert all(sign.start != sign.end for sign in signs)
    assert len(minimal_pairs()) >= 41 // 3
    for one, other in minimal_pairs():
        first, second = (dataclasses.astuple(lexicon()[name]) for name in (one, other))
        assert sum(a != b for a, b in zip(first, second, strict=True)) == 1
    assert {sign.movement for sign in signs} == set(MOVEMENTS)
    assert {sign.shape for sign in signs} == set(SHAPES)
    assert {sign.start for sign in signs} | {sign.end for sign in signs} == set(PLACES)
    assert lexicon() is lexicon()


def test_clips_are_as_long_as_described(world):
    clips = world.clips(150, "train")
    lengths = [len(clip.frames) for clip in clips]
    assert 40 < np.mean(lengths) < 52
    assert min(lengths) >= 15 and max(lengths) <= 90
    signs = [len(clip.glosses) for clip in clips]
    assert np.corrcoef(lengths, signs)[0, 1] > 0.85


def test_clips_know_their_meaning(world):
    for clip in world.clips(30, "test"):
        assert clip.frames.shape == (len(clip.joints), 32, 32, 1) and clip.frames.dtype == np.uint8
        assert clip.joints.shape[1:] == (len(JOINTS), 2) and clip.joints.dtype == np.float32
        assert clip.references == wordings(clip.record) and clip.sentence in clip.references
        assert clip.glosses == glosses(clip.record)
    wording = [clip.references.index(clip.sentence) for clip in world.clips(150, "train")]
    assert min(np.bincount(wording)) > 20


def equal(ones, others):
    return all(
        (one.key, one.sentence, one.record) == (other.key, other.sentence, other.record)
        and one.frames.tobytes() == other.frames.tobytes()
        and one.joints.tobytes() == other.joints.tobytes()
        for one, other in zip(ones, others, strict=True)
    )


def test_clips_are_a_function_of_the_seed(world, tmp_path):
    clips = world.clips(3, "dev")
    assert equal(clips, SigningWorld(seed=5, folder=tmp_path).clips(3, "dev"))
    assert not equal(clips, SigningWorld(seed=6, folder=tmp_path).clips(3, "dev"))
    assert equal(clips, world.clips(60, "dev")[:3])


def test_cache_is_read_and_a_damaged_one_is_rendered_again(tmp_path, monkeypatch, caplog):
    world = SigningWorld(seed=1, folder=tmp_path)
    clips = world.clips(2, "test")
    (kept,) = tmp_path.iterdir()
    drawing = corpus.render
    monkeypatch.setattr(corpus, "render", lambda *_: pytest.fail("rendered again"))
    assert equal(clips, world.clips(2, "test"))
    with pytest.raises(pytest.fail.Exception, match="rendered again"):
        SigningWorld(seed=1, size=16, folder=tmp_path).clips(1, "test")
    monkeypatch.setattr(corpus, "render", drawing)
    kept.write_bytes(kept.read_bytes()[:-200])
    assert equal(clips, world.clips(2, "test"))
    assert "its clips are rendered again" in caplog.text
    monkeypatch.setattr(corpus, "_digest_of_sources", lambda: "other code")
    world.clips(1, "test")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING, "contrast"):
        assert len(SigningWorld(seed=1, folder=tmp_path / "file").clips(1, "test")) == 1
    assert "cannot be kept in" in caplog.text


def test_a_sign_looks_the_same_up_to_its_signer():
    signs = [lexicon()[name] for name in ("rain", "north")]
    usual = joints(signs, Signer(), np.random.default_rng(0))
    mirrored = joints(signs, Signer(left_handed=True), np.random.default_rng(0))
    swapped = [JOINTS.index(_other_side(joint)) for joint in JOINTS]
    np.testing.assert_allclose(mirrored[:, swapped] * [-1, 1], usual, atol=1e-6)
    moved = joints(signs, Signer(size=1.1, shift=(0.05, 0)), np.random.default_rng(0))
    np.testing.assert_allclose(moved, [0, 0.2] + 1.1 * (usual - [0, 0.2]) + [0.05, 0], atol=1e-5)
    assert len(joints(signs, Signer(speed=0.85), np.random.default_rng(0))) > len(
        joints(signs, Signer(speed=1.2), np.random.default_rng(0))
    )
    other = joints(signs, Signer(), np.random.default_rng(1))
    assert other.shape != usual.shape or np.abs(other - usual).max() > 0.01


def _other_side(joint):
    side, _, rest = joint.partition("_")
    return f"{'left' if side == 'right' else 'right'}_{rest}" if rest else joint


def test_movement_is_smooth_and_ends_at_rest():
    signs = [lexicon()[name] for name in glosses(RECORD)]
    places = joints(signs, Signer(), np.random.default_rng(0))
    hand = places[:, JOINTS.index("left_hand")]
    np.testing.assert_allclose(hand[0], hand[-1])
    assert np.hypot(*np.diff(hand, axis=0).T).max() < 0.75
    one_handed = next(sign for sign in lexicon().values() if not sign.two_hands)
    still = joints([one_handed], Signer(), np.random.default_rng(0))[:, JOINTS.index("right_hand")]
    np.testing.assert_allclose(still, still[:1].repeat(len(still), 0))


def test_a_negation_may_be_a_shake_of_the_head(tmp_path):
    signed, shaken = (
        SigningWorld(seed=2, size=8, head_shake=shake, folder=tmp_path).compose(RECORD)
        for shake in (False, True)
    )
    assert NEGATION in signed.glosses and len(shaken.frames) < len(signed.frames)
    head = JOINTS.index("head")
    assert np.ptp(signed.joints[:, head, 0]) < 1e-5 < 0.1 < np.ptp(shaken.joints[:, head, 0])
    assert signed.sentence == shaken.sentence


def test_pictures_show_hands_where_they_are():
    places = joints([lexicon()["rain"]], Signer(), np.random.default_rng(0))
    colours = Colours(skin=(1, 1, 1), cloth=(0, 0, 0), background=(0.3, 0.3, 0.3), hair=(0, 0, 0))
    frames = render(places, colours, size=64)
    for hand in ("left_hand", "right_hand"):
        column, row = ((places[:, JOINTS.index(hand)] + 1) * 32).astype(int).T
        assert (frames[np.arange(len(frames)), row, column, 0] > 240).all()
    assert len(np.unique(frames[0])) > 20  # edges are soft


def test_pictures_do_not_depend_on_the_size_of_the_clip():
    places = joints([lexicon()["rain"]], Signer(), np.random.default_rng(0))
    np.testing.assert_array_equal(render(places)[3:4], render(places[3:4]))
    colour = render(places, size=24, channels=3)
    assert colour.shape == (len(places), 24, 24, 3)
    assert np.abs(colour[..., 0].astype(int) - colour[..., 2]).max() > 20
    noisy = render(places, generator=np.random.default_rng(0)).astype(float) - render(places)
    assert noisy.std() == pytest.approx(0.02 * 255, rel=0.1)


def test_strip_and_animation(world, tmp_path):
    clip = world.clips(1, "dev")[0]
    picture = strip(clip, count=5, scale=2)
    assert picture.shape == (64, 5 * 64, 3)
    np.testing.assert_array_equal(picture[::2, :64:2, 0], clip.frames[0, ..., 0])
    np.testing.assert_array_equal(picture[::2, -64::2, 0], clip.frames[-1, ..., 0])
    captioned = captioned_strips([clip, clip], count=5, scale=2)
    assert captioned.shape[1:] == (320, 3) and captioned.shape[0] > 128
    np.testing.assert_array_equal(captioned[:64], picture)
    assert (captioned[66:90] < 100).any()
    save_animation(clip, tmp_path / "clip.gif", scale=2)
    with Image.open(tmp_path / "clip.gif") as animation:
        assert animation.size == (64, 64) and animation.info["duration"] == 40
        assert animation.n_frames >= 0.8 * len(clip.frames)  # frames that do not change are joined


def test_wrong_arguments(world, tmp_path):
    clip = world.clips(1, "dev")[0]
    for call, message in (
        (lambda: SigningWorld(seed=-1), "seed must be at least 0"),
        (lambda: SigningWorld(channels=2), "channels 1 or 3"),
        (lambda: world.clips(0), "count must be at least 1, got 0"),
        (lambda: world.clips(1, "all"), "split must be one of train, dev, test, held_out, got 'all'"),
        (lambda: render(np.zeros((2, 5, 2))), r"joints must be \(frames, 13, 2\), got \(2, 5, 2\)"),
        (lambda: render(np.zeros((2, 13, 2)), channels=4), "channels 1 or 3, got 32 and 4"),
        (lambda: strip(clip, 0), "count must be at least 1"),
        (lambda: strip(clip, scale=0), "scale must be at least 1"),
        (lambda: captioned_strips([]), "at least one clip"),
        (lambda: save_animation(clip, tmp_path / "clip.mp4"), r"must end on \.gif"),
        (lambda: save_animation(clip, tmp_path / "clip.gif", 0), "frames_per_second must be above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
