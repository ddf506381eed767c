"""Losses of metric learning agree with pytorch-metric-learning, values and gradients, on odd batches too."""

import keras
import numpy as np
import pytest

from contrast import backend, losses
from contrast.losses import HardestPairs, MultiSimilarityMiner
from tests.case import assert_close, assert_value_and_gradient, to_numpy
from tests.losses.metric_batches import BALANCED, BATCHES, RAGGED, RANDOM

torch = pytest.importorskip("torch")
pml = pytest.importorskip("pytorch_metric_learning")
from pytorch_metric_learning import distances, miners, reducers  # noqa: E402
from pytorch_metric_learning import losses as theirs  # noqa: E402

COSINE = distances.CosineSimilarity()
SQUARED = distances.LpDistance(power=2)
RAW = distances.LpDistance(normalize_embeddings=False)
MEAN = reducers.MeanReducer()

# Ours, theirs, their miner or None.
PAIRS = {
    "pair contrastive": (losses.PairContrastive(0.9, power=1), theirs.ContrastiveLoss(0, 0.9), None),
    "pair contrastive, margins": (
        losses.PairContrastive(1.2, 0.4, power=1),
        theirs.ContrastiveLoss(pos_margin=0.4, neg_margin=1.2),
        None,
    ),
    "pair contrastive, all pairs, cosine": (
        losses.PairContrastive(0.6, 0.1, power=1, average="all", distance="cosine"),
        theirs.ContrastiveLoss(pos_margin=0.9, neg_margin=0.4, distance=COSINE, reducer=MEAN),
        None,
    ),
    "pair contrastive, not normalised": (
        losses.PairContrastive(4.0, power=1, normalize=False),
        theirs.ContrastiveLoss(neg_margin=4.0, distance=RAW),
        None,
    ),
    "pair contrastive, miner": (
        losses.PairContrastive(1.5, power=1, miner=MultiSimilarityMiner(0.2)),
        theirs.ContrastiveLoss(neg_margin=1.5),
        miners.MultiSimilarityMiner(0.2, distance=distances.LpDistance()),
    ),
    "triplet": (losses.TripletMargin(0.2), theirs.TripletMarginLoss(0.2), None),
    "triplet, all of them": (
        losses.TripletMargin(0.3, average="all", distance="squared_euclidean"),
        theirs.TripletMarginLoss(0.3, distance=SQUARED, reducer=MEAN),
        None,
    ),
    "triplet, cosine": (
        losses.TripletMargin(0.1, distance="cosine"),
        theirs.TripletMarginLoss(0.1, distance=COSINE),
        None,
    ),
    "triplet, semi-hard": (
        losses.TripletMargin(0.4, mining="semi_hard"),
        theirs.TripletMarginLoss(0.4),
        miners.TripletMarginMiner(0.4, "semihard"),
    ),
    "triplet, batch hard": (
        losses.TripletMargin(0.2, mining="hard"),
        theirs.TripletMarginLoss(0.2),
        miners.BatchHardMiner(distance=distances.LpDistance()),
    ),
    "triplet, soft margin": (
        losses.TripletMargin("soft", mining=HardestPairs("easy", "hard")),
        theirs.TripletMarginLoss(0.0, smooth_loss=True),
        miners.BatchEasyHardMiner("easy", "hard", distance=distances.LpDistance()),
    ),
    "triplet, miner of pairs": (
        losses.TripletMargin(0.2, mining=MultiSimilarityMiner(0.1)),
        theirs.TripletMarginLoss(0.2),
        miners.MultiSimilarityMiner(0.1, distance=distances.LpDistance()),
    ),
    "pn": (
        losses.PN(0.2, negative="hard", average="nonzero", distance="euclidean"),
        theirs.TripletMarginLoss(0.2, swap=True),
        miners.BatchHardMiner(distance=distances.LpDistance()),
    ),
    "multi-similarity": (losses.MultiSimilarity(miner=None), theirs.MultiSimilarityLoss(), None),
    "multi-similarity, mined": (
        losses.MultiSimilarity(2, 10, 0.4),
        theirs.MultiSimilarityLoss(2, 10, 0.4),
        miners.MultiSimilarityMiner(0.1),
    ),
    "circle": (losses.Circle(), theirs.CircleLoss(), None),
    "circle of faces": (losses.Circle(0.25, 16.0), theirs.CircleLoss(0.25, 16), None),
    "lifted structure": (losses.LiftedStructure(1.0), theirs.GeneralizedLiftedStructureLoss(), None),
    "soft nearest neighbour": (losses.SoftNearestNeighbor(0.5), theirs.NCALoss(softmax_scale=2), None),
    "n-pairs": (losses.NPairs(normalize=True), theirs.NPairsLoss(), None),
    "n-pairs, not normalised": (
        losses.NPairs(),
        theirs.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False)),
        None,
    ),
}
# Where definitions part, as the docstrings say: what theirs gives an anchor without positive or negative.
PARTED = {("lifted structure", batch) for batch in ("ragged", "one class", "all distinct")}
PARTED |= {("soft nearest neighbour", "all distinct")}  # the mean of nothing, NaN


