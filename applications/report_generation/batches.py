"""Studies as batches for both stages."""

from collections.abc import Sequence

import numpy as np

from applications.report_generation.image_features import ImageFeatures
from applications.report_generation.study import MAX_COMPANIONS, VIEW_POSITIONS, Study
from applications.report_generation.text import ReportTokenizer
from contrast.data.batches import ArrayBatches

ANCHORS = ("drawn", "each", "first")


class StudyBatches(ArrayBatches):
    """Batches of studies: the tokens of their images, and their texts as ids.

    Args:
        studies: with findings and facts, unless they are only to be read.
        features: the tokens of all their images.
        tokenizer: of their texts.
        batch_size: studies in a batch.
        anchors: `"drawn"`: each study once an epoch, its anchor drawn from its views; `"each"`: each view is
            once the anchor, as in the official code, and no batch holds two samples of one study, so that no
            image stands in it twice; `"first"`: each study once, its first view is the anchor.
        slots: places for companions, views and prior image; `None`: as many as a study of these has.
        max_facts, max_prompt, max_length: most tokens of the texts; `None`: those of the longest.
        absence: what stands for a missing text, see `ReportTokenizer.encode_prompts`.
        shuffle, seed, drop_remainder: see `contrast.data.batches.ArrayBatches`.

    Items: dicts of `images` `(batch, 1 + slots, tokens, width)`, the anchor first and the prior image last of
        those there; `positions`, `prior`, `present` and `groups` `(batch, 1 + slots)`, where `groups` is the
        study of a current image and -1 elsewhere; `ids` `(batch,)`, numbers of the studies; `prompt` and
        `segments` `(batch, max_prompt)`; and, where all studies have them, `facts` `(batch, max_facts)` and
        `findings` `(batch, max_length)`.

    Raises:
        ValueError: if there is no study, an option is unknown, slots are too few, or an image has no tokens.
    """

    def __init__(
        self,
        studies: Sequence[Study],
        features: ImageFeatures,
        tokenizer: ReportTokenizer,
        batch_size: int = 32,
        anchors: str = "drawn",
        slots: int | None = None,
        max_facts: int = 100,
        max_prompt: int = 200,
        max_length: int = 100,
        absence: str = "tokens",
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
    ):
        if not len(studies):
            raise ValueError("studies must be at least one, got none.")
        if anchors not in ANCHORS:
            raise ValueError(f"anchors must be one of {', '.join(map(repr, ANCHORS))}, got {anchors!r}.")
        companions = max(len(study.images) for study in studies) - 1
        self.slots = max(1, companions) if slots is None else slots
        if not companions <= self.slots <= MAX_COMPANIONS:
            raise ValueError(
                f"slots must be from {companions}, which these studies need, to {MAX_COMPANIONS}, got "
                f"{slots}."
            )
        missing = [v.key for study in studies for v in study.images if v.key not in features.rows]
        if missing:
            raise ValueError(f"features must hold the tokens of every image; {missing[0]!r} has none.")
        self.studies, self.features, self.anchors = studies, features, anchors
        counts = [len(study.views) if anchors == "each" else 1 for study in studies]
        samples = {
            "ids": np.repeat(np.arange(len(studies)), counts),
            "anchors": np.concatenate([np.arange(count) for count in counts]),
        }
        super().__init__(samples, batch_size, shuffle, seed, drop_remainder, unique_ids=anchors == "each")
        self.texts = _texts(studies, tokenizer, max_facts, max_prompt, max_length, absence)

    def __getitem__(self, index):
        rows = self.rows(index)
        ids, anchors = self.arrays["ids"][rows], self.arrays["anchors"][rows]
        if self.anchors == "drawn":
            anchors = [self._drawn(number) for number in ids]
        tokens = self.features.tokens
        shape = (len(ids), 1 + self.slots)
        places = {name: np.zeros(shape, "int32") for name in ("rows", "positions", "prior")}
        present, groups = np.zeros(shape, "bool"), np.full(shape, -1, "int32")
        for place, (number, anchor) in enumerate(zip(ids, anchors, strict=True)):
            study = self.studies[number]
            views = [study.views[anchor], *study.views[:anchor], *study.views[anchor + 1 :]]
            images = [*views, *study.images[len(views) :]]
            count = len(images)
            places["rows"][place, :count] = [self.features.rows[view.key] for view in images]
            places["positions"][place, :count] = [VIEW_POSITIONS.index(view.position) for view in images]
            places["prior"][place, len(views) : count] = 1
            present[place, :count] = True
            groups[place, : len(views)] = number
        images = tokens[places.pop("rows")].astype("float32")
        images[~present] = 0
        item = {"images": images, **places, "present": present, "groups": groups, "ids": ids.astype("int32")}
        return item | {name: array[ids] for name, array in self.texts.items()}

    def _drawn(self, number):
        views = len(self.studies[number].views)
        return int(np.random.default_rng((self.seed, self.epoch, number)).integers(views))


def _texts(studies, tokenizer, max_facts, max_prompt, max_length, absence):
    facts = [study.prior.facts if study.prior is not None else () for study in studies]
    prompt, segments = tokenizer.encode_prompts(
        [study.indication for study in studies], facts, max_length=max_prompt, absence=absence
    )
    texts = {"prompt": prompt, "segments": segments}
    if all(study.facts for study in studies):
        texts["facts"] = tokenizer.encode_facts([study.facts for study in studies], max_length=max_facts)
    if all(study.findings for study in studies):
        texts["findings"] = tokenizer.encode_findings(
            [study.findings for study in studies], max_length=max_length
        )
    return texts
