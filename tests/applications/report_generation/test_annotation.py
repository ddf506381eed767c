import json

import pytest
from PIL import Image

from applications.report_generation.annotation import load_annotation

pytestmark = pytest.mark.once


def image(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), 100).save(folder / name)


def names(study, folder):
    return [(view.image.relative_to(folder).as_posix(), view.position) for view in study.views]


def sample(anchor, others=(), folder="p10/p1/s1", **parts):
    paths = [f"{folder}/{name}" for name in others]
    return {
        "id": anchor,
        "anchor_scan": {"image_path": [f"{folder}/{anchor}"], "view_position": ["PA"]},
        "auxiliary_references": {"image_path": paths, "view_position": ["LATERAL"] * len(paths)},
        "findings": "clear lungs . no effusion .",
        "findings_factual_serialization": ["clear lungs", "no effusion"],
        "indication_pure": "",
        "prior_study": None,
        **parts,
    }


def annotation(folder, content):
    (folder / "annotation.json").write_text(json.dumps(content))
    return folder / "annotation.json"


def test_samples_of_a_study_become_one(tmp_path):
    image(tmp_path, *(f"p10/p1/s1/{name}.jpg" for name in "abc"), "p10/p1/s0/z.jpg", "p11/p2/s9/a.jpg")
    latest = {"image_path": "p10/p1/s0/z.jpg", "view_position": "AP", "findings": "effusion ."}
    latest["findings_factual_serialization"] = ["effusion"]
    content = {
        "train": [
            sample(
                "a.jpg", ["b.jpg", "c.jpg"], indication_pure="cough", prior_study={"latest_study": latest}
            ),
            sample("c.jpg", ["a.jpg", "b.jpg"]),
        ],
        "val": [],
        "test": [sample("a.jpg", folder="p11/p2/s9")],
    }
    parts = load_annotation(annotation(tmp_path, content), tmp_path)
    assert {name: len(studies) for name, studies in parts.items()} == {"train": 1, "val": 0, "test": 1}
    (study,) = parts["train"]
    assert (study.id, study.patient, study.indication) == ("p1/s1", "p1", "cough")
    expected = [("a.jpg", "PA"), ("c.jpg", "PA"), ("b.jpg", "LATERAL")]
    assert names(study, tmp_path / "p10/p1/s1") == expected
    assert study.facts == ("clear lungs", "no effusion")
    assert study.prior.view.image == tmp_path / "p10/p1/s0/z.jpg" and study.prior.view.position == "AP"
    assert (study.prior.findings, study.prior.facts) == ("effusion .", ("effusion",))
    assert parts["test"][0].indication is None and parts["test"][0].prior is None


def test_priors_without_report_or_image(tmp_path, caplog):
    image(tmp_path, "p10/p1/s1/a.jpg", "p10/p2/s1/a.jpg", "p10/p3/s1/a.jpg", "z.jpg")
    priors = [
        {
            "image_path": "z.jpg",
            "view_position": "unk",
            "findings": None,
            "findings_factual_serialization": None,
        },
        {"image_path": "gone.jpg", "view_position": "PA", "findings": "Clear lungs."},
        {"image_path": "gone.jpg", "view_position": "PA", "findings": None},
    ]
    samples = [
        sample("a.jpg", folder=f"p10/p{number}/s1", prior_study={"latest_study": prior})
        for number, prior in enumerate(priors, 1)
    ]
    one, two, three = load_annotation(annotation(tmp_path, samples), tmp_path)["all"]
    assert one.prior.view.position == "UNK" and one.prior.findings is None and one.prior.facts == ()
    assert two.prior.view is None and two.prior.facts == ("clear lungs",)
    assert three.prior is None
    assert "(1): gone.jpg" in caplog.text


def test_samples_left_out_are_named(tmp_path, caplog):
    image(tmp_path, "p10/p1/s1/a.jpg", "p10/p1/s2/a.jpg", "p10/p1/s3/a.jpg")
    samples = [
        sample("a.jpg", findings_factual_serialization=[]),
        sample("gone.jpg", ["gone.jpg"], folder="p10/p1/s2"),
        sample("a.jpg", folder="p10/p1/s3", findings="", findings_factual_serialization=[]),
    ]
    (left,) = load_annotation(annotation(tmp_path, samples), tmp_path)["all"]
    assert left.id == "p1/s3" and left.findings is None
    assert "studies whose report has no fact (1): p1/s1" in caplog.text
    assert "studies without an image (1): p1/s2" in caplog.text
    assert "(1): p10/p1/s2/gone.jpg" in caplog.text


def test_other_names_of_patient_and_study(tmp_path):
    image(tmp_path, "a.png")
    one = sample("a.png", folder=".", subject_id=7, study_id=8)
    assert load_annotation(annotation(tmp_path, [one]), tmp_path)["all"][0].id == "7/8"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"anchor_scan": None}, r"all\[0\] \('a.jpg'\): anchor_scan must be an object, got NoneType"),
        ({"anchor_scan": {"image_path": []}}, "anchor_scan must hold one image, got 0"),
        ({"anchor_scan": {"image_path": "a.jpg"}}, "must lie in the folders of patient and study"),
        ({"anchor_scan": {"image_path": "../p1/s1/a.jpg"}}, "must be a path below the folder"),
        ({"anchor_scan": {"image_path": [3]}}, "image_path must be a list of strings"),
        (
            {"auxiliary_references": {"image_path": ["b.jpg"], "view_position": ["PA"] * 2}},
            "each of 1 images, got 2",
        ),
        ({"findings": 3}, "findings must be str or null, got int"),
        ({"prior_study": []}, "prior_study must be dict or null, got list"),
        ({"prior_study": {"latest_study": "z"}}, "latest_study must be an object, got str"),
    ],
)
def test_wrong_samples(change, says, tmp_path):
    image(tmp_path, "p10/p1/s1/a.jpg")
    with pytest.raises(ValueError, match=says):
        load_annotation(annotation(tmp_path, [sample("a.jpg", **change)]), tmp_path)


def test_wrong_annotation_files(tmp_path):
    for content, says in (
        ("text", "must hold a list of samples"),
        ({"train": {}}, "must hold a list of samples"),
        ([1], r"all\[0\] must be an object"),
        ([], "at least one study"),
        ([sample("gone.jpg")], "at least one study"),
    ):
        with pytest.raises(ValueError, match=says):
            load_annotation(annotation(tmp_path, content), tmp_path)
    with pytest.raises(ValueError, match="cannot be read"):
        load_annotation(tmp_path / "none.json", tmp_path)


def test_one_study_in_two_splits_is_refused(tmp_path):
    image(tmp_path, "p10/p1/s1/a.jpg")
    content = {"train": [sample("a.jpg")], "test": [sample("a.jpg")]}
    with pytest.raises(ValueError, match="patient 'p1' is in 'train' and in 'test'"):
        load_annotation(annotation(tmp_path, content), tmp_path)
