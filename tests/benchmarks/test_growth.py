import pytest

from benchmarks import growth

pytestmark = pytest.mark.once
FIXED = {"batch": 4, "dim": 3, "queue": 0}


@pytest.mark.parametrize("axis", growth.AXES)
def test_points_come_with_time_and_memory(axis):
    result = growth.measure(axis, [4, 8], FIXED, repetitions=1)
    assert [point["size"] for point in result["points"]] == [4, 8]
    assert all(point["seconds"] > 0 and point["extra_mb"] >= 0 for point in result["points"])
    assert result["exponent"] == growth.exponent(result["points"])


def test_the_exponent_is_the_slope():
    points = [{"size": size, "seconds": 3 * size**2} for size in (7, 10, 100)]
    assert growth.exponent(points) == pytest.approx(2)
    assert growth.exponent(points[:1]) is None


def test_what_failed_is_reported_beside_the_points():
    part = {"points": [{"size": 1, "seconds": 0.5, "extra_mb": 7.4}], "losses": [1.0]}
    line = growth.joined("devices", "jax", [part, {"failed": "out of memory"}])
    text = growth.report([line])
    assert "| 1 | 500 | 7 |" in text and "jax: out of memory" in text


@pytest.mark.slow
def test_virtual_devices_train_alike():
    results = [
        growth.common.in_process(
            growth.__file__,
            "jax",
            {"axis": "devices", "sizes": [count], "fixed": {**FIXED, "batch": 8}, "repetitions": 1},
            XLA_FLAGS=f"--xla_force_host_platform_device_count={count}",
            JAX_PLATFORMS="cpu",
        )
        for count in (1, 2)
    ]
    assert results[0]["losses"] == pytest.approx(results[1]["losses"], rel=1e-3)
