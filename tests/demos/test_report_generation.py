import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("tokenizers")
pytest.importorskip("pydicom")

from PIL import Image

from applications.report_generation.mlrg import Report
from applications.report_generation.retrieval import Embeddings
from applications.report_generation.study import PARTS, without
from demos import report_generation_answers as answers
from demos import report_generation_pictures as pictures
from demos import report_generation_search as search
from demos.report_generation import build
from demos.report_generation_attention import looks
from demos.report_generation_sentences import judge_true, judge_written, new_in, sentences, summary
from demos.report_generation_upload import LONGEST_TEXT, read_radiograph, read_study
from demos.uploads import MOST_BYTES, UploadError
from tests.demos.chests import untrained

pytestmark = pytest.mark.once

TRUTH = (
    "lungs are clear. moderate left pleural effusion, increased from prior. no pneumothorax. "
    "heart size is normal."
)


@pytest.fixture(scope="module")
def model():
    return untrained()


@pytest.fixture(scope="module")
def searched(model):
    return search.gallery(model)


@pytest.fixture(scope="module")
def full(model):
    """The place of a study with all parts."""
    return next(place for place, one in enumerate(model.held_out) if answers.parts_of(one) == PARTS)


def text_of(markup):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup)).strip()


def kinds(judged):
    return [one.kind for one in judged]


def written(text, *others):
    pairs = [(one, -0.5 - place) for place, one in enumerate((text, *others))]
    return Report(text, -0.5, tuple(pairs), (5, 2))


def test_sentences_are_judged_against_the_true_report():
    text = "lungs are clear. small left pleural effusion, increased. small nodule. mild cardiomegaly. hello."
    judged = judge_written(text, TRUTH)
    assert kinds(judged) == ["right", "partly", "wrong", "wrong", "unread"]
    assert judged[1].remark == "true size: moderate"
    assert judged[2].remark == "nodule is not there"
    denied = judge_written("no pleural effusion or pneumothorax.", TRUTH)
    assert kinds(denied) == ["wrong"] and denied[0].remark == "left pleural effusion is there"
    assert kinds(judge_written("the heart is normal in size.", "mild cardiomegaly.")) == ["wrong"]


def test_sentences_of_the_true_report_are_found_or_missed():
    assert kinds(judge_true(TRUTH, TRUTH)) == ["right"] * 4
    judged = judge_true(TRUTH, "left pneumothorax.")
    assert kinds(judged) == ["left-out", "missed", "wrong", "left-out"]
    assert judged[2].remark == "written as if it were there"
    assert judge_true(TRUTH, "large left pleural effusion.")[1].remark == "written otherwise: size, change"


def test_the_summary_counts_findings_and_changes():
    assert summary(TRUTH, TRUTH) == (
        "1 of 1 finding named, none is made up. 1 of 1 change since the last visit right."
    )
    assert summary("small nodule. mild cardiomegaly.", "lungs are clear.") == (
        "There is no finding, 2 named that are not there."
    )
    assert sentences("a. b; c") == ["a.", "b;", "c"]


def test_what_is_only_worded_otherwise_is_not_new():
    assert new_in("no effusion. no pneumothorax. small nodule.", "no pleural effusion or pneumothorax.") == [
        "small nodule."
    ]
    assert new_in("small nodule. hello.", "large nodule. hello.") == ["small nodule."]


def test_a_study_is_shown_with_its_report_and_what_it_looked_at(model, full):
    study = model.held_out[full]
    given, report, alternatives, looked = answers.shown(answers.Reports(model), full, ())
    assert given.count("<img") == len(study.images)
    assert study.indication in given and study.prior.findings in given
    assert "withheld" not in given
    assert text_of(report).count("✓") + text_of(report).count("✗") > 0
    assert 1 <= alternatives.count("<tr>") - 1 <= answers.BEAMS
    assert looked.count("<img") == looked.count("<li>") * len(study.images)


def test_what_is_left_out_is_pale_and_not_read(model, full):
    reports = answers.Reports(model)
    given, report, _, looked = answers.shown(reports, full, list(PARTS))
    study = model.held_out[full]
    assert given.count("<figure class") == len(study.images)
    assert (
        given.count(" withheld") == len(study.images) - 1 and given.count("left out") == len(study.images) + 1
    )
    assert looked.count("<img") == looked.count("<li>")
    assert "Without further views, prior image, previous report and indication the report" in report
    direct = answers.write(model, without(study, PARTS))
    assert reports.of(full, PARTS).findings == direct.findings


def test_leaving_out_what_is_not_there_changes_nothing(model):
    place = next(n for n, one in enumerate(model.held_out) if not answers.parts_of(one)[:-1])
    reports = answers.Reports(model)
    missing = [part for part in PARTS if part not in answers.parts_of(model.held_out[place])]
    assert answers.shown(reports, place, missing) == answers.shown(reports, place, ())


