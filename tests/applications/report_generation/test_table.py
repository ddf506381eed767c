import json

import pytest
from PIL import Image

from applications.report_generation.table import load_table

pytestmark = pytest.mark.once

HEADER = "patient,study,image,position,indication,findings,order\n"


def image(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), 100).save(folder / name)


def names(study, folder):
    return [(view.image.relative_to(folder).as_posix(), view.position) for view in study.views]


def table(folder, text, name="studies.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_table(tmp_path):
    image(tmp_path, "a.png", "b.png", "c.png")
    path = table(
        tmp_path,
        HEADER
        + "P1,late,c.png,ap,,,2024-06-01T10:00\n"
        + 'P1,early,a.png;b.png,pa;unheard of,cough,"Small  effusion. Clear lungs.",2024-05-31\n'
        + "P2,early,a.png,,,,\n",
    )
    first, second, third = sorted(load_table(path)["all"], key=lambda study: study.id)
    assert [study.id for study in (first, second, third)] == ["P1/early", "P1/late", "P2/early"]
    assert names(first, tmp_path) == [("a.png", "PA"), ("b.png", "UNK")]
    assert first.findings == "Small effusion. Clear lungs." and first.facts == (
        "small effusion",
        "clear lungs",
    )
    assert first.indication == "cough" and first.prior is None
    assert second.prior.view.image == tmp_path / "a.png"
    assert (second.prior.findings, second.prior.facts) == (first.findings, first.facts)
    assert second.findings is None and second.facts == () and second.indication is None
    assert third.prior is None and third.views[0].position == "UNK"


def test_rows_of_a_study_are_put_together(tmp_path):
    image(tmp_path / "images", "a.png", "b.png", "c.png")
    rows = (
        "patient,study,image,findings,split\nP1,1,a.png,clear.,train\nP1,1,b.png,,\nP1,2,c.png,clear.,train\n"
    )
    parts = load_table(table(tmp_path, rows), tmp_path / "images", facts_of=lambda text: [text.upper()])
    one, two = parts["train"]
    assert len(one.views) == 2 and one.facts == ("CLEAR.",)
    assert two.prior.view == one.views[0]  # without a date in the order of the table
    with pytest.raises(ValueError, match="line 3: findings differs from another row"):
        load_table(table(tmp_path, rows.replace("b.png,", "b.png,effusion.")), tmp_path / "images")


def test_json_tables(tmp_path):
    image(tmp_path, "a.png", "b.png", "c.png")
    entries = [
        {"patient": 1, "study": 2, "image": ["a.png", "b.png"], "position": ["PA", "LATERAL"], "order": 2},
        {
            "patient": 1,
            "study": 1,
            "image": "c.png",
            "findings": "clear.",
            "facts": ["lungs clear"],
            "order": 1,
        },
    ]
    first, second = load_table(table(tmp_path, json.dumps(entries), "studies.json"))["all"]
    assert first.facts == ("lungs clear",)
    assert names(second, tmp_path) == [("a.png", "PA"), ("b.png", "LATERAL")]
    assert second.prior.facts == ("lungs clear",)


def test_what_is_missing_is_left_out_and_named(tmp_path, caplog):
    many = [f"{number}.png" for number in range(7)]
    image(tmp_path, *many)
    rows = f"P1,1,none.png,,,clear.,1\nP1,2,{';'.join(many[1:])},,,,2\nP1,3,0.png,,,,3\nP2,1,,,,,\n"
    (only, after) = load_table(table(tmp_path, HEADER + rows))["all"]
    assert len(only.views) == 5  # the visit before has a report, but no image
    assert only.prior.view is None and only.prior.findings == "clear."
    assert len(after.images) == 2
    assert f"images that are not in {tmp_path} (1): none.png" in caplog.text
    assert "studies without an image (2): P1/1, P2/1" in caplog.text
    assert "further images of studies (1): P1/2 (1)" in caplog.text


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("P1,1,../a.png,,,,\n", "line 2: '../a.png' must be a path below the folder"),
        ("P1,1,/etc/a.png,,,,\n", "line 2: '/etc/a.png' must be a path below the folder"),
        ("P1,1,a.png;a.png,,,,\n", "'P1/1' holds the image .* twice"),
        ("P1,1,a.png,PA;AP,,,\n", "line 2: position must be one for each of 1 images, got 2"),
        ("P1,1,a.png,,,,soon\n", "line 2: the order must be a number or a date .*'soon'"),
        ("P1,1,a.png,,,,1\nP1,2,b.png,,,,\n", "patient 'P1': all visits must have a number"),
        ("P1,1,a.png,,,,1\nP1,2,b.png,,,,2024-01-01\n", "patient 'P1': all visits must have a number"),
        ("P1,1,none.png,,,,\n", "at least one study with an image"),
        (",1,a.png,,,,\n", "line 2 must have patient, study, image; missing: patient"),
    ],
)
def test_wrong_tables(rows, says, tmp_path):
    image(tmp_path, "a.png", "b.png")
    with pytest.raises(ValueError, match=says):
        load_table(table(tmp_path, HEADER + rows))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ("{}", "must hold a list of studies"),
        ("[3]", "entry 0 must be an object, got int"),
        ('[{"patient": "a", "study": "b"}]', "missing: image"),
        ('[{"patient": "a", "study": " ", "image": "a.png"}]', "missing: study"),
        ('[{"patient": "a", "study": "b", "image": [1]}]', "image must be a text"),
    ],
)
def test_wrong_json_tables(content, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        load_table(table(tmp_path, content, "studies.json"))


def test_a_patient_in_two_splits_is_refused(tmp_path):
    image(tmp_path, "a.png", "b.png")
    rows = "patient,study,image,split\nP1,1,a.png,train\nP1,2,b.png,test\n"
    with pytest.raises(ValueError, match="patient 'P1' is in 'train' and in 'test'"):
        load_table(table(tmp_path, rows))
