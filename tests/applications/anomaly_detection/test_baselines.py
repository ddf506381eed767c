import keras
import numpy as np
import pytest

from applications.anomaly_detection.baselines import (
    CSI,
    NTXentUnion,
    RotationPrediction,
    csi_score,
    one_class_svm_score,
    raw_pixel_score,
)
from contrast.encoders import ConvNet
from contrast.losses import NTXent
from contrast.retrieval import NearestNeighborScore
from tests.case import assert_close, to_numpy

IMAGES = np.random.default_rng(0).random((10, 8, 8, 1)).astype("float32")
METHODS = (NTXentUnion, CSI, RotationPrediction)


def make(method):
    return method(ConvNet((4, 6)), head=(8, 4))


@pytest.mark.golden
def test_csi_score(golden):
    case = golden("anomaly_detection")
    transforms, queries = len(case["csi_axis"]), len(case["csi_feat"])

    def by_transform(x):
        return x.reshape(queries, transforms, -1, x.shape[-1]).mean(2).transpose(1, 0, 2)

    score = csi_score(
        by_transform(case["csi_feat"]),
        by_transform(case["csi_shift_logit"]),
        case["csi_axis"],
        case["csi_weight_sim"],
        case["csi_weight_shift"],
    )
    assert_close(score, case["csi_score"])


@pytest.mark.golden
def test_nearest_neighbour_scores(golden):
    case = golden("anomaly_detection")
    assert_close(NearestNeighborScore(case["bank"])(case["query"][:, 0]), case["score"])
    for copies in ("mean_score", "mean_feature"):
        score = NearestNeighborScore(case["bank"], copies)(case["query"])
        assert_close(score, case[f"score_tta_{copies}"])


@pytest.mark.golden
def test_nt_xent_on_the_union(golden):
    """The golden rows are by view, then by shifted image; ours are by transform, then by view."""
    case = golden("anomaly_detection")
    images = int(case["is_inlier"].sum()) // 2
    z = case["z"].reshape(2, -1, images, case["z"].shape[1]).transpose(1, 0, 2, 3)
    model = NTXentUnion(ConvNet((4, 6)), temperature=float(case["tau"]))
    loss = model.views_loss({"projection": z.reshape(-1, z.shape[-1])}, None)
    assert_close(loss, case["loss_ntxent_union"])


@pytest.mark.parametrize("method", METHODS)
def test_trains_scores_and_is_saved(method, tmp_path):
    model = make(method)
    model.build(IMAGES.shape)
    model.compile(keras.optimizers.SGD(0.05))
    before = [to_numpy(weight) for weight in model.trainable_variables]
    model.fit(IMAGES, batch_size=10, verbose=0)
    for weight, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(to_numpy(weight), old), weight.path
    scores = model.score(IMAGES[:4])
    assert scores.shape == (4,) and np.isfinite(scores).all()
    assert_close(model.score(IMAGES[2:4]), scores[2:], 1e-4)
    model.threshold = 0.3
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_close(loaded.score(IMAGES[:4]), scores, 1e-5)
    assert loaded.threshold == 0.3


def test_a_changed_configuration_leaves_the_detector_alone():
    model = make(CSI)
    model.get_config()["strength"]["grey"] = 0.5
    assert model.strength.grey == 0.0


def test_the_loss_of_csi_is_both_losses():
    model = make(CSI)
    model.build(IMAGES.shape)
    outputs = {name: to_numpy(value) for name, value in model(IMAGES, training=True).items()}
    logits = outputs["shift_logit"].reshape(4, 20, 4)
    entropy = np.log(np.exp(logits).sum(-1)) - np.stack([logits[k, :, k] for k in range(4)])
    z = outputs["projection"].reshape(4, 2, 10, 4).transpose(0, 2, 1, 3).reshape(40, 2, 4)
    expected = entropy.mean() + to_numpy(NTXent(0.5)(None, z))
    assert_close(model.compute_loss(IMAGES, None, outputs), expected)


def test_rotation_prediction_scores_the_right_transform():
    model = make(RotationPrediction)
    model.build(IMAGES.shape)
    model.remember(IMAGES)
    features = np.stack([to_numpy(model.encoder(np.rot90(IMAGES, k, (1, 2)).copy())) for k in range(4)])
    logits = np.stack([to_numpy(model.classify(f)) for f in features])
    expected = np.mean([logits[k, :, k] - np.log(np.exp(logits[k]).sum(-1)) for k in range(4)], axis=0)
    assert_close(model.score(IMAGES), expected)


def test_without_training():
    normal, odd = IMAGES[:6] * 0.1 + [[[0.8]]] * np.eye(8)[None, :, :, None] * 0.2, IMAGES[6:]
    for method in (raw_pixel_score, one_class_svm_score):
        scores = method(normal, np.concatenate([normal, odd]))
        assert scores.shape == (10,)
        assert scores[:6].min() > scores[6:].max()
    brighter = raw_pixel_score(IMAGES, np.clip(IMAGES * 0.5 + 0.2, 0, 1), subtract_mean=True)
    assert_close(brighter, np.ones(10))
    assert raw_pixel_score(IMAGES, np.full((1, 8, 8, 1), 0.5), subtract_mean=True)[0] == 0
