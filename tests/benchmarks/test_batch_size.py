import pytest

from benchmarks import batch_size

SETTING = {"chunk": 8, "width": 8, "layers": 2, "repetitions": 1}


@pytest.mark.once
def test_all_arms_take_the_same_step():
    arms = [batch_size.measure(20, arm, **SETTING) for arm in batch_size.ARMS]
    assert batch_size.spread([arm["loss"] for arm in arms]) < 1e-5
    assert all(arm["megabytes"] >= 0 and arm["seconds"] > 0 for arm in arms)


@pytest.mark.once
def test_table_plot_and_what_is_kept(tmp_path, capsys):
    measured = {"megabytes": 50.0, "seconds": 2.0, "loss": 4.0}
    dense = {"megabytes": 200.0, "seconds": 4.0, "loss": 5.0}
    shared = {"batch": 64, "tiled": measured, "chunks": measured}
    rows = [
        {"backend": "jax", "dense": dense, **shared},
        {"backend": "torch", "dense": {"failed": "out of memory"}, **shared},
    ]
    report = {"setting": SETTING, "machine": {"processor": "some"}, "rows": rows}
    table = batch_size.text(report)
    assert "| jax | 64 | 200 | 50 | 50 | 4 | 2 | 2 | 0.25 | 0.5 | 0.25 |" in table
    assert "| torch | 64 | out of memory | 50 | 50 | out of memory | 2 | 2 |  |  | 0 |" in table
    batch_size.common.write_results(tmp_path, "batch_size", report, table, batch_size.picture(report))
    assert capsys.readouterr().out.strip() == table
    assert "svg" in (tmp_path / "batch_size.svg").read_text()
    assert batch_size.kept(tmp_path, SETTING, ["torch"], [64]) == rows[:1]
    assert batch_size.kept(tmp_path, SETTING, ["torch"], [32]) == rows
    assert batch_size.kept(tmp_path, {**SETTING, "width": 9}, ["torch"], [64]) == []
