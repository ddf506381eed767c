"""The one table of what exists; command line, README, demos and smoke tests read it.

A paper joins with one row. Paths are strings `"module:attribute"`, so that reading the table imports nothing.
"""

import difflib
import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Application:
    """One paper on one task.

    Args:
        task: folder in `applications/`, also the command line's TASK, such as `"face_naming"`.
        paper: short name of the paper, also its file in the folder, such as `"secla"`.
        model_name: the model as the paper names it.
        title: title of the paper.
        modality: what the data are.
        summary: one sentence that tells a user what it does for them.
        state: `"ready"`, or `"planned"` for what is announced and not built.
        model: path of the model class.
        train: path of `train(run, *, data, seed, epochs) -> keras.Model`, which trains with `run.fit`, so
            that an interrupted run can be resumed.
        claims: path of `claims() -> list[Claim]`; papers of one task may share it.
        demo: path of `build() -> gradio.Blocks`; `None` if there is no page.
    """

    task: str
    paper: str
    model_name: str
    title: str
    modality: str
    summary: str
    state: str
    model: str | None = None
    train: str | None = None
    claims: str | None = None
    demo: str | None = None


APPLICATIONS: tuple[Application, ...] = (
    Application(
        task="face_naming",
        paper="secla",
        model_name="SECLA",
        title="Weakly Supervised Face Naming with Symmetry-Enhanced Contrastive Loss",
        modality="photos with captions",
        summary="Names the people in photos from the captions alone: nobody has to label a face.",
        state="ready",
        model="applications.face_naming.secla:SECLA",
        train="applications.face_naming.secla:train",
        claims="applications.face_naming.secla_claim:claims",
        demo="demos.face_naming:build",
    ),
    Application(
        task="face_naming",
        paper="secla_b",
        model_name="SECLAB",
        title="Weakly Supervised Face Naming with Symmetry-Enhanced Contrastive Loss",
        modality="photos with captions",
        summary="The same in two stages: from photos of one face and one name first, then from all of them.",
        state="ready",
        model="applications.face_naming.secla_b:SECLAB",
        train="applications.face_naming.secla_b:train",
        claims="applications.face_naming.secla_claim:claims",
        demo="demos.face_naming:build",
    ),
    Application(
        task="anomaly_detection",
        paper="unicon_ha",
        model_name="UniConHA",
        title=(
            "Unilaterally Aggregated Contrastive Learning "
            "with Hierarchical Augmentation for Anomaly Detection"
        ),
        modality="images",
        summary="Finds the odd image after seeing only normal ones.",
        state="ready",
        model="applications.anomaly_detection.unicon_ha:UniConHA",
        train="applications.anomaly_detection.training:train",
        claims="applications.anomaly_detection.unicon_ha_claim:claims",
        demo="demos.anomaly_detection:build",
    ),
    Application(
        task="sign_translation",
        paper="gfslt_vlp",
        model_name="GFSLTVLP",
        title="Gloss-free Sign Language Translation: Improving from Visual-Language Pretraining",
        modality="video and text",
        summary="Translates signing into sentences without gloss annotation.",
        state="ready",
        model="applications.sign_translation.gfslt_vlp:GFSLTVLP",
        train="applications.sign_translation.training:train",
        claims="applications.sign_translation.gfslt_vlp_claim:claims",
        demo="demos.sign_translation:build",
    ),
    Application(
        task="schemes",
        paper="schemes",
        model_name="SimCLR",
        title="A Simple Framework for Contrastive Learning of Visual Representations, and thirteen others",
        modality="images without labels",
        summary="Trains an encoder on your images without labels; fourteen schemes measured side by side.",
        state="ready",
        model="contrast.models:SimCLR",
        train="applications.schemes.training:train",
        claims="applications.schemes.schemes_claim:claims",
        demo="demos.embedding_explorer:build",
    ),
    Application(
        task="metric_learning",
        paper="reality_check",
        model_name="MetricModel",
        title="A Metric Learning Reality Check",
        modality="images",
        summary="Learns when two pictures show the same kind of thing, also kinds that it has never seen.",
        state="ready",
        model="applications.metric_learning.reality_check:MetricModel",
        train="applications.metric_learning.training:train",
        claims="applications.metric_learning.reality_check_claim:claims",
    ),
    Application(
        task="report_generation",
        paper="mlrg",
        model_name="MLRG",
        title=(
            "Enhanced Contrastive Learning with Multi-view Longitudinal "
            "Data for Chest X-ray Report Generation"
        ),
        modality="X-ray images and text",
        summary="Drafts the report of a chest X-ray study from its views and the previous visit.",
        state="ready",
        model="applications.report_generation.mlrg:MLRG",
        train="applications.report_generation.training:train",
        claims="applications.report_generation.mlrg_claim:claims",
        demo="demos.report_generation:build",
    ),
)


def find(task: str, paper: str | None = None) -> Application:
    """The row of `task` and `paper`; without `paper` the first one of the task.

    Raises:
        ValueError: if there is no such task or paper; the message lists what there is.
    """
    rows = [row for row in APPLICATIONS if row.task == task]
    if not rows:
        raise ValueError(unknown("task", task, list(dict.fromkeys(row.task for row in APPLICATIONS))))
    if paper is None:
        return rows[0]
    for row in rows:
        if row.paper == paper:
            return row
    raise ValueError(unknown(f"paper of {task}", paper, [row.paper for row in rows]))


def unknown(kind: str, given: str, choices: list[str]) -> str:
    """The message for a name that is not among `choices`, with the closest one that is."""
    close = difflib.get_close_matches(given, choices, n=1)
    question = f" Did you mean {close[0]!r}?" if close else ""
    return f"Unknown {kind}: {given!r}.{question} There is: {', '.join(choices)}."


def load(path: str) -> object:
    """Imports the object at `"module:attribute"`.

    Raises:
        ValueError: if `path` has not that form, or the module has no such attribute.
    """
    module_name, separator, attribute = path.partition(":")
    if not (module_name and separator and attribute):
        raise ValueError(f"path must be 'module:attribute', got {path!r}")
    module = importlib.import_module(module_name)
    if not hasattr(module, attribute):
        raise ValueError(f"path {path!r}: the module {module_name} has no attribute {attribute!r}")
    return getattr(module, attribute)
