"""The same trainings on one device and on several; `tests/distribution/program.py` compares them."""

import keras
import numpy as np
from keras import ops

from contrast import backend, losses, models
from contrast.data.batches import ArrayBatches
from contrast.distribution import gather
from contrast.layers import Temperature
from tests.distribution.application_losses import ApplicationLosses

DIM, ROWS = 6, 24
rng = np.random.default_rng(0)
VIEWS = rng.normal(size=(ROWS, 2, DIM)).astype("float32")
IDS = rng.integers(4, size=ROWS).astype("int32")
WEIGHTS = rng.uniform(0.5, 2.0, size=ROWS).astype("float32")
HEADS = {"projector": (8, 4)}
BOTH = {**HEADS, "predictor": (8, 4)}
SCHEMES = {
    "SimCLR": (models.SimCLR, HEADS),
    "MoCoV2": (models.MoCoV2, {**HEADS, "queue_size": 16}),
    "BYOL": (models.BYOL, {**BOTH, "momentum": 0.9}),
    "SwAV": (models.SwAV, {**HEADS, "prototypes": 5, "freeze_steps": 1, "queue_size": 8}),
    "DINO": (models.DINO, {**HEADS, "prototypes": 5, "freeze_steps": 1, "warmup_steps": 2}),
}
NAMES = {
    "tensorflow": ("SimCLR", "losses", "applications", "compiled", "SwAV", "DINO"),
    "jax": ("SimCLR", "applications", "MoCoV2", "SwAV"),
    "torch": ("SimCLR", "losses", "applications", "compiled", "MoCoV2", "BYOL", "SwAV", "DINO"),
}


class Batches(ArrayBatches):
    """Views, ids and weights in order."""

    def __init__(self, batch_size=8, rows=ROWS):
        arrays = {"views": VIEWS[:rows], "ids": IDS[:rows], "weights": WEIGHTS[:rows]}
        super().__init__(arrays, batch_size, shuffle=False)

    def __getitem__(self, index):
        return tuple(array[self.rows(index)] for array in self.arrays.values())


class ManyLosses(keras.Model):
    """An encoder with batch normalisation, under a sum of losses of all kinds."""

    def __init__(self):
        super().__init__()
        self.encoder = encoder()
        self.project = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.01))
        self.temperature = Temperature(0.5)
        self.memory = losses.CrossBatchMemory(losses.TripletMargin(), size=32, dim=4)
        self.heads = [losses.ArcFace(classes=4, dim=4), losses.ProxyAnchor(classes=4, dim=4)]

    def build(self, shape):
        self.encoder.build((None, DIM))
        self.project.build((None, 5))
        self.built = True

    def call(self, x, training=None):
        flat = self.project(self.encoder(ops.reshape(x, (-1, DIM)), training=training))
        return ops.reshape(flat, (-1, 2, 4))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        pair = (y_pred[:, 0], y_pred[:, 1])
        own = ops.stack([y_pred[:, 1] + 0.5, y_pred[:, 0] - 0.5], axis=1)
        own_losses = losses.SupervisedContrastive(reduction="none")(y, y_pred)
        terms = [
            losses.NTXent(self.temperature)(None, y_pred, sample_weight),
            losses.InfoNCE(symmetric=True)(y, pair, sample_weight, negatives=own),
            losses.SupervisedContrastive()(y, y_pred),
            losses.DecoupledContrastive(weighting="von_mises")(None, y_pred),
            losses.SigmoidContrastive(bias=-1.0)(y, pair),
            losses.BarlowTwins()(None, y_pred, sample_weight),
            losses.VICReg()(None, y_pred),
            losses.NegativeCosine()(None, pair, sample_weight),
            losses.NTXent(reduction="sum")(y, y_pred),
            ops.mean(gather(own_losses)) / backend.replica_count(),
            self.memory(y, y_pred, sample_weight, training=training),
            *(head(y, y_pred, sample_weight) for head in self.heads),
        ]
        means = losses.set_contrastive_loss(y_pred, ops.flip(y_pred, axis=1))
        return losses.total_loss(self, mean=means, loss=sum(terms[1:], terms[0]))


class Draws(keras.Model):
    """Keeps what its last step drew: two numbers for each of 8 rows."""

    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(3)
        self.drawn = self.add_weight(shape=(8, 2), initializer="zeros", trainable=False, name="drawn")
        self.dense = keras.layers.Dense(1)

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x, training=None):
        return self.dense(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        numbers = keras.random.uniform((ops.shape(x)[0], 2), seed=self.generator)
        self.drawn.assign(ops.reshape(gather(numbers), (8, 2)))
        return losses.total_loss(self, mean=ops.mean(y_pred))


def encoder():
    layers = [keras.layers.Dense(5), keras.layers.BatchNormalization(momentum=0.8)]
    return keras.Sequential([keras.Input((DIM,)), *layers, keras.layers.Activation("tanh")])


def application_losses():
    return ApplicationLosses(encoder(), DIM)


def regression():
    """What any user of Keras has: a loss given to `compile`, and a regulariser."""
    hidden = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))
    return keras.Sequential([keras.layers.Flatten(), hidden, keras.layers.Dense(1)])


def make(name):
    """A model with weights that are a function of the name alone."""
    own = {"losses": ManyLosses, "applications": application_losses, "draws": Draws, "compiled": regression}
    if name in own:
        model = own[name]()
    else:
        scheme, options = SCHEMES[name]
        model = scheme(encoder(), **options)
    model.build((None, 2, DIM))
    generator = np.random.default_rng(len(name))
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(generator.normal(0, 0.5, variable.shape))
    return model


def result(model, history):
    """Everything that a training leaves: variables by number, and the losses."""
    arrays = {f"{index} {v.path}": ops.convert_to_numpy(v) for index, v in enumerate(model.variables)}
    arrays |= {name: np.array(values) for name, values in history.history.items()}
    return {key: np.asarray(ops.convert_to_numpy(array)) for key, array in arrays.items()}


def train(model, data, epochs=1, eager=False, validate=False):
    """Trains and returns what is left; the model is compiled in the scope that is open now."""
    loss = "mse" if isinstance(model, keras.Sequential) else None  # the others compute theirs
    model.compile(keras.optimizers.SGD(0.05), loss=loss, run_eagerly=eager)
    options = {"validation_data": data} if validate else {}
    return lambda: result(model, model.fit(data, epochs=epochs, verbose=0, shuffle=False, **options))
