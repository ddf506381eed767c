import numpy as np
import pytest

from applications.face_naming.evaluation import (
    NameId,
    SlotKind,
    bounds,
    count_slots,
    precision_recall_f1,
    predict_slots,
    score,
)
from applications.face_naming.formats import NONAME, CaptionedPhoto, NamedPhoto

pytestmark = pytest.mark.once


def photo(names, truth, key=""):
    return CaptionedPhoto(np.zeros((len(truth or ()), 2)), names, truth=truth, key=key)


def named(photo, *names):
    candidates = (*photo.names, NONAME)
    noface = tuple(name for name in photo.names if name not in names)
    return NamedPhoto(
        candidates, np.zeros((len(names), len(candidates))), names, np.zeros(len(names)), noface
    )


PHOTOS = [
    photo(("Ada", "Bob"), ("Ada",)),  # Bob is free
    photo(("Ada",), ("Ada", NONAME)),
    photo((), (NONAME,)),
    photo(("Ada", "Bob", "Cy"), ()),  # three free names
]


@pytest.mark.golden
def test_official_predictions_counts_and_scores(golden):
    case = golden("face_naming")
    kinds, names = case["e_slot_kind"], case["e_slot_name"]
    faces = np.isin(kinds, (SlotKind.FACE, SlotKind.NONAME, SlotKind.NONAMEWRONG)).sum(axis=1)
    np.testing.assert_array_equal(faces, case["e_num_faces"])
    predicted = predict_slots(kinds, names, case["e_sims"])
    np.testing.assert_array_equal(predicted, case["e_pred"])
    counts = count_slots(kinds, names, predicted)
    np.testing.assert_array_equal(counts, case["e_counts"])
    np.testing.assert_allclose(precision_recall_f1(counts), case["e_prf"], rtol=1e-6)


@pytest.mark.golden
def test_scores_of_photos_are_the_official_scores(golden):
    """Photos of the official code without annotation errors, given as photos instead of slots."""
    case = golden("face_naming")
    kinds, ids, predicted = case["e_slot_kind"], case["e_slot_name"], case["e_pred"]
    wrong = np.isin(kinds, (SlotKind.NOFACEWRONG, SlotKind.NONAMEWRONG)).any(axis=1)
    kept = np.flatnonzero(~wrong)
    assert len(kept)
    photos, answers = [], []
    for row in kept:
        name = {slot: str(slot) for slot in ids[row] if slot > 0} | {NameId.NONAME: NONAME}
        face = np.isin(kinds[row], (SlotKind.FACE, SlotKind.NONAME))
        names = tuple(name[slot] for slot in dict.fromkeys(ids[row]) if slot > 0)
        photos.append(photo(names, tuple(name[slot] for slot in ids[row][face])))
        answers.append(named(photos[-1], *(name[slot] for slot in predicted[row][face])))
    truth, slots, right = case["e_counts"][kept].sum(axis=0)
    result = score(photos, answers)
    assert result["precision"] == pytest.approx(right / slots)
    assert result["recall"] == pytest.approx(right / truth)


def test_wrong_slots_count_as_predicted_only():
    kinds = np.array(
        [[SlotKind.NOFACEWRONG, SlotKind.NOFACE, SlotKind.FACE, SlotKind.NONAMEWRONG, SlotKind.PADDING]]
    )
    names = np.array([[7, 8, 9, NameId.NONAMEWRONG, NameId.PADDING]])
    similarities = np.array([[[0, 0, 1, 0], [0, 0, 0, 1]]], float)  # both faces choose their own slot
    predicted = predict_slots(kinds, names, similarities)
    expected = [NameId.NOFACE, NameId.NOFACE, 9, NameId.NONAMEWRONG, NameId.PADDING]
    np.testing.assert_array_equal(predicted, [expected])
    np.testing.assert_array_equal(count_slots(kinds, names, predicted), [[2, 4, 2]])


def test_noname_column_is_appended_only_where_none_stands():
    kinds = np.array([[SlotKind.FACE, SlotKind.PADDING], [SlotKind.FACE, SlotKind.NONAME]])
    names = np.array([[5, NameId.PADDING], [5, NameId.NONAME]])
    similarities = np.zeros((2, 2, 3))
    similarities[0, 0, 1] = similarities[1, :, 1] = 1
    similarities[1, :, 2] = 9  # not a candidate
    predicted = predict_slots(kinds, names, similarities)
    np.testing.assert_array_equal(
        predicted, [[NameId.NONAME, NameId.PADDING], [NameId.NONAME, NameId.NONAME]]
    )


