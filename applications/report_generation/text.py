"""Reports, facts and prompts as token ids and back."""

from __future__ import annotations

import collections
import json
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from applications.environment import check_packages
from applications.files import write_text
from applications.report_generation.study import Study
from applications.report_generation.tokenizer_files import with_specials

__all__ = ["ABSENCES", "SPECIALS", "ReportTokenizer", "check_absence", "study_texts"]

SPECIALS = ("[PAD]", "[BOS]", "[EOS]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[NHI]", "[NHPR]")
PAD_ID, BOS_ID, EOS_ID, CLS_ID, SEP_ID, MASK_ID, UNKNOWN_ID, NO_INDICATION_ID, NO_PRIOR_ID = range(9)
ABSENCES = ("tokens", "empty")
# numbers with decimals, words with what joins their parts, or else one mark
_WORDS = r"\d+\.\d+|\w+(?:[-'/]\w+)*|[^\w\s]"

logger = logging.getLogger("contrast")


class ReportTokenizer:
    """Turns findings, facts and prompts into token ids.

    `[PAD]` is 0, `[BOS]` 1, `[EOS]` 2, `[CLS]` 3, `[SEP]` 4, `[MASK]` 5, `[UNK]` 6, `[NHI]` ("no history of
    indication") 7 and `[NHPR]` ("no history of prior report") 8. Such names in a text are plain text.

    Texts are taken in lower case.

    Args:
        definition: of a tokenizer of the library `tokenizers`, as text in its JSON format. One without these
            special tokens, such as GPT-2's, gets them in front: its ids move up by the number of special
            tokens that it lacks. Rules that add tokens to a text, cut it or pad it are dropped.

    Raises:
        MissingPackageError: if `tokenizers` is not installed.
        ValueError: if the definition cannot be read.

    Example:

    >>> from applications.report_generation.text import ReportTokenizer
    >>> tokenizer = ReportTokenizer.fit(["There is no pleural effusion.", "No pneumothorax."])
    >>> ids = tokenizer.encode_findings(["No effusion."], max_length=None)
    >>> ids.shape, tokenizer.decode(ids)
    ((1, 5), ['no effusion.'])

    Reference: [Liu et al., CVPR 2025](https://arxiv.org/abs/2502.20056), whose prompts these are.
    """

    def __init__(self, definition: str) -> None:
        check_packages("tokenizers")
        from tokenizers import Tokenizer

        try:
            content = with_specials(json.loads(definition), SPECIALS, "[UNK]")
            self._tokenizer = Tokenizer.from_str(json.dumps(content))
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"definition is no tokenizer: {error!r}") from None
        self._tokenizer.encode_special_tokens = True
        self._words = content["model"]["type"] == "WordLevel"

    @classmethod
    def fit(cls, texts: Iterable[str], fewest: int = 1) -> ReportTokenizer:
        """A tokenizer of words, from texts of training only; see `study_texts`.

        Each mark of punctuation is a word of its own. Words such as "right-sided" stay whole.

        Args:
            texts: at least one with a word in it.
            fewest: how often a word must be there; rarer ones become `[UNK]`.

        Raises:
            MissingPackageError: if `tokenizers` is not installed.
            ValueError: if there is no word, or `fewest` is not positive.
        """
        check_packages("tokenizers")
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        if fewest < 1:
            raise ValueError(f"fewest must be positive, got {fewest}.")
        counts = collections.Counter(
            word for text in _checked(list(texts), "texts") for word in re.findall(_WORDS, text.lower())
        )
        known = [
            word for word in sorted(counts, key=lambda word: (-counts[word], word)) if counts[word] >= fewest
        ]
        if not known:
            raise ValueError(f"texts must hold at least one word {fewest} times, got none.")
        vocabulary = {token: number for number, token in enumerate((*SPECIALS, *known))}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)
        return cls(tokenizer.to_str())

    @property
    def definition(self) -> str:
        """The tokenizer of the library, as text in its JSON format."""
        return self._tokenizer.to_str()

    @property
    def size(self) -> int:
        """Number of token ids."""
        return self._tokenizer.get_vocab_size()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReportTokenizer) and self.definition == other.definition

    def __hash__(self) -> int:
        return hash(self.definition)

    def encode_findings(self, texts: Sequence[str], max_length: int | None = 100) -> np.ndarray:
        """`[BOS] text [EOS]`, padded behind.

        Args:
            texts: reports. Longer ones lose their end, before `[EOS]`, and a warning counts them.
            max_length: of all rows; `None`: that of the longest.

        Returns:
            int32 `(texts, max_length)`.

        Raises:
            ValueError: if a report is empty, or `max_length` is too small.
        """
        texts = _checked(texts, "texts")
        empty = next((row for row, text in enumerate(texts) if not text.strip()), None)
        if empty is not None:
            raise ValueError(f"texts[{empty}] must be a report, got an empty one.")
        rows = [[BOS_ID, *tokens, EOS_ID] for tokens in self._tokens(texts)]
        return _padded(rows, max_length, EOS_ID, "reports")

    def encode_facts(self, facts: Sequence[Sequence[str]], max_length: int | None = 100) -> np.ndarray:
        """`[CLS] fact [SEP] fact [SEP] ...`, padded behind.

        Args:
            facts: for each report its facts, at least one. A warning counts those that are cut off.
            max_length: as for `encode_findings`.

        Returns:
            int32 `(reports, max_length)`.

        Raises:
            ValueError: if a report has no fact, or `max_length` is too small.
        """
        empty = next((row for row, of in enumerate(facts) if not any(map(str.strip, of))), None)
        if empty is not None:
            raise ValueError(f"facts[{empty}] must hold at least one fact, got {list(facts[empty])!r}.")
        rows = [[CLS_ID, *tokens] for tokens in self._separated(facts, "facts")]
        return _padded(rows, max_length, SEP_ID, "lists of facts")

    def encode_prompts(
        self,
        indications: Sequence[str | None],
        prior_facts: Sequence[Sequence[str] | None],
        max_length: int | None = 200,
        absence: str = "tokens",
    ) -> tuple[np.ndarray, np.ndarray]:
        """`[CLS] indication [SEP]`, and in a second segment `fact [SEP] fact [SEP] ...` of the last report.

        Args:
            indications: one for each study; `None` or blank if there is none.
            prior_facts: for each study those of the visit before; `None` or none if there is no such visit
                or no report of it.
            max_length: as for `encode_findings`. An indication gets at most half of it. A warning counts
                the prompts that are cut off.
            absence: "tokens": `[NHI]` stands for a missing indication, `[NHPR] [SEP]` for missing facts;
                "empty": nothing does.

        Returns:
            the ids and the segments, 0 for the first and for padding, 1 for the second: int32
            `(studies, max_length)` each.

        Raises:
            ValueError: if the lists differ in length, `max_length` is too small or `absence` is not known.
        """
        check_absence(absence)
        if len(indications) != len(prior_facts):
            raise ValueError(
                "indications and prior_facts must be of the same studies, got "
                f"{len(indications)} and {len(prior_facts)}."
            )
        stand_ins = ([NO_INDICATION_ID], [NO_PRIOR_ID, SEP_ID]) if absence == "tokens" else ([], [])
        told = self._tokens(_checked([one or "" for one in indications], "indications"))
        half = None if max_length is None else max(1, max_length // 2 - 2)
        first = [[CLS_ID, *(tokens or stand_ins[0])[:half], SEP_ID] for tokens in told]
        second = self._separated([of or () for of in prior_facts], "prior_facts")
        rows = [one + (other or stand_ins[1]) for one, other in zip(first, second, strict=True)]
        ids = _padded(rows, max_length, SEP_ID, "prompts")
        starts = np.array([len(one) for one in first], "int32").reshape(-1, 1)
        segments = (np.arange(ids.shape[1]) >= starts) & (ids != PAD_ID)
        return ids, segments.astype("int32")

    def decode(self, ids: np.ndarray) -> list[str]:
        """Texts from ids `(texts, length)`: what stands before `[EOS]`, without special tokens.

        Ids that are none of the vocabulary are left out.
        """
        texts = []
        for row in np.asarray(ids).astype(int).tolist():
            row = row[: row.index(EOS_ID)] if EOS_ID in row else row
            texts.append(self._joined([token for token in row if len(SPECIALS) <= token < self.size]))
        return texts

    def cut(self, texts: Sequence[str], max_length: int = 100) -> list[str]:
        """Reports without what `encode_findings` cuts off, so that references end where a model must end.

        Those that are cut are in lower case.
        """
        texts, most = _checked(texts, "texts"), max_length - 2
        return [
            text if len(one.ids) <= most else text.lower()[: one.offsets[most - 1][1]]
            for text, one in zip(texts, self._encodings(texts), strict=True)
        ]

    def save(self, path: str | Path) -> None:
        """Writes the tokenizer in the JSON format of the library."""
        write_text(Path(path), self.definition + "\n")

    @classmethod
    def load(cls, path: str | Path) -> ReportTokenizer:
        """Reads what `save` has written, or the JSON file of any tokenizer.

        Raises:
            MissingPackageError: if `tokenizers` is not installed.
            ValueError: if the file cannot be read or holds something else.
        """
        try:
            return cls(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is no saved tokenizer: {error}") from None

    def _joined(self, tokens: list[int]) -> str:
        if not self._words:
            return self._tokenizer.decode(tokens, skip_special_tokens=False).strip()
        spaced = " ".join(self._tokenizer.id_to_token(token) for token in tokens)
        return re.sub(r"([(\[]) ", r"\1", re.sub(r" ([.,;:!?)\]%])", r"\1", spaced))

    def _encodings(self, texts: list[str]) -> list:
        return self._tokenizer.encode_batch([text.lower() for text in texts], add_special_tokens=False)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text; a warning counts the unknown ones."""
        encodings = self._encodings(texts)
        rows = [[UNKNOWN_ID if token < len(SPECIALS) else token for token in one.ids] for one in encodings]
        unknown = sum(row.count(UNKNOWN_ID) for row in rows)
        if unknown:
            logger.warning(
                "%d of %d tokens are not in the vocabulary and become [UNK].", unknown, sum(map(len, rows))
            )
        return rows

    def _separated(self, facts: Sequence[Sequence[str]], name: str) -> list[list[int]]:
        """For each list `fact [SEP] fact [SEP] ...`."""
        for row, of in enumerate(facts):
            if isinstance(of, str):
                raise TypeError(f"{name}[{row}] must be a list of facts, got the string {of!r}.")
        flat = iter(self._tokens(_checked([fact for of in facts for fact in of], name)))
        rows = [[next(flat) for _ in of] for of in facts]
        return [[token for fact in row if fact for token in (*fact, SEP_ID)] for row in rows]


def check_absence(absence: str) -> None:
    """Raises a ValueError unless `absence` is one of `ABSENCES`."""
    if absence not in ABSENCES:
        raise ValueError(f"absence must be one of {', '.join(ABSENCES)}, got {absence!r}.")


def study_texts(studies: Iterable[Study]) -> list[str]:
    """All texts of studies: findings, facts and indications, those of the visits before among them."""
    texts: list[str | None] = []
    for study in studies:
        texts += [study.findings, *study.facts, study.indication]
        if study.prior is not None:
            texts += [study.prior.findings, *study.prior.facts]
    return [text for text in texts if text]


def _checked(texts: Sequence[str], name: str) -> list[str]:
    if isinstance(texts, str):
        raise TypeError(f"{name} must be a list of strings, got the string {texts!r}.")
    wrong = next((row for row, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise TypeError(f"{name}[{wrong}] must be a string, got {type(texts[wrong]).__name__}.")
    return list(texts)


def _padded(rows: list[list[int]], max_length: int | None, last: int, what: str) -> np.ndarray:
    """`rows` as an array; those that are too long end on `last`, and a warning counts them."""
    if max_length is not None and max_length < 4:
        raise ValueError(f"max_length must be at least 4, got {max_length}.")
    length = max(map(len, rows), default=0) if max_length is None else max_length
    long = sum(len(row) > length for row in rows)
    if long:
        logger.warning("%d of %d %s are longer than %d tokens and are cut.", long, len(rows), what, length)
    ids = np.full((len(rows), length), PAD_ID, "int32")
    for place, row in enumerate(rows):
        kept = row if len(row) <= length else [*row[: length - 1], last]
        ids[place, : len(kept)] = kept
    return ids
