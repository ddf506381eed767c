"""Views of sentences, given as padded token ids."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from contrast.augmentation.drawing_layer import DrawingLayer, checked_rate
from contrast.augmentation.images import checked_pair
from contrast.typing import Tensor


class TokenLayer(DrawingLayer):
    """What augmentations of token ids share.

    Args:
        pad_id: what stands behind a sentence.
        kept_ids: tokens that are no words, as those for the begin and the end of a sentence: they stay, in
            their order.
        seed: int or `None`.
    """

    ranks = (2,)
    wanted = "token ids (batch, length)"

    def __init__(
        self, pad_id: int = 0, kept_ids: Sequence[int] = (), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.pad_id, self.kept_ids = pad_id, tuple(kept_ids)

    def checked(self, inputs: Tensor) -> Tensor:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if "int" not in dtype:
            raise ValueError(f"{type(self).__name__} needs integer token ids, got {dtype}.")
        return inputs

    def words(self, ids: Tensor) -> Tensor:
        """Bool `(batch, length)`: which tokens are words."""
        words = ids != self.pad_id
        for kept in self.kept_ids:
            words = ops.logical_and(words, ids != kept)
        return words

    def without(self, ids: Tensor, gone: Tensor) -> Tensor:
        """The sentences without some tokens: the others move up, and padding stands at the end."""
        stays = ops.logical_and(ids != self.pad_id, ops.logical_not(gone))
        length = ids.shape[1]
        places = ops.arange(length, dtype="int32")
        order = ops.argsort(ops.where(stays, places, places + length), axis=1)
        moved = ops.take_along_axis(ids, order, axis=1)
        count = ops.sum(ops.cast(stays, "int32"), axis=1, keepdims=True)
        return ops.where(places < count, moved, ops.full_like(ids, self.pad_id))

    def compute_output_spec(self, inputs: Tensor, training: bool = True) -> keras.KerasTensor:
        self.check(inputs.shape)
        return keras.KerasTensor(inputs.shape, self.checked(inputs).dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pad_id": self.pad_id, "kept_ids": self.kept_ids}


@keras.saving.register_keras_serializable(package="contrast")
class RandomTokenDeletion(TokenLayer):
    """Deletes each word of a sentence with a probability; one word at least stays.

    Args:
        rate: probability, from 0 to 1, that a word is deleted.
        pad_id: what stands behind a sentence.
        kept_ids: tokens that are no words, as the end of a sentence: they stay.
        seed: int or `None`.

    Call: ids `(batch, length)` to ids of the same shape and type, what is left moved up, padding at the end;
        unchanged with `training=False`.

    Raises:
        ValueError: if `rate` is outside 0 to 1, or ids are no integers or have another rank.

    Example:

    >>> fewer = contrast.augmentation.RandomTokenDeletion(1.0, kept_ids=(2,))
    >>> keras.ops.convert_to_numpy(fewer(np.array([[7, 7, 7, 2, 0]]), training=True)).tolist()
    [[7, 2, 0, 0, 0]]

    Reference: [Wei and Zou, 2019](https://arxiv.org/abs/1901.11196), section 2.
    """

    arguments = ("rate",)

    def __init__(
        self,
        rate: float = 0.1,
        pad_id: int = 0,
        kept_ids: Sequence[int] = (),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pad_id, kept_ids, seed, **kwargs)
        self.rate = checked_rate(rate)

    def draw(self, ids: Tensor) -> Tensor:
        words, noise = self.words(ids), self.uniform(ops.shape(ids))
        last = ops.argmax(ops.where(words, noise, -1.0), axis=1)[:, None]  # would be deleted last
        others = ops.arange(ids.shape[1]) != ops.cast(last, "int32")
        return self.without(ids, ops.logical_and(ops.logical_and(words, others), noise < self.rate))


@keras.saving.register_keras_serializable(package="contrast")
class RandomTokenCropping(TokenLayer):
    """Keeps a stretch of words that stand together, of a random length and at a random place.

    Args:
        share: smallest and largest share of the words that is kept, above 0 and at most 1; the number is
            rounded, and 1 at least. Contriever draws from (0.05, 0.5) of long documents.
        pad_id: what stands behind a sentence.
        kept_ids: tokens that are no words, as the end of a sentence: they stay.
        seed: int or `None`.

    Call: ids `(batch, length)` to ids of the same shape and type, what is left moved up, padding at the end;
        unchanged with `training=False`.

    Raises:
        ValueError: if `share` is not an ordered pair above 0 and at most 1, or ids are no integers or have
            another rank.

    Example:

    >>> crop = contrast.augmentation.RandomTokenCropping((0.5, 0.5), kept_ids=(2,))
    >>> keras.ops.convert_to_numpy(crop(np.array([[7, 7, 7, 7, 2, 0]]), training=True)).tolist()
    [[7, 7, 2, 0, 0, 0]]

    Reference: [Izacard et al., 2021](https://arxiv.org/abs/2112.09118), section 3.2.
    """

    arguments = ("share",)

    def __init__(
        self,
        share: Sequence[float] = (0.5, 1.0),
        pad_id: int = 0,
        kept_ids: Sequence[int] = (),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pad_id, kept_ids, seed, **kwargs)
        self.share = checked_pair(share, "share", 0, 1)

    def draw(self, ids: Tensor) -> Tensor:
        words = self.words(ids)
        number = ops.cumsum(ops.cast(words, "float32"), axis=1) - 1
        count = number[:, -1:] + 1
        share, place = (self.uniform((ops.shape(ids)[0], 1)) for _ in range(2))
        low, high = self.share
        kept = ops.maximum(ops.round(count * (low + share * (high - low))), 1)
        start = ops.floor(place * (count - kept + 1))
        inside = ops.logical_and(number >= start, number < start + kept)
        return self.without(ids, ops.logical_and(words, ops.logical_not(inside)))


@keras.saving.register_keras_serializable(package="contrast")
class RandomTokenMasking(TokenLayer):
    """Replaces each word of a sentence by the mask token with a probability.

    `contrast.data.WordMasking` masks the last words or whole segments instead, for decoders that restore
    them.

    Args:
        mask_id: what stands for a masked word.
        rate: probability, from 0 to 1, that a word is masked.
        pad_id: what stands behind a sentence.
        kept_ids: tokens that are no words, as the end of a sentence: they are not masked.
        seed: int or `None`.

    Call: ids `(batch, length)` to ids of the same shape and type; unchanged with `training=False`.

    Raises:
        ValueError: if `rate` is outside 0 to 1, or ids are no integers or have another rank.

    Example:

    >>> masked = contrast.augmentation.RandomTokenMasking(mask_id=4, rate=1.0, kept_ids=(2,))
    >>> keras.ops.convert_to_numpy(masked(np.array([[7, 8, 2, 0]]), training=True)).tolist()
    [[4, 4, 2, 0]]

    Reference: [Devlin et al., 2018](https://arxiv.org/abs/1810.04805), section 3.1.
    """

    arguments = ("mask_id", "rate")

    def __init__(
        self,
        mask_id: int,
        rate: float = 0.15,
        pad_id: int = 0,
        kept_ids: Sequence[int] = (),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pad_id, kept_ids, seed, **kwargs)
        self.mask_id, self.rate = mask_id, checked_rate(rate)

    def draw(self, ids: Tensor) -> Tensor:
        masked = ops.logical_and(self.words(ids), self.uniform(ops.shape(ids)) < self.rate)
        return ops.where(masked, ops.full_like(ids, self.mask_id), ids)
