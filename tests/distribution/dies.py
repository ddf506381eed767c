"""Trains until process 1 is gone: `python -m tests.distribution.dies`."""

import os

import contrast.distribution

REPLICAS = contrast.distribution.start(timeout=30)

import keras  # noqa: E402

from tests.distribution import trainings  # noqa: E402


class Ends(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if REPLICAS.index == 1 and batch == 1:
            os._exit(7)


with REPLICAS.scope():
    model = trainings.make("SimCLR")
    model.compile("sgd")
    REPLICAS.prepare(model)
    model.fit(REPLICAS.batches(trainings.Batches()), epochs=1000, callbacks=[Ends()], verbose=0)
