"""Files of a folder, found by the names that a user's table gives them."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from applications.pictures import image_files, listed


class NamedFiles:
    """The files below a folder that end on one of `suffixes`, by their paths relative to it.

    Args:
        folder: where to look, and in the folders in it.
        suffixes: lower case with the dot.
        what: what the files hold, in the plural.

    Attributes:
        paths: the files by name, with `/` between the parts.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, folder: Path, suffixes: tuple[str, ...], what: str) -> None:
        self.paths = {file.relative_to(folder).as_posix(): file for file in image_files(folder, suffixes)}
        if not self.paths:
            raise ValueError(f"{folder} must hold {what} ({', '.join(suffixes)}), got none.")
        self._alike: dict[str, list[str]] = {}
        for name in self.paths:
            self._alike.setdefault(folded(name), []).append(name)

    def find(self, *names: str) -> str | None:
        """The name of the file that is meant: the exact one, else the only one alike but for case or accents.

        Args:
            *names: tried in this order.
        """
        for name in names:
            if name in self.paths:
                return name
            alike = self._alike.get(folded(name), ())
            if len(alike) == 1:
                return alike[0]
        return None


def folded(name: str) -> str:
    """A name in lower case, its accents written in one way."""
    return unicodedata.normalize("NFC", name).casefold()


def in_words(left_out: Mapping[str, list[str]]) -> str:
    """What was left out, and why: the names below each reason; empty reasons are not named."""
    parts = [f"{reason} ({len(names)}): {listed(names)}" for reason, names in left_out.items() if names]
    return "; ".join(parts)
