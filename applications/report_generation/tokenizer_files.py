"""Tokenizers in the JSON format of the library `tokenizers`, with other special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["with_specials"]


def with_specials(content: dict[str, Any], specials: Sequence[str], unknown: str) -> dict[str, Any]:
    """The same tokenizer with special tokens at the first ids; other tokens keep their order behind them.

    Args:
        content: what the JSON file of a tokenizer holds.
        specials: the special tokens; those that are there already move.
        unknown: which of them stands for what is not known, unless the tokenizer has a token for it.

    Returns:
        the new content. Rules that add tokens to a text, cut it or pad it are left out.

    Raises:
        KeyError: if a part is missing.

    Example:

    >>> from applications.report_generation.tokenizer_files import with_specials
    >>> model = {"type": "WordLevel", "vocab": {"lungs": 0, "clear": 1}, "unk_token": "lungs"}
    >>> with_specials({"model": model, "added_tokens": []}, ("[PAD]", "[UNK]"), "[UNK]")["model"]["vocab"]
    {'[PAD]': 0, '[UNK]': 1, 'lungs': 2, 'clear': 3}
    """
    model = dict(content["model"])
    scores = dict(model["vocab"]) if isinstance(model["vocab"], list) else None  # a list has unigrams' scores
    added = [token for token in content["added_tokens"] if token["content"] not in specials]
    old = list(scores) if scores else sorted(model["vocab"], key=model["vocab"].get)
    old += [token["content"] for token in sorted(added, key=lambda token: token["id"])]
    new = dict.fromkeys((*specials, *old))  # each once
    ids = {token: number for number, token in enumerate(new)}
    if scores:
        lowest = min(scores.values())
        model["vocab"] = [[token, scores.get(token, lowest)] for token in ids]
        model["unk_id"] = ids[unknown]
    else:
        model["vocab"] = ids
        if model.get("unk_token") not in ids:
            model["unk_token"] = unknown
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokens = [{"id": ids[token], "content": token, **flags} for token in specials]
    tokens += [{**token, "id": ids[token["content"]]} for token in added]
    dropped = dict.fromkeys(("truncation", "padding", "post_processor"))
    return {**content, **dropped, "model": model, "added_tokens": tokens}
