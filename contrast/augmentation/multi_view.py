from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from contrast.augmentation.images import check_is_array
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class MultiView(keras.Layer):
    """Several views of each sample, side by side on a new axis.

    Args:
        augmentation: one layer or model, called once for each view; or a list of them, one for each view.
        views: how many views; with a list, its length or `None`. One augmentation needs it.

    Call: `(batch, ...)` to `(batch, views, ...)`, as `contrast.losses` and `contrast.layers.FoldViews` want.
        With `training=False` the augmentations are told so: a view is what each gives at inference. Views of
        token ids (int32, int64) stay integers; all others are cast to the layer's dtype.

    Views that differ only by the encoder's dropout, as in SimCSE, need no augmentation:
    `MultiView(keras.layers.Identity(), 2)` repeats each sample, and dropout draws apart for each row.

    Raises:
        ValueError: if `views` is below 1, missing, or another number than the list holds, or the views differ
            in shape.

    Example:

    >>> two = contrast.augmentation.MultiView(contrast.augmentation.simclr_augmentation(24), 2)
    >>> tuple(two(np.zeros((4, 32, 32, 3), "float32"), training=True).shape)
    (4, 2, 24, 24, 3)
    """

    def __init__(
        self, augmentation: keras.Layer | Sequence[keras.Layer], views: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        each: Any = list(augmentation) if isinstance(augmentation, list | tuple) else None
        if each is not None and (not each or views not in (None, len(each))):
            raise ValueError(
                f"views must be the number of augmentations, at least 1, got views={views} and {len(each)} "
                "augmentations."
            )
        if each is None and (views is None or views < 1):
            raise ValueError(f"views must be at least 1, got {views}.")
        self.augmentations: list[Any] = [augmentation] if each is None else each
        self.views = views if each is None else len(each)
        self.shared = each is None

    def _one_a_view(self):
        return list(self.augmentations) * (self.views if self.shared else 1)

    def build(self, input_shape: Shape) -> None:
        for augmentation in self.augmentations:
            if not augmentation.built:
                augmentation.build(input_shape)

    def call(self, inputs: Tensor, training: bool = True) -> Tensor:
        check_is_array(inputs, "MultiView")
        views = [
            # A copy: on PyTorch keras.layers.RandomBrightness writes into its input.
            augmentation(ops.copy(inputs), training=bool(training))
            for augmentation in self._one_a_view()
        ]
        self._check_alike([view.shape for view in views])
        return ops.stack([ops.cast(view, self._dtype_of(view)) for view in views], axis=1)

    def _dtype_of(self, view):
        """Token ids stay integers."""
        dtype = keras.backend.standardize_dtype(view.dtype)
        return dtype if dtype in ("int32", "int64") else self.compute_dtype

    def compute_output_spec(self, inputs: Tensor, training: bool = True) -> keras.KerasTensor:
        shape = self.compute_output_shape(inputs.shape)
        ids = self._dtype_of(inputs) != self.compute_dtype
        view = self.augmentations[0](inputs, training=bool(training)) if ids else inputs
        return keras.KerasTensor(shape, self._dtype_of(view))

    def _check_alike(self, shapes):
        shapes = sorted({tuple(shape[1:]) for shape in shapes}, key=str)
        if len(shapes) > 1:
            raise ValueError(f"MultiView needs views of one shape, got {', '.join(map(str, shapes))}.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shapes = [augmentation.compute_output_shape(input_shape) for augmentation in self.augmentations]
        self._check_alike(shapes)
        return (input_shape[0], self.views, *shapes[0][1:])

    def get_config(self) -> dict[str, Any]:
        layers = [keras.saving.serialize_keras_object(augmentation) for augmentation in self.augmentations]
        return {
            **super().get_config(),
            "augmentation": layers[0] if self.shared else layers,
            "views": self.views,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(
            **{**config, "augmentation": keras.saving.deserialize_keras_object(config["augmentation"])}
        )
