"""Shapes of which some sizes are not known."""

from contrast.typing import Shape


def agree(shape: Shape, expected: Shape) -> bool:
    """Whether two shapes are of the same rank, and of the same sizes as far as both are known."""
    return len(shape) == len(expected) and all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, expected, strict=True)
    )
