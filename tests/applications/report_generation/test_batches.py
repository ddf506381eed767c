import numpy as np
import pytest

from applications.report_generation.batches import StudyBatches
from applications.report_generation.image_features import ImageFeatures, encode_images
from applications.report_generation.study import VIEW_POSITIONS, PriorVisit, Study, View
from tests.applications.report_generation.tiny import FEATURES, STUDIES, TOKENIZER, TOKENS, WIDTH, view


def batches(studies=STUDIES, features=FEATURES, **options):
    options = {"batch_size": 4, "max_facts": 8, "max_prompt": 8, "max_length": 8, **options}
    return StudyBatches(studies, features, TOKENIZER, **options)


def keys_of(batch, features=FEATURES):
    """The images of each study in a batch, found by their tokens."""
    names = {features.tokens[row].astype("float32").tobytes(): key for key, row in features.rows.items()}
    return [
        [names[tokens.tobytes()] for tokens, there in zip(images, present, strict=True) if there]
        for images, present in zip(batch["images"], batch["present"], strict=True)
    ]


def test_what_a_batch_holds():
    batch = batches(anchors="first", shuffle=False)[0]
    assert batch["images"].shape == (4, 4, TOKENS, WIDTH)
    assert batch["images"].dtype == np.float32
    assert keys_of(batch) == [[image.key for image in study.images] for study in STUDIES[:4]]
    assert batch["prior"].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert batch["groups"].tolist() == [[0, -1, -1, -1], [1, 1, -1, -1], [2, 2, 2, -1], [3, -1, -1, -1]]
    assert [VIEW_POSITIONS[number] for number in batch["positions"][2]] == ["PA", "LATERAL", "AP", "UNK"]
    assert not batch["images"][~batch["present"]].any()
    assert TOKENIZER.decode(batch["findings"]) == [study.findings for study in STUDIES[:4]]


def test_drawn_anchor_changes_with_the_epoch_and_leaves_the_others():
    data = batches(shuffle=False, batch_size=8)
    anchors = []
    for _ in range(8):
        found = keys_of(data[0])
        for images, study in zip(found, STUDIES, strict=True):
            assert sorted(images) == sorted(image.key for image in study.images)
            assert images[0] in [one.key for one in study.views]
        anchors.append([images[0] for images in found])
        data.on_epoch_end()
    assert len({names[2] for names in anchors}) == 3
    data.epoch = 3
    assert [images[0] for images in keys_of(data[0])] == anchors[3]


def test_each_view_is_an_anchor_and_no_batch_holds_an_image_twice():
    data = batches(anchors="each", batch_size=5)
    anchors = []
    for number in range(len(data)):
        found = keys_of(data[number])
        images = [key for keys in found for key in keys]
        assert len(set(images)) == len(images)
        anchors += [keys[0] for keys in found]
    assert sorted(anchors) == sorted(one.key for study in STUDIES for one in study.views)


@pytest.mark.golden
def test_grouping_is_the_official_one(golden):
    """Anchors, then further views, then prior images, each image once, are the official flat batch."""
    arrays = golden("report_generation")
    positions = ("AP", "PA", "LATERAL", "LL")

    def one(image):
        return View(np.zeros((1, 1), "uint8"), positions[image % 4], key=str(image))

    samples = []
    for row, anchor in enumerate(arrays["group_anchor_image"]):
        others = [one(image) for image in arrays["group_aux_images"][row] if image >= 0]
        prior = arrays["group_prior_image"][row]
        prior = PriorVisit(one(prior)) if prior >= 0 else None
        study = str(arrays["group_anchor_study"][row])
        samples.append(Study(study, study, (one(anchor), *others), prior=prior))
    keys = {image.key: None for study in samples for image in study.images}
    rows = {key: row for row, key in enumerate(keys)}
    tokens = np.arange(len(rows), dtype="float32").reshape(-1, 1, 1)
    features = ImageFeatures(tokens, rows)
    batch = batches(samples, features, anchors="first", batch_size=len(samples), shuffle=False)[0]

    names, flat = list(rows), []
    for prior in (0, 1):
        for slots in (slice(0, 1), slice(1, None)):
            for row, study in enumerate(samples):
                for slot in range(batch["present"].shape[1])[slots]:
                    if batch["present"][row, slot] and batch["prior"][row, slot] == prior:
                        image = int(names[int(batch["images"][row, slot, 0, 0])])
                        position = positions.index(VIEW_POSITIONS[batch["positions"][row, slot]])
                        flat.append((image, int(study.id), prior, position))
    flat = list(dict.fromkeys(flat))
    official = [arrays[f"group_{name}"] for name in ("image", "study", "is_prior", "view")]
    assert flat == [tuple(map(int, row)) for row in zip(*official, strict=True)]


def test_texts_are_left_out_where_one_is_missing():
    studies = [*STUDIES[:2], Study("new", "new", (view("0 PA"),))]
    batch = batches(studies, batch_size=3, shuffle=False)[0]
    assert {"prompt", "segments"} < set(batch) and not {"facts", "findings"} & set(batch)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"studies": []}, "at least one"),
        ({"anchors": "second"}, "anchors must be"),
        ({"slots": 1}, "slots must be from 3"),
        ({"slots": 9}, "slots must be"),
        ({"studies": [Study("x", "x", (view("unknown"),))]}, "'unknown' has none"),
    ],
)
def test_refused(options, words):
    with pytest.raises(ValueError, match=words):
        batches(**options)


def test_images_are_encoded_once():
    import keras

    class Rows(keras.Model):
        image_size = (16, 16)

        def call(self, images):
            return keras.ops.reshape(images, (-1, 16, 16))

    twice = [STUDIES[0], STUDIES[2], STUDIES[0]]
    found = encode_images(twice, Rows(), batch_size=2)
    assert found.tokens.shape == (4, 16, 16) and len(found.rows) == 4
    row = found.rows[STUDIES[2].views[1].key]
    np.testing.assert_allclose(found.tokens[row] * 255, STUDIES[2].views[1].image, atol=0.2)


def test_another_encoder_is_noticed(tmp_path, caplog):
    from applications.report_generation.image_encoders import ConvolutionTokens

    first, second = ConvolutionTokens((16, 16), 4, seed=0), ConvolutionTokens((16, 16), 4, seed=1)
    tokens = encode_images(STUDIES[:2], first, tmp_path, verbose=False).tokens
    again = encode_images(STUDIES[:2], first, tmp_path, verbose=False).tokens
    other = encode_images(STUDIES[:2], second, tmp_path, verbose=False).tokens
    np.testing.assert_array_equal(tokens, again)
    assert np.abs(tokens - other).max() > 1e-3
