"""SECLA: faces named from photo-caption pairs alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from scipy.optimize import linear_sum_assignment

from applications.face_naming.formats import NONAME, CaptionedPhoto, NamedPhoto, PhotoBatches
from applications.face_naming.names import NameEncoder
from applications.face_naming.training import training_photos
from contrast.encoders import ConvNet
from contrast.layers import FoldViews, ProjectionHead, Temperature
from contrast.losses import set_contrastive_loss, total_loss
from contrast.losses.base import check_choice
from contrast.losses.sets import AGREEMENTS


@dataclass(frozen=True)
class Recipe:
    """How SECLA is trained; the defaults are those of the official code for the augmented-LFW photos.

    The official schedule anneals to zero and back every 64 steps; here the rate falls once over the whole
    training.

    Args:
        batch_size: photos in a batch.
        epochs: passes over the photos.
        learning_rate: at the start; falls to 0 along a cosine.
        weight_decay: of AdamW; biases are exempt.
    """

    batch_size: int = 20
    epochs: int = 60
    learning_rate: float = 3e-4
    weight_decay: float = 0.1

    @classmethod
    def small(cls, epochs: int = 20) -> "Recipe":
        """For a model of `SECLA.small` on a thousand photos."""
        return cls(epochs=epochs, learning_rate=1e-3, weight_decay=0.01)

    def optimizer(self, photos: int) -> keras.optimizers.Optimizer:
        """AdamW for a training on that many photos."""
        steps = self.epochs * -(-photos // self.batch_size)
        optimizer = keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(self.learning_rate, steps),
            weight_decay=self.weight_decay,
            epsilon=1e-6,
        )
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer

    def compile_options(self, photos: int) -> dict:
        """Arguments of `compile`: the optimizer, and several steps per call where the backend has them."""
        steps = 1 if keras.backend.backend() == "torch" else 25
        return {"optimizer": self.optimizer(photos), "steps_per_execution": steps}


@keras.saving.register_keras_serializable(package="face_naming")
class SECLA(keras.Model):
    r"""Names the faces of captioned photos from photo-caption pairs alone.

    Faces and names are projected into one space. A photo and a caption are as similar as their best matching
    faces and names, once averaged over the names ($A$) and once over the faces ($C$); each caption must
    pick its photo in the batch, each photo its caption, and the two directions must agree:
    $$L = CE(A) + CE(C) + \alpha \frac{1}{B} \sum_i (A_{ii} - C_{ii})^2.$$
    Afterwards a face takes the best of its caption's names, or `NONAME`, which stands in every caption.

    Padding is masked. (The official code lets padded slots take part in maxima and means.)

    Args:
        face_encoder: a layer or model from one crop `(batch, height, width, channels)` to features; `None`
            where faces come as feature vectors.
        name_encoder: a layer or model from byte ids `(batch, length)` to features; `None` where names come as
            vectors.
        hidden_dim: width of the projectors' first layers.
        embedding_dim: width of the common space.
        direction: `"both"`, `"names_to_faces"` (a caption picks its photo) or `"faces_to_names"`.
        agreement: `"diagonal"`, `"full"` or `None`; see `contrast.losses.agreement_penalty`.
        agreement_weight: the factor alpha.
        normalize: scale embeddings to unit length. The paper does not; with it, give a temperature as well.
        temperature: positive float that divides the scores, or `"learned"`. The paper has none.
        kernel_initializer: name of a Keras initialiser of the projectors, or `"official"`, PyTorch's
            default. That one suits feature vectors of some length, such as a pretrained encoder's; the
            faint features of an
            encoder that starts from scratch want a larger start: `"glorot_uniform"`.

    Inputs: dicts as `PhotoBatches` makes them: `faces`, `face_mask`, `names`, `name_mask`. A call returns the
    embeddings of faces and names, `(batch, faces, embedding_dim)` and `(batch, names, embedding_dim)`.

    Raises:
        ValueError: if an option is unknown.

    Example:

    >>> from applications.face_naming import PhotoBatches, Recipe, SECLA, identity_photos
    >>> photos, name_features = identity_photos(seed=0, count=200)
    >>> batches = PhotoBatches(photos, name_features)
    >>> model = SECLA.small(batches)
    >>> model.compile(Recipe.small(epochs=1).optimizer(len(photos)))
    >>> history = model.fit(batches, verbose=0)
    >>> len(model.name_faces(batches)) == len(photos)
    True

    Reference: Qu, Tuytelaars and Moens, "Weakly Supervised Face Naming with Symmetry-Enhanced Contrastive
    Loss", WACV 2023.
    """

    def __init__(
        self,
        face_encoder=None,
        name_encoder=None,
        hidden_dim=512,
        embedding_dim=128,
        direction="both",
        agreement="diagonal",
        agreement_weight=0.15,
        normalize=False,
        temperature=1.0,
        kernel_initializer="official",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("direction", direction, _DIRECTIONS)
        check_choice("agreement", agreement, AGREEMENTS)
        if temperature != "learned" and not (isinstance(temperature, int | float) and temperature > 0):
            raise ValueError(f"temperature must be a positive number or 'learned', got {temperature!r}.")
        self.face_encoder, self.name_encoder = face_encoder, name_encoder
        self.hidden_dim, self.embedding_dim = hidden_dim, embedding_dim
        self.direction, self.agreement, self.agreement_weight = direction, agreement, agreement_weight
        self.normalize, self.temperature = normalize, temperature
        self.learned_temperature = Temperature(1.0) if temperature == "learned" else None
        self.encode_faces = FoldViews(face_encoder, name="faces") if face_encoder is not None else None
        self.encode_names = FoldViews(name_encoder, name="names") if name_encoder is not None else None
        shared = (hidden_dim, embedding_dim, embedding_dim)
        self.kernel_initializer = kernel_initializer
        if kernel_initializer == "official":
            kernel_initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        options = {"normalize": normalize, "kernel_initializer": kernel_initializer}
        self.face_projector = ProjectionHead(
            shared, use_bias=(False, True, True), name="face_projector", **options
        )
        self.name_projector = ProjectionHead(
            (hidden_dim, *shared), use_bias=(False, False, True, True), name="name_projector", **options
        )

    @classmethod
    def small(cls, batches: PhotoBatches, **options) -> "SECLA":
        """A laptop-sized model for these batches: a convnet for crops, a byte encoder for spelled names.

        Args:
            batches: what the model will be trained on; only the form of its items matters.
            **options: arguments of `SECLA` that differ from the small model's.
        """
        item = batches[0]
        defaults = {"hidden_dim": 64, "embedding_dim": 32}
        if item["faces"].ndim == 5:
            defaults["face_encoder"] = ConvNet((16, 32, 64), normalization="group")
            defaults["kernel_initializer"] = "glorot_uniform"
        if item["names"].dtype.kind == "i":
            defaults["name_encoder"] = NameEncoder(32)
        model = cls(**{**defaults, **options})
        model.build({key: value.shape for key, value in item.items()})
        return model

    @classmethod
    def from_backbone(cls, backbone, **options) -> "SECLA":
        """A model whose faces are encoded by `backbone`, any Keras model from crops to `(batch, features)`.

        Args:
            backbone: the face encoder; trained along unless its `trainable` is False.
            **options: further arguments of `SECLA`.
        """
        return cls(face_encoder=backbone, **options)

    def build(self, input_shape):
        faces, names = input_shape["faces"], input_shape["names"]
        for key, shape, encoder, rank in (
            ("faces", faces, self.face_encoder, 5),
            ("names", names, self.name_encoder, 3),
        ):
            if len(shape) != (3 if encoder is None else rank):
                raise ValueError(
                    f"{key} must have rank {3 if encoder is None else rank} "
                    f"{'without' if encoder is None else 'with'} an encoder, got shape {tuple(shape)}."
                )
        for fold, projector, shape in (
            (self.encode_faces, self.face_projector, faces),
            (self.encode_names, self.name_projector, names),
        ):
            if fold is not None:
                fold.build(shape)
                shape = fold.compute_output_shape(shape)
            projector.build(shape)
        self._item_shapes = {"faces": tuple(faces[2:]), "names": tuple(names[2:])}
        self.built = True

    def call(self, inputs, training=None):
        names = inputs["names"]
        if self.encode_names is not None:
            names = self.encode_names(names, training=training)
        return self.project_faces(inputs["faces"], training), self.name_projector(names)

    def project_faces(self, faces, training=None):
        """Faces `(batch, faces, ...)` in the common space, `(batch, faces, embedding_dim)`."""
        if self.encode_faces is not None:
            faces = self.encode_faces(faces, training=training)
        return self.face_projector(faces)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        faces, names = y_pred
        return total_loss(self, mean=self.set_loss(names, faces, x["name_mask"], x["face_mask"]))

    def set_loss(self, names, faces, name_mask, face_mask):
        """The paper's loss of projected names and faces, with this model's options; a scalar."""
        return set_contrastive_loss(
            names,
            faces,
            name_mask,
            face_mask,
            direction=_DIRECTIONS[self.direction],
            agreement=self.agreement,
            agreement_weight=self.agreement_weight,
            temperature=self.score_temperature,
        )

    @property
    def score_temperature(self):
        """What divides the scores: a number, or the learned value as a tensor."""
        return self.temperature if self.learned_temperature is None else self.learned_temperature.value

    def name_faces(
        self,
        photos: PhotoBatches | Sequence[CaptionedPhoto],
        name_features: Mapping[str, np.ndarray] | None = None,
        threshold: float | None = None,
        one_to_one: bool = False,
    ) -> list[NamedPhoto]:
        """Gives each face the best name of its photo's caption, or `NONAME`.

        Args:
            photos: photos, or batches of them (whose order and name features are then used).
            name_features: vectors of the names and of `NONAME`, for a model without a name encoder.
            threshold: a face whose score is not above it is `NONAME`; `None` rejects nobody. The official
                code's variant is 0.
            one_to_one: give no name to two faces of a photo: the assignment with the largest sum of scores,
                in which any number of faces may be `NONAME`. The paper lets two faces have one name.

        Returns:
            One `NamedPhoto` for each photo, in the order of the photos.

        Raises:
            ValueError: if faces or names have another shape than those that the model was built for, or a
                name has no vector.
        """
        batches = photos
        if not isinstance(photos, PhotoBatches):
            length = {} if self.name_encoder is None else {"name_length": self._item_shapes["names"][0]}
            batches = PhotoBatches(photos, name_features, shuffle=False, **length)
        ordered = _InOrder(batches)
        self._check_shapes(ordered[0])
        scale = 1.0 / float(ops.convert_to_numpy(self.score_temperature))
        faces, names = self.predict(ordered, verbose=0)[:2]
        return [
            _named(photo, face @ name.T * scale, threshold, one_to_one)
            for photo, face, name in zip(batches.photos, faces, names, strict=False)
        ]

    def get_config(self):
        config = {key: getattr(self, key) for key in _CONFIG}
        for key in ("face_encoder", "name_encoder"):
            encoder = getattr(self, key)
            config[key] = None if encoder is None else keras.saving.serialize_keras_object(encoder)
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for key in ("face_encoder", "name_encoder"):
            if config[key] is not None:
                config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)

    def _check_shapes(self, item):
        if not self.built:
            return
        for key, expected in self._item_shapes.items():
            given = item[key].shape[2:]
            if given != expected:
                raise ValueError(
                    f"{key} of these photos have shape {given} each, but the model was built for {expected}."
                )


def train(run, *, data: Path | None = None, seed: int = 0, epochs: int | None = None) -> SECLA:
    """Trains a small SECLA for the command line.

    Args:
        run: the `applications.runs.RunFolder`, which keeps what this returns and goes on after an
            interruption.
        data: a folder for `load_folder`; `None`: built-in photos of handwritten digits.
        seed: moves photos, their order and the initial weights.
        epochs: `None`: 12 on the built-in photos, 20 on a folder.

    Returns:
        The trained model; its `history` holds the loss and, where the truth is known, the face accuracy.
    """
    given = training_photos(data, seed, epochs)
    batches = PhotoBatches(given.photos, given.name_features, seed=seed)
    model = SECLA.small(batches)
    recipe = Recipe.small(given.epochs)
    model.compile(**recipe.compile_options(len(given.photos)))
    run.fit(model, batches, epochs=recipe.epochs, shuffle=False, callbacks=given.accuracies())
    return model


class _InOrder(keras.utils.PyDataset):
    """The batches of photos in the order of the photos."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches.read(index, range(len(self.batches.photos)))


