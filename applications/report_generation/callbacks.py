"""What watches a training."""

from collections.abc import Callable, Mapping, Sequence

import keras

from applications.report_generation.image_features import ImageFeatures
from applications.report_generation.study import Study
from applications.runs import last_logged


class ReportScores(keras.callbacks.Callback):
    """Scores of the reports about held-out studies after some epochs, in the history.

    Args:
        studies: with findings.
        features: the tokens of their images.
        scores: from texts and references to values by name, such as `evaluation.report_scores`.
        names: which of them are kept, as `val_<name>`; their sum is `val_score`.
        every: how many epochs lie between two measurements; between them the last values are repeated.
        beam_width: of the search; 1 is greedy.

    Raises:
        ValueError: if there is no study, one has no findings, or `every` is below 1.
    """

    def __init__(
        self,
        studies: Sequence[Study],
        features: ImageFeatures,
        scores: Callable[[Sequence[str], Sequence[str]], Mapping[str, float]],
        names: Sequence[str],
        every: int = 1,
        beam_width: int = 1,
    ):
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}.")
        self.references = [study.findings for study in studies]
        if not studies or not all(self.references):
            raise ValueError("studies must be at least one, and all must have findings.")
        self.studies, self.features, self.scores = studies, features, scores
        self.names, self.every, self.beam_width = tuple(names), every, beam_width
        self.measured: list[dict[str, float]] = []

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            found = self.model.report(self.studies, self.beam_width, features=self.features)
            values = self.scores([report.findings for report in found], self.references)
            kept = {f"val_{name}": float(values[name]) for name in self.names}
            self.measured.append({**kept, "val_score": sum(kept.values())})
        if logs is not None:
            names = [*(f"val_{name}" for name in self.names), "val_score"]
            last = self.measured[-1] if self.measured else {n: last_logged(self.model, n) for n in names}
            logs.update(last)
