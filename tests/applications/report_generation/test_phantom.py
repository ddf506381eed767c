import dataclasses

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from applications.report_generation.corpus import RadiographWorld
from applications.report_generation.findings import FINDINGS, Finding, Record
from applications.report_generation.phantom import draw_anatomy, phantom
from applications.report_generation.projection import expose, line_integrals, render

pytestmark = pytest.mark.once

PATIENT = dataclasses.replace(draw_anatomy(np.random.default_rng(3)), scars=(0.0, 0.0), wires=False)


def record(**findings):
    return Record(tuple(findings.get(name.replace(" ", "_"), Finding()) for name in FINDINGS))


def numeric_integral(row, position, u, v):
    """Density times the share of a fine line that lies in one ellipsoid, enlarged about the central ray."""
    x, y, z, *_, tilt = row
    depth = np.linspace(-2, 2, 40001)
    enlargement = {"PA": 1 + 0.1 * (0.62 - y), "AP": 1 + 0.18 * (y + 0.62), "LATERAL": 1 + 0.05 * (0.9 - x)}
    scale = enlargement[position]
    if position == "LATERAL":
        dx, dy = depth - x, -u / scale - y
    else:
        dx, dy = u / scale - x, depth - y
    dz = v / scale - z
    along = np.cos(tilt) * dx + np.sin(tilt) * dz
    beside = -np.sin(tilt) * dx + np.cos(tilt) * dz
    inside = (along / row[3]) ** 2 + (dy / row[4]) ** 2 + (beside / row[5]) ** 2 <= 1
    return row[6] * np.mean(inside) * 4


@pytest.mark.parametrize("position", ["PA", "AP", "LATERAL"])
def test_projection_is_the_line_integral(position):
    rows = np.array([[0.2, -0.1, 0.1, 0.5, 0.4, 0.2, 1.5, 0.6], [-0.3, 0.2, 0, 0.3, 0.3, 0.7, -0.5, 0]])
    size = 12
    grid = (2 * np.arange(size) + 1) / size - 1
    drawn = line_integrals(rows[None], position, size)[0]
    expected = [[sum(numeric_integral(row, position, u, v) for row in rows) for u in grid] for v in grid]
    assert np.ptp(expected) > 0.8
    np.testing.assert_allclose(drawn, expected, atol=2e-3)


def test_projections_do_not_depend_on_their_neighbours():
    findings = record(device=Finding(1, "left"), nodule=Finding(3, "right", "lower"))
    chests = np.stack([phantom(PATIENT, findings), *3 * [phantom(PATIENT, Record())]])
    together = line_integrals(chests, "AP", 32)
    for alone, of_all in zip(chests, together, strict=True):
        np.testing.assert_array_equal(line_integrals(alone[None], "AP", 32)[0], of_all)
    assert np.abs(together[0] - together[1]).max() > 0.2
    generators = [np.random.default_rng(index) for index in range(2)]
    mixed = render(chests[:2], ["AP", "LATERAL"], generators, 32)
    np.testing.assert_array_equal(
        mixed[1], render(chests[1:2], ["LATERAL"], [np.random.default_rng(1)], 32)[0]
    )


def test_ap_enlarges_the_heart():
    chests = np.stack([phantom(PATIENT, Record())] * 2)
    chests[1] = 0
    chests[1, :, 3:6] = 1
    heart = next(row for row in phantom(PATIENT, Record()) if row[6] == np.float32(0.8) and row[1] > 0)
    chests[1, 0] = heart
    widths = [(line_integrals(chests[1:], position, 200)[0] > 0).any(0).sum() for position in ("PA", "AP")]
    assert widths[1] / widths[0] == pytest.approx(1.1, abs=0.02)


def test_sides_and_directions_of_the_views():
    def change(findings, position):
        chests = np.stack([phantom(PATIENT, findings), phantom(PATIENT, Record())])
        integrals = line_integrals(chests, position, 64)
        difference = np.abs(integrals[0] - integrals[1])
        return np.array(np.unravel_index(difference.argmax(), difference.shape))

    left = record(left_consolidation=Finding(2, "left", "upper", "anterior"))
    right = record(right_consolidation=Finding(2, "right", "lower", "posterior"))
    (high, left_column), (low, right_column) = change(left, "PA"), change(right, "PA")
    assert left_column > 36 and right_column < 28 and high < low
    assert change(left, "LATERAL")[1] < 30 < 34 < change(right, "LATERAL")[1]


