"""Rendered signing: a corpus of weather sentences in a made-up sign language that needs no download.

It has what makes translation without glosses hard: whole sentences without alignment, many frames a sign,
signs that sentences share, an order of signs unlike that of the words, several wordings, and few pairs.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import zipfile
from pathlib import Path

import numpy as np

from applications.demo_cache import cache_folder, cache_name
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.grammar import NEGATION, glosses, wordings
from applications.sign_translation.lexicon import lexicon
from applications.sign_translation.meaning import PHENOMENA, SPLITS, Record, draw_record, split_of
from applications.sign_translation.motion import draw_signer, joints
from applications.sign_translation.renderer import draw_colours, render
from contrast.data.files import whole_file

__all__ = ["SigningWorld"]

_BLOCK = 50  # clips in one file of the cache
_SOURCES = ("meaning.py", "grammar.py", "lexicon.py", "motion.py", "renderer.py", "corpus.py")

logger = logging.getLogger("contrast")


class SigningWorld:
    """Clips of rendered people who sign weather sentences.

    Meanings are split, not clips: no sentence of one split stands in another. `"held_out"` has pairs of a
    region and a phenomenon that the other splits never join, though each half of them is seen there.

    Clips are kept on disk, uint8, in the cache folder of the demos (`CONTRAST_CACHE`), under a name that
    changes with the seed and with the code that draws them.

    Args:
        seed: non-negative integer; the signs are the same for all seeds.
        size: height and width of the frames in pixels.
        channels: 1 for grey, 3 for colour.
        head_shake: show a negation not with a sign, but with a shake of the head over the phenomenon.
        folder: of the cache; `None`: `applications.demo_cache.cache_folder()`.

    Raises:
        ValueError: if seed is negative, size below 1, or channels neither 1 nor 3.

    Example:

    >>> import tempfile
    >>> from applications.sign_translation.corpus import SigningWorld
    >>> clip = SigningWorld(seed=0, folder=tempfile.mkdtemp()).clips(1, "test")[0]
    >>> clip.frames.shape[1:], clip.sentence in clip.references
    ((32, 32, 1), True)
    """

    def __init__(
        self,
        seed: int = 0,
        size: int = 32,
        channels: int = 1,
        head_shake: bool = False,
        folder: str | Path | None = None,
    ) -> None:
        if seed < 0 or size < 1 or channels not in (1, 3):
            raise ValueError(
                "seed must be at least 0, size at least 1 and channels 1 or 3, got "
                f"{seed}, {size} and {channels}."
            )
        self.seed, self.size, self.channels, self.head_shake = seed, size, channels, head_shake
        self.folder = cache_folder() if folder is None else Path(folder)

    def clips(self, count: int, split: str = "train") -> list[SignedClip]:
        """The first `count` clips of a split.

        Args:
            count: at least 1.
            split: "train", "dev", "test" or "held_out".

        Raises:
            ValueError: if `count` is below 1 or the split is not known.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}.")
        records = self.records(-(-count // _BLOCK) * _BLOCK, split)
        clips = []
        for start in range(0, count, _BLOCK):
            drawn = self._block(start, records[start : start + _BLOCK], split)
            for index, (frames, places) in enumerate(drawn[: count - start], start):
                clips.append(self._clip(records[index], split, index, frames, places))
        return clips

    def records(self, count: int, split: str = "train") -> list[Record]:
        """The meanings of the first `count` clips of a split, all different."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
        return list(_records(self.seed, split, count)[:count])

    def compose(self, record: Record, seed: int = 0) -> SignedClip:
        """A clip of a meaning of one's own; another `seed` gives another signer and wording."""
        generator = np.random.default_rng((self.seed, len(SPLITS), seed))
        wording = int(generator.integers(len(wordings(record))))
        frames, places = self._draw(record, generator)
        sentences = wordings(record)
        return SignedClip(frames, sentences[wording], sentences, "", record, glosses(record), places)

    def _clip(
        self, record: Record, split: str, index: int, frames: np.ndarray, places: np.ndarray
    ) -> SignedClip:
        sentences = wordings(record)
        wording = int(self._generator(split, index).integers(len(sentences)))
        key = f"{split}-{index:04d}"
        return SignedClip(frames, sentences[wording], sentences, key, record, glosses(record), places)

    def _generator(self, split: str, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, SPLITS.index(split), index))

    def _draw(self, record: Record, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Frames and joints of a meaning."""
        names = list(glosses(record))
        shaken = [False] * len(names)
        if self.head_shake and record.negated:
            names.remove(NEGATION)
            shaken = [name in PHENOMENA for name in names]
        signs = [lexicon()[name] for name in names]
        signer, colours = draw_signer(generator), draw_colours(generator)
        places = joints(signs, signer, generator, shaken)
        return render(places, colours, generator, self.size, self.channels), places

    def _block(self, start: int, records: list[Record], split: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Frames and joints of a block of clips, from the cache if they are there."""
        recipe = {"seed": self.seed, "size": self.size, "channels": self.channels, "block": start // _BLOCK}
        recipe |= {"split": split, "head_shake": self.head_shake, "drawing": _digest_of_sources()}
        path = self.folder / f"{cache_name('signing', **recipe)}.npz"
        drawn = _read(path, len(records))
        if drawn is not None:
            return drawn
        drawn = []
        for index, record in enumerate(records, start):
            generator = self._generator(split, index)
            generator.integers(len(wordings(record)))  # the wording, which `_clip` draws
            drawn.append(self._draw(record, generator))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary:
                np.savez(
                    temporary,
                    lengths=[len(frames) for frames, _ in drawn],
                    frames=np.concatenate([frames for frames, _ in drawn]),
                    joints=np.concatenate([places for _, places in drawn]),
                )
        except OSError as error:
            logger.warning("Rendered clips cannot be kept in %s: %s", self.folder, error)
        return drawn


@functools.lru_cache(maxsize=16)
def _records(seed: int, split: str, count: int) -> tuple[Record, ...]:
    """The first different records of a split, a multiple of the block; more records begin with the same."""
    generator = np.random.default_rng((seed, 12, SPLITS.index(split)))
    records: dict[Record, None] = {}
    while len(records) < count:
        record = draw_record(generator)
        if split_of(record, seed) == split:
            records[record] = None
    return tuple(records)


def _read(path: Path, count: int) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """A block of clips; `None` if nothing whole is there."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ends = np.cumsum(arrays["lengths"])[:-1]
            frames, places = np.split(arrays["frames"], ends), np.split(arrays["joints"], ends)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("%s cannot be used (%s); its clips are rendered again.", path, error)
        return None
    return list(zip(frames, places, strict=True)) if len(frames) == count else None


@functools.cache
def _digest_of_sources() -> str:
    """Changes with the code that draws clips, so that none of an older version are read."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _SOURCES)).hexdigest()
