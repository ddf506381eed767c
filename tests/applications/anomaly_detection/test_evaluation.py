import numpy as np
import pytest

from applications.anomaly_detection import auroc, pixel_auroc
from tests.case import assert_close


@pytest.mark.golden
def test_auroc_with_and_without_ties(golden):
    case = golden("anomaly_detection")
    assert_close(auroc(case["query_is_inlier"], case["score"]), case["auroc"])
    assert_close(auroc(case["query_is_inlier"], case["score_ties"]), case["auroc_ties"])


def test_pixels_of_all_images_together():
    masks = np.zeros((2, 4, 4), bool)
    masks[1, :2] = True
    heat = np.where(masks, 0.9, 0.1)
    assert pixel_auroc(masks, heat) == 1
    assert pixel_auroc(masks, -heat) == 0
    assert pixel_auroc(masks, np.zeros((2, 4, 4))) == 0.5


def test_bad_input():
    with pytest.raises(ValueError, match="both kinds, got 3 of 3"):
        auroc([True] * 3, [1, 2, 3])
    with pytest.raises(ValueError, match="NaN"):
        auroc([True, False], [1, np.nan])
    with pytest.raises(ValueError, match="alike in length, got 2, 3"):
        auroc([True, False], [1, 2, 3])
    with pytest.raises(ValueError, match="one shape"):
        pixel_auroc(np.zeros((1, 4, 4)), np.zeros((1, 4, 5)))
