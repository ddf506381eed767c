import collections

import numpy as np
import pytest
from PIL import Image

from applications.report_generation.corpus import SPLITS, RadiographWorld
from applications.report_generation.findings import FINDINGS, PREVALENCE
from applications.report_generation.show import study_picture
from applications.report_generation.study import PriorVisit, Study, View, check_patients

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def world():
    return RadiographWorld(seed=5)


@pytest.fixture(scope="module")
def studies(world):
    return {split: world.studies(80, split) for split in SPLITS}


@pytest.fixture(scope="module")
def patients(world):
    return world.patients(1200)


def test_splits_share_no_patient_no_key_and_no_image(studies):
    check_patients(studies)
    images = [view.image.tobytes() for split in SPLITS for study in studies[split] for view in study.views]
    keys = [view.key for split in SPLITS for study in studies[split] for view in study.views]
    ids = [study.id for split in SPLITS for study in studies[split]]
    for all_different in (images, keys, ids):
        assert len(set(all_different)) == len(all_different)
    assert {len({study.patient for study in studies[split]}) for split in SPLITS} == {80}
    other = RadiographWorld(seed=5, size=32).studies(1)[0].views[0].key
    assert other not in keys and RadiographWorld(seed=6).studies(1)[0].views[0].key not in keys


def equal(one, other):
    same = (one.id, one.patient, one.findings, one.facts, one.indication) == (
        (other.id, other.patient, other.findings, other.facts, other.indication)
    )
    return same and [(view.key, view.position, view.image.tobytes()) for view in one.images] == [
        (view.key, view.position, view.image.tobytes()) for view in other.images
    ]


def test_studies_are_a_function_of_seed_split_and_number(studies):
    again = RadiographWorld(seed=5).studies(7, "test")
    assert all(map(equal, again, studies["test"])) and len(again) < len(studies["test"])
    others = RadiographWorld(seed=6).studies(7, "test")
    assert not any(map(equal, again, others))


def test_size_changes_nothing_but_the_images(studies):
    small = RadiographWorld(seed=5, size=16).studies(20)
    for one, other in zip(small, studies["train"], strict=False):
        assert one.views[0].image.shape == (16, 16)
        assert (one.findings, one.facts, one.indication) == (other.findings, other.facts, other.indication)
        assert [view.position for view in one.images] == [view.position for view in other.images]


def test_images(studies):
    for study in studies["train"]:
        for view in study.views:
            assert view.image.shape == (64, 64) and view.image.dtype == np.uint8
            assert view.image.max() > 230 and view.image.min() < 10 and view.image.std() > 40
    same = [
        study.views for study in studies["train"] if len(study.views) == 3 and study.views[2].position == "LL"
    ]
    assert all((views[1].image != views[2].image).mean() > 0.5 for views in same) and same


def test_shares_of_visits_views_and_blanks(patients):
    visits = collections.Counter(len(patient.visits) for patient in patients)
    np.testing.assert_allclose(
        [visits[count] / 1200 for count in (1, 2, 3, 4)], (0.2, 0.3, 0.3, 0.2), atol=0.04
    )
    every = [visit for patient in patients for visit in patient.visits]
    views = collections.Counter(len(visit.positions) for visit in every)
    shares = [views[count] / len(every) for count in (1, 2, 3)]
    np.testing.assert_allclose(shares, (0.29, 0.5, 0.21), atol=0.03)
    assert all(visit.positions[0] in ("PA", "AP") for visit in every)
    assert all(visit.positions[1] == "LATERAL" for visit in every if len(visit.positions) > 1)
    thirds = collections.Counter(visit.positions[2] for visit in every if len(visit.positions) > 2)
    assert set(thirds) == {"PA", "AP", "LL"}
    assert np.mean([not visit.report_kept for visit in every]) == pytest.approx(1 / 3, abs=0.03)
    assert np.mean([visit.indication is None for visit in every]) == pytest.approx(0.42, abs=0.03)
    firsts = np.mean([patient.visits[0].record.labels()[:-1] for patient in patients], axis=0)
    np.testing.assert_allclose(firsts, list(PREVALENCE.values()), atol=0.045)
    scars = np.array([patient.anatomy.scars for patient in patients])
    assert np.mean(scars > 0) == pytest.approx(0.5, abs=0.03) and scars.max() < 2


