"""The facts of a report as short phrases."""

from __future__ import annotations

import re

__all__ = ["facts_from_report"]

_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)|\n\s*\n")
_WORD = re.compile(r"\d+\.\d+|\w+(?:[-'/]\w+)*")
_FUNCTION_WORDS = re.compile(
    r"(?:a|an|and|the|there|this|that|these|those|its?|which|who|is|are|was|were|be|been|being|has|have|had|do"
    r"|does|did|of|in|on|at|to|from|for|by|with|as|also|again|evidence|seen|noted|identified)"
)


def facts_from_report(text: str) -> tuple[str, ...]:
    """The sentences of a report without function words, each once.

    It stands in for factual serialization, which takes the entities of each sentence by RadGraph. A function
    of this form, such as one that asks an installed RadGraph, can take its place wherever studies are loaded.

    Args:
        text: findings.

    Returns:
        Phrases in lower case, in the order of the report. Negations stay where they are.

    Example:

    >>> from applications.report_generation.facts import facts_from_report
    >>> facts_from_report("There is no pleural effusion. The lungs are clear.")
    ('no pleural effusion', 'lungs clear')
    """
    phrases = []
    for sentence in _SENTENCE_END.split(text.lower()):
        words = [word for word in _WORD.findall(sentence) if not _FUNCTION_WORDS.fullmatch(word)]
        if any(any(map(str.isalpha, word)) for word in words):
            phrases.append(" ".join(words))
    return tuple(dict.fromkeys(phrases))
