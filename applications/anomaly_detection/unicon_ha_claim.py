"""The claim of UniCon-HA at laptop size: one-sided aggregation tells odd images better than NT-Xent does."""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np

from applications.anomaly_detection.baselines import (
    CSI,
    NTXentUnion,
    one_class_svm_score,
    raw_pixel_score,
)
from applications.anomaly_detection.corpus import OneClassSplit, digits, faces
from applications.anomaly_detection.evaluation import auroc, judged
from applications.anomaly_detection.patches import heat_maps
from applications.anomaly_detection.shift_probe import choose_shift, shift_probe
from applications.anomaly_detection.textures import TEXTURES, DefectImages, textures
from applications.anomaly_detection.unicon_ha import SMALL_STAGES, Recipe, UniConHA
from applications.claims import CLAIM, OBSERVATION, Arm, ArmResult, Check, Claim

DIGITS = (2, 3, 5)
DIGIT_EPOCHS, FACE_EPOCHS, TEXTURE_EPOCHS = 25, 100, 25
NT_XENT, UNICLR, SOFT, FULL, CSI_ARM = (
    "NT-Xent on the union",
    "UniCLR",
    "UniCLR + soft aggregation",
    "UniCon-HA (+ hierarchical augmentation)",
    "CSI",
)
LAST_STAGE = SMALL_STAGES[-1:]

# Encoder, strength of the views at the last stage, projection, optimizer and steps are the same for all.
DETECTORS = {
    NT_XENT: NTXentUnion,
    UNICLR: partial(UniConHA.small, stages=LAST_STAGE, soft=False),
    SOFT: partial(UniConHA.small, stages=LAST_STAGE),
    FULL: UniConHA.small,
    CSI_ARM: CSI,
}


def claims() -> list[Claim]:
    """Digits and faces check the claim; surfaces with defects are shown as they come out."""
    return [_digit_claim(), _face_claim(), _texture_claim()]


def _digit_claim():
    gain = Check(
        "UniCLR is above NT-Xent on the union by at least .01, mean of digits 2, 3 and 5",
        lambda r: _mean(r, UNICLR) >= _mean(r, NT_XENT) + 0.01,
        CLAIM,
    )
    splits = [partial(_digit_split, digit) for digit in DIGITS]
    return Claim(
        task="anomaly_detection",
        paper="unicon_ha",
        corpus="MNIST digits",
        primary_metric="auroc",
        arms=_arms(splits, [f"digit {digit}" for digit in DIGITS], Recipe.small(DIGIT_EPOCHS), flip=False),
        checks=[gain, _soft_check(), _hierarchical_check()],
        reference=UNICLR,
        baselines=partial(_baselines, splits, [f"digit {digit}" for digit in DIGITS], False),
    )


def _face_claim():
    high = Check("UniCLR reaches at least .99", lambda r: _mean(r, UNICLR) >= 0.99, CLAIM)
    gain = Check(
        "UniCLR is above NT-Xent on the union", lambda r: _mean(r, UNICLR) > _mean(r, NT_XENT), OBSERVATION
    )
    recipe = Recipe(batch_size=24, epochs=FACE_EPOCHS, learning_rate=0.05)
    return Claim(
        task="anomaly_detection",
        paper="unicon_ha",
        corpus="faces against background",
        primary_metric="auroc",
        arms=_arms([_face_split], [], recipe, flip=True),
        checks=[high, gain, _soft_check(), _hierarchical_check()],
        reference=UNICLR,
        baselines=partial(_baselines, [_face_split], [], True),
    )


def _texture_claim():
    check = Check(
        "UniCLR is above NT-Xent on the union, mean of the surfaces",
        lambda r: _mean(r, UNICLR) > _mean(r, NT_XENT),
        OBSERVATION,
    )
    return Claim(
        task="anomaly_detection",
        paper="unicon_ha",
        corpus="surfaces with defects",
        primary_metric="auroc",
        arms=[Arm(name, partial(_run_textures, DETECTORS[name])) for name in (NT_XENT, UNICLR)],
        checks=[check],
        reference=UNICLR,
        baselines=_texture_baselines,
    )


def _soft_check():
    return Check(
        "soft aggregation loses at most .01", lambda r: _mean(r, SOFT) >= _mean(r, UNICLR) - 0.01, OBSERVATION
    )


def _hierarchical_check():
    return Check(
        "hierarchical augmentation loses at most .01 against soft aggregation alone",
        lambda r: _mean(r, FULL) >= _mean(r, SOFT) - 0.01,
        OBSERVATION,
    )


