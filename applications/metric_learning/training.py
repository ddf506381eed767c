"""What `contrast train metric_learning` does."""

import logging
from pathlib import Path

import numpy as np

from applications.files import json_text, write_text
from applications.metric_learning.corpus import digits
from applications.metric_learning.reality_check import MetricModel
from contrast.data import ClassBalancedBatches, ImageFolder
from contrast.evaluation import retrieval_scores
from contrast.losses import MultiSimilarity
from contrast.retrieval import EmbeddingIndex

SIZE = (64, 64)
CLASSES_PER_BATCH, SAMPLES_PER_CLASS, EPOCHS = 8, 8, 10
EVALUATION, INDEX = "evaluation.json", "pictures.index"

logger = logging.getLogger("contrast")


def train(run, *, data: Path | None = None, seed: int = 0, epochs: int | None = None) -> MetricModel:
    """Trains an embedding for the command line, and makes an index of the pictures it was trained on.

    A tenth of each class, at least one picture, is held out where a class has four or more. How well these
    find their class in the index is written to `evaluation.json`; of the built-in digits, how well digits
    that were never seen find their like among one another. `pictures.index` is a
    `contrast.retrieval.EmbeddingIndex`, whose keys are paths below the folder (of digits, numbers) with the
    class as metadata.

    Args:
        run: the `applications.runs.RunFolder`, which keeps what this returns.
        data: a folder that has a sub-folder of pictures for each class; `None`: the built-in digits.
        seed: moves the pictures held out, the order and the initial weights.
        epochs: `None`: 10.

    Returns:
        The trained model, whose `embed` gives what to search the index with.

    Raises:
        ValueError: if there are fewer than two classes, or as for `contrast.data.ImageFolder`.
    """
    if data is None:
        parts = digits(seed)
        model = _fitted(run, parts.train, parts.train_ids, seed, epochs)
        scores = retrieval_scores(model.embed(parts.test), parts.test_ids, ks=(1,))
        keys, classes = None, parts.train_ids.tolist()
        pictures = parts.train
    else:
        folder = ImageFolder(data, SIZE)
        if len(folder.classes) < 2:
            raise ValueError(
                f"data must hold pictures of at least 2 classes, got {folder.classes} in {data}."
            )
        held_out, rows = split(folder.ids, seed)
        pictures = folder.subset(rows)
        model = _fitted(run, pictures, None, seed, epochs)
        keys = [path.relative_to(folder.folder).as_posix() for path in pictures.paths]
        classes = [folder.classes[one] for one in pictures.ids]
        scores = None
    embeddings = model.embed(pictures)
    if data is not None and len(held_out):
        queries = model.embed(folder.subset(held_out))
        scores = retrieval_scores(queries, folder.ids[held_out], embeddings, pictures.ids, ks=(1,))
    index = EmbeddingIndex()
    index.add(embeddings, keys=keys, metadata=classes)
    index.save(run.path / INDEX)
    if scores is not None:
        write_text(
            run.path / EVALUATION, json_text({name: scores[name] for name in ("recall_at_1", "map_at_r")})
        )
        logger.info("Recall@1 %.3f, mAP@R %.3f.", scores["recall_at_1"], scores["map_at_r"])
    return model


def split(ids: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows held out, a tenth of each class of four or more, and the other rows."""
    generator = np.random.default_rng(seed)
    held_out = [np.zeros(0, int)]
    for one in np.unique(ids):
        rows = generator.permutation(np.flatnonzero(ids == one))
        if len(rows) >= 4:
            held_out.append(rows[: max(1, len(rows) // 10)])
    held_out = np.sort(np.concatenate(held_out))
    return held_out, np.setdiff1d(np.arange(len(ids)), held_out)


def _fitted(run, pictures, ids, seed, epochs):
    known = pictures.ids if ids is None else ids
    classes = min(CLASSES_PER_BATCH, len(np.unique(known)))
    batches = ClassBalancedBatches(pictures, ids, classes, SAMPLES_PER_CLASS, seed=seed)
    model = MetricModel.small(MultiSimilarity())
    model.build((None, 1, *pictures.shape[1:]))
    model.compile(model.optimizer_for())
    run.fit(model, batches, epochs=epochs or EPOCHS, shuffle=False)
    return model
