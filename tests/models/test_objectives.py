"""Each scheme's own mechanism, after the equations of its paper."""

import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend, losses, models
from contrast.callbacks import CollapseMonitor
from contrast.ops import sinkhorn
from tests.case import assert_close, to_numpy
from tests.models.schemes import CAPTIONS, IMAGES, LABELS, SMALL, VIEWS, conv, data, dense, make, vit


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def arrays(layer):
    return [np.array(weight) for weight in layer.get_weights()]


def fitted(name, rate=0.1, steps=1, labels=None, **options):
    model = make(name, **options)
    model.compile(keras.optimizers.SGD(rate))
    model.fit(data(name), labels, batch_size=8, epochs=steps, verbose=0)
    return model


@pytest.mark.once
@pytest.mark.parametrize("name", ["MoCoV2", "MoCoV3", "BYOL", "DINO"])
def test_the_teacher_starts_as_the_student_and_follows_it(name):
    encoder = dense()  # built in fit: the teacher is made before its weights have values
    options = {"total_steps": None} if name == "DINO" else {}
    model = make(name, encoder, momentum=0.75, **options)
    model.compile(keras.optimizers.SGD(0.1))
    x = VIEWS
    model.fit(x, batch_size=8, verbose=0)
    # The first update copied the student as it was before the first gradient; build it again from the seed.
    first = arrays(model.teacher.encoder)
    student = arrays(encoder)
    assert not np.array_equal(first[0], student[0])
    model.fit(x, batch_size=8, verbose=0)
    pairs = [(model.teacher.encoder, first, student)]
    for teacher, old, theirs in pairs:
        for now, before, followed in zip(arrays(teacher), old, theirs, strict=True):
            np.testing.assert_allclose(now, 0.75 * before + 0.25 * followed, rtol=1e-5, atol=1e-7)