def test_reports_are_as_long_as_described(patients):
    words = [len(visit.report.split()) for patient in patients for visit in patient.visits]
    assert 26 < np.mean(words) < 31 and max(words) < 75
    text = " ".join(visit.report for patient in patients for visit in patient.visits)
    assert len(set(text.replace(".", "").replace(",", "").split())) < 120


def test_prior_visit_is_the_visit_before(studies):
    blank = 0
    for split in SPLITS:
        by_id = {study.id: study for study in studies[split]}
        for study in studies[split]:
            number = int(study.id.rpartition("-")[2])
            if number == 0:
                assert study.prior is None and study.truth.previous is None
                continue
            before = by_id[f"{study.patient}-{number - 1}"]
            assert study.prior.view is before.views[0] and study.prior.view.position in ("PA", "AP")
            assert study.truth.previous == before.truth.record
            assert (study.truth.prior_findings, study.truth.prior_facts) == (before.findings, before.facts)
            if study.prior.findings is None:
                assert study.prior.facts == ()
                blank += 1
            else:
                assert (study.prior.findings, study.prior.facts) == (before.findings, before.facts)
    assert blank > 40


def test_what_is_missing_says_nothing_of_the_findings(patients):
    every = [visit for patient in patients for visit in patient.visits]
    labels = np.array([visit.record.labels()[:9] for visit in every])
    for missing in (
        [visit.report_kept for visit in every],
        [len(visit.positions) > 1 for visit in every],
        [visit.positions[0] == "AP" for visit in every],
        [visit.indication is None for visit in every],
        ["the " in visit.report.split(".")[-2] for visit in every],  # wording of the bones
    ):
        missing = np.array(missing)
        assert np.abs(labels[missing].mean(0) - labels[~missing].mean(0)).max() < 0.07


def test_severity_before_does_not_decide_severity_now(patients):
    steps = [
        (before.record[name].severity, now.record[name].severity)
        for patient in patients
        for before, now in zip(patient.visits, patient.visits[1:], strict=False)
        for name in FINDINGS[1:3]
    ]
    before, now = np.array(steps).T
    assert np.mean(before[before > 0] != now[before > 0]) > 0.3


def test_picture_of_a_study(studies, tmp_path):
    chosen = {}
    for study in studies["train"]:
        prior = None if study.prior is None else study.prior.findings is not None
        chosen[len(study.views), prior] = study
    assert len(chosen) == 9
    widths = set()
    for (views, prior), study in chosen.items():
        figure = study_picture(study)
        images = [axes for axes in figure.axes if axes.images]
        assert len(images) == views + (prior is not None)
        said = " ".join(text.get_text() for text in figure.texts)
        assert study.facts[0].split()[0] in said and "indication" in said
        assert ("report before" in said) == (prior is not None)
        assert ("not given" in said) == (prior is False or study.indication is None)
        widths.add(figure.get_figwidth())
    assert len(widths) == 3
    study_picture(study, tmp_path / "study.png")
    with Image.open(tmp_path / "study.png") as picture:
        assert picture.width > 600 and len(np.unique(np.asarray(picture))) > 100
    bare = Study("1", "a", (View(np.zeros((4, 6))),), prior=PriorVisit(None, "left nodule has resolved."))
    assert [axes.get_title() for axes in study_picture(bare).axes] == ["visit before", "now: view unknown"]


def test_wrong_arguments(world, studies, tmp_path):
    for call, message in (
        (lambda: RadiographWorld(seed=-1), "seed must be at least 0"),
        (lambda: RadiographWorld(size=0), "size at least 1, got 0 and 0"),
        (lambda: world.studies(0), "count must be at least 1, got 0"),
        (lambda: world.patients(1, "dev"), "split must be one of train, validation, test, got 'dev'"),
        (lambda: study_picture(studies["test"][0], tmp_path / "a.jpg"), r"must end on \.png, got a\.jpg"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
