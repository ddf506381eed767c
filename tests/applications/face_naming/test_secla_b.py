import numpy as np
import pytest

from applications.face_naming import (
    SECLA,
    SECLAB,
    BankedBatches,
    CaptionedPhoto,
    IdentityWorld,
    PhotoBatches,
    Recipe,
    face_bank,
    fit_stages,
    score,
)
from applications.face_naming.bootstrap import bootstrapped_similarities, consistency_loss
from applications.face_naming.face_bank import is_easy
from applications.face_naming.matching import match_known_names
from contrast.losses import agreement_penalty, diagonal_cross_entropy
from tests.case import assert_close, check_saved, to_numpy

WORLD = IdentityWorld(0, identities=12, width=16)
PHOTOS = WORLD.photos(400)


@pytest.mark.golden
def test_second_stage_matches_official_code(golden):
    case = golden("face_naming")
    matched, bank, names = case["s2_matched_face"], case["s2_bank_face"], case["s2_matched_name"]
    forth, back = bootstrapped_similarities(matched, bank, names)
    assert_close(diagonal_cross_entropy(forth), case["s2_loss_name_face"])
    assert_close(diagonal_cross_entropy(back), case["s2_loss_name_name"])
    both = diagonal_cross_entropy(forth) + diagonal_cross_entropy(back)
    assert_close(both, case["s2_loss_name_both"])
    agreement = float(case["alpha"]) * agreement_penalty(forth, back)
    assert_close(both + agreement, case["s2_loss_name_agree"])
    to_bank, to_matched = consistency_loss(matched, bank)
    assert_close(to_bank, case["s2_loss_face_face"])
    assert_close(to_matched, case["s2_loss_face_proto"])
    assert_close(to_bank + to_matched, case["s2_loss_face_both"])


@pytest.mark.golden
def test_matching_matches_official_code(golden):
    case = golden("face_naming")
    names, faces = case["m_name_ids"], np.arange(case["m_sims"].shape[1])
    known = (names > 0) & case["m_known"][np.maximum(names, 0)]
    matching = match_known_names(case["m_sims"], faces < case["m_num_faces"][:, None], names >= 0, known)
    np.testing.assert_array_equal(to_numpy(matching.matched_face), case["m_matched_face"])
    np.testing.assert_array_equal(to_numpy(matching.unmatched_faces), case["m_unmatched_face"])
    np.testing.assert_array_equal(to_numpy(matching.unmatched_names), case["m_unmatched_name"])


@pytest.mark.once
def test_second_stage_improves_on_the_first():
    first, second = fit_stages(PHOTOS, WORLD.name_features, Recipe.small(12), Recipe.small(6), verbose=0)
    batches = PhotoBatches(PHOTOS, WORLD.name_features, batch_size=200, shuffle=False)
    before, after = (score(PHOTOS, model.name_faces(batches))["face_accuracy"] for model in (first, second))
    assert after > before + 0.05


@pytest.mark.once
def test_weights_pass_from_stage_to_stage_and_are_saved(tmp_path):
    bank = face_bank(PHOTOS)
    batches = BankedBatches(PHOTOS[:16], bank, WORLD.name_features, batch_size=8, shuffle=False)
    first = SECLA.small(batches, temperature="learned")
    second = SECLAB.from_first_stage(first, seed=3, terms=("consistency",))
    item = batches[0]
    ours, theirs = second(item), first(item)
    assert len(ours) == 4
    for one, other in zip(ours[:2], theirs, strict=True):
        assert_close(one, to_numpy(other))
    assert [len(named.names) for named in second.name_faces(batches)] == [len(p.faces) for p in PHOTOS[:16]]
    null = to_numpy(second.null_face)
    second.compile(Recipe.small(1).optimizer(16))
    second.fit(batches, verbose=0, shuffle=False)
    np.testing.assert_array_equal(to_numpy(second.null_face), null)
    check_saved(second, item, tmp_path)


@pytest.mark.parametrize("pick", ["medoid", "mean", "random"])
def test_bank_shows_one_face_of_each_known_name(pick):
    bank = face_bank(PHOTOS)
    removed = PHOTOS[0].names[0]
    bank.pop(removed, None)
    batches = BankedBatches(PHOTOS[:30], bank, WORLD.name_features, pick, batch_size=30, shuffle=False)
    item = batches[0]
    for row, photo in enumerate(PHOTOS[:30]):
        for slot, name in enumerate(photo.names):
            assert item["bank_mask"][row, slot] == (name in bank)
            shown = item["bank_faces"][row, slot]
            if pick == "mean" and name in bank:
                np.testing.assert_allclose(shown, bank[name].mean(0), rtol=1e-5)
            elif name in bank:
                assert (bank[name] == shown).all(axis=1).any()
            if pick == "medoid" and name in bank:
                distance = np.linalg.norm(bank[name][:, None] - bank[name], axis=-1).sum(1)
                np.testing.assert_array_equal(shown, bank[name][distance.argmin()])
    assert removed not in batches.bank


def test_photos_whose_faces_are_all_matched_leave_no_nan():
    easy = [photo for photo in PHOTOS if is_easy(photo)][:6]
    pairs = [
        CaptionedPhoto(np.concatenate([a.faces, b.faces]), a.names + b.names, truth=a.truth + b.truth)
        for a, b in zip(easy[::2], easy[1::2], strict=True)
        if a.names != b.names
    ]
    batches = BankedBatches(pairs, face_bank(easy), WORLD.name_features, batch_size=4)
    model = SECLAB.from_first_stage(SECLA.small(batches))
    model.compile(Recipe.small(2).optimizer(len(pairs)))
    history = model.fit(batches, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("pick", ["medoid", "random"])
def test_the_last_batch_counted_from_the_end_is_the_last_batch(pick):
    batches = BankedBatches(PHOTOS[:20], face_bank(PHOTOS), WORLD.name_features, pick, batch_size=8)
    last, counted_back = batches[2], batches[-1]
    assert last["bank_mask"].any()
    for name in last:
        np.testing.assert_array_equal(counted_back[name], last[name])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: face_bank([CaptionedPhoto(np.zeros((2, 4), "float32"), ("Ada",))]), "one face and one name"),
        (lambda: BankedBatches(PHOTOS, {}, WORLD.name_features, "nearest"), "pick"),
        (lambda: BankedBatches(PHOTOS, {"Ada": np.zeros((1, 3))}, WORLD.name_features), "bank"),
        (lambda: BankedBatches(PHOTOS, {"Ada": np.zeros((0, 16))}, WORLD.name_features), r"got \(0, 16\)"),
        (lambda: SECLAB(terms=("memory",)), "terms"),
        (lambda: SECLAB.from_first_stage(SECLA()), "built"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
