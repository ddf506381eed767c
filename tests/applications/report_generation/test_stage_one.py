import keras
import numpy as np
import pytest
from keras import ops

from applications.report_generation.batches import StudyBatches
from applications.report_generation.recipes import PretrainingRecipe
from applications.report_generation.retrieval import embed_studies, report_recall
from applications.report_generation.stage_one import MLRGPretraining, view_groups
from applications.report_generation.stages import fit_pretraining, new_model
from applications.report_generation.study import Study
from contrast.losses import SupervisedContrastive
from tests.applications.report_generation.tiny import FEATURES, STUDIES, TINY, TOKENIZER, view
from tests.case import assert_close, assert_value_and_gradient, check_saved, to_numpy


def batch_of(studies=STUDIES, **options):
    options = {"max_facts": 8, "max_prompt": 8, "max_length": 8, "shuffle": False, **options}
    return StudyBatches(studies, FEATURES, TOKENIZER, 8, "first", **options)[0]


@pytest.mark.golden
def test_view_contrast_is_the_official_one(golden):
    """In slots, with priors and gaps put out by their group."""
    arrays = golden("report_generation")
    groups = np.append(np.where(arrays["group_is_prior"] > 0, -1, arrays["group_study"]), -1)
    gap = np.full((1, arrays["mpc_embed"].shape[1]), 7.0, "float32")
    loss = SupervisedContrastive(float(arrays["mpc_temperature"]), no_positive="drop")
    assert_value_and_gradient(
        lambda z: loss(*view_groups(groups[None], ops.concatenate([z, gap])[None])),
        [arrays["mpc_embed"]],
        arrays["mpc_loss"],
        [arrays["mpc_grad"]],
    )


@pytest.mark.parametrize("token_weight", [0.0, 0.5])
def test_every_weight_moves(token_weight):
    model = new_model(MLRGPretraining(TINY, 0.1, token_weight=token_weight))
    before = {w.path: to_numpy(w) for w in model.trainable_variables}
    model.compile(keras.optimizers.SGD(0.1))
    logs = model.train_on_batch(batch_of(), return_dict=True)
    still = [w.path for w in model.trainable_variables if np.array_equal(to_numpy(w), before[w.path])]
    assert not still
    parts = [logs["view_loss"], logs["alignment_loss"], logs.get("token_loss", 0.0)]
    np.testing.assert_allclose(logs["loss"], sum(parts), rtol=1e-5)


@pytest.mark.once
def test_images_learn_to_find_their_facts():
    facts = [("no effusion",), ("small left effusion",), ("lungs clear",), ("cough", "no effusion")]
    studies = [
        Study(study.id, study.patient, study.views, "x.", facts[number], prior=study.prior)
        for number, study in enumerate(STUDIES[:4])
    ]
    recipe = PretrainingRecipe.small(40, batch_size=4, learning_rate=1e-2, warmup_steps=0)
    model = fit_pretraining(studies, TOKENIZER, recipe, architecture=TINY, features=FEATURES)
    assert report_recall(model, studies, FEATURES, TOKENIZER, ks=(1,))["recall_at_1"] == 1
    loss = model.history.history["loss"]
    assert loss[-1] < 0.5 * loss[0]


def test_single_views_are_no_negatives_of_others():
    model = new_model(MLRGPretraining(TINY, 0.1))
    batch = batch_of([STUDIES[number] for number in (0, 3, 6)])
    model.compile()
    logs = model.test_on_batch(batch, return_dict=True)
    assert logs["view_loss"] == 0 and np.isfinite(logs["loss"])
    assert "view_loss" not in MLRGPretraining(TINY, view_contrast=False).trackers


def test_vectors_do_not_depend_on_company():
    model = new_model(MLRGPretraining(TINY))
    together = embed_studies(model, STUDIES, FEATURES, TOKENIZER, batch_size=8)
    alone = embed_studies(model, STUDIES[2:3], FEATURES, TOKENIZER)
    assert_close(alone.images[0], together.images[2])
    assert_close(alone.texts[0], together.texts[2])
    with pytest.raises(ValueError, match="'new' must have facts"):
        embed_studies(model, [Study("new", "new", (view("0 PA"),))], FEATURES, TOKENIZER)


def test_saved(tmp_path):
    model = new_model(MLRGPretraining(TINY, 0.2, token_weight=0.1))
    batch = batch_of()
    names = ("images", "positions", "prior", "present", "facts")
    check_saved(model, {name: batch[name] for name in names}, tmp_path)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"token_weight": -1.0}])
def test_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MLRGPretraining(TINY, **options)
