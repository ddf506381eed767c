"""What the page of report generation says of a study, of the report that was written, and of the model."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence

from applications.report_generation.demo_model import METRICS, WITHHELD, DemoModel
from applications.report_generation.mlrg import Report
from applications.report_generation.study import PARTS, Study, View, without
from demos import report_generation_pictures as pictures
from demos.report_generation_attention import looked
from demos.report_generation_search import split_words, vocabulary
from demos.report_generation_sentences import WORDS, Judged, judge_true, judge_written, new_in, summary
from demos.tables import NO_WORDS, kept
from demos.words import counted, listed

BEAMS = 3
PART_NAMES = dict(zip(PARTS, ("further views", "prior image", "previous report", "indication"), strict=True))
METRIC_NAMES = dict(zip(METRICS, ("clinical F1", "F1 of changes", "BLEU-4", "ROUGE-L"), strict=True))


def plain(model: DemoModel) -> str:
    """One line for the terminal: how good the models are."""
    scores, count = model.scores["nothing"], len(model.held_out)
    normal = model.baselines["all normal"]
    return (
        f"{count} studies of patients that the model has never seen: clinical F1 {scores['ce_f1']:.2f} "
        f"(always normal: {normal['ce_f1']:.2f}), BLEU-4 {scores['bleu_4']:.2f} ({normal['bleu_4']:.2f}). "
        "Drawn chests, no real ones."
    )


def offered(studies: Sequence[Study], count: int) -> list[int]:
    """Studies to choose from: one of each mix of parts, those with most parts first, and more of these."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    for place, study in enumerate(studies):
        kinds.setdefault(parts_of(study), []).append(place)
    order = sorted(kinds, key=lambda parts: -len(parts))
    more = max(0, count - len(order))
    return [*kinds[order[0]][: more + 1], *(kinds[parts][0] for parts in order[1:])][:count]


def parts_of(study: Study) -> tuple[str, ...]:
    """Which of `PARTS` a study has."""
    prior = study.prior
    there = (
        len(study.views) > 1,
        prior is not None and prior.view is not None,
        prior is not None and bool(prior.facts),
        study.indication is not None,
    )
    return tuple(part for part, has in zip(PARTS, there, strict=True) if has)


def title(study: Study) -> str:
    """A study as one line of a list."""
    number, visit = study.id.split("-")[1:]
    known = [PART_NAMES[part] for part in parts_of(study) if part != "views"]
    texts = [counted(len(study.views), "view"), *known]
    return f"Patient {int(number)}, visit {int(visit) + 1}: {', '.join(texts)}"


class Reports:
    """The reports of held-out studies, each written once.

    Args:
        model: writes them.
    """

    def __init__(self, model: DemoModel):
        self.model = model
        self.of = functools.lru_cache(maxsize=512)(self._write)

    def _write(self, place: int, missing: tuple[str, ...]) -> Report:
        """Of a held-out study without some of its parts."""
        return write(self.model, without(self.model.held_out[place], missing), self.model.features)


def write(model: DemoModel, study: Study, features=None) -> Report:
    """The report of a study, with what its words looked at."""
    return model.model.report(study, BEAMS, features=features, attention=True)[0]


def shown(reports: Reports, place: int, missing: Sequence[str]) -> tuple[str, str, str, str]:
    """HTML of a held-out study without some of its parts: what is given, report, alternatives, attention."""
    model = reports.model
    study = model.held_out[place]
    missing = tuple(part for part in PARTS if part in missing and part in parts_of(study))
    found = reports.of(place, missing)
    before = reports.of(place, ()) if missing else None
    return (
        given(study, missing),
        compared(found, study.findings, _effect(missing, found, before), before),
        alternatives(found),
        looked(model.model.tokenizer, without(study, missing), found, grid(model)),
    )


def shown_upload(model: DemoModel, study: Study) -> tuple[str, str, str, str]:
    """The same of an uploaded study, whose report is not known."""
    found = write(model, study)
    tokenizer = model.model.tokenizer
    maps = looked(tokenizer, study, found, grid(model))
    strange = [word for word in _words(study) if word not in vocabulary(tokenizer)]
    remark = ""
    if strange:
        remark = f'<p class="note">Words that the model has never seen: {listed(strange)}.</p>'
    text = html.escape(found.findings or NO_WORDS)
    return (
        given(study, ()),
        f'<div class="report"><h4>Written by the model</h4><p class="own">{text}</p>{remark}'
        '<p class="note">It was taught on drawn chests alone: <b>of a real image this says nothing.</b></p>'
        "</div>",
        alternatives(found),
        f'<h4 class="rank">Where each sentence looked</h4>{maps}',
    )


