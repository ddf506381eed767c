import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from contrast.callbacks.training_state import collect, put_back
from contrast.data.files import whole_file

logger = logging.getLogger("contrast")

DESCRIPTION = "description"


class TrainingCheckpoint(keras.callbacks.Callback):
    """Keeps a training on disk after each epoch, so that after any interruption `fit` goes on from there.

    The training that goes on comes to the same weights as an unbroken one: the file holds weights, optimizer,
    states of all seed generators (of the layers, of augmentation in the data, Keras's global one), the global
    generators of Python, NumPy and the backend, the `epoch` of the data, and the history. Give `fit` the
    `initial_epoch`, and this callback as the last one:

    ```python
    checkpoint = contrast.callbacks.TrainingCheckpoint("run/checkpoint.npz", batches)
    model.fit(batches, epochs=100, initial_epoch=checkpoint.initial_epoch, callbacks=[..., checkpoint])
    ```

    Without a file this trains from the start; run again after an interruption, it goes on.
    `model.history` then holds all epochs. Model, `compile` and data have to be made as they were the first
    time, from the same seed. What other callbacks remember (the patience of an `EarlyStopping`) starts anew.

    The file is whole or absent. When it cannot be written, on a full disk for instance, a warning says so,
    the last good one stays, and the training goes on; the warning is repeated at the end.

    Args:
        path: the file, by custom `.npz`; its folder is made if need be.
        data: the `keras.utils.PyDataset` that `fit` is given, such as `contrast.data.ArrayBatches`. Its
            `epoch` is kept, and the seeds of the Keras layers, seed generators and data sets that are its
            attributes. `None`: for arrays that are trained on with `shuffle=False`. The position in a
            Python generator or a `tf.data.Dataset` is not kept.
        every: epochs from one checkpoint to the next, at least 1; the end of the training is always kept.

    Attributes:
        initial_epoch: how many epochs the file holds; 0 if there is none.
        stopped: whether the training in the file was ended before its last epoch, by another callback.

    Raises:
        ValueError: if `every` is below 1; while reading, if the file cannot be read, or is of another model,
            optimizer or data, with the first difference; in `fit`, if `initial_epoch` is not the file's.
        TypeError: if `data` is no `keras.utils.PyDataset`.

    Example:

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "checkpoint.npz"
    >>> inputs = np.ones((4, 2), "float32")
    >>> def train(epochs):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     checkpoint = contrast.callbacks.TrainingCheckpoint(path)
    ...     start = checkpoint.initial_epoch
    ...     options = {"epochs": epochs, "initial_epoch": start, "shuffle": False, "verbose": 0}
    ...     history = model.fit(inputs, inputs[:, :1], callbacks=[checkpoint], **options)
    ...     return start, len(history.history["loss"])
    >>> train(2), train(3)
    ((0, 2), (2, 3))
    """

    def __init__(self, path: str | Path, data: keras.utils.PyDataset | None = None, every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}.")
        if data is not None and not isinstance(data, keras.utils.PyDataset):
            raise TypeError(f"data must be a keras.utils.PyDataset or None, got {type(data).__name__}.")
        self.path, self.data, self.every = Path(path), data, every
        self._history: dict[str, list[float]] = {}
        self._epochs_done = self._last_good = 0
        self._to_start_at: int | None = None
        self._failed: dict[int, str] = {}

    @property
    def initial_epoch(self) -> int:
        return self._described("epoch", 0)

    @property
    def stopped(self) -> bool:
        return self._described("stopped", False)

    def restore(self, model: keras.Model) -> int:
        """Sets `model`, its optimizer, the data and all global generators to what the file holds.

        `fit` does this by itself. The model is compiled; it is built, or can be called on a batch of data.

        Returns:
            How many epochs the training has behind it.
        """
        arrays, description = self._read()
        try:
            put_back(model, self.data, arrays, description["state"])
        except ValueError as error:
            raise ValueError(f"The checkpoint {self.path} is of another training: {error}") from error
        backend = description["state"]["backend"]
        if backend != keras.config.backend():
            logger.warning(
                "The checkpoint %s was made with %s. Training goes on with %s, and will not come to the very "
                "same weights.",
                self.path,
                backend,
                keras.config.backend(),
            )
        self._history = {name: list(values) for name, values in description["history"].items()}
        self._epochs_done = self._last_good = description["epoch"]
        return self._epochs_done

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._history, self._failed = {}, {}
        self._epochs_done, self._last_good, self._to_start_at = 0, 0, None
        if self.path.exists():
            self._to_start_at = self.restore(self.model)
            self.model.history.history.clear()
            self.model.history.history.update({name: [*values] for name, values in self._history.items()})

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._to_start_at not in (None, epoch):
            raise ValueError(
                f"fit must be given initial_epoch={self._to_start_at}, where {self.path} ends, got {epoch}. "
                "To start anew, delete the file."
            )
        self._to_start_at = None
        self._number_epochs()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs_done = epoch + 1
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        if self._epochs_done % self.every == 0:
            self._write()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._number_epochs()
        self._write()
        if self._failed:
            logger.warning(
                "Not every checkpoint could be written to %s (%s). %s.",
                self.path,
                "; ".join(f"epoch {epoch}: {reason}" for epoch, reason in self._failed.items()),
                self._what_is_left(),
            )

    def _number_epochs(self):
        """The numbers of the epochs that were trained before stand in `model.history`, too."""
        if not self.model.history.epoch:
            self.model.history.epoch = list(range(self._epochs_done))

    def _write(self):
        arrays, state = collect(self.model, self.data)
        stopped = bool(self.model.stop_training)
        description = {
            "epoch": self._epochs_done,
            "stopped": stopped,
            "history": self._history,
            "state": state,
        }
        arrays[DESCRIPTION] = np.frombuffer(json.dumps(description).encode(), "uint8")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
            self._last_good = self._epochs_done
        except OSError as error:
            self._failed[self._epochs_done] = str(error)
            logger.warning(
                "The checkpoint of epoch %d could not be written to %s: %s. Training goes on. %s.",
                self._epochs_done,
                self.path,
                error,
                self._what_is_left(),
            )

    def _what_is_left(self):
        return f"The last good one is of epoch {self._last_good}" if self._last_good else "There is none yet"

    def _described(self, key, default):
        return self._read(DESCRIPTION)[1][key] if self.path.exists() else default

    def _read(self, *names):
        """The arrays of these names, or of all, and the description."""
        try:
            with np.load(self.path) as file:
                arrays = {name: file[name] for name in names or file.files}
            return arrays, json.loads(arrays[DESCRIPTION].tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"The checkpoint {self.path} cannot be read: {error}") from error
