"""Studies of noise with every kind of gap, and a model small enough for tests."""

import numpy as np

from applications.report_generation.architecture import Architecture
from applications.report_generation.image_features import ImageFeatures
from applications.report_generation.study import PriorVisit, Study, View
from applications.report_generation.text import ReportTokenizer, study_texts

TOKENS, WIDTH = 3, 6


def view(name, position="PA"):
    pixels = np.random.default_rng([ord(letter) for letter in name]).integers(0, 256, (16, 16))
    return View(pixels.astype("uint8"), position, key=name)


def make_studies(count=8):
    """Studies with 1 to 3 views; every second with a prior visit, every fourth of these with its report."""
    studies = []
    for number in range(count):
        positions = ("PA", "LATERAL", "AP")[: 1 + number % 3]
        prior = None
        if number % 2:
            told = number % 4 == 1
            prior = PriorVisit(
                view(f"prior {number}"), "no effusion." if told else None, ("no effusion",) if told else ()
            )
        studies.append(
            Study(
                id=f"study {number}",
                patient=f"patient {number}",
                views=tuple(view(f"{number} {place}", place) for place in positions),
                findings="there is no effusion." if number % 2 else "small left effusion.",
                facts=("no effusion",) if number % 2 else ("small left effusion", "lungs clear"),
                indication="cough" if number % 3 else None,
                prior=prior,
            )
        )
    return studies


STUDIES = make_studies()
TOKENIZER = ReportTokenizer.fit(study_texts(STUDIES))
TINY = Architecture.small(
    TOKENIZER.size,
    WIDTH,
    dim=8,
    projection_dim=8,
    fusion_depth=1,
    fusion_heads=2,
    fusion_head_dim=4,
    text_depth=1,
    text_heads=2,
    multimodal_heads=2,
    decoder_depth=1,
    decoder_heads=2,
    dropout=0.0,
    max_length=8,
    max_facts=8,
    max_prompt=8,
)


def features_of(studies):
    keys = list({view.key: None for study in studies for view in study.images})
    tokens = [
        np.random.default_rng([ord(letter) for letter in key]).normal(size=(TOKENS, WIDTH)) for key in keys
    ]
    return ImageFeatures(np.array(tokens, "float16"), {key: row for row, key in enumerate(keys)})


FEATURES = features_of(STUDIES)
