from typing import Any, NamedTuple

import keras
from keras import ops

from contrast import backend
from contrast.ops.shapes import agree
from contrast.typing import Tensor


class QueueContents(NamedTuple):
    """What `MemoryQueue.read` returns: tensors without gradient.

    Attributes:
        embeddings: float32 `(size, dim)`; `(groups, size, dim)` of a queue with groups; `(..., size, dim)`
            where groups were asked for. Zero where not valid.
        ids: int32, the same without the last axis; -1 where none was given or not valid.
        valid: bool, the same shape as ids: `False` for places not filled yet.
    """

    embeddings: Any
    ids: Any
    valid: Any


@keras.saving.register_keras_serializable(package="contrast")
class MemoryQueue(keras.Layer):
    """The last embeddings, as further negatives: a ring of fixed size that is saved with the model.

    Enqueue inside the step, in `compute_loss` or `call`, and read before:

    ```python
    negatives, _, valid = self.queue.read()
    seen = ops.concatenate([ops.ones((batch,), "bool"), valid])  # nobody sees places not filled yet
    mask = ops.broadcast_to(seen[None, :], (batch, ops.shape(seen)[0]))
    loss = contrast.losses.InfoNCE()(None, (queries, keys), negatives=negatives, candidate_mask=mask)
    self.queue.enqueue(keys)
    ```

    The order of the places is that of the ring, not that of time. Embeddings are stored as they are, in
    float32 whatever the policy. On several replicas each stores the rows of all: their queues are equal.

    Args:
        size: places of the queue, of each group if there are groups; at least the largest batch, that of all
            replicas together.
        dim: width of the embeddings.
        groups: how many queues are kept side by side, for instance one a class; `None`: a single one.

    Raises:
        ValueError: if an argument is below 1; see the methods for the rest.

    Example:

    >>> queue = contrast.layers.MemoryQueue(size=4, dim=2)
    >>> queue.enqueue(np.ones((3, 2), "float32"), ids=[7, 8, 9])
    >>> keras.ops.convert_to_numpy(queue.read().ids).tolist()
    [7, 8, 9, -1]

    Reference: [He et al., 2020](https://arxiv.org/abs/1911.05722), section 3.2.
    """

    def __init__(self, size: int, dim: int, groups: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(size, dim, 1 if groups is None else groups) < 1:
            raise ValueError(f"size, dim and groups must be at least 1, got {size}, {dim} and {groups}.")
        self.size, self.dim, self.groups = size, dim, groups
        self._rings = groups or 1
        places = self._rings * size + 1  # the last one takes the rows that belong to no group, as zeros
        self.embeddings = self.add_weight(
            shape=(places, dim),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            trainable=False,
            name="embeddings",
        )
        self.ids = self.add_weight(
            shape=(places,),
            initializer=keras.initializers.Constant(-1),
            dtype="int32",
            trainable=False,
            name="ids",
        )
        # Below 2 * size: its remainder is the next place, and size or more says that the ring is full.
        self.counts = self.add_weight(
            shape=(self._rings,), initializer="zeros", dtype="int32", trainable=False, name="counts"
        )
        self.built = True

    def enqueue(
        self, embeddings: Tensor, ids: Tensor | None = None, group: int | Tensor | None = None
    ) -> None:
        """Stores a batch in the place of the oldest embeddings.

        Args:
            embeddings: float tensor `(batch, dim)`; gradients stop here.
            ids: int tensor `(batch,)`, below 2**31, or `None`.
            group: for a queue with groups, an int or an int tensor `(batch,)`, from 0 to groups - 1. A row
                whose group lies outside is not stored; use -1 for padding.

        Raises:
            ValueError: if the shapes do not fit, the batch is larger than the queue, or a group is given
                where there are none, or missing. Where the batch is unknown when a step is traced, the last
                rows that fit are stored.
            TypeError: if ids or groups are not integers.
        """
        embeddings = ops.cast(ops.convert_to_tensor(embeddings), "float32")
        if len(embeddings.shape) != 2 or embeddings.shape[1] != self.dim:
            raise ValueError(f"embeddings must be (batch, {self.dim}), got shape {tuple(embeddings.shape)}.")
        length = embeddings.shape[0]
        if length is not None and length > self.size:
            raise ValueError(
                f"A batch of {length} does not fit into a queue of size {self.size}; make the queue larger "
                "or the batch smaller."
            )
        self._check_group(group, required=True)
        ids = None if ids is None else _integers("ids", ids, [(length,)])
        groups = _integers("group", 0 if group is None else group, [(), (length,)])
        if len(groups.shape):
            groups = backend.gather(groups)[-self.size :]
        embeddings = backend.gather(ops.stop_gradient(embeddings))[-self.size :]
        batch = ops.shape(embeddings)[0]
        ids = ops.full((batch,), -1, "int32") if ids is None else backend.gather(ids)[-self.size :]
        groups = ops.broadcast_to(groups, (batch,))

        member = ops.equal(groups[:, None], ops.arange(self._rings, dtype="int32")[None, :])
        stored, member = ops.any(member, axis=1), ops.cast(member, "int32")
        counts = ops.copy(self.counts)
        order = ops.cumsum(member, axis=0) - 1 + counts[None, :]
        place = ops.cast(ops.sum(member * order, axis=1) % self.size, "int32") + groups * self.size
        place = ops.where(stored, place, self._rings * self.size)[:, None]
        embeddings = ops.where(stored[:, None], embeddings, 0.0)
        ids = ops.where(stored, ids, -1)
        self.embeddings.assign(ops.scatter_update(ops.copy(self.embeddings), place, embeddings))
        self.ids.assign(ops.scatter_update(ops.copy(self.ids), place, ids))
        counts = counts + ops.cast(ops.sum(member, axis=0), "int32")
        self.counts.assign(ops.where(counts >= 2 * self.size, counts - self.size, counts))

    def read(self, group: int | Tensor | None = None) -> QueueContents:
        """Returns a copy of the content, which later calls of `enqueue` do not change.

        Args:
            group: for a queue with groups, an int or an int tensor of groups, each from 0 to groups - 1; the
                shape of `group` comes first in what is returned. `None`: all groups.

        Returns:
            `QueueContents`: embeddings, ids and which places are valid.

        Raises:
            ValueError: if a group is given where there are none.
            TypeError: if groups are not integers.
        """
        self._check_group(group, required=False)
        embeddings = ops.reshape(ops.copy(self.embeddings)[:-1], (self._rings, self.size, self.dim))
        ids = ops.reshape(ops.copy(self.ids)[:-1], (self._rings, self.size))
        valid = ops.less(ops.arange(self.size, dtype="int32")[None, :], ops.copy(self.counts)[:, None])
        contents = (ops.stop_gradient(embeddings), ids, valid)
        if self.groups is None:
            group = 0
        if group is not None:
            group = _integers("group", group)
            contents = (ops.take(content, group, axis=0) for content in contents)
        return QueueContents(*contents)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "dim": self.dim, "groups": self.groups}

    def _check_group(self, group, required):
        if self.groups is None and group is not None:
            raise ValueError(f"group must be None for a queue without groups, got {group!r}.")
        if self.groups is not None and group is None and required:
            raise ValueError(f"group must say to which of the {self.groups} groups each embedding belongs.")


def _integers(name, values, shapes=None):
    """`values` as int32 tensor of one of these shapes, in which `None` fits any length."""
    values = ops.convert_to_tensor(values)
    dtype = keras.backend.standardize_dtype(values.dtype)
    if "int" not in dtype:
        raise TypeError(f"{name} must be integers, got {dtype}.")
    shape = tuple(values.shape)
    if not any(agree(shape, allowed) for allowed in shapes or [shape]):
        raise ValueError(f"{name} must have shape {shapes[-1]}, one for each embedding, got {shape}.")
    return ops.cast(values, "int32")
