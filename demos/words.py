"""Words on a page: those of users, and counted ones."""

from collections.abc import Iterable


def as_text(words: str) -> str:
    """`words` for Markdown or HTML, in which no character has a meaning."""
    return "".join(mark if mark.isalnum() or mark == " " else f"&#{ord(mark)};" for mark in words)


def listed(words: Iterable[str]) -> str:
    """The first ten different words of a user, as `as_text` gives them."""
    return ", ".join(as_text(word) for word in list(dict.fromkeys(words))[:10])


def counted(number: int, noun: str) -> str:
    """Such as `"1 face"` and `"2 faces"`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def ordinal(number: int) -> str:
    """Such as `"1st"` and `"12th"`."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
