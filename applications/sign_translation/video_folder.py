"""A folder of videos with sentences, as a person keeps it.

videos/         .mp4, .m4v, .mov, .avi, .webm, .mkv or .gif; folders in it are looked into
sentences.csv   columns `file` (path in videos/) and `sentence`
.frames/        made here: the decoded frames, so that the next start is quick
"""

from __future__ import annotations

import functools
import hashlib
import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from applications.csv_tables import TableRow, read_csv
from applications.environment import check_packages
from applications.named_files import NamedFiles, in_words
from applications.pictures import listed, relative_name
from applications.sign_translation.formats import FramesOnDisk, SignedClip, warn_if_equal
from applications.sign_translation.videos import SUFFIXES, read_video
from contrast.data.files import whole_file

__all__ = ["SENTENCES", "VIDEOS", "load_video_folder"]

VIDEOS, SENTENCES, DECODED = "videos", "sentences.csv", ".frames"

logger = logging.getLogger("contrast")


def load_video_folder(
    path: str | Path,
    size: tuple[int, int] = (256, 256),
    channels: int = 3,
    frames_per_second: float | None = 25,
) -> list[SignedClip]:
    """Reads `videos/` and `sentences.csv`.

    Each video is decoded once. Its frames are kept in the folder `.frames`, under a digest of the file and of
    the arguments, and read from there when they are asked for. Delete that folder to free the space.

    Args:
        path: the folder.
        size: height and width that frames are resized to.
        channels: 3, or 1 for grey.
        frames_per_second: of a faster video some frames are left out; `None` keeps all.

    Returns:
        The clips in the order of the table, with the file as key. Videos that cannot be decoded or have fewer
        than two frames are left out and listed in a warning, as are rows without a video or a sentence, and
        videos without a row.

    Raises:
        MissingPackageError: if PyAV is not installed.
        ValueError: if a part of the folder is missing, the table is wrong or names a file twice, or no clip
            is left.
    """
    check_packages("av")
    path = Path(path)
    if not (path / VIDEOS).is_dir():
        raise ValueError(f"{path} must hold the folder {VIDEOS} with videos beside {SENTENCES}.")
    rows = _matched(path)
    decode = functools.partial(read_video, size=size, channels=channels, frames_per_second=frames_per_second)
    options = repr((tuple(size), channels, frames_per_second))
    clips, damaged = [], []
    for name, file, sentence in tqdm(rows, "decoding", unit="video", disable=None):
        try:
            frames = _decoded(file, decode, path / DECODED, options)
        except (OSError, ValueError) as error:
            damaged.append(str(error))
            continue
        clips.append(SignedClip(frames, sentence, key=name))
    if damaged:
        logger.warning("Left out: videos that cannot be used (%d): %s", len(damaged), listed(damaged))
    if not clips:
        raise ValueError(f"No video in {path / VIDEOS} can be used: {listed(damaged)}")
    warn_if_equal([clip.sentence for clip in clips])
    return clips


def _decoded(file: Path, decode, folder: Path, options: str) -> np.ndarray | FramesOnDisk:
    """The frames of a video, kept in `folder` if that can be written."""
    digest = hashlib.sha256(file.read_bytes() + options.encode()).hexdigest()[:40]
    kept = folder / f"{digest}.npy"
    try:
        shape = np.load(kept, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError):  # not there, or damaged
        frames = decode(file)
        shape = frames.shape
        try:
            folder.mkdir(exist_ok=True)
            with whole_file(kept) as temporary:
                np.save(temporary, frames)
        except OSError as error:
            logger.warning("Frames of %s stay in memory, %s cannot be written: %s", file.name, folder, error)
            return frames
    return FramesOnDisk(shape, functools.partial(np.load, kept, allow_pickle=False), file.name)


def _matched(path: Path) -> list[tuple[str, Path, str]]:
    """Name, file and sentence of each usable row; lists the others, and lonely files, in one warning."""
    files = NamedFiles(path / VIDEOS, SUFFIXES, "videos")
    matched, seen, silent, lonely = [], {}, [], []
    for row in read_csv(path / SENTENCES, needed=("file", "sentence"), filled=("file",)):
        given = _given(row)
        name = files.find(given)
        if name in seen:
            raise ValueError(f"{row.place}: {name} has a sentence already, in line {seen[name]}.")
        sentence = row.cells["sentence"].strip()
        if name is None:
            lonely.append(f"{given} (line {row.line})")
            continue
        seen[name] = row.line
        if sentence:
            matched.append((name, files.paths[name], sentence))
        else:
            silent.append(f"{given} (line {row.line})")
    left_out = in_words(
        {
            "rows without a video": lonely,
            "rows without a sentence": silent,
            "videos without a row": [name for name in files.paths if name not in seen],
        }
    )
    if not matched:
        raise ValueError(f"No row of {path / SENTENCES} has a sentence for a video. {left_out}.")
    if left_out:
        logger.warning("Left out: %s.", left_out)
    return matched


def _given(row: TableRow) -> str:
    try:
        return relative_name(row.cells["file"]).removeprefix(f"{VIDEOS}/")
    except ValueError as error:
        raise ValueError(f"{row.place}: {error}") from None
