import numpy as np
import pytest

from applications.report_generation.facts import facts_from_report
from applications.report_generation.formats import check_reports
from applications.report_generation.study import Study, View


def test_facts_are_sentences_without_function_words():
    text = "There is no evidence of pleural effusion or pneumothorax. Heart measures 1.5 cm;\nheart. Heart."
    assert facts_from_report(text) == (
        "no pleural effusion or pneumothorax",
        "heart measures 1.5 cm",
        "heart",
    )
    assert facts_from_report("... 12. ") == facts_from_report("") == ()


def test_studies_without_a_report_cannot_train():
    views = [View(np.zeros((2, 2), "uint8"))]
    good = Study("a/1", "a", views, "clear.", ("clear",))
    check_reports([good])
    with pytest.raises(ValueError, match="must have a report; 1 of 2 have none: b/1"):
        check_reports([good, Study("b/1", "b", views)])
    with pytest.raises(ValueError, match="must have facts; 1 of 1 have none: b/1"):
        check_reports([Study("b/1", "b", views, "clear.")])
