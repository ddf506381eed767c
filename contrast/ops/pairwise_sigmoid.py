"""Sums over the pairs of a similarity matrix, each judged on its own."""

from keras import ops

from contrast.ops.pairs import Pairs
from contrast.ops.tiled import TILE_SIZE, visit_matrix
from contrast.ops.tiles import masked
from contrast.typing import Tensor, TileSize


def pairwise_sigmoid(
    rows: Tensor,
    columns: Tensor,
    pairs: Pairs,
    bias: float | Tensor = 0.0,
    *,
    tile_size: TileSize = TILE_SIZE,
) -> Tensor:
    r"""Binary cross-entropy of every pair of a row with a column, summed over the columns.

    $$\sum_{j \in C_i} \log(1 + e^{-y_{ij} (a_i \cdot b_j + \beta)}), \qquad y_{ij} = 1 \text{ for positives,
    } -1 \text{ for all others}$$

    The matrix is visited tile by tile, and backward computes each tile once more.

    Args:
        rows: float32 tensor `(rows, dim)`, the $a_i$, temperature included.
        columns: float32 tensor `(columns, dim)`, the $b_j$.
        pairs: a `contrast.ops.Pairs`, candidates $C_i$ and positives among them.
        bias: float or scalar tensor, the $\beta$; a gradient flows to it.
        tile_size: rows of logits held at once, `"auto"` for what suits the device; `None` holds all.

    Returns:
        A float32 tensor `(rows,)`.
    """
    shift = ops.broadcast_to(-ops.cast(bias, "float32"), (ops.shape(rows)[0],))
    return visit_matrix(_PairwiseSigmoid(), pairs, tile_size, rows, columns, shift)[:, 0]


class _PairwiseSigmoid:
    """Sum over candidates of the softplus of the logit, or of minus the logit for a positive."""

    is_plain = False

    def start(self, count):
        return (ops.zeros((count,), "float32"),)

    def update(self, state, logits, candidates, weights, shift, axis):
        logits = logits - shift
        wrong = ops.where(weights > 0, -logits, logits)
        return (state[0] + ops.sum(masked(ops.softplus(wrong), candidates), axis=axis),)

    def finish(self, state):
        return state

    def coefficients(self, logits, candidates, weights, result, upstream, shift):
        logits = logits - shift
        slope = ops.where(weights > 0, -ops.sigmoid(-logits), ops.sigmoid(logits))
        return upstream[0] * masked(slope, candidates)
