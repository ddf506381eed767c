import logging

import keras
import numpy as np
import pytest

from applications.face_naming.formats import (
    NONAME,
    NONAME_ID,
    CaptionedPhoto,
    NamedPhoto,
    PhotoBatches,
    byte_ids,
    names_in_caption,
    split_photos,
)

WIDTH = 3


def photo(faces=1, names=("Ada",), first=0.0, **options):
    """A photo whose faces hold `first`, `first` + 1, ..."""
    values = first + np.arange(faces, dtype="float32")
    return CaptionedPhoto(np.repeat(values[:, None], WIDTH, axis=1), names, **options)


def features(*names, width=2):
    return {name: np.full(width, float(index)) for index, name in enumerate((*names, NONAME), start=1)}


def test_faces_become_float32_and_lists_become_tuples():
    given = CaptionedPhoto([[0.5, 1.5]], ["Ada"], truth=["Ada"], boxes=[[0, 0, 4, 5]])
    assert given.faces.dtype == np.float32
    assert given.names == given.truth == ("Ada",)
    assert given.boxes.shape == (1, 4)


def test_photo_may_lack_faces_and_names():
    given = CaptionedPhoto(np.zeros((0, WIDTH)), (), truth=(), boxes=[])
    assert len(given.faces) == 0
    assert given.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"faces": np.array([[1.0, 2.0], [np.nan, 0.0]])},
            r"faces\[1\] of photo 'a.jpg' holds NaN or infinity",
        ),
        ({"faces": np.array([[np.inf, 2.0]])}, r"faces\[0\] of photo 'a.jpg' holds NaN"),
        ({"faces": np.array([[1e60, 2.0]])}, r"faces\[0\] of photo 'a.jpg' holds NaN or infinity"),
        ({"faces": np.ones((1, 2), int)}, "floating point, got int64; convert features"),
        ({"faces": np.ones((1, 4, 4, 1), "uint8")}, "floating point, got uint8; divide crops by 255"),
        ({"faces": np.full((1, 4, 4, 1), 200.0)}, r"crops in \[0, 1\], got 200 to 200; divide pixels by 255"),
        ({"faces": np.full((1, 4, 4, 1), -1.0)}, r"crops in \[0, 1\], got -1 to -1"),
        ({"faces": np.ones(3)}, r"\(faces, width\) features or .* got shape \(3,\)"),
        ({"faces": np.ones((2, 0))}, r"got shape \(2, 0\)"),
        ({"faces": [[1.0, 2.0], [1.0]]}, "faces of photo 'a.jpg' differ in shape"),
        ({"names": ("Ada", NONAME)}, "must not hold 'NONAME'"),
        ({"names": ("Ada", "Ada")}, "must be distinct"),
        ({"names": ("Ada", " ")}, "empty string"),
        ({"truth": ("Ada", "Ada")}, "truth of photo 'a.jpg' must have one name a face, got 2 for 1 faces"),
        ({"truth": ("Alan",)}, "must come from names .* got 'Alan'"),
        ({"image": np.zeros((4, 4))}, "image of photo 'a.jpg' must be uint8"),
        ({"image": np.zeros((4, 4, 2), "uint8")}, r"got \(4, 4, 2\)"),
        ({"boxes": np.zeros((2, 4))}, r"boxes of photo 'a.jpg' must be \(faces, 4\) = \(1, 4\)"),
        ({"boxes": [[5, 0, 1, 3]]}, "left < right"),
    ],
)
def test_wrong_values_are_told(changes, message):
    arguments = {"faces": np.zeros((1, WIDTH)), "names": ("Ada",), "key": "a.jpg", **changes}
    with pytest.raises(ValueError, match=message):
        CaptionedPhoto(**arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": "Ada"}, "names must be a tuple of strings, got str: 'Ada'"),
        ({"names": ("Ada", 3)}, "names must hold strings, got int: 3"),
        ({"truth": (None,)}, "truth must hold strings, got NoneType"),
        ({"caption": None}, "caption must be a string"),
        ({"caption": float("nan")}, "caption must be a string .* got float"),
        ({"key": 7}, "key must be a string"),
    ],
)
def test_wrong_types_are_told(changes, message):
    with pytest.raises(TypeError, match=message):
        CaptionedPhoto(**{"faces": np.zeros((1, WIDTH)), "names": ("Ada",), **changes})


def test_crops_may_overshoot_a_little():
    photo = CaptionedPhoto(np.full((1, 4, 4, 1), 1.0000002), ())
    np.testing.assert_allclose(photo.faces, 1, atol=1e-6)


def test_named_photo_wants_a_score_of_every_candidate():
    with pytest.raises(ValueError, match=r"scores must be \(faces, candidates\) = \(1, 2\), got \(1, 3\)"):
        NamedPhoto(("Ada", NONAME), np.zeros((1, 3)), ("Ada",), np.zeros(1), ())


