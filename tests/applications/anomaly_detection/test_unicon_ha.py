import keras
import numpy as np
import pytest
from keras import ops

from applications.anomaly_detection import Recipe, Stage, Strength, UniConHA, auroc
from applications.anomaly_detection.training import ImageBatches
from applications.anomaly_detection.unicon_ha import PAPER_STAGES
from applications.anomaly_detection.unilateral import unilateral_ids, unilateral_loss
from contrast.encoders import ConvNet, ResNet
from tests.case import assert_close, check_saved, to_numpy

RNG = np.random.default_rng(0)
IMAGES = RNG.random((10, 8, 8, 1)).astype("float32")
STAGES = (Stage(1, Strength.small(0.6), head=(8,)), Stage(2, Strength.small(0.4), weight=0.5, head=(8, 4)))


def small(**options):
    return UniConHA(**{"encoder": ConvNet((4, 6)), "stages": STAGES, **options})


@pytest.mark.once
def test_learns_what_a_face_is():
    """Trained on faces alone it tells background from faces, which the same net without training does not."""
    pytest.importorskip("skimage")
    from applications.anomaly_detection.corpus import faces

    split = faces()
    normal, test = (x.reshape(len(x), 10, 2, 10, 2, 1).mean((2, 4)) for x in (split.train, split.test))
    model = small(
        encoder=ConvNet((8, 16)), stages=(Stage(2, Strength.small(0.4), head=(32, 16)),), soft=False
    )
    model.build(normal.shape)
    model.remember(normal)
    before = auroc(split.is_normal, model.score(test))
    recipe = Recipe(batch_size=35, epochs=50, learning_rate=0.05)
    model.compile(**recipe.compile_options(len(normal)))
    loss = model.fit(normal, **recipe.fit_options(), verbose=0).history["loss"]
    after = auroc(split.is_normal, model.score(test))
    assert loss[-1] < loss[0] - 0.5
    assert after > max(0.93, before + 0.05)


@pytest.mark.smoke
def test_one_step_moves_every_weight_and_saving_keeps_the_model(tmp_path):
    model = small()
    model.build(IMAGES.shape)
    model.compile(keras.optimizers.SGD(0.1))
    before = [to_numpy(weight) for weight in model.trainable_variables]
    model.fit(IMAGES, batch_size=10, verbose=0)
    still = [
        weight.path
        for weight, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(to_numpy(weight), old)
    ]
    assert before and not still
    check_saved(model, IMAGES, tmp_path)


@pytest.mark.parametrize("soft", [False, True])
def test_loss_is_that_of_the_paper_stage_by_stage(soft):
    model = small(soft=soft)
    model.build(IMAGES.shape)
    embeddings = model(IMAGES, training=True)
    assert [tuple(z.shape) for z in embeddings] == [(80, 8), (80, 4)]
    ids = unilateral_ids(10, 4)
    first = to_numpy(unilateral_loss(embeddings[0], ids))  # soft aggregation is for the last stage alone
    last = to_numpy(unilateral_loss(embeddings[1], ids, soft=soft))
    assert_close(model.compute_loss(IMAGES, None, embeddings), (first + 0.5 * last) / 2)


def test_views_that_the_step_makes_stand_in_the_order_of_the_ids():
    """With nothing drawn, the two views of a shifted image have one embedding; the ids must say the same."""
    nothing = Strength(1.0, 0, 0, 0, 0, 0, 0)
    model = small(stages=(Stage(2, nothing, head=(16,)),), flip=False)
    model.build(IMAGES.shape)
    (z,) = (to_numpy(z) for z in model(IMAGES, training=True))
    ids = to_numpy(unilateral_ids(10, 4))
    for number in np.unique(ids[ids < 0]):
        first, second = z[ids == number]
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4)


def test_shallow_stages_do_not_run_the_deep_ones(monkeypatch):
    model = small()
    model.build(IMAGES.shape)
    ran = []
    for number, stage in enumerate(model.encoder.stages):
        call = stage.call

        def watched(*args, number=number, call=call, **kwargs):
            ran.append(number)
            return call(*args, **kwargs)

        monkeypatch.setattr(stage, "call", watched)
    model(IMAGES, training=True)
    assert ran == [0, 0, 1]


