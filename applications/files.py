"""Text and JSON files that are whole or absent."""

import json
import math
import re
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8."""
    from contrast.data.files import whole_file

    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: object) -> str:
    """Valid JSON of dicts, sequences, numbers and NumPy scalars; NaN and infinities become null."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    # a list of numbers stays on one line; a line break is never inside a JSON string
    return re.sub(r"\[\n[^\[\]{}]*\n *\]", lambda found: _on_one_line(found.group()), text) + "\n"


def _on_one_line(text: str) -> str:
    return re.sub(r"\n *", " ", text).replace("[ ", "[", 1).removesuffix(" ]") + "]"


def plain(value: object) -> object:
    """`value` in plain Python types, also for NumPy's scalars and arrays; None for non-finite numbers."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)
