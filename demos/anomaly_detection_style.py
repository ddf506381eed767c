"""What stands on the page of anomaly detection, and how it looks."""

from demos.anomaly_detection_training import SECONDS
from demos.anomaly_detection_upload import FEWEST, MOST, PATCH, SURFACE
from demos.theme import THEME
from demos.uploads import MOST_BYTES

INTRODUCTION = """# What is odd? Learned from normal pictures alone
**This detector never saw an odd picture.** It was shown normal ones only, and made its own outliers by
turning them or swapping their quarters. A new picture is as normal as the normal picture it is most like."""

NOTICE = """\
**What it is not for.** Defects on industrial products are found better with features learned on ImageNet:
use PatchCore, for instance in *anomalib*. A score is no probability and no proof: let a person look before
anything follows from it, above all where pictures show people."""

CHOICE = f"""\
Training takes about a minute on a laptop and ends after {SECONDS} seconds in any case. It is for this visit
alone: nobody else sees your pictures or your detector, and both are deleted within two hours."""

ZIP = f"""\
A zip of {FEWEST} to {MOST} **normal** pictures, at most {MOST_BYTES // 1024**2} MB: flat, in folders by
class, or in the layout of MVTec-AD (`train/good`, `test/<defect>`). Sizes may be mixed, every picture is
scaled as a whole. A fifth is held out for the threshold. If there are no test pictures, defects are drawn on
held-out ones."""

OWN_PICTURE = """\
PNG, JPEG or WebP. It is scaled as a whole to the size of the test pictures, in grey if they are grey."""

THING, A_SURFACE = (
    f"a thing: looked at as a whole, {PATCH} x {PATCH} pixels",
    f"a surface: looked through in patches, {SURFACE} x {SURFACE} pixels, with a heat map",
)

MEANING = """\
**Score.** The cosine of a picture's features with those of the nearest normal picture: 1 is the same, lower
is odder. Scores of two detectors cannot be compared.

**Threshold.** Held-out normal pictures, which were not trained on, are scored too. The threshold is set so
that at most the chosen share of them would be called odd: a false alarm. Twenty pictures cannot tell 1 %
from 5 %; use hundreds in earnest.

**Nearest normal pictures** are the explanation: what the detector compared with. If they look alike to you
and the score is low, the odd part is small, or the detector is not good enough.

**AUROC** is the probability that a normal picture scores higher than an odd one, whatever the threshold: 1
is perfect, 0.5 is chance.

**Heat map.** Pictures larger than what was trained on are scored in overlapping patches; a picture is as
odd as its oddest place. Red is where the score falls below the threshold. Small defects on surfaces are
hard for this detector: on brick, grass and gravel its AUROC was anything from 0.4 to 0.8, differently in each
training, and raw pixels are often better.

**Virtual outliers.** A probe looks first whether turned pictures can be told from upright ones. If so,
quarter turns are the outliers; if not, as for most surfaces, the quarters of the picture change places.

**Raw pixels** need no training: the nearest normal picture by its pixels. Where they are as good as the
detector, use them.

**The model** is UniCon-HA (Wang et al., ICCV 2023), here with its last stage alone, so that a training ends
in about a minute. `contrast train anomaly_detection --data FOLDER` trains the whole on your own folder, and
`contrast reproduce anomaly_detection` repeats the paper's comparison."""

CSS = """
#introduction h1 {margin: 0 0 4px; font-size: 1.5rem}
#introduction p, #notice p, #effect p, #verdict p, #normal p, #choice p, #zip-help p, #own-help p {margin: 0}
#notice {border-left: 4px solid #d97706; padding: 2px 0 2px 12px}
#notice, #effect, #choice, #zip-help, #own-help {font-size: .85rem}
#verdict {font-size: 1.15rem}
#meaning {max-width: 48rem}

#gallery, #gallery .gallery-container, #gallery .grid-wrap {min-height: 0 !important; height: auto}
#gallery .grid-container {
  grid-template-columns: repeat(6, minmax(0, 1fr)) !important;
  grid-template-rows: none !important;
  grid-auto-rows: auto !important;
}
#gallery .grid-wrap {max-height: 340px}
#gallery .thumbnail-item {aspect-ratio: 1; height: auto}
#gallery .thumbnail-item.selected {outline: 3px solid var(--color-accent)}
#nearest .grid-container {
  grid-template-columns: repeat(4, minmax(0, 1fr)) !important;
  grid-template-rows: none !important;
  grid-auto-rows: auto !important;
}
#nearest, #nearest .gallery-container, #nearest .grid-wrap {min-height: 0 !important; height: auto}
#nearest .thumbnail-item {aspect-ratio: 1; height: auto; cursor: default}
#nearest {max-width: 560px; margin: 0}
#nearest .caption-label {max-width: 100%; font-size: .75rem}
#picture img {max-height: 230px; width: auto; max-width: 100%; margin: 0 auto}

.histogram {padding: 2px 0 0; font-size: .8rem; color: var(--body-text-color)}
.histogram .plot {position: relative; height: 140px; margin: 34px 0 0;
  border-bottom: 1px solid var(--body-text-color)}
.histogram .bar {position: absolute; bottom: 0; background: #0072b2; border-radius: 2px 2px 0 0}
.dark .histogram .bar {background: #56b4e9}
.histogram .line {position: absolute; top: 0; bottom: 0; width: 0; border-left: 2px dashed #d55e00}
.histogram .mark {position: absolute; top: 0; bottom: 0; width: 0;
  border-left: 3px solid var(--body-text-color)}
.histogram .label {position: absolute; bottom: 100%; white-space: nowrap; padding: 0 3px; line-height: 1.3}
.histogram .label.above {bottom: calc(100% + 16px)}
.histogram .left {transform: translateX(-100%)}
.histogram .threshold {color: #b84a00; font-weight: 600}
.dark .histogram .threshold {color: #ff9d5c}
.histogram .this {font-weight: 600}
.histogram .caption {text-align: center}
.histogram .axis {display: flex; justify-content: space-between; font-variant-numeric: tabular-nums}

.progress {font-size: .9rem; color: var(--body-text-color)}
.progress .track {height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden;
  margin: 6px 0}
.progress .done {height: 100%; background: var(--color-accent)}
.progress svg {width: 100%; height: 90px; display: block; margin-top: 6px}
.progress polyline {fill: none; stroke: var(--color-accent); stroke-width: 2;
  vector-effect: non-scaling-stroke}
"""

LAUNCH = {"theme": THEME, "css": CSS}