def _arms(splits, names, recipe, flip):
    run = partial(_run, splits, names, recipe, flip)
    return [Arm(name, partial(run, make)) for name, make in DETECTORS.items()]


def _digit_split(digit, seed, fast) -> OneClassSplit:
    return _shortened(digits(digit, seed), fast)


def _face_split(seed, fast) -> OneClassSplit:
    return _shortened(faces(seed), fast)


def _shortened(split, fast):
    if not fast:
        return split
    few = np.r_[:10, -20:0]
    return OneClassSplit(split.train[:24], split.test[few], split.is_normal[few])


def _run(splits, names, recipe, flip, make, *, seed, fast) -> ArmResult:
    """Trains a detector on each split; AUROC of each and their mean."""
    each, curves = [], []
    for split in splits[:1] if fast else splits:
        split = split(seed=seed, fast=fast)
        detector, loss = _train(make, split.train, recipe, seed, fast, flip=flip)
        each.append(auroc(split.is_normal, detector.score(split.test)))
        curves.append(loss)
    metrics = {"auroc": float(np.mean(each)), **dict(zip(names, each, strict=False))}
    return ArmResult(metrics, {"loss": np.mean(curves, axis=0).tolist()})


def _train(make, images, recipe, seed, fast, **options):
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    detector = make(**options)
    detector.compile(**recipe.compile_options(len(images)))
    fit_options = {**recipe.fit_options(), **({"epochs": 1} if fast else {})}
    history = detector.fit(images, **fit_options, verbose=0)
    return detector, history.history["loss"]


def _baselines(splits, names, subtract_mean, *, seeds, fast):
    """Mean over the seeds of what needs no training of a network."""

    def pixels(split):
        return raw_pixel_score(split.train, split.test, subtract_mean)

    def svm(split):
        return one_class_svm_score(split.train, split.test)

    splits, names = (splits[:1], names[:1]) if fast else (splits, names)
    table = {"chance": {"auroc": 0.5, **dict.fromkeys(names, 0.5)}}
    for label, method in (("raw pixels, nearest neighbour", pixels), ("OneClassSVM on raw pixels", svm)):
        each = []
        for seed in seeds:
            drawn = [split(seed=seed, fast=fast) for split in splits]
            each.append([auroc(split.is_normal, method(split)) for split in drawn])
        means = np.mean(each, axis=0)
        table[label] = {"auroc": means.mean(), **dict(zip(names, means, strict=False))}
    return table


def _surface(name, seed, fast) -> DefectImages:
    return textures(name, seed, patches=24, pictures=8, size=48) if fast else textures(name, seed)


def _run_textures(make, *, seed, fast) -> ArmResult:
    """A detector for each surface, with the shift of the probe; a picture is as odd as its oddest place."""
    metrics, curves = [], []
    for name in TEXTURES[:1] if fast else TEXTURES:
        surface = _surface(name, seed, fast)
        recipe, shift = Recipe.small(TEXTURE_EPOCHS), choose_shift(surface.train)
        detector, loss = _train(make, surface.train, recipe, seed, fast, shift=shift)
        metrics.append({**_scored(surface, detector.score), "probe of rotation": shift_probe(surface.train)})
        curves.append(loss)
    return ArmResult(_means(metrics), {"loss": np.mean(curves, axis=0).tolist()})


def _scored(surface: DefectImages, score: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    maps = heat_maps(score, surface.test, surface.train.shape[1:3], stride=8)
    return judged(surface.is_normal, surface.masks, maps)


def _texture_baselines(*, seeds, fast):
    table = {"chance": [], "raw pixels, nearest neighbour": [], "OneClassSVM on raw pixels": []}
    for seed in seeds:
        for name in TEXTURES[:1] if fast else TEXTURES:
            surface = _surface(name, seed, fast)
            probe = {"probe of rotation": shift_probe(surface.train)}
            methods = (
                partial(raw_pixel_score, surface.train, subtract_mean=True),
                partial(one_class_svm_score, surface.train),
            )
            table["chance"].append({"auroc": 0.5, "pixel_auroc": 0.5, **probe})
            for label, method in zip(list(table)[1:], methods, strict=True):
                table[label].append({**_scored(surface, method), **probe})
    return {label: _means(rows) for label, rows in table.items()}


def _means(rows: Sequence[dict]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _mean(result, arm):
    return result["arms"][arm]["auroc"]["mean"]
