"""What stands on the page of the embedding explorer, and how it looks."""

from demos.embedding_explorer_upload import MOST
from demos.theme import THEME
from demos.uploads import MOST_BYTES

INTRODUCTION = """# A map of what an encoder has learned, without a single label
SimCLR was shown handwritten digits in two random views each, and learned to find the other view again.
**Nobody told it which digit is which.** Here are digits that it has never seen, each where its embedding
lies: near means alike to the encoder. Click on one to see what it is like."""

COMPARE = """The same digits, the same kind of map, three encoders. **Random encoder**: the same network
before any training. **Raw pixels**: no network at all. Lines join the chosen digit with its nearest."""

SCORES_HELP = """**nearest neighbours**: the share of these digits whose 20 nearest labelled digits, of
those that SimCLR was trained on, tell the right class. **five examples**: the share that is named rightly
when only five digits of each class are labelled, mean over 100 draws. Chance is 10 %. Both are measured in
the space itself, not on the map."""

OWN = f"""Up to {MOST} pictures of one digit each, dark on light or light on dark, PNG, JPEG or WebP, each
at most {MOST_BYTES // 1024**2} MB. They are cut to the ink, centred and scaled to 28 x 28 pixels as the
digits of the collection were; they are not kept. The encoder has an answer to everything, also to what is
no digit: look at the distance."""

MEANING = """\
**Embedding.** The encoder turns a picture into a list of numbers: 64 here, 784 for raw pixels. Pictures
that it takes for alike have embeddings that point the same way.

**Distance** is 1 - cosine of two embeddings: 0 is the same direction, 1 nothing in common. Distances of two
encoders cannot be compared: a random encoder sees all pictures near each other.

**t-SNE** draws a map that keeps neighbours together. Groups on it are real neighbourhoods; their sizes, and
how far apart two groups lie, mean little, and another run draws another map. **PCA** shows the two
directions along which the embeddings differ most: its distances are true as far as they go, but most
directions are left out.

**Colours.** *Digit* is the label, which no training has seen. *Neighbours agree* is the share of a digit's
nearest (as many as the slider says) that are of its class: orange marks are where an encoder mixes classes.

**What to look for.** The random encoder knows strokes, not digits. Raw pixels are strong here, since these
digits are centred and upright; look where they fail: a 7 that leans like a 9, a thin 1 beside a thick one.
SimCLR was told only that a picture cropped or turned a little is still the same.

**The model** is SimCLR (Chen et al., 2020) from `contrast.models`, with a small convolutional encoder,
trained once and kept on this machine. `contrast.evaluation` has the scores, `contrast.retrieval` the
neighbours."""

_CLASSES = {  # readable as text on light and on dark pages
    "light": [
        "#1f5fa8",
        "#b3541e",
        "#2c7a2c",
        "#b3261e",
        "#6b3fa0",
        "#7a4a3a",
        "#b0307f",
        "#5a5f66",
        "#7d7300",
        "#007a87",
    ],
    "dark": [
        "#7db7ff",
        "#ffb070",
        "#7fd67f",
        "#ff8f87",
        "#c9a7f5",
        "#d9ac98",
        "#ff9ad5",
        "#b9c0ca",
        "#e0d860",
        "#5fdbe8",
    ],
}
_SHADES = {
    "light": ["#b8500a", "#c98a4b", "#77808c", "#4f8fbd", "#0072b2"],
    "dark": ["#ff9d4d", "#e0b183", "#a8b0bb", "#84bfe6", "#56b4e9"],
}


def _coloured(prefix, colours):
    return "".join(
        f"{'.dark ' * (theme == 'dark')}.{prefix}{number} {{fill: {colour}; color: {colour} !important}}\n"
        for theme in ("light", "dark")
        for number, colour in enumerate(colours[theme])
    )


CSS = (
    _coloured("c", _CLASSES)
    + _coloured("a", _SHADES)
    + """
#introduction h1 {margin: 0 0 4px; font-size: 1.5rem}
#introduction p, #compare-help p, #scores-help p, #own-help p {margin: 0}
#scores-help, #own-help, #compare-help {font-size: .85rem}
#meaning {max-width: 48rem}
#sentence p {margin: 0; font-size: 1.05rem}

svg.map {display: block; width: 100%; max-width: 720px; margin: 0 auto; cursor: pointer;
  border: 1px solid var(--border-color-primary); border-radius: 6px;
  background: var(--background-fill-primary)}
svg.map text {font-size: 24px; text-anchor: middle; dominant-baseline: central; user-select: none}
svg.map text.near {font-weight: 700; font-size: 32px}
svg.map line {stroke: var(--body-text-color); stroke-width: 2; opacity: .35}
svg.map circle {fill: none; stroke: var(--body-text-color); stroke-width: 5; pointer-events: none}
#compare-maps svg.map text {font-size: 30px}
#compare-maps svg.map text.near {font-size: 40px}
@media (max-width: 600px) {svg.map text {font-size: 34px} svg.map text.near {font-size: 44px}}

.legend {font-size: .85rem; text-align: center; color: var(--body-text-color)}
.legend span {margin: 0 4px; font-weight: 700}
.chosen img, .strip img {image-rendering: pixelated; background: black; border-radius: 4px; margin: 0}
.chosen img {width: 112px; height: 112px}
.strip {display: grid; grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)); gap: 8px}
.strip button {padding: 0; border: 0; background: none; cursor: pointer; text-align: center;
  color: var(--body-text-color); border-radius: 4px}
.strip button:focus-visible, .strip button:hover {outline: 3px solid var(--color-accent)}
.strip img {width: 100%; height: auto; display: block}
.strip span {font-size: .78rem; font-variant-numeric: tabular-nums}
.own {display: grid; grid-template-columns: 112px 1fr; gap: 14px; margin-bottom: 18px;
  color: var(--body-text-color)}
.own p {margin: 0 0 6px}
.own .strip button {cursor: default}
.own .strip button:hover {outline: none}
@media (max-width: 600px) {.own {grid-template-columns: 1fr}}
"""
)

LAUNCH = {"theme": THEME, "css": CSS}