def test_slot_arrays_must_fit():
    kinds, names = np.zeros((2, 3), int), np.ones((2, 3), int)
    with pytest.raises(ValueError, match="slot_name must be"):
        predict_slots(kinds, names[:, :2], np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="with 2 photos"):
        predict_slots(kinds, names, np.zeros((1, 3, 4)))
    with pytest.raises(ValueError, match="must hold 3 faces and 4 columns"):
        predict_slots(kinds, names, np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="predicted must be"):
        count_slots(kinds, names, names[:1])


def test_score_by_hand():
    answers = [
        named(PHOTOS[0], "Bob"),
        named(PHOTOS[1], "Ada", "Ada"),
        named(PHOTOS[2], NONAME),
        named(PHOTOS[3]),
    ]
    result = score(PHOTOS, answers)
    assert result["face_accuracy"] == pytest.approx(2 / 4)
    assert result["noname_accuracy"] == pytest.approx(1 / 2)
    assert result["faces"] == 4
    for metric in ("precision", "recall", "f1"):
        assert result[metric] == pytest.approx((2 + 4) / (4 + 4))


def test_bounds_by_hand():
    table = bounds(PHOTOS)
    accuracy = {name: metrics["face_accuracy"] for name, metrics in table.items()}
    assert accuracy == pytest.approx(
        {
            "chance": (1 / 3 + 1 / 2 + 1 / 2 + 1) / 4,
            "chance_names": (1 / 2 + 1 + 0 + 1) / 4,
            "all_noname": 2 / 4,
            "all_wrong": 0,
            "perfect": 1,
        }
    )
    assert table["all_wrong"]["f1"] == pytest.approx(4 / 8)
    assert table["chance"]["f1"] == pytest.approx((4 + 4 * accuracy["chance"]) / 8)
    assert table["all_noname"]["noname_accuracy"] == 1
    assert table["chance_names"]["noname_accuracy"] == pytest.approx(1 / 2)
    assert set(table["perfect"].values()) == {1.0, 4}


def test_chance_is_what_random_answers_score_on_average():
    generator = np.random.default_rng(0)
    tries = []
    for _ in range(400):
        answers = [
            named(each, *(str(generator.choice([*each.names, NONAME])) for _ in each.truth))
            for each in PHOTOS
        ]
        tries.append(score(PHOTOS, answers))
    for metric in ("face_accuracy", "f1", "noname_accuracy"):
        mean = np.mean([result[metric] for result in tries])
        assert mean == pytest.approx(bounds(PHOTOS)["chance"][metric], abs=0.04), metric


def test_generator_has_the_chance_level_of_the_annotated_photos():
    from applications.face_naming.corpus import identity_photos

    table = bounds(identity_photos(seed=0)[0])
    assert table["chance"]["face_accuracy"] == pytest.approx(0.36, abs=0.02)
    assert table["all_wrong"]["f1"] == pytest.approx(0.324, abs=0.02)


def test_metrics_of_nothing_are_nan():
    result = score([PHOTOS[3]], [named(PHOTOS[3])])
    assert np.isnan(result["face_accuracy"])
    assert np.isnan(result["noname_accuracy"])
    assert result["f1"] == 1
    assert np.isnan(precision_recall_f1(np.zeros((1, 3)))).all()


def test_photos_without_truth_are_told():
    photos = [PHOTOS[0], photo((), None, key="b.jpg")]
    for call in (lambda: bounds(photos), lambda: score(photos, [None, None])):
        with pytest.raises(ValueError, match=r"photos\[1\] of photo 'b.jpg' has no truth; give truth="):
            call()
    with pytest.raises(ValueError, match="at least one photo"):
        bounds([])


def test_answers_must_belong_to_the_photos():
    with pytest.raises(ValueError, match="one entry a photo, got 1 for 2 photos"):
        score(PHOTOS[:2], [named(PHOTOS[0], "Ada")])
    with pytest.raises(ValueError, match=r"named\[0\] must name 1 faces, got 2"):
        score(PHOTOS[:1], [named(PHOTOS[0], "Ada", "Bob")])
    with pytest.raises(ValueError, match=r"named\[0\] must name candidates .* got 'Zed'"):
        score(PHOTOS[:1], [named(PHOTOS[0], "Zed")])