def test_labels_keep_classes_apart_and_auxiliary_images_out():
    model = small(soft=False)
    model.build(IMAGES.shape)
    embeddings = model(IMAGES, training=True)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, -1, -1])  # class 2 has one image
    losses = [to_numpy(model.compute_loss(IMAGES, y, embeddings)) for y in (None, labels, labels * 0)]
    assert np.isfinite(losses).all()
    assert losses[0] == losses[2] != losses[1]
    model.remember(IMAGES, labels)
    assert len(model.neighbors) == 8
    assert model.explain(IMAGES[7:8], 1).ids.tolist() == [[7]]


def test_partial_batches_validation_and_evaluate():
    model = small(pairwise=True)
    model.compile(keras.optimizers.SGD(0.01))
    history = model.fit(IMAGES[:5], batch_size=4, validation_data=(IMAGES[5:9],), verbose=0).history
    assert np.isfinite([*history["loss"], *history["val_loss"]]).all()
    assert len(model.neighbors) == 5
    weights = model.get_weights()
    assert np.isfinite(model.evaluate(IMAGES[:4], batch_size=4, verbose=0))
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_dataset_and_a_split_for_validation():
    model = small()
    model.compile(keras.optimizers.SGD(0.01))
    labels = np.array([0] * 8 + [-1] * 2)
    model.fit(ImageBatches(IMAGES, labels, batch_size=5), shuffle=False, verbose=0)
    assert len(model.neighbors) == 8
    assert_close(model.score(IMAGES[:8]), np.ones(8), 1e-4)
    model.fit(IMAGES, batch_size=5, validation_split=0.5, verbose=0)
    assert len(model.neighbors) == 5


@pytest.mark.once
def test_any_backbone_is_a_single_stage():
    backbone = keras.Sequential(
        [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    )
    model = UniConHA.from_backbone(backbone, Strength.small(), shift="cutperm")
    model.compile(keras.optimizers.SGD(0.01))
    model.fit(IMAGES[:4], verbose=0)
    assert model.predict(IMAGES, verbose=0).shape == (10, 4)


def test_defaults_are_those_of_the_paper():
    model = UniConHA()
    assert isinstance(model.encoder, ResNet)
    assert [stage.number for stage in model.stages] == [2, 3, 4]
    assert [stage.strength.crop_area for stage in model.stages] == [0.75, 0.5, 0.3]
    assert model.stages == PAPER_STAGES
    assert (model.temperature, model.soft_temperature, model.soft, model.pairwise) == (0.5, 0.5, True, False)
    assert Recipe() == Recipe(32, 2048, 0.01, 0.9, 3e-4)
    with keras.StatelessScope(initialize_variables=False):  # the shapes are enough
        model.build((None, 32, 32, 3))
    assert [head.filters for head in model.heads] == [(256, 512), (512,), ()]


def test_weight_decay_is_that_of_the_gradient():
    """With a constant gradient of zero, one weight shrinks as in SGD with momentum and L2 in the gradient."""
    recipe = Recipe(batch_size=1, epochs=1000, learning_rate=0.01, weight_decay=0.1)
    variable = keras.Variable(np.array([1.0], "float32"))
    optimizer = recipe.optimizer(1)
    weight, velocity = 1.0, 0.0
    for _ in range(200):
        optimizer.apply([ops.zeros((1,))], [variable])
        velocity = 0.9 * velocity - 0.01 * 0.1 * weight
        weight += velocity
    assert abs(float(to_numpy(variable)[0]) - weight) < 0.05


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stages": ()}, "at least one"),
        ({"stages": (STAGES[1], STAGES[0])}, "rising"),
        ({"temperature": 0}, "temperature must be positive, got 0"),
        ({"soft_temperature": -1}, "soft_temperature must be positive"),
        ({"test_copies": 0}, "test_copies must be at least 1"),
        ({"shift": "blur"}, "shift must be 'rotation' or 'cutperm'"),
    ],
)
def test_bad_options(options, says):
    with pytest.raises(ValueError, match=says):
        small(**options)


def test_the_last_stage_must_be_trained():
    with pytest.raises(ValueError, match=r"end with the encoder's last one, 2, got \[1\]"):
        small(stages=STAGES[:1]).build(IMAGES.shape)