def given(study: Study, missing: Sequence[str]) -> str:
    """HTML of what is known of a study; what is missing of it is pale and says so."""
    out = "left out"
    films = []
    for place, view in enumerate(study.views):
        role = "main view" if place == 0 else "further view"
        films.append(
            _figure(view, f"now: {pictures.name(view)}", out if place and "views" in missing else role)
        )
    prior = study.prior
    if prior is not None and prior.view is not None:
        role = out if "prior_image" in missing else "visit before"
        films.append(_figure(prior.view, f"before: {pictures.name(prior.view)}", role, "before"))
    texts = [
        _text("Indication", study.indication, "indication" in missing, "not given"),
        _text(
            "Previous report",
            prior.findings if prior is not None else None,
            "prior_report" in missing,
            "not given" if prior is not None else "none: a first visit",
        ),
    ]
    return f'<div class="films">{"".join(films)}</div><dl class="known">{"".join(texts)}</dl>'


def _figure(view: View, caption: str, role: str, kind: str = "now") -> str:
    pale = " withheld" if role == "left out" else ""
    return (
        f'<figure class="{kind}{pale}">{pictures.film(view)}<figcaption><b>{html.escape(caption)}</b>'
        f"<span>{role}</span></figcaption></figure>"
    )


def _text(name: str, text: str | None, missing: bool, nothing: str) -> str:
    if not text:
        return f"<dt>{name}</dt><dd><i>{nothing}</i></dd>"
    remark = " <b>left out</b>" if missing else ""
    return f'<dt>{name}{remark}</dt><dd class="{"withheld" if missing else ""}">{html.escape(text)}</dd>'


def _effect(missing: Sequence[str], found: Report, before: Report | None) -> str:
    if before is None:
        return ""
    names = " and ".join(
        filter(None, (", ".join(PART_NAMES[p] for p in missing[:-1]), PART_NAMES[missing[-1]]))
    )
    if found.findings == before.findings:
        return f"Without {names} the report stays the same, word for word."
    if not (new_in(found.findings, before.findings) or new_in(before.findings, found.findings)):
        return f"Without {names} the report says the same in other words."
    return f"Without {names} the report has changed; changed sentences are marked."


def compared(found: Report, truth: str, effect: str = "", before: Report | None = None) -> str:
    """HTML: the report and the true one side by side, each sentence with what is to be said of it.

    Args:
        found: what was written.
        truth: what should have been.
        effect: a line above.
        before: what was written when nothing was left out.
    """
    new = new_in(found.findings, before.findings) if before is not None else []
    ours = [_sentence(one, one.sentence in new) for one in judge_written(found.findings, truth)]
    theirs = [_sentence(one) for one in judge_true(truth, found.findings)]
    lost = new_in(before.findings, found.findings) if before is not None else []
    gone = f'<p class="note">No longer written: {html.escape(" ".join(lost))}</p>' if lost else ""
    return (
        f'<div class="report">{f"<p class=effect>{html.escape(effect)}</p>" if effect else ""}'
        f'<p class="summary">{html.escape(summary(found.findings, truth))}</p><div class="columns">'
        f"<section><h4>Written by the model</h4><ul>{''.join(ours) or f'<li>{NO_WORDS}</li>'}</ul>{gone}"
        "</section>"
        f"<section><h4>True report</h4><ul>{''.join(theirs)}</ul></section></div></div>"
    )


def _sentence(one: Judged, changed: bool = False) -> str:
    remark = f": {html.escape(one.remark)}" if one.remark else ""
    chip = ' <span class="changed">changed</span>' if changed else ""
    return (
        f'<li class="{one.kind}">{html.escape(one.sentence)}{chip}'
        f'<span class="verdict">{WORDS[one.kind]}{remark}</span></li>'
    )


def alternatives(found: Report) -> str:
    """HTML table of the texts that the search kept, with the mean probability of their words."""
    return kept(found.alternatives, "reports")


def grid(model: DemoModel) -> tuple[int, int]:
    """Rows and columns of the patches of an image."""
    height, width = model.model.image_encoder.image_size
    return height // 16, width // 16


def score_table(model: DemoModel) -> str:
    """HTML table of the scores on held-out studies, beside what needs no model."""
    rows = [
        (f"the model, without {name}" if name != "nothing" else "the model", model.scores[name], "")
        for name in WITHHELD
    ]
    rows += [(name, scores, "baseline") for name, scores in model.baselines.items()]
    heads = "".join(f'<th class="number">{METRIC_NAMES[name]}</th>' for name in METRICS)
    body = "".join(
        f'<tr class="{kind}"><td>{html.escape(name)}{" (no model)" if kind else ""}</td>'
        + "".join(f'<td class="number">{scores[metric]:.2f}</td>' for metric in METRICS)
        + "</tr>"
        for name, scores, kind in rows
    )
    return (
        '<div class="scroll"><table class="answers scores"><thead><tr><th>who writes</th>'
        f"{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _words(study: Study) -> list[str]:
    facts = study.prior.facts if study.prior is not None else ()
    return [word for text in (study.indication or "", *facts) for word in split_words(text)]
