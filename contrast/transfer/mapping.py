"""Which name of the source each name of the target takes its value from."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping

WeightMapping = Mapping[str | re.Pattern, str]


def resolve(
    mapping: WeightMapping | None, target: Collection[str], source: Collection[str]
) -> dict[str, str]:
    """`{target name: source name}` for every target name that the mapping covers.

    The source name need not exist, unless the mapping spells it.

    Raises:
        TypeError: if the mapping is no dict of strings or compiled expressions to strings.
        ValueError: if an entry matches nothing, or two give one target different sources.
    """
    if mapping is None:
        return {name: name for name in target}
    _check_types(mapping)
    prefixes = {key.rstrip("/"): value.rstrip("/") for key, value in mapping.items() if isinstance(key, str)}
    patterns = {key: value for key, value in mapping.items() if isinstance(key, re.Pattern)}
    problems = [
        f"{key!r}: no weight of the target has this name or prefix{close_to(key, target)}"
        for key in prefixes
        if not any(below(name, key) for name in target)
    ]
    problems += [
        f"{value!r}: no weight of the source has this name or prefix{close_to(value, source)}"
        for value in prefixes.values()
        if not any(below(name, value) for name in source)
    ]
    problems += [
        f"{pattern.pattern!r}: no weight of the target is matched by this expression as a whole"
        for pattern in patterns
        if not any(pattern.fullmatch(name) for name in target)
    ]
    if problems:
        raise ValueError(listed("mapping has entries that match nothing", problems))

    resolved = {}
    for name in target:
        found = {match.expand(value) for key, value in patterns.items() if (match := key.fullmatch(name))}
        longest = max((key for key in prefixes if below(name, key)), key=len, default=None)
        if longest is not None:
            rest = name[len(longest) :].lstrip("/")
            found.add("/".join(steps for steps in (prefixes[longest], rest) if steps))
        if len(found) > 1:
            problems.append(f"{name}: {', '.join(sorted(found))}")
        elif found:
            resolved[name] = found.pop()
    if problems:
        raise ValueError(listed("mapping gives several sources for one weight of the target", problems))
    return resolved


def below(name: str, prefix: str) -> bool:
    """Whether `prefix` is the name itself or a layer that it lies in; everything lies in `""`."""
    return not prefix or name == prefix or name.startswith(prefix + "/")


def close_to(name: str, candidates: Iterable[str]) -> str:
    """A hint with the names and prefixes that look like `name`, or an empty string."""
    parts = {
        "/".join(pieces[:i])
        for pieces in (c.split("/") for c in candidates)
        for i in range(1, len(pieces) + 1)
    }
    close = difflib.get_close_matches(name, sorted(parts), n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    tops = sorted({part for part in parts if "/" not in part})
    return f"; there are {', '.join(map(repr, tops[:8]))}{', ...' if len(tops) > 8 else ''}."


def _check_types(mapping):
    if not isinstance(mapping, Mapping):
        raise TypeError(
            "mapping must be a dict of target names to source names, such as "
            f"{{'encoder': 'image_encoder'}}, got {type(mapping).__name__}."
        )
    if not mapping:
        raise ValueError("mapping is empty, so that nothing would move; without a mapping everything does.")
    for key, value in mapping.items():
        if not isinstance(key, str | re.Pattern) or not isinstance(value, str):
            raise TypeError(
                "mapping must have strings or compiled regular expressions as keys and strings as values, "
                f"got {key!r}: {value!r}."
            )


def listed(title: str, lines: list[str]) -> str:
    """A title and indented lines below it."""
    return "\n  ".join([f"{title}:", *lines])