def their_value_and_gradient(loss, miner, embeddings, ids):
    rows, labels = torch.tensor(embeddings[:, 0], requires_grad=True), torch.tensor(ids)
    pairs = None if miner is None else miner(rows, labels)
    value = loss(rows, labels, pairs)
    value.backward()
    return value.detach().numpy(), rows.grad.numpy()[:, None]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("case", PAIRS)
def test_losses_over_pairs_and_triplets(case, batch):
    ours, loss, miner = PAIRS[case]
    embeddings, ids, rows = BATCHES[batch]
    value, (gradient,) = backend.value_and_grad(lambda z: ours(ids, z), embeddings)
    assert np.isfinite(to_numpy(gradient)).all()
    if (case, batch) in PARTED:
        return
    expected, expected_gradient = their_value_and_gradient(loss, miner, embeddings, ids)
    if (case, batch) == ("soft nearest neighbour", "one class"):  # 0, and rounding
        expected, expected_gradient = expected.round(6), expected_gradient.round(6)
    assert_close(value, expected)
    assert_close(to_numpy(gradient)[rows], expected_gradient[rows], 1e-4)


ARCFACE = losses.ArcFace(4, 6, margin=0.5, scale=16)
PROXIES = {
    "arcface": (ARCFACE, theirs.ArcFaceLoss(4, 6, margin=np.rad2deg(0.5), scale=16), "W"),
    "arcface, wide margin": (
        losses.ArcFace(4, 6, margin=2.5, scale=8),
        theirs.ArcFaceLoss(4, 6, margin=np.rad2deg(2.5), scale=8),
        "W",
    ),
    "cosface": (losses.CosFace(4, 6, 0.35, 16), theirs.CosFaceLoss(4, 6, margin=0.35, scale=16), "W"),
    "proxy anchor": (losses.ProxyAnchor(4, 6), theirs.ProxyAnchorLoss(4, 6), "proxies"),
    "proxy nca": (losses.ProxyNCA(4, 6, 0.5), theirs.ProxyNCALoss(4, 6, softmax_scale=2), "proxies"),
    "soft triple": (
        losses.SoftTriple(4, 6, centers=3, center_weight=0),
        theirs.SoftTripleLoss(4, 6, centers_per_class=3),
        "fc",
    ),
}


@pytest.mark.parametrize("batch", sorted(set(BATCHES) - {"ragged", "all distinct"}))
@pytest.mark.parametrize("case", PROXIES)
def test_losses_with_parameters(case, batch):
    """Gradients of the embeddings and of the proxies; a class that the batch lacks, in "one class"."""
    ours, loss, name = PROXIES[case]
    embeddings, ids, rows = BATCHES[batch]
    (vectors,) = ours.trainable_variables
    values = np.random.default_rng(5).normal(size=tuple(vectors.shape)).astype("float32")
    parameter = getattr(loss, name)
    transposed = name in ("W", "fc")
    parameter.data = torch.tensor(values.T.copy() if transposed else values)
    parameter.grad = None
    expected, expected_gradient = their_value_and_gradient(loss, None, embeddings, ids)
    vectors.assign(values)
    value, (gradient,) = backend.value_and_grad(lambda z: ours(ids, z), embeddings)
    assert_close(value, expected)
    assert_close(to_numpy(gradient)[rows], expected_gradient[rows], 1e-4)
    assert np.isfinite(to_numpy(gradient)).all()
    theirs_of_vectors = parameter.grad.numpy().T if transposed else parameter.grad.numpy()
    assert_close(gradient_of_variable(ours, vectors, values, embeddings, ids), theirs_of_vectors, 1e-4)


