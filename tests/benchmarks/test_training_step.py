import numpy as np
import pytest

from benchmarks import training_step

SETTINGS = {
    "batch": 6,
    "side": 9,
    "filters": [4, 6],
    "projector": [8, 5],
    "temperature": 0.1,
    "steps": 2,
    "length": 4,
    "dim": 8,
    "depth": 1,
    "heads": 2,
    "learning_rate": 0.05,
}


@pytest.mark.once
@pytest.mark.parametrize("scheme", training_step.SCHEMES)
@pytest.mark.parametrize("side", [8, 9])
def test_the_same_model_by_hand_trains_alike(scheme, side):
    result = training_step.measure(scheme, {**SETTINGS, "side": side}, "cpu", repetitions=1)
    assert set(result["losses"]) == {"contrast", "plain torch", training_step.KERAS_LAYERS}
    assert result["difference"] < 1e-4
    for losses in result["losses"].values():
        assert len(losses) == 2 and losses[0] != losses[1]
    assert result["ratio"] == pytest.approx(result["seconds"]["contrast"] / result["seconds"]["plain torch"])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", training_step.SCHEMES)
def test_the_same_model_by_hand_trains_alike_on_jax(scheme):
    request = {"scheme": scheme, "settings": SETTINGS, "device": "cpu", "repetitions": 1}
    result = training_step.common.in_process(
        training_step.__file__, "jax", request, **training_step.environment("cpu")
    )
    assert result["difference"] < 1e-4 and set(result["seconds"]) == {"contrast", "plain jax"}


@pytest.mark.once
def test_texts_end_in_padding():
    for images, ids in training_step.batches_of("DualEncoder", SETTINGS):
        assert images.shape == (6, 9, 9, 3) and ids.shape == (6, 4)
        assert (ids[:, :2] > 0).all() and (np.diff((ids > 0).astype(int), axis=1) <= 0).all()


@pytest.mark.once
def test_rows_say_where_losses_differ_and_what_failed():
    seconds = {"contrast": 0.002, "plain torch": 0.001, training_step.KERAS_LAYERS: 0.004}
    known = {"scheme": "SimCLR", "backend": "torch", "seconds": seconds}
    rows = training_step.rows_of(
        [
            {**known, "difference": 1e-6, "ratio": 2.0},
            {**known, "difference": 0.1, "ratio": 2.0},
            {"scheme": "SimCLR", "backend": "tensorflow", "seconds": {"contrast": 0.003}},
            {"scheme": "SimCLR", "backend": "torch", "failed": "no memory"},
        ]
    )
    assert [row[4] for row in rows] == [2.0, "losses differ", None, None]
    assert [row[6] for row in rows] == [0.5, None, None, None]
    assert rows[0][2:4] == [2.0, 1.0] and rows[0][5] == 4.0 and rows[3][2] == "no memory"
    assert training_step.difference([2.0, 9.0], [2.2, 1.0]) == pytest.approx(0.2 / 2.2)
