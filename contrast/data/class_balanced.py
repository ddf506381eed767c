from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from contrast.data.image_folder import ImageFolder
from contrast.data.views import ViewBatches

FEW = ("repeat", "drop")


class ClassBalancedBatches(ViewBatches):
    """Batches of P classes with M samples of each, so that every anchor has positives and negatives.

    All classes come equally often, within one batch, and so do the samples of a class. Which ones stand
    together is a function of (seed, epoch). `fit` shuffles batches once more, by global state, unless it is
    called with `shuffle=False`.

    Args:
        samples: array `(samples, ...)`, or a `contrast.data.ImageFolder`, which brings its ids.
        ids: int array `(samples,)` of classes; not with an `ImageFolder`.
        classes_per_batch: the P different classes of a batch, at least 2.
        samples_per_class: the M samples of each.
        batches: how many make an epoch; `None`: as many as hold the samples once.
        groups: int array `(samples,)`, or `None`. The M samples of a class then come from as many different
            groups as it has: photos of a person by other cameras, of a product from other shops, words of a
            speaker from other recordings, so that what a group has in common is not taken for the class.
        few: what becomes of a class with fewer than M samples: `"repeat"`: some come twice in a batch;
            `"drop"`: it is left out.
        augmentation, views: as for `contrast.data.ViewBatches`; without an augmentation each sample is its
            own view.
        seed: non-negative int.
        **kwargs: as for `keras.utils.PyDataset`.

    Items: samples `(P * M, views, ...)`, those of a class together, and ids `(P * M,)`. For an encoder of
        single samples there is `contrast.layers.FoldViews`.

    Raises:
        ValueError: if ids are missing or not wanted, an argument is outside what is listed here, there are
            fewer than P classes, or samples, ids and groups differ in number.
        TypeError: if ids or groups are not integers.

    Example:

    >>> ids = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    >>> batches = contrast.data.ClassBalancedBatches(np.zeros((9, 4)), ids, 2, 3)
    >>> samples, ids = batches[0]
    >>> samples.shape, len(set(ids.tolist()))
    ((6, 1, 4), 2)
    """

    def __init__(
        self,
        samples: Any,
        ids: ArrayLike | None = None,
        classes_per_batch: int = 8,
        samples_per_class: int = 4,
        batches: int | None = None,
        groups: Any = None,
        few: str = "repeat",
        augmentation: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
        views: int = 1,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if isinstance(samples, ImageFolder):
            if ids is not None:
                raise ValueError("ids must be None with an ImageFolder, which brings its own.")
            ids = samples.ids
        if ids is None:
            raise ValueError("ids must hold the class of each sample, got None.")
        if classes_per_batch < 2 or samples_per_class < 1 or (batches is not None and batches < 1):
            raise ValueError(
                "classes_per_batch must be at least 2, samples_per_class and batches at least 1, got "
                f"{classes_per_batch}, {samples_per_class} and {batches}."
            )
        if few not in FEW:
            raise ValueError(f"few must be one of {', '.join(map(repr, FEW))}, got {few!r}.")
        if augmentation is None and views != 1:
            raise ValueError(f"views must be 1 without an augmentation, got {views}.")
        batch_size = classes_per_batch * samples_per_class
        super().__init__(samples, augmentation or _unchanged, ids, views, batch_size, seed=seed, **kwargs)
        ids = self.arrays["ids"]
        groups = _checked_groups(groups, len(ids))
        rows = {one: np.flatnonzero(ids == one) for one in np.unique(ids).tolist()}
        if few == "drop":
            rows = {one: members for one, members in rows.items() if len(members) >= samples_per_class}
        if len(rows) < classes_per_batch:
            enough = f" with {samples_per_class} samples" if few == "drop" else ""
            raise ValueError(
                f"classes_per_batch must be at most the {len(rows)} classes{enough}, got {classes_per_batch}."
            )
        self.classes_per_batch, self.samples_per_class = classes_per_batch, samples_per_class
        self.groups, self.few = groups, few
        self._rows = rows
        self._length = batches or max(1, sum(map(len, rows.values())) // batch_size)

    def __len__(self) -> int:
        return self._length

    def rows(self, index: int) -> np.ndarray:
        """Row numbers of batch `index` in the current epoch."""
        return self._batches_of_epoch()[range(len(self))[index]]

    def _deal(self):
        generator = np.random.default_rng((self.seed, self.epoch))
        classes = _Deck(list(self._rows), generator)
        samples = {one: self._deck(rows, generator) for one, rows in self._rows.items()}
        return [
            np.concatenate(
                [samples[one].draw(self.samples_per_class) for one in classes.draw(self.classes_per_batch)]
            )
            for _ in range(len(self))
        ]

    def _deck(self, rows, generator):
        if self.groups is None:
            return _Deck(rows, generator)
        return _GroupedDeck(rows, generator, self.groups[rows])


class _Deck:
    """Cards that all come once before one comes twice; those of one draw differ while there are enough."""

    def __init__(self, cards, generator):
        self.cards, self.generator, self.left = np.asarray(cards), generator, []

    def draw(self, count):
        """The next `count` cards, as an array."""
        drawn = []
        while len(drawn) < count:
            if not self.left:
                # Cards that this draw holds already go to the bottom of the new pile.
                held = set(drawn[len(drawn) // len(self.cards) * len(self.cards) :])
                pile = self.generator.permutation(self.cards).tolist()
                self.left = sorted(pile, key=held.__contains__)
            drawn.append(self.left.pop(0))
        return np.array(drawn)


class _GroupedDeck:
    """A deck for each group; a draw takes from as many groups as there are, and from all equally often."""

    def __init__(self, cards, generator, groups):
        self.generator = generator
        self.decks = {one: _Deck(cards[groups == one], generator) for one in np.unique(groups).tolist()}
        self.uses = dict.fromkeys(self.decks, 0)

    def draw(self, count):
        times = dict.fromkeys(self.decks, 0)
        for _ in range(count):
            one = min(times, key=lambda one: (self._repeats(one, times), times[one], self.uses[one]))
            times[one] += 1
            self.uses[one] += 1 + self.generator.uniform(0, 0.5)  # so that equal ones change places
        return np.concatenate([self.decks[one].draw(number) for one, number in times.items() if number])

    def _repeats(self, one, times):
        return times[one] // len(self.decks[one].cards)


def _checked_groups(groups, count):
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.dtype.kind not in "iu":
        raise TypeError(
            f"groups must be integers, got {groups.dtype}. Number them with np.unique(groups, "
            "return_inverse=True)[1]."
        )
    if groups.shape != (count,):
        raise ValueError(f"groups must have shape ({count},), one a sample, got {groups.shape}.")
    return groups


def _unchanged(samples, generator):
    return samples
