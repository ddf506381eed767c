"""Sentences as token ids and back: words, pieces of words, or characters."""

from __future__ import annotations

import collections
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from applications.environment import check_packages
from applications.files import write_text

__all__ = ["SPECIALS", "SentenceTokenizer"]

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
START_ID, PAD_ID, END_ID, UNKNOWN_ID, MASK_ID = range(len(SPECIALS))
LEVELS = ("word", "subword", "character")

logger = logging.getLogger("contrast")


class SentenceTokenizer:
    """Turns sentences into `w_1 ... w_n </s> LANGUAGE`, as multilingual translation models have them.

    `<s>` is 0, `<pad>` 1, `</s>` 2, `<unk>` 3, `<mask>` 4; the language code has the largest id.

    Args:
        definition: of a tokenizer of the library `tokenizers`, as text in its JSON format.
        level: "word", "subword" or "character".
        language: the language code.

    Raises:
        MissingPackageError: if `tokenizers` is not installed.
        ValueError: if the definition cannot be read, or its special tokens have other ids.

    Example:

    >>> from applications.sign_translation.text import SentenceTokenizer
    >>> tokenizer = SentenceTokenizer.fit(["rain in the north", "fog in the south"], language="en_XX")
    >>> ids = tokenizer.encode(["fog in the north"])
    >>> ids.shape, tokenizer.decode(ids)
    ((1, 6), ['fog in the north'])
    """

    def __init__(self, definition: str, level: str, language: str) -> None:
        check_packages("tokenizers")
        from tokenizers import Tokenizer

        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}.")
        try:
            self._tokenizer = Tokenizer.from_str(definition)
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"definition is no tokenizer: {error}") from None
        self.level, self.language = level, language
        self.language_id = self._tokenizer.get_vocab_size() - 1
        expected = dict(zip((*SPECIALS, language), (*range(len(SPECIALS)), self.language_id), strict=True))
        found = {token: self._tokenizer.token_to_id(token) for token in expected}
        if found != expected:
            raise ValueError(f"definition must have the special tokens {expected}, got {found}.")

    @classmethod
    def fit(
        cls,
        sentences: Sequence[str],
        level: str = "word",
        language: str = "en_XX",
        size: int = 2500,
        character_coverage: float = 1.0,
    ) -> SentenceTokenizer:
        """A tokenizer whose vocabulary comes from sentences, those of training only.

        Args:
            sentences: at least one that is not empty.
            level: "word": what stands between spaces; "subword": pieces of words, learned by byte-pair
                encoding; "character": for languages without spaces.
            language: the code that ends a sentence.
            size: most entries of the vocabulary, the special ones among them; the most frequent are kept.
            character_coverage: above 0, at most 1: share of the text that known characters make up, for
                pieces and characters; rarer characters become `<unk>`.

        Raises:
            MissingPackageError: if `tokenizers` is not installed.
            ValueError: if an argument is out of its range, or a special token stands in a sentence.
        """
        check_packages("tokenizers")
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}.")
        if not 0 < character_coverage <= 1:
            raise ValueError(f"character_coverage must be above 0 and at most 1, got {character_coverage}.")
        if not language or language in SPECIALS or any(one.isspace() for one in language):
            raise ValueError(f"language must be a code such as 'en_XX', got {language!r}.")
        if size < len(SPECIALS) + 2:
            raise ValueError(f"size must be at least {len(SPECIALS) + 2}, got {size}.")
        sentences = _checked(sentences, language)
        if not any(sentences):
            raise ValueError("sentences must hold at least one that is not empty.")
        if level == "subword":
            tokenizer = _pieces(sentences, size - len(SPECIALS) - 1, character_coverage)
        else:
            tokenizer = _entries(sentences, level, size - len(SPECIALS) - 1, character_coverage)
        return cls(_with_language(tokenizer, language), level, language)

    @property
    def definition(self) -> str:
        """The tokenizer of the library, as text in its JSON format."""
        return self._tokenizer.to_str()

    @property
    def size(self) -> int:
        """Number of token ids."""
        return self.language_id + 1

    def encode(
        self, sentences: Sequence[str], length: int | None = None, with_words: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Token ids, padded behind with 1.

        Args:
            sentences: strings; a warning counts the words in them that are not known.
            length: of all rows; `None`: that of the longest sentence.
            with_words: also return which word each token is a piece of, as
                `contrast.data.sentence_noise.WordMasking` takes it.

        Returns:
            int32 `(sentences, length)`, or a pair of these; tokens that are no word have word -1.

        Raises:
            ValueError: if a sentence is longer than `length`, or holds a special token.
        """
        sentences = _checked(sentences, self.language)
        encodings = self._tokenizer.encode_batch(sentences)
        tokens = [[*encoding.ids, END_ID, self.language_id] for encoding in encodings]
        self._warn_of_unknown(sentences, tokens)
        longest = max((len(row) for row in tokens), default=2)
        length = longest if length is None else length
        if longest > length:
            row = max(range(len(tokens)), key=lambda one: len(tokens[one]))
            raise ValueError(
                f"length must be at least {longest}, got {length}: sentence {row} has so many tokens, "
                "its end and language counted."
            )
        ids = np.full((len(tokens), length), PAD_ID, "int32")
        words = np.full_like(ids, -1)
        for row, encoding in enumerate(encodings):
            ids[row, : len(tokens[row])] = tokens[row]
            words[row, : len(encoding.ids)] = encoding.word_ids
        return (ids, words) if with_words else ids

    def decode(self, ids: np.ndarray) -> list[str]:
        """Sentences from token ids `(sentences, length)`: what stands before `</s>`, without special tokens.

        Ids that are none of the vocabulary are left out.
        """
        rows = []
        for row in np.asarray(ids).astype(int).tolist():
            if END_ID in row:
                row = row[: row.index(END_ID)]
            rows.append([token for token in row if len(SPECIALS) <= token < self.language_id])
        return [self._joined(row) for row in rows]

    def save(self, path: str | Path) -> None:
        """Writes the tokenizer as JSON."""
        content = {
            "level": self.level,
            "language": self.language,
            "tokenizer": json.loads(self.definition),
        }
        write_text(Path(path), json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> SentenceTokenizer:
        """Reads what `save` has written.

        Raises:
            MissingPackageError: if `tokenizers` is not installed.
            ValueError: if the file cannot be read or holds something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            parts = json.dumps(content["tokenizer"]), content["level"], content["language"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no saved tokenizer: {error!r}.") from None
        return cls(*parts)

    def _joined(self, tokens: list[int]) -> str:
        if self.level == "subword":
            return self._tokenizer.decode(tokens).strip()
        separator = " " if self.level == "word" else ""
        return separator.join(map(self._tokenizer.id_to_token, tokens)).replace(_SPACE, " ").strip()

    def _warn_of_unknown(self, sentences: list[str], tokens: list[list[int]]) -> None:
        unknown = sum(row.count(UNKNOWN_ID) for row in tokens)
        if not unknown:
            return
        among = sum(UNKNOWN_ID in row for row in tokens)
        logger.warning(
            "%d of %d tokens, in %d of %d sentences, are not in the vocabulary and become <unk>.",
            unknown,
            sum(len(row) - 2 for row in tokens),
            among,
            len(sentences),
        )


_SPACE = "▁"  # stands for a space where characters are tokens


def _checked(sentences: Sequence[str], language: str) -> list[str]:
    """The sentences with single spaces."""
    if isinstance(sentences, str):
        raise TypeError(f"sentences must be a list of strings, got the string {sentences!r}.")
    for row, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise TypeError(f"sentences[{row}] must be a string, got {type(sentence).__name__}.")
        special = next((token for token in (*SPECIALS, language) if token in sentence), None)
        if special is not None:
            raise ValueError(f"sentences[{row}] must not hold the special token {special!r}: {sentence!r}.")
    return [" ".join(sentence.split()) for sentence in sentences]


def _known_characters(sentences: list[str], coverage: float) -> set[str]:
    """The most frequent characters that make up this share of the text."""
    counts = collections.Counter("".join(sentences))
    total, known, seen = sum(counts.values()), set(), 0
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if seen >= coverage * total:
            break
        known.add(character)
        seen += count
    return known


def _entries(sentences: list[str], level: str, size: int, coverage: float):
    """A tokenizer of whole words, or of characters."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    if level == "word":
        counts = collections.Counter(word for sentence in sentences for word in sentence.split())
        before = pre_tokenizers.WhitespaceSplit()
    else:
        known = _known_characters(sentences, coverage)
        counts = collections.Counter("".join(sentences).replace(" ", _SPACE))
        counts = {one: count for one, count in counts.items() if one.replace(_SPACE, " ") in known}
        before = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
                pre_tokenizers.Split(Regex("."), "isolated"),
            ]
        )
    ordered = sorted(counts, key=lambda entry: (-counts[entry], entry))[:size]
    vocabulary = {token: number for number, token in enumerate((*SPECIALS, *ordered))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = before
    return tokenizer


def _pieces(sentences: list[str], size: int, coverage: float):
    """A tokenizer of pieces of words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    known = sorted(_known_characters(sentences, coverage) - {" "})
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=size + len(SPECIALS),
        special_tokens=list(SPECIALS),
        initial_alphabet=known,
        limit_alphabet=len(known) + 1,  # and the mark of a space
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return tokenizer


def _with_language(tokenizer, language: str) -> str:
    """The definition with the language code behind all other tokens."""
    from tokenizers import AddedToken

    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.add_special_tokens([AddedToken(language, special=True)])
    return tokenizer.to_str()
