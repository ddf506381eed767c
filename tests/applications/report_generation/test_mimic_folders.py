import pytest
from PIL import Image

from applications.report_generation.mimic_folders import METADATA, SPLIT, load_mimic_folders, report_sections

pytestmark = pytest.mark.once


def image(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), 100).save(folder / name)


def names(study, folder):
    return [(view.image.relative_to(folder).as_posix(), view.position) for view in study.views]


REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with new onset
 ascites  // eval for infection

 COMPARISON:  None.

 FINDINGS:

 There is no pleural effusion.  The lungs
 are clear.

 IMPRESSION:

 No acute process.
"""


def mimic(folder):
    patient = folder / "files/p10/p101"
    image(patient, "s7/lat.jpg", "s7/front.jpg", "s3/one.jpg")
    (patient / "s7/lat.dcm").write_bytes(b"the same image again")
    (patient / "s7.txt").write_text(REPORT)
    (patient / "s3.txt").write_text("WET READ: clear\n\n IMPRESSION: No change.\n")
    image(folder / "files/p11/p111", "s5/a.png")
    return folder


METADATA_ROWS = """dicom_id,subject_id,study_id,ViewPosition,StudyDate,StudyTime
lat,101,7,LATERAL,21800506,213014.531
front,101,7,PA,21800506,213014.531
one,101,3,AP,21800506,220000.0
a,111,5,,21800506,
"""


def test_folders_with_metadata(tmp_path):
    (mimic(tmp_path) / METADATA).write_text(METADATA_ROWS)
    first, second, other = load_mimic_folders(tmp_path)["all"]
    assert [study.id for study in (first, second, other)] == ["p101/s7", "p101/s3", "p111/s5"]
    expected = [("front.jpg", "PA"), ("lat.jpg", "LATERAL")]  # frontal first, the picture before the DICOM
    assert names(first, tmp_path / "files/p10/p101/s7") == expected
    assert first.findings == "There is no pleural effusion. The lungs are clear."
    assert first.facts == ("no pleural effusion", "lungs clear")
    assert first.indication == "F with new onset ascites // eval for infection"
    assert first.prior is None
    assert second.findings is None and second.indication is None
    assert second.prior.view == first.views[0] and second.prior.facts == first.facts
    assert other.views[0].position == "UNK" and other.findings is None


def test_folders_without_metadata_have_no_order(tmp_path, caplog):
    studies = load_mimic_folders(mimic(tmp_path))["all"]
    assert len(studies) == 3 and all(study.prior is None for study in studies)
    assert {view.position for study in studies for view in study.views} == {"UNK"}
    assert "positions and visits before are not known" in caplog.text


def test_folders_with_splits(tmp_path, caplog):
    (mimic(tmp_path) / METADATA).write_text(METADATA_ROWS)
    rows = "dicom_id,study_id,subject_id,split\nfront,7,101,train\none,3,101,train\n"
    (tmp_path / SPLIT).write_text(rows + "a,5,111,validate\n")
    parts = load_mimic_folders(tmp_path)
    assert {name: len(studies) for name, studies in parts.items()} == {"train": 2, "val": 1}
    (tmp_path / SPLIT).write_text(rows)
    assert list(load_mimic_folders(tmp_path)) == ["train"]
    assert "lack (1): p111/s5" in caplog.text
    (tmp_path / SPLIT).write_text(rows.replace("one,3,101,train", "one,3,101,test"))
    with pytest.raises(ValueError, match="patient 'p101' is in 'test' and in 'train'"):
        load_mimic_folders(tmp_path)


def test_reports_in_another_folder(tmp_path, caplog):
    mimic(tmp_path / "images")
    reports = tmp_path / "reports/files/p10/p101"
    reports.mkdir(parents=True)
    (reports / "s3.txt").write_text("FINDINGS: Clear.")
    (reports / "s9.txt").write_text("FINDINGS: Clear.")  # its images are not there
    studies = load_mimic_folders(tmp_path / "images", tmp_path / "reports")["all"]
    assert {study.id: study.findings for study in studies} == {
        "p101/s3": "Clear.",
        "p101/s7": None,
        "p111/s5": None,
    }
    assert "studies without an image (1): p101/s9" in caplog.text


def test_sections_of_reports():
    sections = report_sections(REPORT + " FINDINGS: later\n RECOMMENDATION(S): none\n NOTE:\n")
    assert sections["examination"] == "CHEST (PA AND LAT)" and sections["comparison"] == "None."
    assert sections["findings"].startswith("There is no") and "note" not in sections
    assert report_sections("the findings: are not a heading") == {}


def test_wrong_folders(tmp_path):
    with pytest.raises(ValueError, match="must hold folders p.../s... with images"):
        load_mimic_folders(tmp_path)
    (mimic(tmp_path) / f"{METADATA}.gz").write_bytes(b"")
    with pytest.raises(ValueError, match="is packed; unpack it"):
        load_mimic_folders(tmp_path)
    (tmp_path / METADATA).write_text(METADATA_ROWS.replace("220000.0", "noon"))
    with pytest.raises(ValueError, match="line 4: StudyDate and StudyTime must be numbers"):
        load_mimic_folders(tmp_path)
    (tmp_path / METADATA).write_text(
        METADATA_ROWS.replace(",7,", ",70,").replace(",3,", ",30,").replace(",5,", ",50,")
    )
    with pytest.raises(ValueError, match="at least one study that"):
        load_mimic_folders(tmp_path)
