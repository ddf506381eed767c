"""Untrained models of the report generation page, on a few drawn studies."""

import keras

from applications.report_generation.architecture import Architecture
from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.demo_model import BASELINES, LENGTHS, METRICS, WITHHELD, DemoModel
from applications.report_generation.image_encoders import ConvolutionTokens
from applications.report_generation.mlrg import MLRG
from applications.report_generation.stage_one import MLRGPretraining
from applications.report_generation.stages import new_model
from applications.report_generation.text import ReportTokenizer, study_texts

SIZES = {
    "dim": 8,
    "projection_dim": 8,
    "fusion_depth": 1,
    "fusion_heads": 2,
    "fusion_head_dim": 4,
    "text_depth": 1,
    "text_heads": 2,
    "multimodal_heads": 2,
    "decoder_depth": 1,
    "decoder_heads": 2,
}


def untrained(patients=6):
    studies = RadiographWorld(seed=0).studies(patients, "test")
    tokenizer = ReportTokenizer.fit(study_texts(studies))
    keras.utils.set_random_seed(0)
    encoder = ConvolutionTokens(width=8)
    encoder.build((None, 64, 64))
    sizes = {**SIZES, **LENGTHS, "max_length": 20, "seed": 0}
    architecture = Architecture.small(tokenizer.size, encoder.image_dim, **sizes)
    model = new_model(MLRG(architecture, tokenizer, encoder))
    return DemoModel(
        model,
        new_model(MLRGPretraining(architecture)),
        studies,
        model.encode(studies),
        {
            "alignment_loss": [3.0, 2.0],
            "view_loss": [3.0, 2.5],
            "loss": [4.0, 3.0, 2.0, 1.0],
            "val_ce_f1": [0.0, 0.2, 0.2, 0.4],
            "val_bleu_4": [0.0, 0.1, 0.1, 0.2],
        },
        2,
        {row: dict.fromkeys(METRICS, 0.5) for row in WITHHELD},
        {row: dict.fromkeys(METRICS, 0.25) for row in BASELINES},
        {"recall_at_1": 0.2, "recall_at_5": 0.6},
    )
