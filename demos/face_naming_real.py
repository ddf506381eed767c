"""The tab of the face naming page for real photographs."""

import importlib.util
from collections.abc import Sequence

import gradio as gr
import numpy as np

from applications.environment import MissingPackageError, check_packages
from applications.face_naming.formats import NONAME, CaptionedPhoto
from applications.face_naming.name_proposals import propose_names
from applications.face_naming.real_faces import DetectedFaces, find_faces
from demos import face_naming_pictures as pictures
from demos.face_naming_answers import shown_name
from demos.face_naming_known import KnownFaces, NamedFace, read_names
from demos.face_naming_style import REAL_HOW_TO, REAL_INTRODUCTION
from demos.face_naming_upload import LONGEST_CAPTION, MOST_FACES, check_caption
from demos.uploads import UploadError, read_picture
from demos.words import as_text, counted

EXAMPLE = "NASA astronaut Eileen Collins, pilot of a space shuttle"
UNNAMED = "?"  # before the faces are named
LONGEST_LABEL = 24
WAITING = "Choose a photo, or try the example."
FORGOTTEN = (
    "**Forgotten.** The stored faces of this person are deleted, and the photo is gone from this page."
)


def missing_packages() -> str:
    """What to install before real photos can be read; an empty string if nothing is missing."""
    try:
        check_packages("dlib", "face_recognition_models")
    except MissingPackageError as error:
        return str(error)
    return ""


def real_photos() -> None:
    """Builds the tab."""
    gr.Markdown(REAL_INTRODUCTION, elem_id="real-introduction")
    missing = missing_packages()
    if missing:
        gr.Markdown(f"**Real photos cannot be read yet.** {missing}", elem_id="real-missing")
        return
    found = gr.State(None, time_to_live=7200)  # picture and faces of the current photo
    known = gr.State(KnownFaces(), time_to_live=7200)  # a copy for each visitor
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            file = gr.File(
                label="1. Photo of people", file_types=[".png", ".jpg", ".jpeg", ".webp"], height=120
            )
            caption = gr.Textbox(
                label="Its caption",
                placeholder="President Ada Lovelace, left, greets Alan Turing.",
                max_length=LONGEST_CAPTION,
                lines=1,
            )
            with gr.Row():
                look = gr.Button("Find faces", min_width=150)
                example = gr.Button(
                    "Try an example",
                    visible=importlib.util.find_spec("skimage") is not None,
                    min_width=150,
                )
            names = gr.Textbox(
                label="2. Who may be in it",
                info="Proposed from the caption; correct it: people only, separated by ;",
                placeholder="Ada Lovelace; Alan Turing",
                max_length=2000,
                lines=1,
                elem_id="real-names",
            )
            send = gr.Button("Name the faces", variant="primary", elem_id="real-send")
        with gr.Column(scale=6, min_width=320):
            picture = gr.Image(
                None,
                label="Found faces",
                show_label=False,
                interactive=False,
                format="png",
                buttons=[],
                elem_id="real-picture",
                visible=False,
            )
            verdict = gr.Markdown(WAITING, elem_id="real-verdict")
            table = gr.Markdown("", elem_id="real-table", latex_delimiters=[])
            with gr.Row(visible=False) as people:
                person = gr.Dropdown(
                    [],
                    label="Known in this visit",
                    info="In brackets: how many faces are stored",
                    elem_id="real-people",
                    scale=3,
                    min_width=240,
                )
                forget = gr.Button("Forget this person", variant="stop", min_width=150, elem_id="real-forget")

    gr.Markdown(REAL_HOW_TO, elem_id="real-how-to")
    parts = [found, picture, verdict, table]

    def find(path: str | None, text: str | None) -> tuple:
        try:
            check_caption(text)
            return *_found(*look_at(path)), _proposed(text)
        except UploadError as error:
            gr.Warning(as_text(str(error)))
            return None, gr.Image(None, visible=False), f"**No result.** {error}", "", gr.skip()

    def show_example() -> tuple:
        from skimage.data import astronaut

        image = astronaut()
        return None, EXAMPLE, *_found(image, find_faces(image)), _proposed(EXAMPLE)

    def answer(current: tuple | None, text: str, faces: KnownFaces) -> tuple:
        try:
            if current is None:
                raise UploadError("Please find the faces of a photo first.")
            named, stored = faces.name(current[1].vectors, read_names(text))
        except UploadError as error:
            gr.Warning(as_text(str(error)))
            return gr.skip(), f"**No result.** {error}", "", faces, *_people(faces)
        drawn = _drawn(*current, [face.name for face in named])
        return drawn, _verdict(named, stored), answer_table(named), faces, *_people(faces)

    def delete(name: str | None, faces: KnownFaces) -> tuple:
        if name is None:
            return (gr.skip(),) * 10
        faces.forget(name)
        cleared = (None, gr.Image(None, visible=False), FORGOTTEN, "", None, "", "")
        return *cleared, faces, *_people(faces)

    # dlib serves one visitor at a time
    options = {"api_visibility": "private", "show_progress": "minimal", "concurrency_id": "dlib"}
    shown_people = [people, person]
    gr.on([look.click, caption.submit], find, [file, caption], [*parts, names], **options)
    example.click(show_example, None, [file, caption, *parts, names], **options)
    gr.on(
        [send.click, names.submit],
        answer,
        [found, names, known],
        [picture, verdict, table, known, *shown_people],
        **options,
    )
    forget.click(delete, [person, known], [*parts, file, caption, names, known, *shown_people], **options)


