"""Words of users on a page."""


def as_text(words: str) -> str:
    """`words` for Markdown or HTML, in which no character has a meaning."""
    return "".join(mark if mark.isalnum() or mark == " " else f"&#{ord(mark)};" for mark in words)
