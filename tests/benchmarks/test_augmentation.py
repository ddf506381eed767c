import numpy as np
import pytest

from benchmarks import augmentation

pytestmark = pytest.mark.once


def test_views_of_the_peer():
    pytest.importorskip("albumentations")
    view = augmentation.albumentations_view(12)
    image = augmentation.images_of(1, 16)[0]
    first, second = view(image), view(image)
    assert first.shape == (12, 12, 3) and first.dtype == np.uint8
    assert not np.array_equal(first, second)


def test_what_is_measured_and_reported():
    result = augmentation.measure(count=8, side=8, batch=4, repetitions=1)
    assert {"compiled", "layer by layer"} <= set(result["views_per_second"])
    assert {"arrays", "in the step", "pipeline, our layers", "PyDataset"} <= set(result["epoch_seconds"])
    numbers = [*result["views_per_second"].values(), *result["epoch_seconds"].values()]
    assert min(numbers) > 0
    text = augmentation.report({"torch": result, "jax": {"failed": "no result"}})
    assert "jax: no result" in text
    line = next(line for line in text.splitlines() if line.startswith("| in the step"))
    ratio = result["epoch_seconds"]["in the step"] / result["epoch_seconds"]["arrays"]
    assert line == f"| in the step | {ratio:.3g} |  |"