def test_changed_sentences_are_marked():
    report = answers.compared(
        written("no pneumothorax. small nodule."), TRUTH, "Without", written("no pneumothorax. gone.")
    )
    assert report.count("changed</span>") == 1
    assert "No longer written: gone." in report


def test_reports_are_text():
    one = written("<b>nodule</b>.", "<i>x</i>")
    for markup in (answers.compared(one, "<u>clear</u>."), answers.alternatives(one)):
        assert not re.search(r"<(b|i|u)>(nodule|x|clear)", markup)
    assert "(no words)" in answers.compared(written(""), TRUTH)


def test_a_sentence_looks_through_the_fusion_at_companions(model):
    tokenizer = model.model.tokenizer
    ids = tokenizer.encode_findings(["lungs are clear. no pneumothorax."], None)[0][1:]
    tokens = 6
    attention = np.zeros((len(ids), 2 * tokens))
    attention[:4, 2] = 1  # the first sentence: the first patch, as projected
    attention[:4, tokens + 3] = 1  # and the second one, as fused
    attention[4:, tokens + 5] = 1
    companions = np.zeros((tokens, 4, tokens))
    companions[3, 0, 4] = 1
    companions[5, 1, 2] = 0.75
    companions[5, 0, 2] = 0.25
    report = Report("", 0.0, (), tuple(ids), attention, companions)
    first, second = looks(tokenizer, report, 2, (2, 2))
    assert (first.sentence, second.sentence) == ("lungs are clear.", "no pneumothorax.")
    np.testing.assert_array_equal(first.maps[0], [[1, 1], [0, 0]])
    np.testing.assert_array_equal(first.maps[1], [[0, 0], [1, 0]])
    assert first.shares == (1, 0) and second.shares == (0.25, 0.75)
    np.testing.assert_array_equal(second.maps[2], [[0.75, 0], [0, 0]])
    alone = looks(tokenizer, report, 0, (2, 2))
    assert len(alone[0].maps) == 1 and alone[0].shares == ()


def test_studies_of_all_kinds_are_offered(model):
    places = answers.offered(model.held_out, 12)
    assert len(set(places)) == len(places)
    offered = {answers.parts_of(model.held_out[place]) for place in places}
    assert offered == {answers.parts_of(study) for study in model.held_out}
    assert answers.parts_of(model.held_out[places[0]]) == max(offered, key=len)
    assert re.match(r"Patient \d, visit \d: \w+", answers.title(model.held_out[0]))


def test_reports_are_ranked_for_images(searched):
    count = len(searched.studies)
    vectors = np.eye(count)
    perfect = search.Gallery(searched.studies, Embeddings(vectors, vectors))
    found = search.find_reports(perfect, 2)
    assert f"1st of {count}" in found and found.count("✓") >= 1
    worst = search.Gallery(searched.studies, Embeddings(vectors, -vectors))
    assert search.find_reports(worst, 2).count("<tr class") == search.FOUND + 1


def test_images_are_ranked_for_a_text(model, searched, monkeypatch):
    vectors = np.eye(len(searched.studies))
    perfect = search.Gallery(searched.studies, Embeddings(vectors, vectors))
    monkeypatch.setattr(search, "embed_facts", lambda *_: 2 * vectors[[3]])
    found = search.find_images(model, perfect, "no pneumothorax")
    assert found.count('class="card"') == search.FOUND_IMAGES
    assert text_of(found).startswith(f"1.00 {searched.studies[3].findings}")


def test_typed_words_are_text_and_unknown_ones_are_named(model, searched):
    found = search.find_images(model, searched, "no pneumothorax <img src=x onerror=alert(1)> zebra")
    assert "zebra" in found and "<img src=x" not in found and "Left out" in found
    assert "none of these words" in search.find_images(model, searched, "zebra [NHI]")
    assert "type a finding" in search.find_images(model, searched, " ?! ")
    assert 'class="card"' in search.find_images(model, searched, "no pneumothorax. " * 500)


def test_the_curve_shows_measured_epochs_only(monkeypatch):
    plotted = []

    def drawn(title, dark, plot):
        class Axis:
            def plot(self, x, y, **_):
                plotted.append((list(x), list(y)))

            def __getattr__(self, name):
                return lambda *_, **__: None

        plot(Axis(), "ink")

    monkeypatch.setattr(pictures, "drawn", drawn)
    pictures.draw_f1([0.0, 0.2, 0.2, 0.4], 2, {"line": 0.1}, dark=False)
    assert plotted == [([2, 4], [0.2, 0.4])]


