"""What stands on the page of sign translation, and how it looks."""

from demos.figures import THEMED
from demos.sign_translation_upload import FEWEST, MOST, RATE
from demos.tables import TABLES
from demos.theme import THEME
from demos.uploads import MOST_BYTES

INTRODUCTION = """# From signing to sentences, without glosses
**Nobody told this model what any sign means.** It was given whole clips with whole sentences and worked out
the rest. The signers are rendered and the signs made up: sentences on the weather, with an order of signs
unlike that of the words."""

NOTICE = """\
**What it is not for.** This model reads one made-up sign language and nobody's real one. Even models trained
on real signing read one subject and often write fluent sentences that are wrong: no substitute for an
interpreter, above all where health, law or safety is at stake. Build with signers, not only for them."""

COMPOSED = "Everybody signs the same meaning a little differently: faster, smaller, with the left hand."

OWN_CLIP = f"""\
**It cannot read real people.** A model that was taught on a rendered signer answers anything with a sentence
on the weather. Try the sample, a clip it has never seen. To read real signing, train a model on it:
put `videos/` and `sentences.csv` into a folder and run `contrast train sign_translation --data DIR`.

MP4, MOV, WebM, MKV, AVI or GIF; {FEWEST} to {MOST} frames, at most {MOST / RATE:.0f} seconds and
{MOST_BYTES // 1024**2} MB. An upload is for you alone, is not learned from, and is deleted within two
hours."""

EXPLAINED = """\
**Per word** is the mean probability that the model gave each word of a sentence, after the words before it
(the geometric mean, *exp* of the mean log-probability). It says how sure the model is, not whether it is
right. Sentences that differ in wording only share out the probability between them."""

LOOKED = """\
**What each word looked at**: the strongest colour of a row is where that word, or rather what was read before
it was written, weighed most; mean over all layers and heads. It is a hint, no proof: a model can use a sign
without looking at it again."""

FIND = """\
Stage 1 of the training, alone: it compares clips with sentences by the cosine of two vectors. Translation
starts from its weights."""

CURVES = """\
**Stage 1** pairs clips with their sentences, and restores sentences with masked words. **Stage 2** starts
from its weights and learns to translate. BLEU-4 compares runs of one to four words with the four right
wordings, on clips that are not trained on; 100 is perfect."""

CSS = (
    """
#introduction h1 {margin: 0 0 4px; font-size: 1.5rem}
#introduction p, #notice p {margin: 0}
#notice {border-left: 4px solid #d97706; padding: 2px 0 2px 12px}
#notice, #own-help, #explained, #looked {font-size: .85rem}
#own-help p, #explained p, #looked p {margin: 0 0 6px}
#verdict, #alternatives, #attention, #signer, #found-sentences, #found-clips {padding: 0}

.signer {display: flex; flex-wrap: wrap; gap: 4px 12px; font-size: .85rem; color: var(--body-text-color)}
.signer img {width: 160px; height: 160px; border-radius: 8px; flex: none}
.signer p {margin: 0; flex: 1 1 100%}

.said {display: flex; flex-direction: column; font-size: 1.05rem; color: var(--body-text-color)}
.said span {font-size: .8rem; opacity: .75; margin-top: 4px}
.said em {font-style: normal; font-size: .9rem; margin-top: 6px}
.said del {color: #b42318; text-decoration: underline wavy; text-decoration-thickness: 1px}
.said ins {color: #067647; text-decoration: none; border-bottom: 2px solid}
.dark .said del {color: #ff9c8f}
.dark .said ins {color: #6ce0a6}

.attention {display: grid; min-width: 560px; gap: 2px; align-items: center; font-size: .75rem;
  grid-template-columns: 5.5rem repeat(var(--columns), minmax(0, 1fr)); color: var(--body-text-color)}
.attention .word {text-align: right; padding-right: 6px; line-height: 1.25; position: sticky; left: 0;
  background: var(--body-background-fill)}
.attention img {width: 100%; display: block; border-radius: 3px}
.attention > div {text-align: center; font-variant-numeric: tabular-nums}
.attention .cell {height: 15px; border-radius: 3px;
  background: color-mix(in srgb, var(--color-accent) var(--strength), var(--border-color-primary))}

.cards {display: grid; grid-template-columns: repeat(auto-fill, minmax(126px, 1fr)); gap: 12px;
  color: var(--body-text-color)}
.card {font-size: .85rem}
.card img {width: 100%; max-width: 160px; border-radius: 8px; display: block; margin-bottom: 4px}
#held-out label, #clips-of-gallery label {width: 100%}
"""
    + TABLES
    + THEMED
)

LAUNCH = {"theme": THEME, "css": CSS}
