import keras
import pytest

import contrast


def registered():
    packages = [getattr(contrast, name) for name in contrast.__all__]
    for package in packages:
        for name in getattr(package, "__all__", ()):
            found = getattr(package, name)
            if isinstance(found, type) and keras.saving.get_registered_name(found) != found.__name__:
                yield found


@pytest.mark.once
def test_no_class_takes_the_registered_name_of_another():
    """A file names the class to be loaded: `contrast.losses.VICReg` and `contrast.models.VICReg` differ."""
    classes = list(registered())
    assert len(classes) > 60
    for found in classes:
        name = keras.saving.get_registered_name(found)
        assert keras.saving.get_registered_object(name) is found, name
