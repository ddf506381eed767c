"""What watches a training."""

from collections.abc import Sequence

import keras

from applications.runs import last_logged
from applications.sign_translation.evaluation import sacrebleu_scores


class DevBleu(keras.callbacks.Callback):
    """BLEU-4 of greedy translations after some epochs, as `name` in the history.

    Args:
        clips: arrays `(frames, ...)` as the model was trained on.
        references: the right sentences of each.
        every: how many epochs lie between two measurements; between them the last value is repeated.
        name: in the history.

    Attributes:
        scores: the values measured.
    """

    def __init__(
        self,
        clips: Sequence,
        references: Sequence[Sequence[str]],
        every: int = 1,
        name: str = "val_bleu_4",
    ):
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}.")
        self.clips, self.references, self.every, self.name = clips, references, every, name
        self.scores: list[float] = []

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            found = self.model.translate(self.clips, beam_width=1, batch_size=len(self.clips))
            sentences = [translation.sentence for translation in found]
            self.scores.append(sacrebleu_scores(sentences, self.references)["bleu_4"])
        if logs is not None:
            logs[self.name] = self.scores[-1] if self.scores else last_logged(self.model, self.name)
