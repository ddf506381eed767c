"""Reports found by images: what the first stage can do by itself."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import ops

from applications.report_generation.batches import StudyBatches
from applications.report_generation.image_features import ImageFeatures
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.study import MAX_COMPANIONS, Study
from applications.report_generation.text import PAD_ID, ReportTokenizer
from contrast.features import predict_rows


class Embeddings(NamedTuple):
    """Vectors of studies: of their images `(studies, dim)` and of their facts `(studies, dim)`."""

    images: np.ndarray
    texts: np.ndarray


def embed_studies(
    model: MLRGPretraining,
    studies: Sequence[Study],
    features: ImageFeatures,
    tokenizer: ReportTokenizer,
    batch_size: int = 128,
) -> Embeddings:
    """What the first stage makes of studies; to be compared by cosine.

    Args:
        model: trained.
        studies: with facts.
        features: the tokens of their images.
        tokenizer: of the facts.
        batch_size: studies that are read at once.

    Raises:
        ValueError: if there is no study, or one has no facts.
    """
    for study in studies:
        if not study.facts:
            raise ValueError(f"study {study.id!r} must have facts to be found by.")
    sizes = model.architecture
    batches = StudyBatches(
        studies, features, tokenizer, min(batch_size, len(studies) or 1), "first", MAX_COMPANIONS,
        max_facts=sizes.max_facts, max_prompt=sizes.max_prompt, shuffle=False,
    )  # fmt: skip
    read = ("images", "positions", "prior", "present", "facts")
    found = []
    for number in range(len(batches)):
        batch = batches[number]
        found.append(predict_rows(model, {name: batch[name] for name in read}))
    return Embeddings(*(np.concatenate([one[side] for one in found]) for side in ("image", "text")))


def embed_facts(
    model: MLRGPretraining, facts: Sequence[Sequence[str]], tokenizer: ReportTokenizer
) -> np.ndarray:
    """Vectors `(reports, dim)` of facts alone, as `Embeddings.texts` holds them.

    Args:
        model: trained.
        facts: of each report at least one, such as `["no pneumothorax"]`.
        tokenizer: of its training.

    Raises:
        ValueError: if a report has no fact.
    """
    ids = tokenizer.encode_facts(facts, max_length=model.architecture.max_facts)
    texts = model.text_side(ids, real=ops.not_equal(ids, PAD_ID), training=False)
    return ops.convert_to_numpy(ops.stop_gradient(texts[:, 0]))


def report_recall(
    model: MLRGPretraining,
    studies: Sequence[Study],
    features: ImageFeatures,
    tokenizer: ReportTokenizer,
    ks: Sequence[int] = (1, 5),
) -> dict[str, float]:
    """How often a study's facts are among the k nearest to its image; equal facts count as found.

    Returns:
        `recall_at_<k>` for each k, from 0 to 1.
    """
    from contrast.metrics import recall_at_k

    vectors = embed_studies(model, studies, features, tokenizer)
    texts = np.unique([" | ".join(study.facts) for study in studies], return_inverse=True)[1].astype("int32")
    return {f"recall_at_{k}": float(recall_at_k(vectors.images, vectors.texts, k, texts)) for k in ks}
