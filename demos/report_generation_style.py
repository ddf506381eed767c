"""What stands on the page of report generation, and how it looks."""

from demos.figures import THEMED
from demos.report_generation_upload import LONGEST_TEXT, MOST_VIEWS
from demos.tables import TABLES
from demos.theme import THEME
from demos.uploads import MOST_BYTES

INTRODUCTION = """# From a visit's radiographs to a draft of the report
A visit may bring one view or several, a visit before with image and report, and a reason: any of them may be
missing. The model takes what is there."""

NOTICE = """\
**A research tool on drawn chests, no medical device.** Every image here is computed from ellipsoids, every
patient is invented. The model has never seen a real radiograph, its reports contain errors, and nobody should
act on anything that this page writes."""

JUDGED = """\
**Right, missed, wrong** is what a labeller made of fixed rules reads from both reports. *Right in part*: the
finding is there, but its size, its place or its change since the visit before is another one.
**Per word** is the mean probability that the model gave each word, after the words before it. It says how
sure the model is, not whether it is right."""

LOOKED = """\
Each sentence beside the images, orange where its words looked: mean over words, layers and heads, over 4 x 4
patches of each image, from the least to the most. The decoder reads the main view; further views and the
image of the visit before reach it through the fusion, and the percentages say how the look through it is
divided between them; they differ little from sentence to sentence, as the images are fused before any word is
written. It is a hint, no proof."""

OWN_IMAGES = f"""\
**It cannot read real chests.** A model that was taught on drawn ones answers any image with a fluent report,
and of a real one all of it is made up. Try the sample, a view of a drawn patient whom it has never seen.

To read real radiographs, train a model on them: put images and a table `studies.csv` with the columns
`patient, study, image, position, indication, findings` into a folder and run
`contrast train report_generation --data DIR`. The folders of MIMIC-CXR and the annotation of MLRG's authors
are read, too.

PNG, JPEG or DICOM; up to {MOST_VIEWS} views and one image of the visit before, {MOST_BYTES // 1024**2} MB
each, texts up to {LONGEST_TEXT} characters. Never send images of real patients to a machine that is not
allowed to hold them. An upload is not learned from, and is deleted within two hours."""

FIND = """\
Stage 1 of the training, alone: it compares images with facts of reports by the cosine of two vectors. The
second stage starts from its weights. It has learned from whole reports: the more sentences, the better a text
finds."""

CURVES = """\
**Stage 1** draws views of one visit together, and images to the facts of their report. **Stage 2** starts
from its weights and learns to write. *Clinical F1* compares the findings that reports state, *F1 of
changes* what they say of the visit before, BLEU-4 and ROUGE-L only their words; 1 is perfect."""

TABLE = """\
Held-out patients, three beams; the curve above is of others, without a beam. The model is one and the same in
all rows: parts of the studies are withheld only when it is asked, though it was trained with them. What
needs no model is below; the copied reports are those that the model is given, too, and the normal one where
there is none."""

CSS = (
    """
#introduction h1 {margin: 0 0 4px; font-size: 1.5rem}
#introduction p, #notice p {margin: 0}
#notice {border-left: 4px solid #d92d20; padding: 2px 0 2px 12px}
#notice, #own-help, #judged, #looked-help {font-size: .85rem}
#own-help p, #judged p, #looked-help p {margin: 0 0 6px}
#given, #report, #alternatives, #looks, #found-reports, #found-images, #scores {padding: 0}
#given, #own-given {color: var(--body-text-color)}

.films {display: grid; grid-template-columns: repeat(auto-fill, minmax(126px, 1fr)); gap: 10px}
.films figure {margin: 0; max-width: 208px}
.films img {width: 100%; height: auto; border-radius: 6px; display: block}
.films figcaption {font-size: .8rem; display: flex; flex-direction: column; line-height: 1.3; margin-top: 3px;
  color: var(--body-text-color)}
.films .before img {outline: 2px dashed var(--body-text-color-subdued); outline-offset: -2px}
.films .withheld img {opacity: .15; filter: grayscale(1)}
.known {margin: 10px 0 0; font-size: .9rem; color: var(--body-text-color)}
.known dt {font-weight: 600; font-size: .8rem}
.known dt b {color: #b42318; margin-left: 6px}
.dark .known dt b {color: #ff9c8f}
.known dd {margin: 0 0 8px}
.known .withheld {opacity: .55; text-decoration: line-through}

.report {color: var(--body-text-color); font-size: .95rem}
.report .columns {display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); gap: 6px 20px}
.report h4 {margin: 4px 0; font-size: .8rem; font-weight: 600}
.report ul {list-style: none; margin: 0; padding: 0}
.report li {margin: 0 0 5px; padding: 3px 8px; border-left: 4px solid var(--border-color-primary);
  border-radius: 3px; background: color-mix(in srgb, var(--mark, transparent) 12%, transparent);
  border-left-color: var(--mark, var(--border-color-primary))}
.report .right {--mark: #12b76a}
.report .partly {--mark: #f79009}
.report .wrong, .report .missed {--mark: #f04438}
.report .verdict {display: block; font-size: .78rem; opacity: .85}
.report .changed {font-size: .72rem; font-weight: 600; padding: 0 6px; border-radius: 8px;
  white-space: nowrap; border: 1px solid currentColor}
.report .summary, .report .effect, .report .own {margin: 0 0 4px}
.report .effect {font-weight: 600}
.report .own {font-size: 1.05rem}
.note {font-size: .8rem; opacity: .85; margin: 4px 0 0; color: var(--body-text-color)}

.scores .baseline td {font-style: italic}

.looks {list-style: none; margin: 0; padding: 0; color: var(--body-text-color); display: grid; gap: 14px 28px;
  grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr))}
.looks p {margin: 0 0 4px; font-size: .9rem}
.looks li {margin: 0; display: flex; flex-direction: column; justify-content: flex-end}
.looks li > div {display: flex; gap: 6px}
.looks figure {margin: 0; width: 104px; flex: 0 1 104px; min-width: 0}
.looks img {width: 100%; height: auto; border-radius: 4px; display: block}
.looks figcaption {font-size: .7rem; line-height: 1.3}

.cards {display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px;
  color: var(--body-text-color)}
.card {font-size: .8rem}
.card img {width: 100%; height: auto; max-width: 208px; border-radius: 6px; display: block;
  margin-bottom: 4px}
"""
    + TABLES
    + THEMED
)

LAUNCH = {"theme": THEME, "css": CSS}
