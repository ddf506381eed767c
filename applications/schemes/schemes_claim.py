"""Every scheme on the same digits with the same encoder and budget: do its features beat random ones?"""

from functools import partial

import keras
import numpy as np

from applications.claims import Arm, ArmResult, Check, Claim
from applications.schemes.batches import ImageBatches, TwoSides
from applications.schemes.corpus import Digits, digits
from applications.schemes.small import (
    SCHEMES,
    Recipe,
    encoder_of,
    make,
    small_encoder,
    small_vit,
    view,
)
from contrast.evaluation import knn_probe, linear_probe
from contrast.metrics import effective_rank

RANDOM, RANDOM_VIT, SUPERVISED = "random encoder", "random ViT", "supervised network"
LABELLED = ("SupCon",)
# Set before any result was seen; twenty of the 1,000 test digits.
MARGIN = 0.02


def claims() -> list[Claim]:
    """One experiment, with a check for each scheme."""
    arms = [Arm(name, partial(_run_scheme, name)) for name in SCHEMES]
    arms += [
        Arm(RANDOM, partial(_run_random, small_encoder)),
        Arm(RANDOM_VIT, partial(_run_random, small_vit)),
        Arm(SUPERVISED, _run_supervised),
    ]
    return [
        Claim(
            task="schemes",
            paper="schemes",
            corpus="MNIST digits",
            primary_metric="probe_accuracy",
            arms=arms,
            checks=[_check(name) for name in SCHEMES],
            reference=RANDOM,
            baselines=_baselines,
        )
    ]


def random_of(name: str) -> str:
    """The arm whose encoder a scheme starts from."""
    return RANDOM_VIT if name == "MaskedAutoencoder" else RANDOM


def _check(name):
    random = random_of(name)

    def holds(result):
        trained, untrained = (result["arms"][arm]["probe_accuracy"]["values"] for arm in (name, random))
        differences = np.subtract(trained, untrained)
        return bool(differences.mean() >= MARGIN and differences.min() > 0)

    return Check(f"{name} is above the {random} by at least {MARGIN:g}, and with every seed", holds)


def _parts(fast) -> dict[str, Digits]:
    """The digits, or a few of each class."""
    few = slice(None, None, 10) if fast else slice(None)
    return {name: Digits(part.images[few], part.labels[few]) for name, part in digits().items()}


def _recipe(fast) -> Recipe:
    return Recipe(batch_size=64, epochs=1) if fast else Recipe()


def _run_scheme(name, *, seed, fast) -> ArmResult:
    parts, recipe = _parts(fast), _recipe(fast)
    history, encoder = train_scheme(name, parts["train"], recipe, seed)
    return ArmResult(measures(encoder, parts["train"], parts["test"]), {"loss": history["loss"]})


def train_scheme(name: str, train: Digits, recipe: Recipe, seed: int):
    """Trains a scheme by name; returns its history and its encoder."""
    images = train.images
    scheme = make(name, recipe.steps(len(images)), seed)
    options = {"batch_size": recipe.batch_size, "seed": seed}
    if name == "DualEncoder":
        batches = TwoSides(images, view(seed=seed), **options)
    else:
        batches = ImageBatches(images, train.labels if name in LABELLED else None, **options)
    return _fit(scheme, batches, recipe, len(images)), encoder_of(scheme)


def _fit(model, batches, recipe, images, **options):
    several = 1 if keras.backend.backend() == "torch" else len(batches)
    model.compile(recipe.optimizer(images), steps_per_execution=several, **options)
    return model.fit(batches, epochs=recipe.epochs, shuffle=False, verbose=0).history


def _run_random(make_encoder, *, seed, fast) -> ArmResult:
    parts = _parts(fast)
    return ArmResult(measures(make_encoder(), parts["train"], parts["test"]))


def _run_supervised(*, seed, fast) -> ArmResult:
    """The encoder and a linear layer trained on labels, with the same views, batches and steps."""
    parts, recipe = _parts(fast), _recipe(fast)
    train, encoder = parts["train"], small_encoder()
    inputs = keras.Input(train.images.shape[1:])
    model = keras.Model(inputs, keras.layers.Dense(10)(encoder(view(seed=seed)(inputs))))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    batches = ImageBatches(train.images, train.labels, recipe.batch_size, seed)
    history = _fit(model, batches, recipe, len(train.images), loss=loss)
    return ArmResult(measures(encoder, train, parts["test"]), {"loss": history["loss"]})


def measures(encoder, train: Digits, test: Digits) -> dict[str, float]:
    """Probes of features on digits that were not in training, and the features' effective rank."""
    features, unseen = (encoder.predict(part.images, batch_size=250, verbose=0) for part in (train, test))
    return _scores(features, train.labels, unseen, test.labels)


def _scores(features, labels, unseen, unseen_labels):
    rank = effective_rank(keras.ops.convert_to_tensor(unseen), center=True)
    return {
        "probe_accuracy": linear_probe(features, labels, unseen, unseen_labels)["accuracy"],
        "knn_accuracy": knn_probe(features, labels, unseen, unseen_labels)["accuracy"],
        "effective_rank": float(keras.ops.convert_to_numpy(rank)),
    }


def _baselines(*, seeds, fast):
    parts = _parts(fast)
    pixels = [part.images.reshape(len(part.images), -1) for part in (parts["train"], parts["test"])]
    scores = _scores(pixels[0], parts["train"].labels, pixels[1], parts["test"].labels)
    return {"raw pixels": scores, "chance": {"probe_accuracy": 0.1, "knn_accuracy": 0.1}}
