"""The losses give the values and gradients of four papers' official code."""

import numpy as np
import pytest
from keras import ops

from contrast.losses import (
    InfoNCE,
    NTXent,
    SupervisedContrastive,
    agreement_penalty,
    diagonal_cross_entropy,
    set_contrastive_loss,
)
from contrast.ops import max_mean_similarity
from tests.case import assert_close, assert_value_and_gradient

pytestmark = pytest.mark.golden
tiles = pytest.mark.parametrize("tile_size", [1024, 5, None])


def unilateral_ids(case, labelled):
    """Inliers share one id (or one a label); every other instance is its own."""
    inlier_id = case["label"] if labelled else np.zeros_like(case["label"])
    return np.where(case["is_inlier"], inlier_id, 1 + case["label"].max() + case["instance"])


@tiles
@pytest.mark.parametrize("labelled", [False, True])
def test_unilateral(golden, tile_size, labelled):
    case, prefix = golden("anomaly_detection"), "lab_" if labelled else ""
    ids, temperature = unilateral_ids(case, labelled), float(case["tau"])
    options = {"temperature": temperature, "tile_size": tile_size, "no_positive": "zero"}
    loss = SupervisedContrastive(**options)
    assert_value_and_gradient(
        lambda z: loss(ids, z[:, None]),
        [case["z"]],
        case[prefix + "loss_uniclr"],
        [case[prefix + "grad_uniclr"]],
    )
    each = SupervisedContrastive(**options, reduction="none")(ids, case["z"][:, None])
    assert_close(each, case[prefix + "per_anchor"])


@tiles
@pytest.mark.parametrize("labelled", [False, True])
def test_unilateral_with_soft_weights(golden, tile_size, labelled):
    case, prefix = golden("anomaly_detection"), "lab_" if labelled else ""
    ids = unilateral_ids(case, labelled)
    weights = np.where(case["is_inlier"], case[prefix + "weight"], 1).astype("float32")
    options = {"temperature": float(case["tau"]), "tile_size": tile_size, "no_positive": "zero"}
    loss = SupervisedContrastive(**options)
    assert_value_and_gradient(
        lambda z: loss(ids, z[:, None], pair_weights=weights),
        [case["z"]],
        case[prefix + "loss_soft"],
        [case[prefix + "grad_soft"]],
    )
    each = SupervisedContrastive(**options, reduction="none")(ids, case["z"][:, None], pair_weights=weights)
    assert_close(each, case[prefix + "per_anchor_soft"])


@pytest.mark.parametrize("labelled", [False, True])
def test_unilateral_with_pooled_pair_weights(golden, labelled):
    case, prefix = golden("anomaly_detection"), "lab_" if labelled else ""
    ids, inlier, weight = unilateral_ids(case, labelled), case["is_inlier"], case[prefix + "weight"]
    column_weights = np.where(inlier, weight, 1).astype("float32")
    loss = SupervisedContrastive(temperature=float(case["tau"]), reduction="none")
    each = ops.convert_to_numpy(loss(ids, case["z"][:, None], pair_weights=column_weights))
    partners = ((ids[:, None] == ids) * weight).sum(1) - weight
    share = weight * partners
    pooled = inlier.mean() * (share * each).sum() / share.sum() + each[~inlier].sum() / len(each)
    assert_close(pooled, case[prefix + "loss_soft_pair"])


@tiles
def test_nt_xent(golden, tile_size):
    case = golden("anomaly_detection")
    views = case["z"].reshape(2, -1, case["z"].shape[1]).transpose(1, 0, 2)
    loss = NTXent(temperature=float(case["tau"]), tile_size=tile_size)
    assert_close(loss(None, views), case["loss_ntxent_union"])


@tiles
def test_multiple_positives_without_singletons(golden, tile_size):
    case = golden("report_generation")
    current = np.flatnonzero(case["group_is_prior"] == 0)
    studies = case["group_study"][current]
    loss = SupervisedContrastive(
        temperature=float(case["mpc_temperature"]), no_positive="drop", tile_size=tile_size
    )
    assert_value_and_gradient(
        lambda z: loss(studies, ops.take(z, current, axis=0)[:, None]),
        [case["mpc_embed"]],
        case["mpc_loss"],
        [case["mpc_grad"]],
    )
    alone = loss(np.array([3, 7]), case["mpc_embed"][:2][:, None])
    assert_close(alone, case["mpc_loss_no_positive"])


@tiles
def test_alignment_with_shared_targets(golden, tile_size):
    case = golden("report_generation")
    loss = InfoNCE(
        temperature=float(case["align_temperature"]), symmetric=True, same_id="shared", tile_size=tile_size
    )
    assert_value_and_gradient(
        lambda image, text: loss(case["group_anchor_study"], (image, text)),
        [case["align_image"], case["align_text"]],
        case["align_loss"],
        [case["align_grad_image"], case["align_grad_text"]],
    )


def test_sets_with_masks(golden):
    case = golden("face_naming")
    name, face, name_mask, face_mask = (case[key] for key in ("name", "face", "name_mask", "face_mask"))
    forth = max_mean_similarity(name, face, name_mask, face_mask)
    back = max_mean_similarity(face, name, face_mask, name_mask)
    assert_close(forth, case["masked_pair_name_to_face"])
    assert_close(back, case["masked_pair_face_to_name"])
    assert_close(diagonal_cross_entropy(forth), case["masked_loss_name_to_face"])
    assert_close(diagonal_cross_entropy(back), case["masked_loss_face_to_name"])
    assert_close(agreement_penalty(forth, back), case["masked_loss_agree_diag"])
    loss = set_contrastive_loss(name, face, name_mask, face_mask, agreement_weight=float(case["alpha"]))
    assert_close(loss, case["masked_loss_secla"])


def test_sets_without_masks(golden):
    """As the official code: padding takes part, and faces-to-names is divided by the number of names."""
    case = golden("face_naming")
    quirk = case["face"].shape[1] / case["name"].shape[1]

    def both(face, name):
        return max_mean_similarity(name, face), max_mean_similarity(face, name)

    def secla(face, name):
        forth, back = both(face, name)
        agreement = float(case["alpha"]) * agreement_penalty(forth, back * quirk)
        return diagonal_cross_entropy(forth) + diagonal_cross_entropy(back) + agreement

    forth, back = both(case["face"], case["name"])
    assert_close(forth, case["pair_name_to_face"])
    assert_close(back, case["pair_face_to_name"])
    assert_close(diagonal_cross_entropy(forth), case["loss_name_to_face"])
    assert_close(diagonal_cross_entropy(back), case["loss_face_to_name"])
    assert_close(agreement_penalty(forth, back * quirk, "diagonal"), case["loss_agree_diag"])
    assert_close(agreement_penalty(forth, back * quirk, "full"), case["loss_agree_full"])
    unpenalised = set_contrastive_loss(case["name"], case["face"], agreement=None)
    assert_close(unpenalised, case["loss_secla_both"])
    assert_value_and_gradient(
        secla,
        [case["face"], case["name"]],
        case["loss_secla_agree"],
        [case["grad_face"], case["grad_name"]],
    )