@pytest.mark.once
def test_the_teacher_is_the_student_before_the_first_step():
    encoder = dense()
    model = make("BYOL", encoder)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(VIEWS, batch_size=8, verbose=0)
    for ours, theirs in zip(arrays(model.teacher.encoder), arrays(encoder), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.once
def test_momentum_rises_over_the_training():
    model = make("BYOL", momentum=0.5, total_steps=4)
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(VIEWS, batch_size=8, epochs=4, verbose=0)
    teacher = arrays(model.teacher.encoder)
    model.fit(VIEWS, batch_size=8, verbose=0)
    for now, before in zip(model.teacher.encoder.trainable_weights, teacher, strict=False):
        np.testing.assert_array_equal(to_numpy(now), before)  # momentum 1


def test_moco_v2_queue_and_loss():
    model = make("MoCoV2", queue_size=16, temperature=0.5)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(VIEWS, batch_size=8, shuffle=False, verbose=0)  # fills half of the queue
    # Without a step of the optimiser the teacher is the student.
    first = to_numpy(model.queue.read().embeddings)
    assert to_numpy(model.queue.read().valid).tolist() == [True] * 8 + [False] * 8
    keys = model.teacher_projector(model.teacher(VIEWS[:, 1], training=True))
    assert_close(first[:8], unit(to_numpy(keys)), 1e-4)

    loss = model.fit(VIEWS[::-1].copy(), batch_size=8, shuffle=False, verbose=0).history["loss"][0]
    queries = model.projector(model.encoder(VIEWS[::-1, 0].copy(), training=True))
    q, k = unit(to_numpy(queries)), unit(to_numpy(keys))[::-1]
    positive = np.exp((q * k).sum(1) / 0.5)
    expected = -np.mean(np.log(positive / (positive + np.exp(q @ first[:8].T / 0.5).sum(1))))
    assert loss == pytest.approx(expected, rel=1e-4)
    assert to_numpy(model.queue.read().valid).all()


def test_moco_v3_loss():
    model = make("MoCoV3", temperature=0.5)
    model.compile(keras.optimizers.SGD(0.0))
    loss = model.fit(VIEWS, batch_size=8, shuffle=False, verbose=0).history["loss"][0]
    outputs = model(VIEWS, training=True)
    q, k = unit(to_numpy(outputs["predictions"])), unit(to_numpy(outputs["embeddings"]))

    def contrast(a, b):
        logits = a @ b.T / 0.5
        return np.mean(np.log(np.exp(logits).sum(1)) - np.diagonal(logits))

    assert loss == pytest.approx(contrast(q[:, 0], k[:, 1]) + contrast(q[:, 1], k[:, 0]), rel=1e-4)


@pytest.mark.once
def test_byol_loss():
    model = make("BYOL")
    model.compile(keras.optimizers.SGD(0.0))
    loss = model.fit(VIEWS, batch_size=8, shuffle=False, verbose=0).history["loss"][0]
    outputs = model(VIEWS, training=True)
    q, z = unit(to_numpy(outputs["predictions"])), unit(to_numpy(outputs["embeddings"]))
    expected = np.mean(np.sum(2 - 2 * np.sum(q * z[:, ::-1], axis=-1), axis=-1))
    assert loss == pytest.approx(expected, rel=1e-4)


def test_simsiam_holds_its_targets_constant():
    model = make("SimSiam")
    model.build(VIEWS.shape)
    rng = np.random.default_rng(0)
    p, z = (rng.normal(size=(6, 2, 8)).astype("float32") for _ in range(2))

    def loss(predictions, embeddings):
        return model.compute_loss(y_pred={"predictions": predictions, "embeddings": embeddings})

    value, (of_p, of_z) = backend.value_and_grad(loss, p, z)
    cosines = (unit(p)[:, 0] * unit(z)[:, 1]).sum(-1) + (unit(p)[:, 1] * unit(z)[:, 0]).sum(-1)
    assert_close(value, -np.mean(cosines) / 2)
    assert np.abs(to_numpy(of_p)).max() > 0
    np.testing.assert_array_equal(to_numpy(of_z), 0)


@pytest.mark.once
@pytest.mark.parametrize("name", ["BYOL", "MoCoV2", "MoCoV3", "DINO"])
def test_no_gradient_flows_into_the_teacher(name):
    model = fitted(name)
    views = model.views(data(name))

    def of_images(images):
        return ops.sum(model.teach([images], training=False)) + ops.sum(images)

    _, (gradient,) = backend.value_and_grad(of_images, to_numpy(views[0]))
    np.testing.assert_array_equal(to_numpy(gradient), 1)
    assert not [weight for weight in model.trainable_variables if "teacher" in weight.path]


def test_nnclr_takes_the_nearest_of_the_queue():
    model = make("NNCLR", queue_size=8)
    model.build(VIEWS.shape)
    z = unit(np.random.default_rng(0).normal(size=(4, 8))).astype("float32")
    assert_close(model.nearest(ops.convert_to_tensor(z)), z)  # the queue is empty
    support = unit(np.random.default_rng(1).normal(size=(5, 8))).astype("float32")
    model.queue.enqueue(support)
    assert_close(model.nearest(ops.convert_to_tensor(z)), support[(z @ support.T).argmax(1)])


@pytest.mark.once
def test_nnclr_keeps_the_first_view():
    model = make("NNCLR", queue_size=8)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(VIEWS, batch_size=8, shuffle=False, verbose=0)
    expected = unit(to_numpy(model(VIEWS, training=True)["embeddings"]))[:, 0]
    assert_close(model.queue.read().embeddings, expected, 1e-4)


@pytest.mark.once
@pytest.mark.parametrize("name", ["SwAV", "DINO"])
def test_prototypes_are_frozen_at_first(name):
    model = make(name, freeze_steps=2)
    model.compile(keras.optimizers.Adam(0.01))
    model.build([VIEWS.shape, SMALL.shape])
    start = to_numpy(model.prototypes.prototypes)
    model.fit(data(name), batch_size=8, epochs=2, verbose=0)
    np.testing.assert_array_equal(to_numpy(model.prototypes.prototypes), start)
    model.fit(data(name), batch_size=8, verbose=0)
    assert not np.array_equal(to_numpy(model.prototypes.prototypes), start)
    assert int(to_numpy(model.step)) == 3


@pytest.mark.once
def test_swav_codes_with_and_without_the_queue():
    model = make("SwAV", queue_size=8)
    model.build([VIEWS.shape, SMALL.shape])
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 3, 8)).astype("float32")
    scores = model.prototypes(z)
    alone = np.stack([to_numpy(sinkhorn(scores[:, view], 0.05, 3)) for view in range(2)], axis=1)
    assert_close(model.codes(scores), alone)
    earlier = rng.normal(size=(2, 8, 8)).astype("float32")
    for view in range(2):
        model.queue.enqueue(earlier[view], group=view)
    together = [
        to_numpy(sinkhorn(ops.concatenate([model.prototypes(earlier[view]), scores[:, view]]), 0.05, 3))[8:]
        for view in range(2)
    ]
    assert_close(model.codes(scores), np.stack(together, axis=1))
    assert not np.allclose(together[0], alone[:, 0])


