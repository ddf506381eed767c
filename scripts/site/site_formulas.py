"""Formulas as MathML, made when the site is built: pages need no script and no network for them.

A hook of mkdocs; `pymdownx.arithmatex` marks the formulas.
"""

import html
import logging
import re

from latex2mathml.converter import convert

logger = logging.getLogger("mkdocs.hooks.site_formulas")

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
# a named function before its argument, which the converter sets without a space
FUNCTION = re.compile(r"(\\(?:log|exp|cos|sin|max|min))\s+(?=[A-Za-z]|\\[a-z])(?!\\(?:left|big))")
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_content(content, page, **kwargs):
    where = page.file.src_uri
    content = INLINE.sub(lambda found: mathml(found[1], "inline", where), content)
    return BLOCK.sub(lambda found: f'<div class="formula">{mathml(found[1], "block", where)}</div>', content)


def mathml(formula: str, display: str, where: str) -> str:
    """The formula as MathML; what cannot be converted is shown as it is, with a warning."""
    latex = html.unescape(formula).strip()
    spaced = FUNCTION.sub(r"\1\\,", latex.replace(r"\arg\m", r"\operatorname{arg}\,\m"))
    try:
        result = convert(spaced, display=display)
    except Exception as error:  # the converter raises what it happens to meet
        problem = str(error) or type(error).__name__
    else:
        if "\\" not in result:  # a command that the converter does not know stays as it is
            return result
        problem = "it holds a command that is not known"
    logger.warning("%s: formula %r: %s", where, latex, problem)
    return f"<code>{formula}</code>"