def look_at(path: str | None) -> tuple[np.ndarray, DetectedFaces]:
    """An uploaded picture and the faces in it.

    Raises:
        UploadError: if the picture cannot be used, or no face or more than 12 are found.
    """
    if path is None:
        raise UploadError("Please choose a photo first.")
    image = read_picture(path)
    faces = find_faces(image)
    if len(faces.boxes) == 0:
        raise UploadError(
            "No faces were found in the photo. They are found best when they look towards the camera and are "
            "at least 40 pixels wide."
        )
    if len(faces.boxes) > MOST_FACES:
        raise UploadError(
            f"{len(faces.boxes)} faces were found, but at most {MOST_FACES} can be named; please send a part "
            "of the photo."
        )
    return image, faces


def answer_table(named: Sequence[NamedFace]) -> str:
    """The faces as a Markdown table in which names are text and never markup."""
    lines = ["| Face | Name | Distance | Why |", "| --- | --- | ---: | --- |"]
    for number, face in enumerate(named, start=1):
        distance = "-" if face.distance is None else f"{face.distance:.2f}"
        lines.append(f"| {number} | **{as_text(shown_name(face.name))}** | {distance} | {face.reason} |")
    return "\n".join(lines)


def _found(image: np.ndarray, faces: DetectedFaces) -> tuple:
    drawn = _drawn(image, faces, [UNNAMED] * len(faces.boxes))
    count = counted(len(faces.boxes), "face")
    return (image, faces), drawn, f"**{count} found.** Check the names, then name the faces.", ""


def _proposed(caption: str) -> str:
    return "; ".join(propose_names(caption or ""))


def _drawn(image: np.ndarray, faces: DetectedFaces, names: Sequence[str]) -> gr.Image:
    labels = [f"{name[:LONGEST_LABEL]}…" if len(name) > LONGEST_LABEL else name for name in names]
    palette = pictures.colours([*dict.fromkeys(label for label in labels if label not in (NONAME, UNNAMED))])
    photo = CaptionedPhoto(faces.vectors, (), image=image, boxes=faces.boxes)
    return gr.Image(pictures.draw_photo(photo, labels, {UNNAMED: pictures.NOBODY, **palette}), visible=True)


def _verdict(named: Sequence[NamedFace], stored: bool) -> str:
    given = sum(face.name != NONAME for face in named)
    sentence = f"**{given} of {len(named)} faces named.**" if len(named) > 1 else ""
    if len(named) == 1:
        sentence = "**Named.**" if given else "**No name.**"
    if stored:
        sentence += " One face and one name: this face is stored, to be recognised in your next photos."
    elif not given:
        sentence += " Photos with one face and one name teach who looks like whom."
    return sentence


def _people(faces: KnownFaces) -> tuple[gr.Row, gr.Dropdown]:
    """The row of known people, which is hidden while there are none."""
    counts = faces.counts()
    choices = [(f"{name} ({count})", name) for name, count in counts.items()]
    return gr.Row(visible=bool(counts)), gr.Dropdown(choices, value=next(reversed(counts), None))
