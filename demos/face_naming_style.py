"""What stands on the face naming page, and how it looks."""

from demos.face_naming_upload import MOST_FACES
from demos.figures import THEMED
from demos.theme import THEME
from demos.uploads import MOST_BYTES, MOST_PIXELS

INTRODUCTION = """# Who is who? Names from captions alone
**Nobody ever told this model who is who.** It saw 1,500 photos, each with a caption that mentions some
names, and worked out which name belongs to which face. The people are handwritten digits: captions
mention Zero to Seven, shown or not; every 8 and 9 is a stranger."""

NOTICE = """\
**Face naming identifies people.** Digits do not mind; for photos of real people you need a legal basis,
as a rule their consent, and a way to delete their photos, names and embeddings on request. Some names
will be wrong and may harm the person named: let a human check before anything follows from one."""

HOW_TO = f"""\
Write digits with a thick pen on plain paper, or in a paint program, apart from each other. PNG, JPEG or
WebP; at most {MOST_BYTES // 1024**2} MB, {MOST_PIXELS // 10**6} million pixels and {MOST_FACES} digits.
An upload is for you alone, is not learned from, and is deleted within two hours."""

REAL_INTRODUCTION = """\
**Send only photos of people who agree to it.** A photo with one face and one name teaches that name.
Faces of later photos are compared with the stored ones: a face gets a name of its caption if a stored
face of that name is nearer than 0.6, and each name goes to one face at most."""

REAL_HOW_TO = f"""\
**What is kept.** The 128 numbers with which dlib describes each stored face, and its name, for this visit
alone; they and the photos are deleted within two hours. *Forget this person* deletes one person at once.
Photos are PNG, JPEG or WebP with at most {MOST_BYTES // 1024**2} MB and {MOST_FACES} faces.

**An archive of twenty photos or more** teaches SECLA itself, without photos of one person alone: put
`photos/` and `captions.csv` into a folder and run `contrast train face_naming --data FOLDER`."""

CURVES = """\
The model reads photos and captions only; who is who is looked up for these figures and for nothing else.
*Fitted* photos are those whose captions it learns from; the paper reports this **transductive** figure.
*Held-out* photos are new to it. The dashed lines need no model: **chance** picks one of the caption's
names or "no name", **all "no name"** names nobody."""

CSS = (
    """
#introduction h1 {margin: 0 0 4px; font-size: 1.5rem}
#introduction p, #notice p, #how-to p, #effect p, #verdict p {margin: 0}
#real-introduction p, #real-verdict p {margin: 0}
#real-how-to p {margin: 0 0 6px}
#notice {border-left: 4px solid #d97706; padding: 2px 0 2px 12px}
#notice, #how-to, #effect, #real-how-to {font-size: .85rem}
#real-introduction {font-size: .95rem}

#gallery, #gallery .gallery-container, #gallery .grid-wrap {min-height: 0 !important; height: auto}
#gallery .grid-container {
  grid-template-columns: repeat(4, minmax(0, 1fr)) !important;
  grid-template-rows: none !important;
  grid-auto-rows: auto !important;
}
#gallery .thumbnail-item {aspect-ratio: 2; height: auto}
#gallery .thumbnail-item.selected {outline: 3px solid var(--color-accent)}

.dark #caption .highlighted {color: white !important}
#verdict, #real-verdict {font-size: 1.05rem}
#table table, #real-table table {
  width: 100%;
  margin: 0;
  font-size: .9rem;
  border: 0;
  border-collapse: collapse;
}
#table tr, #real-table tr {border: 0}
#table th, #table td, #real-table th, #real-table td {
  padding: 4px 8px;
  white-space: nowrap;
  border: 0;
  border-bottom: 1px solid var(--border-color-primary);
}
#table td:last-child, #real-table td {white-space: normal}
@media (max-width: 640px) {
  #table table, #real-table table {font-size: .8rem}
  #table th, #table td, #real-table th, #real-table td {padding: 4px}
}
#real-picture img {max-height: 440px; width: auto; max-width: 100%; margin: 0 auto}
#real-forget {align-self: center}
"""
    + THEMED
)

LAUNCH = {"theme": THEME, "css": CSS}
