"""A training that tells how far it is, ends in time, and can be stopped."""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from applications.anomaly_detection.demo_corpora import DemoCorpus
from applications.anomaly_detection.demo_model import STEPS, DemoModel, small_recipe, train

SECONDS = 60  # of training; what was learned until then is kept


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Args:
        epochs: in all.
        loss: of each epoch so far.
        seconds: since the start.
    """

    epochs: int
    loss: tuple[float, ...]
    seconds: float


class Watch(keras.callbacks.Callback):
    """Passes progress on, and ends the training when it is told to or the time is up.

    Args:
        epochs: in all.
        tell: is called with a `Progress` after each epoch.
        stop: ends the training when it is set.
        seconds: after which the training ends.
    """

    def __init__(self, epochs, tell, stop: threading.Event, seconds: float):
        super().__init__()
        self.epochs, self.tell, self.stop, self.seconds = epochs, tell, stop, seconds
        self.loss = ()

    def on_train_begin(self, logs=None):
        self.started = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        if self.stop.is_set() or time.monotonic() - self.started > self.seconds:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.loss += (float(logs["loss"]),)
        self.tell(Progress(self.epochs, self.loss, time.monotonic() - self.started))


def train_watched(
    corpus: DemoCorpus, stop: threading.Event, steps: int = STEPS, seconds: float = SECONDS
) -> Iterator[Progress | DemoModel | None]:
    """Trains in a thread of its own.

    Args:
        corpus: what to train on.
        stop: ends the training when it is set.
        steps: of the optimizer, about.
        seconds: after which the training ends with what was learned until then.

    Yields:
        `Progress` after each epoch, and at the end the `DemoModel`, or `None` if it was stopped.

    Raises:
        Exception: whatever the training raised.
    """
    epochs = small_recipe(len(corpus.train), steps).epochs
    told = queue.Queue()

    def work():
        try:
            model = train(corpus, steps, [Watch(epochs, told.put, stop, seconds)])
            told.put(None if stop.is_set() else model)
        except Exception as error:
            told.put(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while True:
            event = told.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if not isinstance(event, Progress):
                return
    finally:
        stop.set()  # also when nobody listens any more
        worker.join()


class Stops:
    """Which visitor's training is to be stopped by whom: each by its own visitor only."""

    def __init__(self):
        self._events: dict[str, threading.Event] = {}

    def new(self, visitor: str) -> threading.Event:
        """What stops the training that this visitor begins now."""
        self._events[visitor] = threading.Event()
        return self._events[visitor]

    def stop(self, visitor: str) -> None:
        """Stops this visitor's training, if there is one."""
        event = self._events.pop(visitor, None)
        if event is not None:
            event.set()
