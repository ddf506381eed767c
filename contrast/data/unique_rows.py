"""Batches in which no id stands twice."""

import numpy as np


def full_batches(ids: np.ndarray, batch_size: int) -> int:
    """How many full batches without a repeated id the rows give, at most.

    `b` such batches exist where the ids, each counted at most `b` times, fill them: then dealing the rows out
    like cards, id after id, never gives a batch the same id twice.

    Args:
        ids: int array `(rows,)`.
        batch_size: rows in a batch, at least 1.
    """
    counts = np.unique(ids, return_counts=True)[1]
    batches = len(ids) // batch_size
    while np.minimum(counts, batches).sum() < batches * batch_size:
        batches -= 1
    return batches


def smallest_number_of_batches(ids: np.ndarray, batch_size: int) -> int:
    """The fewest batches of at most `batch_size` rows that hold all rows and no id twice."""
    counts = np.unique(ids, return_counts=True)[1]
    return max(-(-len(ids) // batch_size), int(counts.max(initial=0)))


def deal(ids: np.ndarray, batches: int, generator: np.random.Generator | None = None) -> list[np.ndarray]:
    """Deals all rows out into batches of nearly one size, none of which holds an id twice.

    Args:
        ids: int array `(rows,)`, no id more than `batches` times.
        batches: number of batches.
        generator: draws who stands with whom, and the order of the batches; `None`: as the rows come.

    Returns:
        A list of int arrays, positions in `ids`.
    """
    rows = np.arange(len(ids))
    if generator is not None:
        rows = generator.permutation(rows)
    _, first, group = np.unique(np.asarray(ids)[rows], return_index=True, return_inverse=True)
    together = rows[np.argsort(first[group], kind="stable")]  # groups in the order of their first row
    dealt = [together[batch::batches] for batch in range(batches)]
    if generator is None:
        return dealt
    return [dealt[batch] for batch in generator.permutation(batches)]


def first_rows_that_fit(ids: np.ndarray, batches: int, batch_size: int) -> np.ndarray:
    """The first `batches * batch_size` rows of which no id comes more than `batches` times."""
    taken, rows = {}, []
    for row, one in enumerate(np.asarray(ids).tolist()):
        if len(rows) < batches * batch_size and taken.get(one, 0) < batches:
            taken[one] = taken.get(one, 0) + 1
            rows.append(row)
    return np.array(rows, int)
