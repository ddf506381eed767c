"""The dictionaries of the augmented LFW and of Celebrity Together."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from applications.face_naming import face_bank
from applications.face_naming.annotated import crop_faces, synthetic_vectors
from applications.face_naming.augmented_lfw import load_augmented_lfw, official_score, read_augmented_lfw
from applications.face_naming.celebrity_together import load_celebrity_together, read_celebrity_together
from applications.face_naming.evaluation import score
from applications.face_naming.formats import NONAME, NamedPhoto, PhotoBatches

pytestmark = pytest.mark.once


def lfw_entry(name, *slots):
    """An entry as the file has it; a slot is (box or None, name, identity)."""
    boxes = [box or (-1, -1, -1) for box, _, _ in slots]
    return {
        "img_name": [f"2002/{name}.png"],
        "face_x": [box[0] for box in boxes],
        "face_y": [box[1] for box in boxes],
        "face_size": [box[2] for box in boxes],
        "name_list": [[given] for _, given, _ in slots],
        "ner": [identity for _, _, identity in slots],
        "name": [[given, "he"] for _, given, _ in slots],
        "gt_link": [[given, identity] for _, given, identity in slots],
    }


BOX, OTHER, THIRD = (20, 15, 10), (60, 15, 8), (5, 5, 10)
LFW = {
    "1": lfw_entry("a", (BOX, "Bush", "George_W_Bush")),
    "2": lfw_entry(
        "b",
        (None, "Florida", "NOFACEWRONG"),
        (None, "Powell", "NOFACEColin_Powell"),
        (BOX, "Bush", "George_W_Bush"),
        (OTHER, NONAME, NONAME),
        (THIRD, "NONAMEWRONG", "NONAMEWRONG"),
    ),
    "3": lfw_entry("c", (None, "Bush", "NOFACEGeorge_W_Bush"), (BOX, "Bush", "George_W_Bush")),
    "4": lfw_entry("d", (BOX, NONAME, NONAME), (OTHER, NONAME, NONAME)),
    "5": lfw_entry("e", (None, "Powell", "NOFACEColin_Powell")),
    # slots that contradict themselves, of which the original file has some
    "6": lfw_entry("f", (None, "Powell", "Colin_Powell"), (BOX, "Bush", "NOFACEGeorge_W_Bush")),
}
CELEBRITIES = {
    "1": {
        "img_dir": "x/1.png",
        "bbox": [[0, 0, 10, 10], [20, 0, 30, 10]],
        "name_list": ["Ada", "Alan"],
        "gt_link": [["Alan", "Ada"], ["Ada", "Alan"]],
        "name_id": [1, 2],
        "face_id": [8, 9],
    },
    "2": {
        "img_dir": "x/2.png",
        "bbox": [[0, 0, 10, 10], [20, 0, 30, 10]],
        "name_list": ["Ada", NONAME],
        "gt_link": [["Ada"], [NONAME]],
    },
    "3": {"img_dir": "x/3.png", "bbox": [[0, 0, 10, 10]], "name_list": ["Kay"], "gt_link": [["Kay"]]},
    "4": {
        "img_dir": "x/4.png",
        "bbox": [[0, 0, 10, 10]],
        "name_list": ["Ada", "Alan", NONAME],
        "gt_link": [["Ada"]],
    },
}


@pytest.fixture
def write(tmp_path):
    def write(content, name="full.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / name

    return write


@pytest.fixture
def lfw(write):
    return write(LFW)


def pictures(folder, names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = np.full((40, 80, 3), 20 * (number + 1), "uint8")
        image[15, 20] = 255  # the middle of BOX
        Image.fromarray(image).save(folder / name)


def answer(photo, *names):
    candidates = (*photo.names, NONAME)
    return NamedPhoto(candidates, np.zeros((len(names), len(candidates))), names, np.zeros(len(names)), ())


def test_lfw_entries_are_read(lfw):
    photos = read_augmented_lfw(lfw)
    assert {key: set(photo.names) for key, photo in photos.items()} == {
        "1": {"Bush"},
        "2": {"Bush", "Florida", "Powell"},
        "3": {"Bush"},
        "4": set(),
        "5": {"Powell"},
        "6": {"Bush", "Powell"},
    }
    assert [photo.truth for photo in photos.values()] == [
        ("Bush",),
        ("Bush", NONAME, NONAME),
        ("Bush",),
        (NONAME, NONAME),
        (),
        (NONAME,),  # the annotators say that the name beside this face has no face
    ]
    np.testing.assert_array_equal(photos["2"].boxes, [[10, 5, 30, 25], [52, 7, 68, 23], [-5, -5, 15, 15]])
    assert photos["2"].image == "2002/b.png"
    assert photos["2"].people == ("George_W_Bush", None, None)


def test_order_of_names_follows_the_seed_and_not_the_file(write):
    names = [f"Person {letter}" for letter in "ABCDEF"]
    entry = lfw_entry("a", *[(BOX, name, name) for name in names])
    path = write({str(number): entry for number in range(40)})
    photos = load_augmented_lfw(path, vectors=synthetic_vectors(read_augmented_lfw(path)))
    first = [photo.names.index("Person A") for photo in photos]
    assert set(first) == set(range(6))
    assert all(photo.truth == tuple(names) for photo in photos)
    again, other = read_augmented_lfw(path), read_augmented_lfw(path, seed=1)
    assert [photo.names for photo in again.values()] == [photo.names for photo in photos]
    assert [photo.names for photo in other.values()] != [photo.names for photo in photos]


def test_exactly_one_noname_slot(lfw):
    photos = load_augmented_lfw(lfw, vectors=synthetic_vectors(read_augmented_lfw(lfw), width=4))
    item = PhotoBatches(photos, batch_size=6, shuffle=False)[0]
    np.testing.assert_array_equal(item["name_mask"].sum(axis=1), [2, 4, 2, 1, 2, 3])


def test_faces_are_cut_out_of_pictures(lfw, tmp_path):
    pictures(tmp_path, [f"2002/{letter}.png" for letter in "abcdef"])
    photos = load_augmented_lfw(lfw, tmp_path, size=20)
    assert [photo.faces.shape for photo in photos] == [(count, 20, 20, 3) for count in (1, 3, 1, 2, 0, 1)]
    first, clipped = photos[0].faces[0], photos[1].faces[2]
    assert first[10, 10, 0] == 1 and first[0, 0, 0] == pytest.approx(20 / 255)
    assert clipped[0, 0, 0] == 0 and clipped[-1, -1, 0] == pytest.approx(40 / 255)


def test_crops_outside_of_the_picture_are_black():
    image = np.full((10, 10, 3), 255, "uint8")
    crops = crop_faces(image, np.array([[20, 20, 30, 30], [-1e9, -1e9, 1e9, 1e9], [2.4, 2.4, 2.4, 2.4]]), 4)
    assert crops[0].max() == 0
    assert crops[1].max() <= 1
    assert crops[2].min() == 1


def test_missing_and_damaged_pictures_are_listed_once(lfw, tmp_path, caplog):
    pictures(tmp_path, [f"2002/{letter}.png" for letter in "acde"])
    (tmp_path / "2002/b.png").write_text("no picture")
    with caplog.at_level(logging.WARNING, "contrast"):
        photos = load_augmented_lfw(lfw, tmp_path, size=8)
    assert [photo.key for photo in photos] == ["1", "3", "4", "5"]
    (record,) = caplog.records
    assert "2 of 6 photos are left out" in record.getMessage()
    assert "b.png is no picture" in record.getMessage() and "f.png does not exist" in record.getMessage()


def test_all_pictures_missing(lfw, tmp_path):
    with pytest.raises(ValueError, match=r"None of the 6 photos .*picture .*a.png does not exist"):
        load_augmented_lfw(lfw, tmp_path)


def test_vectors_of_an_npz_file(lfw, tmp_path, caplog):
    rng = np.random.default_rng(0)
    vectors = {"1": rng.normal(size=(1, 5)), "2": rng.normal(size=(3, 5)), "5": np.zeros((0, 5))}
    np.savez(tmp_path / "faces.npz", **vectors)
    with np.load(tmp_path / "faces.npz") as arrays:
        photos = load_augmented_lfw(lfw, vectors=arrays)
    assert [photo.key for photo in photos] == ["1", "2", "5"]
    np.testing.assert_allclose(photos[1].faces, vectors["2"], rtol=1e-6)
    assert "3 of 6 photos are left out" in caplog.text


def test_vectors_must_fit(lfw, tmp_path):
    with pytest.raises(ValueError, match=r"vectors\['1'\] must be .* with 1 faces, got .*\(2, 5\)"):
        load_augmented_lfw(lfw, vectors={"1": np.zeros((2, 5))})
    with pytest.raises(ValueError, match="None of the 6 photos has a readable array"):
        load_augmented_lfw(lfw, vectors={"x": np.zeros((2, 5))})
    for options in ({}, {"images": tmp_path, "vectors": {}}):
        with pytest.raises(TypeError, match="either images"):
            load_augmented_lfw(lfw, **options)
    with pytest.raises(ValueError, match="images must be an existing folder"):
        load_augmented_lfw(lfw, images=tmp_path / "none")


def test_synthetic_vectors_gather_around_people(write):
    people = [lfw_entry("a", (BOX, "Ada", "Ada_L"), (OTHER, NONAME, NONAME)) for _ in range(200)]
    annotated = read_augmented_lfw(write({str(number): entry for number, entry in enumerate(people)}))
    vectors = np.stack(list(synthetic_vectors(annotated, width=16).values()))
    assert np.linalg.norm(vectors[:, 0].mean(axis=0)) == pytest.approx(4, abs=0.5)
    assert np.linalg.norm(vectors[:, 1].mean(axis=0)) < 0.8
    np.testing.assert_allclose(vectors.std(axis=0).mean(axis=1), [1, np.sqrt(2)], rtol=0.1)


def test_subsets(lfw):
    vectors = synthetic_vectors(read_augmented_lfw(lfw))
    keys = {
        subset: [photo.key for photo in load_augmented_lfw(lfw, vectors=vectors, subset=subset)]
        for subset in ("full", "one", "rest")
    }
    assert keys == {"full": list(LFW), "one": ["1", "3"], "rest": ["2", "4", "5", "6"]}
    bank = face_bank(load_augmented_lfw(lfw, vectors=vectors, subset="one"))
    assert {name: len(faces) for name, faces in bank.items()} == {"Bush": 2}
    with pytest.raises(ValueError, match="subset must be one of full, one, rest, got 'two'"):
        load_augmented_lfw(lfw, vectors=vectors, subset="two")


def test_no_photo_of_a_subset(write):
    path = write({"1": LFW["1"]})
    with pytest.raises(ValueError, match="no photo of the subset 'rest'"):
        load_augmented_lfw(path, vectors={}, subset="rest")


def scored(path, *answers):
    annotated = read_augmented_lfw(path)
    photos = load_augmented_lfw(path, vectors=synthetic_vectors(annotated, 4))
    return official_score(
        annotated, photos, [answer(photo, *given) for photo, given in zip(photos, answers, strict=True)]
    )


def test_official_score_counts_every_slot(lfw):
    result = scored(lfw, ["Bush"], ["Bush", NONAME, NONAME], ["Bush"], [NONAME, NONAME], [], [NONAME])
    # 13 slots, 11 of them truth; right: 1 + (Powell free, Bush, NONAME) + 2 + 2 + 1 + 0
    assert result["precision"] == pytest.approx(9 / 13)
    assert result["recall"] == pytest.approx(9 / 11)
    assert result["f1"] == pytest.approx(18 / 24)
    assert result["faces"] == 7 and result["face_accuracy"] == pytest.approx(6 / 7)


def test_official_score_when_every_face_is_wrong(lfw):
    result = scored(lfw, [NONAME], ["Florida", "Powell", "Powell"], [NONAME], [NONAME, NONAME], [], ["Bush"])
    assert result["recall"] == pytest.approx((0 + 1 + 1 + 2 + 1 + 0) / 11)
    assert result["face_accuracy"] == pytest.approx(2 / 7)


def test_official_score_is_the_score_where_nothing_is_wrong(write):
    path = write({key: LFW[key] for key in "145"})
    annotated = read_augmented_lfw(path)
    photos = load_augmented_lfw(path, vectors=synthetic_vectors(annotated, 4))
    answers = [answer(photos[0], NONAME), answer(photos[1], NONAME, NONAME), answer(photos[2])]
    ours, official = score(photos, answers), official_score(annotated, photos, answers)
    for metric in ("face_accuracy", "precision", "recall", "f1", "faces"):
        assert official[metric] == pytest.approx(ours[metric])


def test_answers_must_fit_the_photos(lfw):
    annotated = read_augmented_lfw(lfw)
    photos = load_augmented_lfw(lfw, vectors=synthetic_vectors(annotated, 4))[:1]
    with pytest.raises(ValueError, match="one entry a photo, got 0 for 1"):
        official_score(annotated, photos, [])
    with pytest.raises(ValueError, match="1 names for photo '1', got 2"):
        official_score(annotated, photos, [answer(photos[0], "Bush", "Bush")])
    with pytest.raises(ValueError, match="names of photo '1' or 'NONAME', got 'Ada'"):
        official_score(annotated, photos, [answer(photos[0], "Ada")])
    with pytest.raises(ValueError, match="none with the key '1'"):
        official_score({}, photos, [answer(photos[0], "Bush")])


def changed(entry, **fields):
    fields = {**entry, **fields}
    return {"7": {field: value for field, value in fields.items() if value is not None}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[", "is no readable JSON file"),
        ("[]", "an object with at least one photo"),
        ("{}", "an object with at least one photo"),
        ('{"1": {}, "1": {}}', "each key once, got 1 more than once"),
        ('{"1": 3}', "Photo '1' must be an object, got int"),
        (changed(LFW["1"], ner=None, face_x=None), "Photo '7' must have .*; missing: face_x, ner"),
        (changed(LFW["1"], face_x=[1, 2]), "photo '7' must be equally long, got face_x 2, face_y 1"),
        (changed(LFW["1"], face_x=5), "face_x of photo '7' must be a list, got int"),
        (changed(LFW["1"], face_y=["5"]), "face_y of photo '7' must hold finite numbers, got '5'"),
        (changed(LFW["1"], face_y=[True]), "face_y of photo '7' must hold finite numbers, got True"),
        (changed(LFW["1"], face_size=[-3]), "face_size of photo '7' must be positive, or -1 .* got -3"),
        (changed(LFW["1"], name_list=[["Bush", "he"]]), "name_list of photo '7' must hold .* got"),
        (changed(LFW["1"], name_list=[[""]]), "name_list of photo '7' must hold"),
        (changed(LFW["1"], ner=[3]), "ner of photo '7' must hold"),
        (changed(LFW["1"], img_name=["../a.jpg"]), "img_name of photo '7': '../a.jpg' must be a path below"),
        (changed(LFW["1"], img_name=[]), "img_name of photo '7' must hold"),
        (
            {"7": {field: [] if field != "img_name" else ["a.jpg"] for field in LFW["1"]}},
            "Photo '7' must have at least one slot",
        ),
    ],
)
def test_damaged_lfw_dictionary(content, says, write):
    with pytest.raises(ValueError, match=says):
        read_augmented_lfw(write(content))


def test_missing_dictionary(tmp_path):
    with pytest.raises(ValueError, match="full.json does not exist"):
        read_augmented_lfw(tmp_path / "full.json")


def test_celebrities_are_read(write, tmp_path):
    path = write(CELEBRITIES)
    pictures(tmp_path, ["x/1.png", "x/2.png", "x/3.png", "x/4.png"])
    photos = load_celebrity_together(path, tmp_path, size=8)
    assert [photo.truth for photo in photos] == [("Alan", "Ada"), ("Ada", NONAME), ("Kay",), ("Ada",)]
    assert [set(photo.names) for photo in photos] == [{"Ada", "Alan"}, {"Ada"}, {"Kay"}, {"Ada", "Alan"}]
    assert photos[0].faces.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(photos[0].boxes[1], [20, 0, 30, 10])


def test_subsets_of_celebrities(write):
    path = write(CELEBRITIES)
    vectors = synthetic_vectors(read_celebrity_together(path))
    keys = {
        subset: "".join(photo.key for photo in load_celebrity_together(path, vectors=vectors, subset=subset))
        for subset in ("full", "2name", "2name allname", "2name easy")
    }
    assert keys == {"full": "1234", "2name": "123", "2name allname": "13", "2name easy": "2"}
    with pytest.raises(ValueError, match="subset must be one of full, 2name, 2name allname, 2name easy"):
        load_celebrity_together(path, vectors=vectors, subset="easy")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (changed(CELEBRITIES["1"], img_dir=None), "Photo '7' must have img_dir"),
        (changed(CELEBRITIES["1"], bbox=None), "missing: bbox"),
        (changed(CELEBRITIES["1"], gt_link=[["Ada"]]), "equally long, got bbox 2, gt_link 1"),
        (changed(CELEBRITIES["1"], face_id=[1]), "equally long, got bbox 2, face_id 1"),
        (changed(CELEBRITIES["1"], name_id=[1]), "equally long, got name_list 2, name_id 1"),
        (
            changed(CELEBRITIES["1"], bbox=[[0, 0, 5], [0, 0, 5, 5]]),
            r"left, top, right, bottom.* got \[0",
        ),
        (changed(CELEBRITIES["1"], bbox=[[9, 0, 5, 5], [0, 0, 5, 5]]), "left < right"),
        (changed(CELEBRITIES["1"], bbox=[3, 4]), r"\[left, top, right, bottom\] .* got 3"),
        (changed(CELEBRITIES["1"], gt_link=[[], ["Ada"]]), "start with a name, got"),
        (changed(CELEBRITIES["1"], gt_link=[["Bob"], ["Ada"]]), "a name of name_list, got 'Bob'"),
        (changed(CELEBRITIES["1"], name_list=["Ada", 3]), "name_list of photo '7' must hold"),
    ],
)
def test_damaged_celebrity_dictionary(content, says, write):
    with pytest.raises(ValueError, match=says):
        read_celebrity_together(write(content))
