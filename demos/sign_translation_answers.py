"""What the page of sign translation says: of a translation, of its alternatives, of what was found."""

import difflib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from applications.sign_translation.demo_model import DemoModel
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.gfslt_vlp import Translation
from applications.sign_translation.meaning import Record, split_of
from applications.sign_translation.retrieval import clip_vectors, sentence_vectors
from applications.sign_translation.text import SPECIALS, SentenceTokenizer
from demos import sign_translation_pictures as pictures
from demos.tables import NO_WORDS, kept, ranked
from demos.words import listed

BEAMS = 4
FOUND_SENTENCES, FOUND_CLIPS = 5, 4
LONGEST_TYPED = 200  # characters
END = "(end)"
NOTHING = "-"


def plain(model: DemoModel) -> str:
    """One line for the terminal: how good the models are."""
    scores, count = model.scores, len(model.held_out)
    return (
        f"{count} clips that the model has never seen: BLEU-4 {scores['bleu_4']:.0f}, against sentences of "
        f"other clips {scores['shuffled_bleu_4']:.0f}; the right sentence is found first for "
        f"{scores['recall_at_1']:.0%} of them (chance: {1 / count:.1%})."
    )


def translate(model: DemoModel, frames: np.ndarray) -> Translation:
    """The translation of frames `(frames, height, width, channels)`, with what its words looked at."""
    one_shape = (model.model.architecture.max_frames,)  # compiled once, for clips of all lengths
    return model.model.translate([frames], BEAMS, attention=True, buckets=one_shape)[0]


def shown(model: DemoModel, clip: SignedClip) -> tuple[str, str, str, str]:
    """HTML of a rendered clip: the signer, the translation, its alternatives, what it looked at."""
    found = translate(model, clip.frames)
    return (
        _beside(pictures.signer(clip), clip.frames, origin(model, clip)),
        verdict(found, clip.references),
        alternatives(found),
        looked(model, found, clip.frames),
    )


def shown_upload(model: DemoModel, frames: np.ndarray) -> tuple[str, str, str, str]:
    """The same of an uploaded clip, whose sentence is not known."""
    found, most = translate(model, frames), model.model.architecture.max_frames
    remark = f"Your clip, {len(frames)} frames, as the model sees it."
    if len(frames) > most:
        remark += f" It is longer than what the model was made for; {most} of its frames were read."
    moving = pictures.moving(frames, 160, "The uploaded clip")
    table = looked(model, found, frames) if len(frames) <= most else ""
    return f'<div class="signer">{moving}<p>{remark}</p></div>', verdict(found), alternatives(found), table


def origin(model: DemoModel, clip: SignedClip) -> str:
    """Whether the models know the meaning of a clip."""
    record = clip.record
    if record in model.trained_on:
        return "This meaning was in training, signed by someone else."
    if split_of(record, model.world.seed) == "held_out":
        return f"{record.phenomenon.capitalize()} and {record.region} never came together in training."
    return "This meaning was never in training."


def _beside(img: str, frames: np.ndarray, remark: str) -> str:
    height, width = frames.shape[1:3]
    return (
        f'<div class="signer">{img}<p>Drawn large and slowed down for you. The model sees {len(frames)} '
        f"frames of {width} x {height} grey pixels.</p><p>{html.escape(remark)}</p></div>"
    )


def verdict(found: Translation, references: Sequence[str] = ()) -> str:
    """HTML: the translation, and the nearest of the right sentences with what differs marked."""
    said = found.sentence or NO_WORDS
    if not references:
        return f'<div class="said"><span>translation</span><b>{html.escape(said)}</b></div>'
    nearest = max(references, key=lambda one: _matcher(said, one).ratio())
    ours, theirs, wrong = _marked(said, nearest)
    result = (
        "✓ Right, word for word."
        if not wrong
        else f"✗ {wrong} {'place differs' if wrong == 1 else 'places differ'}."
    )
    return (
        f'<div class="said"><span>translation</span><b>{ours}</b>'
        f"<span>true sentence, the nearest of {len(references)} right wordings</span><b>{theirs}</b>"
        f"<em>{result}</em></div>"
    )


def _matcher(one: str, other: str) -> difflib.SequenceMatcher:
    return difflib.SequenceMatcher(None, one.split(), other.split(), autojunk=False)