def gradient_of_variable(layer, variable, values, embeddings, ids):
    """With respect to a variable, which is replaced by a tensor for the call."""

    def loss(tensor):
        with keras.StatelessScope(state_mapping=[(variable, tensor)]):
            return layer(ids, embeddings)

    _, (gradient,) = backend.value_and_grad(loss, values)
    return gradient


REFERENCES = np.random.default_rng(7).normal(size=(9, 6)).astype("float32")
REFERENCE_IDS = np.array([0, 0, 1, 2, 3, 3, 3, 5, 9])
VALID = np.arange(9) < 7
WITH_REFERENCES = {
    "triplet": (losses.TripletMargin(0.2), theirs.TripletMarginLoss(0.2)),
    "pair contrastive": (losses.PairContrastive(1.2, power=1), theirs.ContrastiveLoss(neg_margin=1.2)),
    "multi-similarity": (losses.MultiSimilarity(miner=None), theirs.MultiSimilarityLoss()),
    "circle": (losses.Circle(gamma=20.0), theirs.CircleLoss(gamma=20)),
    "supervised contrastive": (losses.SupervisedContrastive(0.2), theirs.SupConLoss(0.2)),
}


@pytest.mark.parametrize("tile_size", [None, 5])
@pytest.mark.parametrize("case", WITH_REFERENCES)
def test_references(case, tile_size):
    """Candidates of the batch, with gradient, and references, without, as far as they are valid."""
    ours, loss = WITH_REFERENCES[case]
    ours = type(ours).from_config({**ours.get_config(), "tile_size": tile_size})
    rows = torch.tensor(RANDOM[:, 0], requires_grad=True)
    labels = torch.tensor(BALANCED)
    candidates = torch.cat([rows, torch.tensor(REFERENCES[VALID])])
    candidate_labels = torch.cat([labels, torch.tensor(REFERENCE_IDS[VALID])])
    same = labels[:, None] == candidate_labels[None, :]
    itself = torch.eye(12, len(candidates), dtype=bool)
    pairs = (*torch.where(same & ~itself), *torch.where(~same))
    value = loss(rows, labels, pairs, candidates, candidate_labels)
    value.backward()
    references = (REFERENCES, REFERENCE_IDS, VALID)
    assert_value_and_gradient(
        lambda z: ours(BALANCED, z, references=references),
        [RANDOM],
        value.detach().numpy(),
        [rows.grad.numpy()[:, None]],
    )


def test_cross_batch_memory():
    """The fourth batch no longer sees the first."""
    memory = losses.CrossBatchMemory(losses.TripletMargin(0.2), size=24, dim=6)
    theirs_memory = theirs.CrossBatchMemory(theirs.TripletMarginLoss(0.2), 6, memory_size=36)
    batches = np.random.default_rng(9).normal(size=(4, 12, 1, 6)).astype("float32")
    for step, (embeddings, ids) in enumerate(
        zip(batches, (BALANCED, RAGGED, BALANCED[::-1].copy(), RAGGED), strict=True)
    ):
        expected = theirs_memory(torch.tensor(embeddings[:, 0]), torch.tensor(ids))
        assert_close(memory(ids, embeddings), expected.numpy())
        before = to_numpy(memory.queue.embeddings)
        memory(ids, embeddings, training=False)
        np.testing.assert_array_equal(to_numpy(memory.queue.embeddings), before, f"stored at step {step}")