def test_findings_change_what_they_should():
    normal = line_integrals(phantom(PATIENT, Record())[None], "PA")[0]

    def effect(**findings):
        return line_integrals(phantom(PATIENT, record(**findings))[None], "PA")[0] - normal

    assert effect(pneumothorax=Finding(2, "left")).min() < -0.1
    for name, finding in (("nodule", Finding(1, "left", "upper")), ("atelectasis", Finding(1, "right"))):
        assert effect(**{name: finding}).max() > 0.1
    sizes = [np.abs(effect(cardiomegaly=Finding(severity))).sum() for severity in (1, 2, 3)]
    assert sizes == sorted(sizes) and sizes[0] > 0
    scarred = dataclasses.replace(PATIENT, scars=(1.0, 0.0))
    np.testing.assert_array_equal(
        phantom(scarred, Record()), phantom(PATIENT, record(left_pleural_effusion=Finding(1, "left")))
    )


def test_exposure_shifts_without_wrapping_around():
    integrals = line_integrals(phantom(PATIENT, Record())[None], "PA", 32)
    usual = expose(integrals)[0]
    assert usual.min() == 0 and usual.max() == 1
    assert usual[16, 16] > usual[16, 6] and usual[0, 0] < 0.05  # spine, lung, air
    moved = expose(integrals, np.array([[2, -3]]), np.array([1.0]))[0]
    np.testing.assert_array_equal(moved[2:, :-3], usual[:-2, 3:])
    np.testing.assert_array_equal(moved[0, :-3], usual[0, 3:])
    np.testing.assert_array_equal(moved[2:, -1], usual[:-2, -1])
    back = expose(integrals, np.array([[-2, 3]]))[0]
    np.testing.assert_array_equal(back[:-2, 3:], usual[2:, :-3])
    np.testing.assert_array_equal(back[:-2, 0], usual[2:, 0])
    np.testing.assert_array_equal(back[-1, 3:], usual[-1, :-3])
    assert (expose(integrals, gammas=[1.15])[0] <= usual).all()


@pytest.fixture(scope="module")
def visits():
    """Records, the place of the visit before, and PCA features of a PA and a lateral image of every visit."""
    chests, records, before = [], [], []
    for patient in RadiographWorld(seed=0).patients(560):
        for index, visit in enumerate(patient.visits):
            chests.append(phantom(patient.anatomy, visit.record))
            records.append(visit.record)
            before.append(len(records) - 2 if index else -1)
    features = {}
    for which, position in enumerate(("PA", "LATERAL")):
        generators = [np.random.default_rng((which, index)) for index in range(len(chests))]
        images = render(np.stack(chests), [position] * len(chests), generators) / np.float32(255)
        flat = images.reshape(len(images), -1)
        features[position] = PCA(80, random_state=0).fit(flat[:900]).transform(flat)
    return records, np.array(before), features


def probe(features, truth):
    """Area under the curve of a logistic regression, of the last 30 %."""
    count = int(0.7 * len(truth))
    model = LogisticRegression(max_iter=300).fit(features[:count], truth[:count])
    return roc_auc_score(truth[count:], model.decision_function(features[count:]))


@pytest.mark.parametrize("name", FINDINGS)
def test_probe_reads_every_finding(visits, name):
    records, _, features = visits
    truth = np.array([record.has(name) for record in records])
    assert probe(features["PA"], truth) > 0.75


def test_probe_reads_side_from_the_front_and_depth_from_the_side(visits):
    records, _, features = visits
    sides = ("left consolidation", "right consolidation")
    chosen = [index for index, record in enumerate(records) if sum(record.has(side) for side in sides) == 1]
    left = np.array([records[index].has(sides[0]) for index in chosen])
    front = np.array(
        ["anterior" in (records[index][sides[0]].depth, records[index][sides[1]].depth) for index in chosen]
    )
    frontal, lateral = (features[position][chosen] for position in ("PA", "LATERAL"))
    assert probe(frontal, left) > 0.93 and probe(lateral, left) < 0.65
    assert probe(lateral, front) > 0.97 and probe(frontal, front) < 0.65


def test_probe_needs_the_visit_before_to_see_growth(visits):
    records, before, features = visits
    now = np.flatnonzero(before >= 0)
    current, prior = features["PA"][now], features["PA"][before[now]]
    scores = []
    for side in ("left", "right"):
        name = f"{side} pleural effusion"
        grew = np.array([records[one][name].severity > records[before[one]][name].severity for one in now])
        scores.append([probe(x, grew) for x in (current, prior, np.hstack([current, prior]))])
    alone, prior_alone, both = np.mean(scores, axis=0)
    assert alone < 0.84 and prior_alone < 0.65
    assert both > alone + 0.06


def test_wrong_arguments():
    for call, message in (
        (lambda: line_integrals(np.zeros((2, 8)), "PA"), r"\(images, ellipsoids, 8\), got shape \(2, 8\)"),
        (lambda: line_integrals(np.zeros((1, 1, 8)), "UNK"), "PA, AP, LATERAL, LL, got 'UNK'"),
        (lambda: line_integrals(np.zeros((1, 1, 8)), "PA", 0), "size must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