def picture(path, shape=(40, 50), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")
    Image.fromarray(pixels).save(path)
    return str(path)


def dicom(path, rows=20, columns=30, pixels=True):
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.Rows, data.Columns, data.SamplesPerPixel = rows, columns, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    if pixels:
        data.PixelData = np.arange(20 * 30, dtype="uint16").tobytes()
    data.save_as(path, enforce_file_format=True)
    return str(path)


def test_an_uploaded_study_is_read_and_reported(model, tmp_path):
    views = [(picture(tmp_path / "a.png"), "PA"), (None, "LATERAL"), (dicom(tmp_path / "b.dcm"), "LL")]
    prior = (picture(tmp_path / "c.jpg", seed=1), "AP")
    study = read_study(views, prior, "There is a zebra. no pneumothorax.", " fever ", (64, 64))
    assert [view.position for view in study.images] == ["PA", "LL", "AP"]
    assert all(view.image.shape == (64, 64) for view in study.images)
    assert study.prior.facts == ("zebra", "no pneumothorax") and study.indication == "fever"
    given, report, _, looked = answers.shown_upload(model, study)
    assert given.count("<img") == 3 and looked.count("<img") % 3 == 0
    assert "zebra" in report and "True report" not in report
    assert "of a real image this says nothing" in report


def test_an_upload_may_be_one_image(model, tmp_path):
    study = read_study([(picture(tmp_path / "a.png"), "UNK")], (None, "PA"), "", None, (64, 64))
    assert study.prior is None and study.indication is None
    assert answers.shown_upload(model, study)[0].count("<img") == 1


def test_studies_that_cannot_be_used_are_explained(tmp_path):
    one, nothing = picture(tmp_path / "a.png"), (None, "PA")
    with pytest.raises(UploadError, match="at least one image of the current visit"):
        read_study([nothing], (one, "PA"), "", "", (64, 64))
    with pytest.raises(UploadError, match="sent twice"):
        read_study([(one, "PA")], (one, "PA"), "", "", (64, 64))
    with pytest.raises(UploadError, match=f"The indication has {LONGEST_TEXT + 1} characters"):
        read_study([(one, "PA")], nothing, "", "x" * (LONGEST_TEXT + 1), (64, 64))


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.png", lambda path: path.write_text("no image"), "^The file is no PNG, JPEG or DICOM file"),
        ("a.dcm", lambda path: path.write_text("no image"), "^The file is no PNG, JPEG or DICOM file"),
        ("a.dcm", lambda path: dicom(path, pixels=False), "^The file is a DICOM file without pixel data"),
        ("a.dcm", lambda path: dicom(path, 9000, 9000), "9000 x 9000 pixels; at most 16 million"),
        ("a.png", lambda path: dicom(path, 9000, 9000), "9000 x 9000 pixels; at most 16 million"),
        ("a.png", lambda path: Image.new("1", (5000, 4000)).save(path), "5000 x 4000 pixels; at most"),
        ("a.png", lambda path: Image.new("L", (8, 40)).save(path), "8 x 40 pixels; both sides"),
        ("a.png", lambda path: cut_off(path), "^The file cannot be decoded"),
        ("a.txt", lambda path: path.write_text("no image"), "whatever its name says"),
        ("a.png", lambda path: path.write_bytes(bytes(MOST_BYTES + 1)), "10.0 MB; at most 10 MB"),
        ("a.png", lambda path: None, "did not arrive"),
    ],
)
def test_an_image_that_cannot_be_used_is_explained(tmp_path, name, write, words):
    write(tmp_path / name)
    with pytest.raises(UploadError, match=words) as raised:
        read_radiograph(str(tmp_path / name))
    assert str(tmp_path) not in str(raised.value)


def test_without_pydicom_pictures_are_read_and_dicom_is_explained(tmp_path, monkeypatch):
    png, dcm = picture(tmp_path / "a.png"), dicom(tmp_path / "b.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert read_radiograph(png).shape == (40, 50)
    with pytest.raises(UploadError, match="pydicom is not installed"):
        read_radiograph(dcm)


def cut_off(path: Path):
    picture(path, (200, 200))
    path.write_bytes(path.read_bytes()[:3000])


def test_the_scores_stand_beside_what_needs_no_model(model):
    table = text_of(answers.score_table(model))
    assert "the model 0.50" in table and "all normal (no model) 0.25" in table
    assert answers.plain(model).endswith("Drawn chests, no real ones.")


def test_the_page_is_built_from_a_model(model):
    page = build(model)
    labels = {block.label for block in page.blocks.values() if hasattr(block, "label")}
    assert {
        "Leave out",
        "Main view",
        "Prior image",
        "From a text to images: findings",
    } <= labels
    texts = " ".join(str(block.value) for block in page.blocks.values() if hasattr(block, "value"))
    assert "no medical device" in texts