_DIRECTIONS = {"both": "both", "names_to_faces": "a_to_b", "faces_to_names": "b_to_a"}
_CONFIG = (
    "hidden_dim",
    "embedding_dim",
    "direction",
    "agreement",
    "agreement_weight",
    "normalize",
    "temperature",
    "kernel_initializer",
)


def _named(photo, scores, threshold, one_to_one):
    """The `NamedPhoto` of one photo from its padded score table `(faces, names)`."""
    candidates = (*photo.names, NONAME)
    scores = scores[: len(photo.faces), : len(candidates)]
    chosen = _assigned(scores) if one_to_one else np.argmax(scores, axis=1)
    names = [candidates[index] for index in chosen]
    if threshold is not None:
        scored = zip(names, chosen, scores, strict=True)
        names = [name if row[index] > threshold else NONAME for name, index, row in scored]
    ranked = np.sort(scores, axis=1)
    margins = ranked[:, -1] - ranked[:, -2] if len(candidates) > 1 else np.full(len(scores), np.inf)
    noface = tuple(name for name in photo.names if name not in names)
    return NamedPhoto(candidates, scores, tuple(names), margins, noface)


def _assigned(scores):
    """The column of each row in the assignment of the largest sum; the last column serves any number."""
    repeated = np.concatenate([scores, np.repeat(scores[:, -1:], max(0, len(scores) - 1), axis=1)], axis=1)
    rows, columns = linear_sum_assignment(repeated, maximize=True)
    return np.minimum(columns[np.argsort(rows)], scores.shape[1] - 1)
