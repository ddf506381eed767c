"""Finding names in captions."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["NONAME", "names_in_caption"]

NONAME = "NONAME"  # the null name: a face whose person the caption does not name

_TOKEN = re.compile(r"\w+|[^\w\s]")


def names_in_caption(caption: str, vocabulary: Iterable[str]) -> tuple[str, ...]:
    """The names of a vocabulary that a caption mentions, distinct, in the order of their first mention.

    Whole words only, whatever their case (Unicode case folding), spacing and composition of accents. At each
    place the longest name wins, so that "George W. Bush" does not also mention "Bush". Of names that differ
    in case only the first is returned. Scripts without spaces between words are not segmented.

    Args:
        caption: any text.
        vocabulary: the known names, for instance a tuple; `NONAME` in it is ignored.

    Returns:
        The mentioned names as the vocabulary spells them.

    Raises:
        TypeError: if the caption is not a string, or the vocabulary not an iterable of strings.

    Example:

    >>> names_in_caption("Bush, then TONY  BLAIR's wife", ["Tony Blair", "Bush", "Tony"])
    ('Bush', 'Tony Blair')
    """
    if not isinstance(caption, str):
        raise TypeError(f"caption must be a string, got {type(caption).__name__}.")
    if isinstance(vocabulary, str):
        raise TypeError(f"vocabulary must be an iterable of names, got the string {vocabulary!r}.")
    index, longest = _index(tuple(vocabulary))
    tokens = _tokens(caption)
    found: dict[str, None] = {}
    position = 0
    while position < len(tokens):
        for length in range(min(longest, len(tokens) - position), 0, -1):
            name = index.get(tokens[position : position + length])
            if name is not None:
                found.setdefault(name)
                position += length
                break
        else:
            position += 1
    return tuple(found)


def _tokens(text: str) -> tuple[str, ...]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return tuple(_TOKEN.findall(unicodedata.normalize("NFKC", folded)))


@functools.lru_cache(maxsize=4)
def _index(vocabulary: tuple[str, ...]) -> tuple[dict[tuple[str, ...], str], int]:
    """Names by their tokens, and the number of tokens of the longest."""
    index: dict[tuple[str, ...], str] = {}
    for name in vocabulary:
        if not isinstance(name, str):
            raise TypeError(f"vocabulary must hold strings, got {type(name).__name__}: {name!r}.")
        tokens = _tokens(name)
        if tokens and name != NONAME:
            index.setdefault(tokens, name)
    return index, max(map(len, index), default=0)
