import pytest

from benchmarks import batch_size

SETTING = {"chunk": 8, "width": 8, "layers": 2, "repetitions": 1}


@pytest.mark.once
def test_both_arms_take_the_same_step():
    small = {"width": 8, "layers": 2, "repetitions": 1}
    whole, chunks = (batch_size.measure(20, chunk, **small) for chunk in (None, 8))
    assert chunks["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert all(arm["megabytes"] >= 0 and arm["seconds"] > 0 for arm in (whole, chunks))


@pytest.mark.once
def test_table_plot_and_what_is_kept(tmp_path, capsys):
    measured = {"megabytes": 100.0, "seconds": 2.0, "loss": 4.0}
    rows = [
        {"backend": "jax", "batch": 64, "whole batch": measured, "chunks": {**measured, "megabytes": 25.0}},
        {"backend": "torch", "batch": 64, "whole batch": {"failed": "out of memory"}, "chunks": measured},
    ]
    report = {"setting": SETTING, "machine": {"processor": "some"}, "rows": rows}
    table = batch_size.text(report)
    assert "| jax | 64 | 100 | 25 | 2 | 2 | 0.25 | 1 | 0 |" in table
    assert "| torch | 64 | out of memory | 100 | out of memory | 2 |  |  |  |" in table
    batch_size.common.write_results(tmp_path, "batch_size", report, table, batch_size.picture(report))
    assert capsys.readouterr().out.strip() == table
    assert "svg" in (tmp_path / "batch_size.svg").read_text()
    assert batch_size.kept(tmp_path, SETTING, ["torch"]) == rows[:1]
    assert batch_size.kept(tmp_path, {**SETTING, "width": 9}, ["torch"]) == []
