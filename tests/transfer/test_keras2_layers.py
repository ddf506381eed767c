import pytest

from contrast.transfer.keras2_layers import COVERED
from tests.transfer.keras2_models import MODELS, check_equal_outputs, classes, converted, model


def test_every_class_is_tested():
    assert COVERED - {name for make in MODELS for name in classes(model(make))} == set()


@pytest.mark.parametrize("make", MODELS)
def test_equal_outputs(make):
    old, new = model(make), converted(make)
    check_equal_outputs(new, old)
    assert [layer.name for layer in new.layers] == [layer.name.replace("/", "_") for layer in old.layers]
    assert [layer.trainable for layer in new.layers] == [layer.trainable for layer in old.layers]