@pytest.mark.once
def test_swav_keeps_embeddings_from_a_step_on():
    model = fitted("SwAV", queue_start=1)
    assert not to_numpy(model.queue.read().valid).any()
    model.fit(data("SwAV"), batch_size=8, verbose=0)
    assert to_numpy(model.queue.read().valid).sum(axis=1).tolist() == [8, 8]


@pytest.mark.once
def test_dino_centre_and_temperature():
    model = make("DINO", warmup_steps=4, center_momentum=0.75)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(data("DINO"), batch_size=8, shuffle=False, verbose=0)
    embeddings = model.teach([VIEWS], training=False)  # of inference: only to have the shape
    assert tuple(embeddings.shape) == (8, 2, 8)
    features = model.teacher(VIEWS.reshape(16, 8, 8, 1), training=True)
    logits = to_numpy(model.teacher_prototypes(model.teacher_projector(features)))
    assert_close(model.centering.value, 0.25 * logits.mean(axis=0), 1e-4)
    temperatures = [float(to_numpy(model.temperature_at(step))) for step in (0, 2, 4, 9)]
    assert temperatures == pytest.approx([0.04, 0.055, 0.07, 0.07])


def test_dual_encoder_temperature_moves_and_is_clipped():
    model = make("DualEncoder")
    model.compile(keras.optimizers.SGD(0.1))
    pairs = (IMAGES, CAPTIONS)
    model.fit(pairs, batch_size=8, verbose=0)
    start = -np.log(0.07)
    assert to_numpy(model.temperature.log_inverse) != pytest.approx(-start, abs=1e-6)
    a, b = (to_numpy(part) for part in model(pairs))
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1, rtol=1e-5)
    logits = a @ b.T / float(to_numpy(model.temperature.value))
    columns = np.log(np.exp(logits).sum(0)) - np.diagonal(logits)
    rows = np.log(np.exp(logits).sum(1)) - np.diagonal(logits)
    assert model.evaluate(pairs, batch_size=8, verbose=0) == pytest.approx(
        (rows + columns).mean() / 2, rel=1e-4
    )

    for far, bound in ((100.0, 0.01), (-100.0, 1.0)):
        model.temperature.log_inverse.assign(far)
        model.fit(pairs, batch_size=8, verbose=0)
        assert float(to_numpy(model.temperature.value)) == pytest.approx(bound)
        assert float(to_numpy(model.temperature.log_inverse)) == pytest.approx(-np.log(bound), abs=1e-6)


@pytest.mark.once
def test_dual_encoder_sigmoid_and_ids():
    model = make("DualEncoder sigmoid")
    model.compile(keras.optimizers.SGD(0.0))
    pairs = (IMAGES, CAPTIONS)
    loss = model.evaluate(pairs, batch_size=8, verbose=0)
    a, b = (to_numpy(part) for part in model(pairs))
    logits = a @ b.T / 0.1 - 10.0
    signs = 2 * np.eye(8) - 1
    assert loss == pytest.approx(np.log1p(np.exp(-signs * logits)).sum() / 8, rel=1e-4)
    # Rows of one id are no negatives of each other.
    known = np.equal.outer(LABELS, LABELS) & ~np.eye(8, dtype=bool)
    ignored = model.evaluate(pairs, LABELS, batch_size=8, verbose=0)
    assert ignored == pytest.approx((np.log1p(np.exp(-signs * logits)) * ~known).sum() / 8, rel=1e-4)


