import numpy as np
import pytest

from applications.anomaly_detection.unilateral import unilateral_ids, unilateral_loss
from tests.case import assert_close, assert_value_and_gradient, to_numpy


def golden_ids(case, prefix):
    """Our ids of the golden file's rows, which have the same order: by view, then by transform and image."""
    normal = case["is_inlier"][: len(case["z"]) // 2]
    images = int(normal.sum())
    shifts = len(normal) // images
    labels = case["label"][:images] if prefix else None
    ids = to_numpy(unilateral_ids(images, shifts, labels)).reshape(shifts, 2, images)
    return ids.transpose(1, 0, 2).ravel()


@pytest.mark.golden
@pytest.mark.parametrize("prefix", ["", "lab_"])
def test_loss_and_gradient_of_the_paper(golden, prefix):
    case = golden("anomaly_detection")
    ids, tau, tau_w = golden_ids(case, prefix), float(case["tau"]), float(case["tau_w"])
    for soft, name in ((False, "uniclr"), (True, "soft")):
        assert_value_and_gradient(
            lambda z, soft=soft: unilateral_loss(z, ids, tau, soft, tau_w),
            [case["z"]],
            case[f"{prefix}loss_{name}"],
            [case[f"{prefix}grad_{name}"]],
        )
    pooled = unilateral_loss(case["z"], ids, tau, True, tau_w, pairwise=True)
    assert_close(pooled, case[prefix + "loss_soft_pair"])
    assert (
        abs(case[prefix + "loss_soft_literal"] - to_numpy(pooled)) > 1
    )  # equation 6 to the letter is not meant


def test_ids_say_who_belongs_together():
    ids = to_numpy(unilateral_ids(3, 2)).reshape(2, 2, 3)  # transform, view, image
    assert (ids[0] == 0).all()
    assert (ids[1] < 0).all()
    assert (ids[1, 0] == ids[1, 1]).all()
    assert len(np.unique(ids[1])) == 3


def test_labels_and_auxiliary_outliers():
    ids = to_numpy(unilateral_ids(3, 2, np.array([4, -1, 4]))).reshape(2, 2, 3)
    assert (ids[0, :, [0, 2]] == 4).all()
    assert (ids[0, :, 1] < 0).all()
    assert len(np.unique(ids[ids < 0])) == 4  # the auxiliary image, and all three under the second transform


def test_a_batch_of_one_image_or_without_a_normal_one_is_finite():
    z = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    for labels in (None, np.array([-1])):
        ids = unilateral_ids(1, 4, labels)
        for options in ({}, {"soft": True}, {"soft": True, "pairwise": True}):
            assert np.isfinite(to_numpy(unilateral_loss(z, ids, **options)))


def test_without_a_positive_an_anchor_counts_as_zero():
    z = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    alone = np.array([0, -1, -2])
    assert to_numpy(unilateral_loss(z, alone)) == 0
    assert to_numpy(unilateral_loss(z, alone, soft=True)) == 0
