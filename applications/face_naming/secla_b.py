"""SECLA-B: a second stage that takes for known what the first one learned from easy photos."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from applications.face_naming.bootstrap import bootstrapped_similarities, consistency_loss
from applications.face_naming.face_bank import BankedBatches, face_bank, is_easy
from applications.face_naming.formats import CaptionedPhoto, PhotoBatches
from applications.face_naming.matching import match_known_names
from applications.face_naming.secla import SECLA, Recipe
from applications.face_naming.training import training_photos
from applications.runs import RunFolder, StageFit
from contrast import backend
from contrast.losses import diagonal_cross_entropy, total_loss

TERMS = ("alignment", "consistency")


@keras.saving.register_keras_serializable(package="face_naming")
class SECLAB(SECLA):
    r"""The second stage of SECLA-B, on all photos, with a bank of faces from the easy ones.

    In every batch the current model matches faces with names that the bank knows (`match_known_names`).
    What is left of the photos is trained as SECLA (L1). Each photo with a match is an item: its matched
    faces must find their names among the bank faces of other items (L2, `bootstrapped_similarities`), and
    the bank faces of their own item (L3, `consistency_loss`): $L = L_1 + L_2 + L_3$.

    A null face, a fixed draw of N(0, I) in the projector's input, stands in every item beside the matched
    faces, as `NONAME` does among the names.

    Args:
        terms: which of `"alignment"` (L2) and `"consistency"` (L3) are added to L1.
        **options: arguments of `SECLA`.

    Inputs: dicts as `BankedBatches` makes them. Without the bank's entries a call is SECLA's.

    Reference: see `SECLA`.
    """

    def __init__(self, *args, terms=TERMS, **options):
        super().__init__(*args, **options)
        terms = tuple(terms)
        if not set(terms) <= set(TERMS):
            raise ValueError(f"terms must be among {', '.join(TERMS)}, got {terms}.")
        self.terms = terms

    @classmethod
    def from_first_stage(cls, model: SECLA, seed: int = 0, **options) -> "SECLAB":
        """A second stage with the options and the weights of a trained first stage.

        Args:
            model: a built `SECLA`; it is left as it is.
            seed: of the null face.
            **options: arguments that differ from the first stage's.
        """
        if not model.built:
            raise ValueError("model must be built; train the first stage before the second.")
        with keras.name_scope("second_stage"):
            second = cls.from_config({**model.get_config(), "name": "secla_b", **options})
        second.build({key: (None, None, *shape) for key, shape in model._item_shapes.items()})
        for part in (
            "encode_faces",
            "encode_names",
            "face_projector",
            "name_projector",
            "learned_temperature",
        ):
            if getattr(model, part) is not None:
                getattr(second, part).set_weights(getattr(model, part).get_weights())
        width = second.null_face.shape[-1]
        second.null_face.assign(np.random.default_rng(seed).normal(size=(1, 1, width)))
        return second

    def build(self, input_shape):
        super().build(input_shape)
        faces = tuple(input_shape["faces"])
        if self.encode_faces is not None:
            faces = self.encode_faces.compute_output_shape(faces)
        self.null_face = self.add_weight(
            shape=(1, 1, faces[-1]),
            initializer=keras.initializers.RandomNormal(stddev=1.0, seed=0),
            trainable=False,
            name="null_face",
        )

    def call(self, inputs, training=None):
        faces, names = super().call(inputs, training=training)
        if "bank_faces" not in inputs:
            return faces, names
        bank = self.project_faces(inputs["bank_faces"], training)
        null = self.face_projector(ops.convert_to_tensor(self.null_face))
        return faces, names, bank, ops.broadcast_to(null, (ops.shape(faces)[0], 1, self.embedding_dim))

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        faces, names, bank, null = (ops.cast(part, "float32") for part in y_pred)
        name_mask = ops.cast(x["name_mask"], "bool")
        scores = ops.einsum("bfd,bnd->bfn", faces, names)
        matching = match_known_names(scores, x["face_mask"], name_mask, ops.cast(x["bank_mask"], "bool"))
        loss = self.set_loss(names, faces, matching.unmatched_names, matching.unmatched_faces)

        is_matched = matching.matched_face >= 0
        matched = ops.take_along_axis(faces, ops.maximum(matching.matched_face, 0)[..., None], axis=1)
        matched, bank = ops.concatenate([matched, null], axis=1), ops.concatenate([bank, null], axis=1)
        item_faces = ops.concatenate([is_matched, ops.ones_like(is_matched[:, :1])], axis=1)
        item_names = ops.logical_or(is_matched, _last_real(name_mask))
        valid = ops.any(is_matched, axis=1)
        items = (matched, bank, names, item_faces, item_names, valid)
        matched, bank, names, item_faces, item_names, valid = map(backend.gather, items)
        if "alignment" in self.terms:
            for similarity in bootstrapped_similarities(
                matched / self.score_temperature, bank / self.score_temperature, names, item_faces, item_names
            ):
                loss = loss + diagonal_cross_entropy(similarity, valid)
        if "consistency" in self.terms:
            loss = loss + sum(consistency_loss(matched / self.score_temperature, bank, item_faces, valid))
        return total_loss(self, mean=loss)

    def get_config(self):
        return {**super().get_config(), "terms": self.terms}


def fit_stages(
    photos: Sequence[CaptionedPhoto],
    name_features: Mapping[str, np.ndarray] | None = None,
    first: Recipe | None = None,
    second: Recipe | None = None,
    pick: str = "medoid",
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    run: RunFolder | None = None,
    **options,
) -> tuple[SECLA, SECLAB]:
    """Both stages: SECLA on the easy photos, then SECLA-B on all of them from its weights.

    Args:
        photos: photos, some of them with one face and one name.
        name_features: vectors of names and of `NONAME`; `None`: names are read as text.
        first, second: recipes of the stages; `None`: the small ones, 20 and 10 epochs.
        pick: which of a name's stored faces is shown; see `BankedBatches`.
        seed: of the order of photos and of the null face.
        callbacks, verbose: of `fit`, for both stages.
        run: a run folder, in which both stages can be resumed; `None`: nothing is written.
        **options: arguments of `SECLA.small`.

    Returns:
        The models of both stages.

    Raises:
        ValueError: if no photo has one face and one name.
    """
    bank = face_bank(photos)
    easy = [photo for photo in photos if is_easy(photo)]
    first, second = first or Recipe.small(20), second or Recipe.small(10)
    batches = PhotoBatches(easy, name_features, first.batch_size, seed=seed)
    one = SECLA.small(batches, **options)
    fit = StageFit(run, verbose)
    one.compile(**first.compile_options(len(easy)))
    fit(one, batches, "first", first.epochs, callbacks)
    two = SECLAB.from_first_stage(one, seed)
    two.compile(**second.compile_options(len(photos)))
    everything = BankedBatches(photos, bank, name_features, pick, batch_size=second.batch_size, seed=seed)
    fit(two, everything, "second", second.epochs, callbacks)
    return one, two


def train(run, *, data: Path | None = None, seed: int = 0, epochs: int | None = None) -> SECLAB:
    """Trains both stages of a small SECLA-B for the command line.

    Args:
        run: the `applications.runs.RunFolder`, which keeps what this returns and goes on after an
            interruption, in whichever stage it came.
        data: a folder for `load_folder`; `None`: built-in photos of handwritten digits.
        seed: moves photos, their order and the initial weights.
        epochs: of the first stage, `None`: 12 on the built-in photos, 20 on a folder; the second has half.

    Returns:
        The model of the second stage.
    """
    given = training_photos(data, seed, epochs)
    recipes = Recipe.small(given.epochs), Recipe.small(max(1, given.epochs // 2))
    callbacks = given.accuracies()
    return fit_stages(given.photos, given.name_features, *recipes, seed=seed, callbacks=callbacks, run=run)[1]


def _last_real(mask):
    """`True` at the last `True` of each row: the slot of `NONAME`."""
    positions = ops.arange(mask.shape[1] or ops.shape(mask)[1])
    last = ops.max(ops.where(mask, positions[None, :], -1), axis=1)
    return ops.equal(positions[None, :], last[:, None])