@pytest.mark.once
def test_sup_con_reads_labels_and_simclr_only_if_told():
    for name, options, same in (
        ("SupCon", {}, False),
        ("SimCLR", {}, True),
        ("SimCLR", {"same_id": "positive"}, False),
    ):
        model = make(name, **options)
        model.compile(keras.optimizers.SGD(0.0))
        without = model.evaluate(VIEWS, batch_size=8, verbose=0)
        assert (model.evaluate(VIEWS, LABELS, batch_size=8, verbose=0) == pytest.approx(without)) is same
    z = to_numpy(model.outputs(model.views(VIEWS), training=False)["embeddings"])
    expected = losses.NTXent(0.1, same_id="positive")(LABELS, z)
    assert model.evaluate(VIEWS, LABELS, batch_size=8, verbose=0) == pytest.approx(
        float(to_numpy(expected)), rel=1e-5
    )


@pytest.mark.parametrize("pooling", ["mean", "class"])
def test_the_encoder_never_sees_hidden_patches(pooling):
    model = make("MaskedAutoencoder", vit(pooling=pooling))
    model.build(IMAGES.shape)
    mask = model.outputs(IMAGES, training=True)["mask"]
    assert to_numpy(mask).sum(axis=1).tolist() == [12] * 8
    tokens = to_numpy(model.encode_visible(IMAGES, mask))
    assert tokens.shape == (8, 4 + (pooling == "class"), 8)
    pixels = np.kron(to_numpy(mask).reshape(8, 4, 4), np.ones((1, 2, 2)))[..., None].astype(bool)
    hidden = np.where(pixels, np.random.default_rng(1).random(IMAGES.shape), IMAGES).astype("float32")
    np.testing.assert_array_equal(to_numpy(model.encode_visible(hidden, mask)), tokens)
    seen = np.where(pixels, IMAGES, 0.5).astype("float32")
    assert np.abs(to_numpy(model.encode_visible(seen, mask)) - tokens).max() > 1e-3


@pytest.mark.once
def test_patches_go_back_to_their_places():
    model = make("MaskedAutoencoder", normalize=False, mask_ratio=0.5)
    painted, mask = model.reconstruct(IMAGES)
    pixels = np.kron(mask.reshape(8, 4, 4), np.ones((1, 2, 2)))[..., None].astype(bool)
    np.testing.assert_array_equal(painted[~pixels], IMAGES[~pixels])
    assert mask.sum(axis=1).tolist() == [8] * 8
    # A decoder's token that only has its place gets the patch of this place.
    model.decode = lambda tokens, mask, training: model.patches(IMAGES)
    np.testing.assert_array_equal(model.reconstruct(IMAGES)[0], IMAGES)
    patch = to_numpy(model.patches(IMAGES))[:, 5]  # row 1, column 1
    np.testing.assert_array_equal(patch, IMAGES[:, 2:4, 2:4].reshape(8, -1))


@pytest.mark.once
def test_masked_autoencoder_learns_what_it_can_know():
    """The left half is the negative of the right one: a visible patch and its place tell all others."""
    halves = np.random.default_rng(0).integers(0, 2, (32, 1, 1, 1))
    images = np.concatenate([np.tile(halves, (1, 8, 4, 1)), np.tile(1 - halves, (1, 8, 4, 1))], axis=2)
    model = models.MaskedAutoencoder(
        vit(dim=16), mask_ratio=0.5, decoder_dim=16, decoder_depth=1, decoder_heads=2, normalize=False, seed=0
    )
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(images.astype("float32"), batch_size=32, epochs=50, verbose=0).history
    assert history["loss"][-1] < 0.2  # 0.25 is the variance of the pixels: what can be known without a look


