"""UniCon-HA: what is normal, learned from normal images alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import keras
from keras import ops

from applications.anomaly_detection.detector import AnomalyDetector
from applications.anomaly_detection.stage_head import StageHead
from applications.anomaly_detection.unilateral import unilateral_ids, unilateral_loss
from applications.anomaly_detection.views import ShiftedViews, Strength
from contrast.encoders import ConvNet, ResNet


@dataclass(frozen=True)
class Stage:
    """One stage of the encoder that is trained on views of its own.

    Args:
        number: of the stage, from 1.
        strength: of its views.
        weight: of its loss.
        head: widths of the projection behind it.
    """

    number: int
    strength: Strength
    weight: float = 1.0
    head: tuple[int, ...] = (512, 128)


# Stages 2-3-4 as in the paper's best row. Its supplement, which holds the strengths and weights, is not at
# hand: these go from a weak to CSI's full colour jitter, with crops from three quarters to a third.
PAPER_STAGES = (
    Stage(2, Strength.of_stage(0.75, 0.5)),
    Stage(3, Strength.of_stage(0.5, 0.75)),
    Stage(4, Strength.of_stage(0.3, 1.0)),
)
SMALL_STAGES = (
    Stage(2, Strength.small(0.6), head=(64, 32)),
    Stage(3, Strength.small(0.4), head=(64, 32)),
)


@dataclass(frozen=True)
class Recipe:
    """How UniCon-HA is trained; the defaults are the paper's.

    The paper does not give momentum, weight decay and batch; these are those of DROC's official code, which
    has the same rate and number of epochs.

    Args:
        batch_size: images in a batch, before the shift and the two views.
        epochs: passes over the images.
        learning_rate: at the start; falls to 0 along one cosine.
        momentum: of SGD.
        weight_decay: of the gradient, as in PyTorch's and TensorFlow's SGD with momentum.
    """

    batch_size: int = 32
    epochs: int = 2048
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 3e-4

    @classmethod
    def small(cls, epochs: int = 25) -> "Recipe":
        """For a detector of `UniConHA.small` on a few hundred images."""
        return cls(epochs=epochs, learning_rate=0.05)

    def optimizer(self, images: int) -> keras.optimizers.Optimizer:
        """SGD for a training on that many images."""
        steps = self.epochs * -(-images // self.batch_size)
        return keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(self.learning_rate, steps),
            momentum=self.momentum,
            # Keras shrinks the weights beside the momentum, which would add up to 1 / (1 - m) times as much.
            weight_decay=self.weight_decay / (1 - self.momentum),
        )

    def compile_options(self, images: int) -> dict:
        """Arguments of `compile`: the optimizer, and several steps per call where the backend has them."""
        steps = 1 if keras.backend.backend() == "torch" else -(-images // self.batch_size)
        return {"optimizer": self.optimizer(images), "steps_per_execution": min(steps, 25)}

    def fit_options(self) -> dict:
        """Arguments of `fit`."""
        return {"batch_size": self.batch_size, "epochs": self.epochs}


@keras.saving.register_keras_serializable(package="anomaly_detection")
class UniConHA(AnomalyDetector):
    """Finds the odd image after seeing only normal ones.

    Wang et al., ICCV 2023. Normal images are turned by 90, 180 and 270 degrees to make virtual outliers.
    Views of normal images attract each other, all of them, or those of one class where there are labels; a
    view of an outlier attracts its other view only. The features of normal images become compact and those of
    everything else spread. Shallow stages of the encoder are trained on weakly, deep ones on strongly
    augmented views (hierarchical augmentation); at the last stage views that stray from the normal ones
    attract less (soft aggregation).

    Args:
        encoder: an encoder with `stage_outputs` and `stage_shapes`, such as `contrast.encoders.ResNet`; or
            any layer or model from images to features, which is then trained as a single stage. `None`:
            ResNet-18 with the stem for small images, as in the paper.
        stages: the `Stage` objects that are trained, the last one being the encoder's last stage.
        temperature: of the loss.
        soft: soft aggregation at the last stage.
        soft_temperature: of its weights.
        pairwise: weigh pairs by both weights, see `unilateral_loss`.
        shift, flip, test_copies: see `AnomalyDetector`.

    Call: images `(batch, height, width, channels)` with values from 0 to 1, square for rotation, to features
        `(batch, dim)` of unit length. With `training=True` to the embeddings of the views at each stage.

    Raises:
        ValueError: if stages do not fit to the encoder, or an option is out of its range.

    Example:

    >>> from applications.anomaly_detection import Recipe, UniConHA
    >>> images = np.random.default_rng(0).random((8, 16, 16, 1)).astype("float32")
    >>> detector = UniConHA.small()
    >>> recipe = Recipe.small(epochs=1)
    >>> detector.compile(recipe.optimizer(len(images)))
    >>> history = detector.fit(images, **recipe.fit_options(), verbose=0)
    >>> detector.score(images).shape
    (8,)

    Reference: Wang et al., "Unilaterally Aggregated Contrastive Learning with Hierarchical Augmentation for
        Anomaly Detection", ICCV 2023.
    """

    def __init__(
        self,
        encoder=None,
        stages: Sequence[Stage] = PAPER_STAGES,
        temperature=0.5,
        soft=True,
        soft_temperature=0.5,
        pairwise=False,
        shift="rotation",
        flip=True,
        test_copies=1,
        **kwargs,
    ):
        super().__init__(encoder or ResNet(), shift, flip, test_copies, **kwargs)
        for name, value in (("temperature", temperature), ("soft_temperature", soft_temperature)):
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")
        numbers = [stage.number for stage in stages]
        if not numbers or numbers != sorted(set(numbers)) or numbers[0] < 1:
            raise ValueError(f"stages must be at least one, their numbers rising from 1, got {numbers}.")
        self.stages = tuple(stages)
        self.temperature, self.soft = temperature, soft
        self.soft_temperature, self.pairwise = soft_temperature, pairwise
        self.view_makers, self.heads = [], []

    @classmethod
    def small(cls, **options) -> "UniConHA":
        """A detector that trains on a laptop: three stages of two convolutions, of which the last two are
        trained on views of their own.

        Args:
            **options: arguments of `UniConHA` that differ from the small detector's.
        """
        return cls(**{"encoder": ConvNet((16, 32, 64)), "stages": SMALL_STAGES, **options})

    @classmethod
    def from_backbone(cls, backbone, strength: Strength | None = None, **options) -> "UniConHA":
        """A detector around any Keras model from images to `(batch, features)`, trained as a single stage.

        Args:
            backbone: the encoder.
            strength: of the views.
            **options: further arguments of `UniConHA`.
        """
        return cls(backbone, **{"stages": (Stage(1, strength or Strength.of_stage(0.3, 1.0)),), **options})

    def build_parts(self, input_shape):
        if hasattr(self.encoder, "stage_shapes"):
            shapes = self.encoder.stage_shapes(input_shape)
        else:
            shapes = (self.encoder.compute_output_shape(input_shape),)
        if self.stages[-1].number != len(shapes):
            raise ValueError(
                f"stages must end with the encoder's last one, {len(shapes)}, got "
                f"{[stage.number for stage in self.stages]}."
            )
        self.view_makers = [ShiftedViews(self.shift, stage.strength, self.flip) for stage in self.stages]
        self.heads = [
            StageHead([shape[-1] for shape in shapes[stage.number :]], stage.head, dtype=self.dtype_policy)
            for stage in self.stages
        ]
        for stage, views, head in zip(self.stages, self.view_makers, self.heads, strict=True):
            views.build(input_shape)
            head.build(shapes[stage.number - 1])

    def embed_views(self, images, training):
        """For each stage the embeddings of its own views, `(shifts * 2 * batch, dim)`, all in one batch."""
        return tuple(
            head(self.stage_output(views(images), stage.number, training), training=training)
            for stage, views, head in zip(self.stages, self.view_makers, self.heads, strict=True)
        )

    def stage_output(self, images, number, training):
        """What the encoder gives at this stage; later stages are not run."""
        if hasattr(self.encoder, "stage_outputs"):
            return self.encoder.stage_outputs(images, training=training, stages=number)[-1]
        return self.encoder(images, training=training)

    def views_loss(self, embeddings, labels):
        shifts = self.shift.shifts
        ids = unilateral_ids(ops.shape(embeddings[0])[0] // (2 * shifts), shifts, labels)
        losses = [
            stage.weight
            * unilateral_loss(
                z,
                ids,
                self.temperature,
                soft=self.soft and stage is self.stages[-1],
                soft_temperature=self.soft_temperature,
                pairwise=self.pairwise,
            )
            for stage, z in zip(self.stages, embeddings, strict=True)
        ]
        return sum(losses[1:], losses[0]) / len(losses)

    def get_config(self):
        return {
            **super().get_config(),
            "stages": [asdict(stage) for stage in self.stages],
            **{key: getattr(self, key) for key in ("temperature", "soft", "soft_temperature", "pairwise")},
        }

    @classmethod
    def from_config(cls, config):
        stages = [
            Stage(**{**stage, "strength": Strength(**stage["strength"]), "head": tuple(stage["head"])})
            for stage in config["stages"]
        ]
        return super().from_config({**config, "stages": stages})
