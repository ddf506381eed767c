import collections
import copy

import numpy as np
import pytest

from applications.report_generation.findings import (
    CHANGES,
    CHEXPERT_CLASSES,
    CHEXPERT_OF,
    FINDINGS,
    FIVE_CLASSES,
    LABELS,
    PREVALENCE,
    Finding,
    Record,
    changes,
    chexpert_labels,
    draw_record,
    next_record,
)

pytestmark = pytest.mark.once


def drawn(count, seed=0):
    generator = np.random.default_rng(seed)
    return [draw_record(generator) for _ in range(count)]


def test_first_visits_have_the_stated_prevalence():
    labels = np.mean([record.labels()[:-1] for record in drawn(3000)], axis=0)
    np.testing.assert_allclose(labels, list(PREVALENCE.values()), atol=0.03)


def test_severity_is_a_markov_chain_with_the_stated_rates():
    generator = np.random.default_rng(1)
    steps = collections.defaultdict(list)
    for record in drawn(3000):
        for name, now, later in zip(
            FINDINGS, record.findings, next_record(record, generator).findings, strict=True
        ):
            steps["device" if name == "device" else "other", now.severity].append(later.severity)
    for kind, most in (("other", 3), ("device", 1)):
        assert np.mean(np.array(steps[kind, 0]) > 0) == pytest.approx(0.1, abs=0.015)
        for severity in range(1, most + 1):
            moves = np.array(steps[kind, severity]) - severity
            assert np.mean(moves == -1) == pytest.approx(0.2, abs=0.03)
            assert np.mean(moves == 1) == pytest.approx(0.2 if severity < most else 0, abs=0.03)
            assert np.abs(moves).max() == 1
        assert (kind, most + 1) not in steps


def test_places_are_drawn_anew_at_each_onset_and_stay_until_the_end():
    generator = np.random.default_rng(2)
    places, begun = [], []
    for record in drawn(2500):
        later = next_record(record, generator)
        for name in FINDINGS:
            now, then = record[name], later[name]
            if now.severity and then.severity:
                assert (now.side, now.height, now.depth) == (then.side, then.height, then.depth)
            if not then.severity:
                assert then == Finding()
            elif name == "left consolidation" and not now.severity:
                begun.append(then)
        places.append(record["right consolidation"])
    there = [finding for finding in (*places, *begun) if finding.severity]
    assert {finding.side for finding in begun} == {"left"}
    counts = collections.Counter((finding.height, finding.depth) for finding in there)
    assert len(counts) == 6 and min(counts.values()) > 0.7 * len(there) / 6  # depth does not go with height


def test_the_next_visit_leaves_the_last_one_as_it_was():
    generator = np.random.default_rng(3)
    for record in drawn(50):
        kept = copy.deepcopy(record)
        next_record(record, generator)
        assert record == kept
    with pytest.raises(AttributeError, match="cannot assign"):
        record.findings = ()


def test_changes_compare_severities():
    def of(*severities):
        return Record(tuple(Finding(severity) for severity in (*severities, 0, 0, 0, 0)))

    befell = changes(of(1, 3, 2, 1, 0), of(0, 2, 2, 2, 2))
    assert befell == dict(zip(FINDINGS[:5], CHANGES, strict=True))
    assert changes(of(1, 3, 2, 1, 0), None) == {}


def test_labels():
    assert len(FINDINGS) == 9 and LABELS[-1] == "no finding"
    assert Record().labels().tolist() == [0] * 9 + [1]
    device = Record((*[Finding()] * 8, Finding(1, "left")))
    assert device.labels().tolist() == [0] * 8 + [1, 1]  # a device is no disease


def test_chexpert_classes():
    assert len(CHEXPERT_CLASSES) == 14 and set(CHEXPERT_OF) == set(LABELS)
    assert [CHEXPERT_CLASSES.index(name) for name in FIVE_CLASSES] == [1, 4, 5, 7, 9]
    assert set(CHEXPERT_OF.values()) < set(CHEXPERT_CLASSES)
    labels = chexpert_labels(np.eye(10, dtype=int))
    assert labels.shape == (10, 14) and (labels.sum(1) == 1).all()
    assert labels[1].tolist() == labels[2].tolist() != labels[3].tolist()
    with pytest.raises(ValueError, match=r"\(..., 10\), got shape \(3, 9\)"):
        chexpert_labels(np.zeros((3, 9)))
