import keras
import pytest
from keras import ops

from applications.claims import Arm, ArmResult, Claim, train_arms
from contrast import backend

COMPILES_IN_A_BLOCK = keras.config.backend() == "jax"
COMPILES = keras.config.backend() != "torch"


def python_calls():
    """How often three calls of one compiled function run it in Python."""
    calls = []
    double = backend.compiled(lambda x: calls.append(x) or 2 * x, list)
    for _ in range(3):
        assert ops.convert_to_numpy(double(ops.ones(2))).tolist() == [2, 2]
    return len(calls)


def test_in_the_block_and_only_there_tensorflow_traces_nothing():
    assert python_calls() == (1 if COMPILES else 3)
    with backend.untraced():
        assert python_calls() == (1 if COMPILES_IN_A_BLOCK else 3)
    assert python_calls() == (1 if COMPILES else 3)


def test_blocks_may_stand_in_one_another_and_end_with_an_error():
    with backend.untraced():
        with pytest.raises(RuntimeError, match="lost"), backend.untraced():
            raise RuntimeError("lost")
        assert python_calls() == (1 if COMPILES_IN_A_BLOCK else 3)
    assert python_calls() == (1 if COMPILES else 3)


@pytest.mark.parametrize("fast", [True, False])
def test_a_quick_look_at_an_experiment_traces_nothing(fast):
    def run(seed, fast):
        return ArmResult({"calls": python_calls()})

    claim = Claim("toys", "toy", "dots", "calls", [Arm("one", run)])
    runs, _ = train_arms(claim, [0], fast)
    traced = COMPILES_IN_A_BLOCK if fast else COMPILES
    assert runs["one"][0].metrics["calls"] == (1 if traced else 3)