def _marked(said: str, right: str) -> tuple[str, str, int]:
    """Both sentences as HTML with marks where they differ, and in how many places they do."""
    ours, theirs, wrong = [], [], 0
    one, other = said.split(), right.split()
    for kind, *ends in _matcher(said, right).get_opcodes():
        parts = html.escape(" ".join(one[ends[0] : ends[1]])), html.escape(" ".join(other[ends[2] : ends[3]]))
        if kind != "equal":
            wrong += 1
            parts = (
                (f"<del>{parts[0]}</del>" if parts[0] else ""),
                (f"<ins>{parts[1]}</ins>" if parts[1] else ""),
            )
        ours.append(parts[0])
        theirs.append(parts[1])
    return " ".join(filter(None, ours)), " ".join(filter(None, theirs)), wrong


def alternatives(found: Translation) -> str:
    """HTML table of the sentences that the search kept, with the mean probability of their words."""
    return kept(found.alternatives, "sentences")


def looked(model: DemoModel, found: Translation, frames: np.ndarray) -> str:
    """HTML of the attention of each word of a translation."""
    tokenizer = model.model.tokenizer
    words = [word or END for word in tokenizer.decode([[token] for token in found.tokens])]
    return pictures.attention(words, found.attention, frames)


@dataclass(frozen=True, eq=False)
class Gallery:
    """Clips and sentences that are searched.

    Args:
        clips: what is searched.
        clip_vectors, sentence_vectors: `(clips, dim)` of them and of their sentences.
        vocabulary: words that the model knows.
    """

    clips: list[SignedClip]
    clip_vectors: np.ndarray
    sentence_vectors: np.ndarray
    vocabulary: tuple[str, ...]


def gallery(model: DemoModel) -> Gallery:
    """The held-out clips, ready to be searched."""
    clips, tokenizer = model.held_out, model.model.tokenizer
    sentences = [clip.sentence for clip in clips]
    vectors = clip_vectors(model.first, clips), sentence_vectors(model.first, tokenizer, sentences)
    return Gallery(clips, *vectors, _vocabulary(tokenizer))


def _vocabulary(tokenizer: SentenceTokenizer) -> tuple[str, ...]:
    ids = range(len(SPECIALS), tokenizer.language_id)
    return tuple(sorted(word for word in tokenizer.decode([[one] for one in ids]) if word))


def find_sentences(given: Gallery, index: int) -> str:
    """HTML table of the sentences that are most like a clip of the gallery; its own one is marked."""
    similarities = given.sentence_vectors @ given.clip_vectors[index]
    sentences = [clip.sentence for clip in given.clips]
    own = [sentence == sentences[index] for sentence in sentences]
    return ranked(similarities, sentences, own, FOUND_SENTENCES, "sentence")


def find_clips(model: DemoModel, given: Gallery, typed: str) -> str:
    """HTML of the clips that are most like a sentence, and which of its words are not known."""
    words = normalized(typed)
    if not words:
        return '<p class="rank">Please type a sentence.</p>'
    known = [word for word in words if word in given.vocabulary]
    unknown = [word for word in words if word not in given.vocabulary]
    if not known:
        return (
            '<p class="rank"><b>The model knows none of these words.</b> It has seen '
            f"{len(given.vocabulary)}: {html.escape(', '.join(given.vocabulary))}.</p>"
        )
    most = model.first.architecture.max_length - 2
    vector = sentence_vectors(model.first, model.model.tokenizer, [" ".join(known[:most])])[0]
    similarities = given.clip_vectors @ vector
    cards = "".join(
        f'<div class="card">{pictures.signer(given.clips[one], 128)}<div><b>{similarities[one]:.2f}</b> '
        f"{html.escape(given.clips[one].sentence)}</div></div>"
        for one in np.argsort(-similarities, kind="stable")[:FOUND_CLIPS]
    )
    remark = ""
    if unknown:
        remark = f'<p class="rank">Left out, as the model has never seen them: {listed(unknown)}.</p>'
    return f'{remark}<div class="cards">{cards}</div>'


def normalized(typed: str) -> list[str]:
    """Words as the corpus has them: small letters, no punctuation, numbers digit by digit."""
    return re.sub(r"(\d)", r" \1 ", re.sub(r"[^\w\s]", " ", typed[:LONGEST_TYPED].lower())).split()


def composed(
    day: str, part: str | None, region: str, phenomenon: str, intensity: str | None, negated: bool, degrees
) -> Record:
    """A meaning from what was chosen; `"-"` or nothing stands for nothing."""
    chosen = (None if value in (None, NOTHING) else value for value in (part, intensity, degrees))
    part, intensity, degrees = chosen
    number = None if degrees is None else int(degrees)
    return Record(day, part, region, phenomenon, intensity, bool(negated), number)