@pytest.mark.once
def test_two_views_of_a_pair_or_of_an_augmentation_are_the_same_to_a_scheme():
    model = make("SimCLR")
    model.compile(keras.optimizers.SGD(0.0))
    expected = model.evaluate(VIEWS, batch_size=8, verbose=0)
    pair = (VIEWS[:, 0], VIEWS[:, 1])
    assert model.evaluate(pair, batch_size=8, verbose=0) == pytest.approx(expected)

    class Pairs(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return pair, LABELS

    assert model.evaluate(Pairs(), verbose=0) == pytest.approx(expected)
    assert [tuple(part.shape) for part in model(pair)] == [(8, 8), (8, 8)]
    assert tuple(model(VIEWS).shape) == (8, 2, 8)


@pytest.mark.once
def test_nan_images_are_reported(caplog):
    images = IMAGES.copy()
    images[0] = np.nan
    model = make("SimCLR", augmentation=keras.layers.GaussianNoise(0.1))
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(images, batch_size=8, callbacks=[CollapseMonitor(IMAGES)], verbose=0).history
    assert np.isnan(history["loss"]).all()
    assert "not finite" in caplog.text


def simclr(encoder):
    return models.SimCLR(encoder, projector=(8, 8))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: simclr(two_outputs()).build(VIEWS.shape), "one output.* got 2 outputs"),
        (lambda: simclr(keras.layers.Conv2D(2, 3)).build(VIEWS.shape), "must give features"),
        (lambda: simclr(conv())(VIEWS[:, :1], training=True), "at least 2 views of each sample, got 1"),
        (lambda: make("SimSiam")(np.repeat(VIEWS, 2, axis=1), training=True), "needs 2 views.* got 4"),
        (lambda: simclr(conv())(VIEWS[:1], training=True), "a batch of one"),
        (lambda: make("BarlowTwins")(VIEWS[:1], training=True), "a batch of one"),
        (lambda: make("DINO", batch_norm=True)(VIEWS[:1], training=True), "a batch of one"),
        (lambda: simclr(conv()).build((None, 8)), "needs views"),
        (lambda: simclr(conv())(IMAGES, training=True), "got single samples"),
        (
            lambda: make("SimCLR", augmentation=keras.layers.Identity()).build([(8, 8), (8, 8)]),
            "wants samples",
        ),
        (lambda: make("BYOL", predictor=(8, 4)).build(VIEWS.shape), "predictor must end .* got 4 .* 8"),
        (lambda: fitted("MoCoV2", queue_size=4), "batch of 8 does not fit into a queue of size 4"),
        (lambda: fitted("NNCLR", queue_size=4), "batch of 8 does not fit"),
        (lambda: fitted("SwAV", queue_size=4), "batch of 8 does not fit"),
        (lambda: make("SimCLR", temperature=0.0), "temperature must be positive"),
        (lambda: make("SimCLR", same_id="other"), "same_id must be one of"),
        (lambda: make("BYOL", momentum=lambda step: 0.5, total_steps=4), "goes with a momentum"),
        (lambda: make("MaskedAutoencoder", mask_ratio=0.01).build(IMAGES.shape), "hide at least one"),
        (lambda: make("MaskedAutoencoder", mask_ratio=1.0), "between 0 and 1"),
        (lambda: make("DualEncoder").build(IMAGES.shape), "needs pairs"),
        (lambda: make("DualEncoder", objective="hinge"), "objective must be one of"),
        (lambda: make("DualEncoder", temperature=0.0), "0 < minimum <= initial"),
    ],
)
@pytest.mark.once
def test_what_cannot_work_is_refused(run, message):
    with pytest.raises(ValueError, match=message):
        run()


@pytest.mark.once
def test_what_is_no_encoder_is_refused():
    with pytest.raises(TypeError, match="encoder must be a layer"):
        models.SimCLR(np.mean)
    with pytest.raises(TypeError, match="transformer over patches"):
        models.MaskedAutoencoder(conv())


def augmented(name):
    return make(name, augmentation=keras.layers.GaussianNoise(0.1))


def two_outputs():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, [keras.layers.Dense(2)(x), keras.layers.Dense(3)(x)])
