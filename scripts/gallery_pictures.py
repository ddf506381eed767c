"""Makes the pictures on the cards of the gallery, which the package holds, from the screenshots of the pages.

    python scripts/gallery_pictures.py

Metric learning has no page; its card shows what was measured.
"""

import json
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure  # noqa: TID253
from PIL import Image  # noqa: TID253

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "docs" / "images"
PICTURES = ROOT / "demos" / "gallery_pictures"
SIZE = (640, 400)

# screenshot and the part of it: left, top and width in pixels; the height follows
PARTS = {
    "face_naming": ("face_naming_demo.png", 518, 205, 742),
    "anomaly_detection": ("anomaly_detection_demo.png", 518, 268, 742),
    "sign_translation": ("sign_translation_demo.png", 530, 215, 720),
    "report_generation": ("report_generation_study.png", 0, 4, 1023),
    "schemes": ("embedding_explorer.png", 52, 255, 622),
}


def screenshot(name: str, left: int, top: int, width: int) -> Image.Image:
    """A part of a screenshot in the size of a card's picture."""
    with Image.open(SCREENSHOTS / name) as picture:
        part = picture.convert("RGB").crop((left, top, left + width, top + width * SIZE[1] // SIZE[0]))
    return part.resize(SIZE, Image.Resampling.LANCZOS)


def bars() -> Image.Image:
    """The measured mAP@R of the losses of metric learning."""
    file = ROOT / "applications" / "metric_learning" / "reality_check_claim.json"
    result = json.loads(file.read_text(encoding="utf-8"))[0]
    means = {arm: values[result["primary_metric"]]["mean"] for arm, values in result["arms"].items()}
    names = sorted(means, key=means.get)
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axis = figure.add_subplot()
    axis.barh(names, [means[name] for name in names], color="#4f46e5")
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("MAP@R on digits that were never seen")
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    return Image.open(drawn).convert("RGB")


def main() -> None:
    """Writes all pictures as WebP."""
    PICTURES.mkdir(exist_ok=True)
    made = {task: screenshot(*part) for task, part in PARTS.items()} | {"metric_learning": bars()}
    for task, picture in made.items():
        picture.save(PICTURES / f"{task}.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
