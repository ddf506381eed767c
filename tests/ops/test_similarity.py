import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.losses import agreement_penalty, diagonal_cross_entropy, set_contrastive_loss
from contrast.ops import l2_normalize, max_mean_similarity
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(0)
A, B = rng.normal(size=(4, 3, 5)).astype("float32"), rng.normal(size=(6, 2, 5)).astype("float32")


def test_l2_normalize():
    x = np.array([[3, 4], [0, 0], [3e-30, 4e-30], [3e30, 4e30]], "float32")
    assert_close(l2_normalize(x), [[0.6, 0.8], [0, 0], [0.6, 0.8], [0.6, 0.8]])
    _, (gradient,) = backend.value_and_grad(lambda x: ops.sum(l2_normalize(x)[:, 0]), x[:2])
    assert_close(gradient, [[0.64 / 5, -0.48 / 5], [1, 0]])


def test_max_mean_similarity_without_masks():
    expected = np.einsum("ind,jfd->ijnf", A, B).max(-1).mean(-1)
    assert_close(max_mean_similarity(A, B), expected)


def test_padding_has_no_influence():
    a_mask, b_mask = rng.random((4, 3)) < 0.6, rng.random((6, 2)) < 0.6
    a_mask[0], b_mask[0], b_mask[1] = False, False, [True, False]
    loud = 100.0
    value = max_mean_similarity(
        np.where(a_mask[..., None], A, loud), np.where(b_mask[..., None], B, loud), a_mask, b_mask
    )
    expected = np.zeros((4, 6))
    for i, j in np.ndindex(4, 6):
        if a_mask[i].any() and b_mask[j].any():
            expected[i, j] = (A[i][a_mask[i]] @ B[j][b_mask[j]].T).max(1).mean()
    assert_close(value, expected)


def test_of_equal_maxima_the_first_takes_the_gradient():
    b = np.ones((1, 3, 5), "float32")
    _, (_, gradient) = backend.value_and_grad(lambda a, b: ops.sum(max_mean_similarity(a, b)), A[:1], b)
    assert_close(gradient, np.stack([A[0].mean(0), np.zeros(5), np.zeros(5)])[None])


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="sets, elements, dim"):
        max_mean_similarity(A, B[..., :3])
    with pytest.raises(ValueError, match="as many sets"):
        set_contrastive_loss(A, B)


def test_invalid_samples_leave_rows_and_columns():
    similarity = rng.normal(size=(5, 5)).astype("float32")
    valid = np.array([True, False, True, True, False])
    kept = similarity[valid][:, valid]
    assert_close(diagonal_cross_entropy(similarity, valid), to_numpy(diagonal_cross_entropy(kept)))
    for kind in ("diagonal", "full"):
        expected = to_numpy(agreement_penalty(kept, 2 * kept, kind))
        assert_close(agreement_penalty(similarity, 2 * similarity, kind, valid), expected)


@pytest.mark.parametrize("valid", [[True] * 4, [True, False, False, False], [False] * 4])
def test_empty_sets_give_no_nan(valid):
    mask = np.repeat(np.array(valid)[:, None], 3, axis=1)
    value, gradients = backend.value_and_grad(lambda a, b: set_contrastive_loss(a, b, mask, mask), A, A + 0.1)
    assert np.isfinite(to_numpy(value))
    assert all(np.isfinite(to_numpy(g)).all() for g in gradients)
    for gradient in gradients:
        assert (to_numpy(gradient)[~np.array(valid)] == 0).all(), "what takes no part gets no gradient"


@pytest.mark.parametrize("direction", ["a_to_b", "b_to_a", "both"])
def test_directions_and_options(direction):
    forth, back = (to_numpy(max_mean_similarity(*pair)) for pair in ((A, A + 0.1), (A + 0.1, A)))
    terms = {"a_to_b": diagonal_cross_entropy(forth), "b_to_a": diagonal_cross_entropy(back)}
    terms["both"] = terms["a_to_b"] + terms["b_to_a"]
    expected = to_numpy(terms[direction])
    assert_close(set_contrastive_loss(A, A + 0.1, direction=direction, agreement=None), expected)
    full = expected + 0.5 * to_numpy(agreement_penalty(forth, back, "full"))
    actual = set_contrastive_loss(A, A + 0.1, direction=direction, agreement="full", agreement_weight=0.5)
    assert_close(actual, full)
    scaled = set_contrastive_loss(A / 0.5, A + 0.1, direction=direction)
    assert_close(set_contrastive_loss(A, A + 0.1, direction=direction, temperature=0.5), to_numpy(scaled))


@pytest.mark.parametrize(
    "options", [{"direction": "forth"}, {"agreement": "half"}, {"temperature": 0.0}], ids=str
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        set_contrastive_loss(A, A, **options)