def test_item_has_padding_masks_and_noname_last():
    photos = [photo(2, ("Ada",), first=5), photo(0, ("Bob", "Ada")), photo(1, (), first=9)]
    item = PhotoBatches(photos, features("Ada", "Bob"), batch_size=4, shuffle=False)[0]
    np.testing.assert_array_equal(item["face_mask"], [[1, 1], [0, 0], [1, 0], [0, 0]])
    np.testing.assert_array_equal(item["faces"][:, :, 0], [[5, 6], [0, 0], [9, 0], [0, 0]])
    np.testing.assert_array_equal(item["name_mask"], [[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(item["names"][:, :, 0], [[1, 3, 0], [2, 1, 3], [3, 0, 0], [0, 0, 0]])
    assert {key: value.dtype.name for key, value in item.items()} == {
        "faces": "float32",
        "face_mask": "bool",
        "names": "float32",
        "name_mask": "bool",
    }


def test_shapes_are_static_over_batches():
    photos = [photo(faces, ("Ada", "Bob")[:faces]) for faces in (1, 2, 1, 0, 1)]
    batches = PhotoBatches(photos, batch_size=2)
    assert len(batches) == 3
    assert len({str({key: value.shape for key, value in batches[i].items()}) for i in range(3)}) == 1
    assert batches[2]["name_mask"].any(axis=1).sum() == 1
    with pytest.raises(IndexError):
        batches[3]


def test_crops_and_byte_ids():
    crops = CaptionedPhoto(np.full((1, 5, 4, 3), 0.5), ("Ada",))
    item = PhotoBatches([crops], batch_size=1, name_length=6)[0]
    assert item["faces"].shape == (1, 1, 5, 4, 3)
    assert item["names"].dtype == np.int32
    np.testing.assert_array_equal(item["names"][0], byte_ids(["Ada", NONAME], 6))


def first_values(batches):
    items = [batches[index] for index in range(len(batches))]
    return np.concatenate([item["faces"][item["face_mask"]][:, 0] for item in items]).tolist()


def test_order_is_a_function_of_seed_and_epoch():
    photos = [photo(first=float(index)) for index in range(30)]
    first, again, other = (PhotoBatches(photos, batch_size=4, seed=seed) for seed in (1, 1, 2))
    start = first_values(first)
    assert start == first_values(again) != first_values(other)
    assert sorted(start) == list(range(30))
    first.on_epoch_end()
    following = first_values(first)
    assert following != start
    assert sorted(following) == list(range(30))
    again.epoch = 1
    assert first_values(again) == following
    first.epoch = 0
    assert first_values(first) == start


def test_photos_stay_in_order_without_shuffle():
    batches = PhotoBatches([photo(first=float(index)) for index in range(5)], batch_size=2, shuffle=False)
    batches.on_epoch_end()
    assert first_values(batches) == [0, 1, 2, 3, 4]


class Sums(keras.Model):
    """Sums of the real faces, and a weight to be trained."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        faces = inputs["faces"] * keras.ops.cast(inputs["face_mask"][..., None], "float32")
        return keras.ops.sum(faces, axis=(1, 2)) * self.scale

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(y_pred)


def test_fit_and_predict_take_the_batches():
    photos = [photo(first=float(index)) for index in range(5)]
    batches = PhotoBatches(photos, features("Ada"), batch_size=2, shuffle=False)
    model = Sums()
    assert model.predict(batches, verbose=0)[:5].tolist() == [0, 3, 6, 9, 12]
    model.compile("sgd")
    model.fit(batches, epochs=2, shuffle=False, verbose=0)
    assert keras.ops.convert_to_numpy(model.scale) < 1
    assert batches.epoch > 1


def test_batches_without_any_face_need_a_width():
    item = PhotoBatches([photo(0)], batch_size=1)[0]
    assert item["faces"].shape == (1, 1, WIDTH)
    assert not item["face_mask"].any()
    with pytest.raises(ValueError, match=r"np.zeros\(\(0, width\)\)"):
        PhotoBatches([CaptionedPhoto([], ("Ada",))])


def test_empty_faces_do_not_fix_the_width():
    item = PhotoBatches([CaptionedPhoto([], ()), photo(1)], batch_size=2, shuffle=False)[0]
    assert item["faces"].shape == (2, 1, WIDTH)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"photos": []}, "photos must hold at least one photo"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        (
            {"photos": [photo(1, key="a"), CaptionedPhoto(np.zeros((1, 5)), (), key="b")]},
            r"got \(3,\) in photos\[0\] of photo 'a' but \(5,\) in photos\[1\] of photo 'b'",
        ),
        ({"name_features": {NONAME: np.zeros(2)}}, "every name and 'NONAME'; missing: 'Ada'"),
        ({"name_features": {"Ada": np.zeros(2)}}, "every name and 'NONAME'; missing: 'NONAME'"),
        (
            {"name_features": {**features("Ada"), "Ada": np.array([1, np.nan])}},
            r"name_features\['Ada'\] holds NaN",
        ),
        ({"name_features": {**features("Ada"), NONAME: np.zeros(3)}}, "got 2 for 'Ada' but 3 for 'NONAME'"),
        ({"name_features": {**features("Ada"), "Ada": "Ada"}}, r"must be a \(width,\) vector of numbers"),
        ({"name_features": {**features("Ada"), "Ada": np.zeros((1, 2))}}, r"of shape \(1, 2\)"),
    ],
)
def test_batches_tell_wrong_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        PhotoBatches(**{"photos": [photo()], **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"photos": photo()}, "photos must be a list of CaptionedPhoto, got CaptionedPhoto"),
        ({"photos": [photo(), "a.jpg"]}, r"photos\[1\] must be a CaptionedPhoto, got str"),
        ({"batch_size": 2.5}, "batch_size must be an integer, got float: 2.5"),
        ({"name_features": [np.zeros(2)]}, "name_features must map each name to its vector, got list"),
    ],
)
def test_batches_tell_wrong_types(arguments, message):
    with pytest.raises(TypeError, match=message):
        PhotoBatches(**{"photos": [photo()], **arguments})


def test_byte_ids():
    ids = byte_ids(["Aé", NONAME, "", "abcdef"], length=4)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(
        ids, [[66, 0xC3 + 1, 0xA9 + 1, 0], [NONAME_ID, 0, 0, 0], [0, 0, 0, 0], [98, 99, 100, 101]]
    )
    assert byte_ids([]).shape == (0, 24)
    assert byte_ids(["\0"]).max() == 1
    with pytest.raises(TypeError, match="got the string 'Ada'"):
        byte_ids("Ada")
    with pytest.raises(TypeError, match=r"names\[0\] must be a string"):
        byte_ids([3])


def test_names_that_are_cut_alike_are_warned_of(caplog):
    with caplog.at_level(logging.WARNING, logger="contrast"):
        PhotoBatches([photo(1, ("Ada Lovelace", "Ada Byron"))], name_length=24)
        assert not caplog.records
        PhotoBatches([photo(1, ("Ada Lovelace", "Ada Byron"))], name_length=4)
    assert "raise name_length" in caplog.text


def test_split_is_disjoint_and_seeded():
    photos = [photo(key=str(index)) for index in range(20)]
    fitted, held_out = split_photos(photos, 0.25, seed=3)
    assert len(held_out) == 5
    assert {id(p) for p in fitted} | {id(p) for p in held_out} == {id(p) for p in photos}
    assert len(fitted) + len(held_out) == 20
    assert [p.key for p in split_photos(photos, 0.25, seed=3)[1]] == [p.key for p in held_out]
    assert [p.key for p in split_photos(photos, 0.25, seed=4)[1]] != [p.key for p in held_out]
    assert [len(side) for side in split_photos(photos[:2], 0.01)] == [1, 1]


@pytest.mark.parametrize(
    ("fraction", "count", "message"), [(0, 5, "fraction"), (1, 5, "fraction"), (0.5, 1, "two")]
)
def test_split_refuses_empty_sides(fraction, count, message):
    with pytest.raises(ValueError, match=message):
        split_photos([photo()] * count, fraction)


@pytest.mark.parametrize(
    ("caption", "vocabulary", "expected"),
    [
        ("", ["Ada"], ()),
        ("Nobody is here", [], ()),
        ("BOB meets ada in Oslo", ["Ada", "Bob"], ("Bob", "Ada")),
        ("Ada, Ada and Ada", ["Ada"], ("Ada",)),
        ("Adam and Bobby", ["Ada", "Bob"], ()),
        ("George W. Bush speaks", ["Bush", "George W. Bush"], ("George W. Bush",)),
        ("George W. Bush speaks; Bush listens", ["Bush", "George W. Bush"], ("George W. Bush", "Bush")),
        ("Tony Blair and Tony", ["Tony", "Tony Blair"], ("Tony Blair", "Tony")),
        ("Tony\n  Blair's wife", ["Tony Blair"], ("Tony Blair",)),
        ("the STRASSE of Weiß", ["WEISS", "Straße"], ("Straße", "WEISS")),
        ("Jose\u0301 and Zoë", ["José", "Zoe\u0308"], ("José", "Zoe\u0308")),
        ("Sinéad O'Connor, left", ["Connor", "Sinéad O'Connor"], ("Sinéad O'Connor",)),
        ("NONAME and noname", [NONAME], ()),
        ("ada", ["Ada", "ADA"], ("Ada",)),
        ("a+b (c)", ["a+b", "(c)"], ("a+b", "(c)")),
    ],
)
def test_names_in_caption(caption, vocabulary, expected):
    assert names_in_caption(caption, vocabulary) == expected


def test_names_in_caption_tells_wrong_types():
    with pytest.raises(TypeError, match="caption must be a string"):
        names_in_caption(None, ["Ada"])
    with pytest.raises(TypeError, match="got the string 'Ada'"):
        names_in_caption("Ada", "Ada")
    with pytest.raises(TypeError, match="vocabulary must hold strings"):
        names_in_caption("Ada", ["Ada", 3])
