"""Features of names from BERT."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from applications.face_naming.captions import NONAME
from applications.face_naming.photo_checks import checked_integer

if TYPE_CHECKING:
    import keras_hub

__all__ = ["bert_name_features"]

_LAYERS = 4  # whose hidden states are summed
_UNKNOWN = "[UNK]"


def bert_name_features(
    names: Iterable[str],
    backbone: str | Path | keras_hub.models.BertBackbone = "bert_base_en_uncased",
    tokenizer: keras_hub.tokenizers.BertTokenizer | None = None,
    batch_size: int = 64,
) -> dict[str, np.ndarray]:
    """The `name_features` of `PhotoBatches` as the paper makes them.

    Each name is read alone. The hidden states of BERT's last four layers are summed, [CLS] and [SEP] left
    out, and the mean is taken over the word pieces. `NONAME` is the piece "[UNK]", as is a name of which the
    vocabulary has nothing.

    Args:
        names: any names, in any order, for instance those of all photos; repeated ones are read once.
        backbone: a preset of `keras_hub.models.BertBackbone`, which may be the path of a folder that
            `save_to_preset` wrote, or a backbone. Names of presets are downloaded at the first use.
        tokenizer: needed with a backbone, otherwise the preset's.
        batch_size: names that are encoded at once.

    Returns:
        For each name and for `NONAME` a `(width,)` float32 vector; 768 numbers for the base model.

    Raises:
        TypeError: if names are no strings, or a backbone comes without a tokenizer.
        ValueError: if the backbone has fewer than four layers, or a name is empty.

    Example:

    >>> import keras_hub
    >>> tokenizer = keras_hub.tokenizers.BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ada"])
    >>> backbone = keras_hub.models.BertBackbone(6, 4, 1, 8, 8, max_sequence_length=8)
    >>> features = bert_name_features(["Ada", "Alan"], backbone, tokenizer)
    >>> {name: vector.shape for name, vector in features.items()}
    {'Ada': (8,), 'Alan': (8,), 'NONAME': (8,)}
    """
    names = _checked_names(names)
    batch_size = checked_integer("batch_size", batch_size, 1)
    backbone, tokenizer = _loaded(backbone, tokenizer)
    encoder = _encoder(backbone)
    pieces = _word_pieces(names, tokenizer, backbone.max_sequence_length)
    shape = len(pieces), max(map(len, pieces)) + 2
    inputs = {key: np.zeros(shape, "int32") for key in ("segment_ids", "padding_mask", "is_piece")}
    inputs["token_ids"] = np.full(shape, tokenizer.pad_token_id, "int32")
    for row, ids in enumerate(pieces):
        end = len(ids) + 1
        inputs["token_ids"][row, : end + 1] = [tokenizer.start_token_id, *ids, tokenizer.end_token_id]
        inputs["padding_mask"][row, : end + 1] = 1
        inputs["is_piece"][row, 1:end] = 1
    vectors = np.asarray(encoder.predict(inputs, batch_size=batch_size, verbose=0), "float32")
    return dict(zip(names, vectors, strict=True))


def _checked_names(names: Iterable[str]) -> list[str]:
    """Distinct names, `NONAME` last."""
    if isinstance(names, str):
        raise TypeError(f"names must be an iterable of strings, got the string {names!r}; use [{names!r}].")
    distinct = list(dict.fromkeys(names))
    for name in distinct:
        if not isinstance(name, str):
            raise TypeError(f"names must hold strings, got {type(name).__name__}: {name!r}.")
        if not name.strip():
            raise ValueError(f"names must not hold an empty string, got {name!r}.")
    return [*(name for name in distinct if name != NONAME), NONAME]


def _loaded(backbone: Any, tokenizer: Any) -> tuple[Any, Any]:
    import keras_hub  # loads TensorFlow

    if isinstance(backbone, str | Path):
        preset = os.fspath(backbone)
        tokenizer = tokenizer or keras_hub.tokenizers.BertTokenizer.from_preset(preset)
        backbone = keras_hub.models.BertBackbone.from_preset(preset)
    if not isinstance(backbone, keras_hub.models.BertBackbone):
        given = type(backbone).__name__
        raise TypeError(f"backbone must be a preset or a keras_hub.models.BertBackbone, got {given}.")
    if tokenizer is None:
        raise TypeError("tokenizer must be given with a backbone; only a preset brings its own.")
    if len(backbone.transformer_layers) < _LAYERS:
        raise ValueError(
            f"backbone must have at least {_LAYERS} transformer layers, whose outputs are summed, "
            f"got {len(backbone.transformer_layers)}."
        )
    return backbone, tokenizer


def _encoder(backbone: keras_hub.models.BertBackbone) -> keras.Model:
    """A model from the ids and the mask of word pieces to one vector a name."""
    is_piece = keras.Input((None,), dtype="int32", name="is_piece")
    states = [ops.cast(layer.output, "float32") for layer in backbone.transformer_layers[-_LAYERS:]]
    weight = ops.cast(is_piece, "float32")[..., None]
    total = ops.sum(sum(states[1:], states[0]) * weight, axis=1)
    return keras.Model({**backbone.input, "is_piece": is_piece}, total / ops.sum(weight, axis=1))


def _word_pieces(names: list[str], tokenizer: Any, longest: int) -> list[list[int]]:
    """The ids of each name's word pieces, at least one; what BERT cannot take of a long name is cut."""
    unknown = tokenizer.token_to_id(_UNKNOWN)
    tokens = tokenizer([name for name in names if name != NONAME]) if len(names) > 1 else []
    tokens = tokens.to_list() if hasattr(tokens, "to_list") else tokens
    pieces = [[int(piece) for piece in ids] or [unknown] for ids in tokens]
    return [ids[: longest - 2] for ids in [*pieces, [unknown]]]
