"""What the library has already gives the values and gradients of the official code of MLRG."""

import numpy as np
import pytest
from keras import ops

from contrast.decoding import SequenceCrossEntropy, shift_right
from contrast.layers import ProjectionHead
from contrast.losses import InfoNCE, SupervisedContrastive
from tests.case import assert_close, assert_value_and_gradient, to_numpy

pytestmark = pytest.mark.golden


@pytest.fixture
def case(golden):
    return golden("report_generation")


def test_views_of_a_study_find_each_other(case):
    """Each earlier image has an id of its own: it is dropped with all other images that stand alone."""
    prior, studies = case["group_is_prior"] == 1, case["group_study"]
    assert prior.any() and np.isin(studies[prior], studies[~prior]).all(), "priors have the id of their study"
    ids = np.where(prior, studies.max() + 1 + np.arange(len(studies)), studies)
    loss = SupervisedContrastive(temperature=float(case["mpc_temperature"]), no_positive="drop")
    assert_value_and_gradient(
        lambda z: loss(ids, z[:, None]), [case["mpc_embed"]], case["mpc_loss"], [case["mpc_grad"]]
    )
    # With the ids of their studies the earlier images would be positives.
    assert abs(float(loss(studies, case["mpc_embed"][:, None])) - case["mpc_loss"]) > 1e-2


def test_views_that_all_stand_alone_cost_nothing(case):
    loss = SupervisedContrastive(temperature=float(case["mpc_temperature"]), no_positive="drop")
    alone, embeddings = np.arange(len(case["mpc_embed"])), case["mpc_embed"]
    assert_value_and_gradient(
        lambda z: loss(alone, z[:, None]), [embeddings], case["mpc_loss_no_positive"], [0 * embeddings]
    )


def test_samples_of_a_study_share_the_target(case):
    ids = case["group_anchor_study"]
    assert len(np.unique(ids)) < len(ids), "a study is in the batch twice"
    loss = InfoNCE(temperature=float(case["align_temperature"]), same_id="shared", symmetric=True)
    assert_value_and_gradient(
        lambda image, text: loss(ids, (image, text)),
        [case["align_image"], case["align_text"]],
        case["align_loss"],
        [case["align_grad_image"], case["align_grad_text"]],
    )


def official_head(case):
    head = ProjectionHead((case["proj_kernel1"].shape[1], case["proj_kernel2"].shape[1]), batch_norm=True)
    head.build(case["proj_x"].shape)
    head.dense[0].set_weights([case["proj_kernel1"], case["proj_bias1"]])
    head.dense[1].set_weights([case["proj_kernel2"], case["proj_bias2"]])
    head.norms[0].set_weights([case[f"proj_{part}"] for part in ("gamma", "beta", "mean", "var")])
    return head


def test_projection_head(case):
    head = official_head(case)
    assert_close(head(case["proj_x"], training=False), case["proj_y_eval"])
    assert_close(head(case["proj_x"], training=True), case["proj_y_train"])


def test_projection_head_with_a_mask(case):
    """Padded tokens leave the outputs and the moving statistics of real ones as they are."""
    x = case["proj_x"]
    padded = np.pad(x, ((0, 1), (0, 2), (0, 0)), constant_values=50)
    mask = np.pad(np.ones(x.shape[:2], bool), ((0, 1), (0, 2)))
    head, unpadded = official_head(case), official_head(case)
    trained = to_numpy(head(padded, training=True, mask=mask))[: x.shape[0], : x.shape[1]]
    assert_close(trained, case["proj_y_train"])
    unpadded(x, training=True)
    for ours, theirs in zip(head.norms[0].get_weights(), unpadded.norms[0].get_weights(), strict=True):
        assert_close(ours, theirs)
    hidden = x @ case["proj_kernel1"] + case["proj_bias1"]
    moved = 0.9 * case["proj_mean"] + 0.1 * hidden.mean(axis=(0, 1))
    assert_close(head.norms[0].moving_mean, moved)


def test_language_model(case):
    """The token behind each one is the target; padding has none."""
    ids, padding = case["lm_ids"], int(case["lm_pad_id"])
    targets = ids[:, 1:]
    np.testing.assert_array_equal(np.where(targets == padding, -100, targets), case["lm_labels"])
    for labels, padding_id in ((targets, padding), (case["lm_labels"], -100)):
        loss = SequenceCrossEntropy(padding_id=padding_id)
        assert_value_and_gradient(
            lambda logits, labels=labels, loss=loss: loss(labels, logits),
            [case["lm_logits"]],
            case["lm_loss"],
            [case["lm_grad"]],
        )


def test_decoder_input(case):
    """The official decoder reads padding in the place of a separator, and attends to it all the same."""
    ids, padding = case["lm_ids"], int(case["lm_pad_id"])
    shifted = to_numpy(shift_right(ids[:, 1:], start_id=ids[:, 0]))
    np.testing.assert_array_equal(to_numpy(ops.not_equal(shifted, padding)), case["lm_decoder_mask"])
    decoder_ids = np.where(shifted == case["lm_sep_id"], padding, shifted)
    np.testing.assert_array_equal(decoder_ids, case["lm_decoder_ids"])
    assert (decoder_ids != shifted).any(), "a separator is in the file"
