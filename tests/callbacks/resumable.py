"""A small training with everything that has a state; as a program, once for each folder it is given."""

import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from contrast.callbacks import TrainingCheckpoint
from contrast.data import ViewBatches
from contrast.layers import FoldViews, MemoryQueue, MomentumEncoder
from contrast.losses import InfoNCE, total_loss
from contrast.optimizers import WarmupCosine

EPOCHS, IMAGES, BATCH, WIDTH = 4, 22, 8, 6
STEPS = 3 * EPOCHS


class SmallMoCo(keras.Model):
    """Student, teacher and queue; dropout with and without a seed, batch normalisation, augmentation."""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.encoder = keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                keras.layers.RandomFlip("horizontal"),
                keras.layers.Flatten(),
                keras.layers.Dense(12),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.3),
                keras.layers.Dropout(0.2, seed=5),
                keras.layers.Dense(width),
            ]
        )
        momentum = WarmupCosine(0.9, total_steps=STEPS, end=1.0)
        self.fold = FoldViews(self.encoder)
        self.teacher = MomentumEncoder(self.encoder, momentum, batch_statistics="ema")
        self.queue = MemoryQueue(16, width)

    def call(self, inputs, training=None):
        return self.fold(inputs, training=training)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        self.teacher.update(self.encoder)
        keys = self.teacher(x[:, 1], training=training)
        negatives, _, valid = self.queue.read()
        batch = ops.shape(keys)[0]
        seen = ops.concatenate([ops.ones((batch,), "bool"), valid])
        mask = ops.broadcast_to(seen[None, :], (batch, ops.shape(seen)[0]))
        loss = InfoNCE(0.2)(None, (y_pred[:, 0], keys), negatives=negatives, candidate_mask=mask)
        self.queue.enqueue(keys)
        return total_loss(self, mean=loss)


def make(width=WIDTH, optimizer=None):
    """Data and compiled model, from the seeded global generators."""
    keras.utils.set_random_seed(3)
    images = np.random.default_rng(0).uniform(size=(IMAGES, 6, 6, 1)).astype("float32")
    augmentation = keras.Sequential(
        [keras.layers.RandomBrightness(0.3, (0, 1)), keras.layers.GaussianNoise(0.1, seed=2)]
    )
    batches = ViewBatches(images, augmentation, batch_size=BATCH, seed=1)
    model = SmallMoCo(width)
    schedule = WarmupCosine(0.02, total_steps=STEPS, warmup_steps=2)
    model.compile(optimizer or keras.optimizers.AdamW(schedule, use_ema=True, ema_momentum=0.9))
    return model, batches


def train(path, callbacks=(), epochs=EPOCHS, **options):
    """The model after all epochs; goes on from the checkpoint at `path` if there is one."""
    model, batches = make(**options)
    checkpoint = TrainingCheckpoint(path, batches)
    start = checkpoint.initial_epoch
    model.fit(batches, epochs=epochs, initial_epoch=start, callbacks=[*callbacks, checkpoint], verbose=0)
    return model


def arrays(model):
    """All that the model and its optimizer remember."""
    return [np.array(ops.convert_to_numpy(v)) for v in [*model.variables, *model.optimizer.variables]]


class Slow(keras.callbacks.Callback):
    """Leaves time to be killed within an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.2)


if __name__ == "__main__":
    for number, folder in enumerate(map(Path, sys.argv[1:])):
        trained = train(folder / "checkpoint.npz", [Slow()] if number else [])
        np.savez(folder / "final.npz", *arrays(trained))
