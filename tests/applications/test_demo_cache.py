import logging

import keras
import numpy as np
import pytest

from applications.demo_cache import (
    BarredRun,
    Progress,
    TrainingBar,
    cache_name,
    read_cached,
    trainings_watched,
    write_cached,
)

HISTORY = {"loss": [2.0, 1.0]}


def model(units=2):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


def test_what_was_kept_is_read_again(tmp_path):
    first, second = model(), model()
    write_cached(tmp_path / "new", "name", first, HISTORY)
    assert read_cached(tmp_path / "new", "name", second, ["loss"]) == HISTORY
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


def test_nothing_there_is_no_reason_to_warn(tmp_path, caplog):
    assert read_cached(tmp_path, "name", model(), ["loss"]) is None
    assert caplog.text == ""


@pytest.mark.parametrize(("units", "curves"), [(3, ["loss"]), (2, ["loss", "accuracy"])])
def test_weights_of_another_shape_and_missing_curves_are_refused(tmp_path, caplog, units, curves):
    write_cached(tmp_path, "name", model(), HISTORY)
    with caplog.at_level(logging.WARNING, "contrast"):
        assert read_cached(tmp_path, "name", model(units), curves) is None
    assert "trained again" in caplog.text


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with caplog.at_level(logging.WARNING, "contrast"):
        write_cached(blocked / "cache", "name", model(), HISTORY)
    assert "cannot be kept" in caplog.text


def test_a_name_tells_tasks_and_recipes_apart():
    names = {cache_name("a", epochs=1), cache_name("b", epochs=1), cache_name("a", epochs=2)}
    assert len(names) == 3
    assert cache_name("a", epochs=1, seed=0) == cache_name("a", seed=0, epochs=1)


def test_the_bar_tells_the_loss(capsys):
    trained = model()
    trained.compile("sgd", "mse")
    bar = TrainingBar("loss {loss:.1f}")
    trained.fit(np.zeros((4, 3)), np.full((4, 2), 3.0), epochs=2, batch_size=2, verbose=0, callbacks=[bar])
    assert bar.bar.n == 4
    assert "loss " in capsys.readouterr().err


def test_whoever_watches_hears_of_every_step_of_every_stage():
    trained, heard = model(), []
    trained.compile("sgd", "mse")
    run = BarredRun({"first": "loss {loss:.1f}", "second": "in the end {loss:.1f}"})
    batches = np.zeros((4, 3)), np.zeros((4, 2))
    with trainings_watched(heard.append):
        for stage in ("first", "second"):
            options = {"y": batches[1], "batch_size": 2, "epochs": 2}
            run.fit(trained, batches[0], stage=stage, callbacks=[], verbose=0, **options)
    run.fit(trained, batches[0], stage="first", callbacks=[], verbose=0, **options)
    assert heard[0] == Progress(0, 4, 1, 2)
    assert [(one.stage, one.done) for one in heard if one.done in (1, 3)] == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert (heard[-1].done, heard[-1].total) == (4, 4)
    assert heard[-1].text.startswith("in the end ")
