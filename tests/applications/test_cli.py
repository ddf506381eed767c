import functools
import json
import re
import sys
import types

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from applications import cli, registry, tables
from applications.claims import Arm, ArmResult, Check, Claim
from applications.registry import APPLICATIONS, Application
from contrast.data import ArrayBatches

pytestmark = pytest.mark.once


def contrast(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def train(run, *, data, seed, epochs):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    inputs = np.random.default_rng(seed).normal(size=(8, 2))
    model.fit(inputs, inputs[:, :1], epochs=epochs or 3, verbose=0)
    return model


def train_in_epochs(run, *, data, seed, epochs, ends=None):
    """A training that can be resumed; `ends` is called at the start of each epoch."""
    x = np.random.default_rng(seed).normal(size=(8, 2)).astype("float32")

    class Rows(ArrayBatches):
        def __getitem__(self, index):
            rows = self.arrays["x"][self.rows(index)]
            return rows, rows[:, :1]

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("adam", "mse", run_eagerly=True)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=ends)] if ends else []
    run.fit(model, Rows({"x": x}, batch_size=4), epochs=epochs or 3, callbacks=callbacks, verbose=0)
    return model


def ending(error, epoch):
    def end(now, logs=None):
        if now == epoch:
            raise error

    return functools.partial(train_in_epochs, ends=end)


def weights(folder):
    return keras.saving.load_model(folder / "model.keras").get_weights()


def bad_data(run, *, data, seed, epochs):
    raise ValueError("captions.csv has no column 'caption'")


def broken(run, *, data, seed, epochs):
    raise RuntimeError("a defect")


def needs_corpora(run, *, data, seed, epochs):
    raise ModuleNotFoundError("No module named 'mlxtend.data'", name="mlxtend.data")


def make_claims(holds):
    arm = Arm("full", lambda seed, fast: ArmResult({"accuracy": 0.25 + seed}))
    checks = [Check("it works", lambda result: holds), Check("aside", lambda result: False, "observation")]
    return lambda: [Claim("toys", "toy", "points", "accuracy", [arm], checks)]


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """One small ready task, `toys` and a planned one; gives the module of its parts."""
    module = types.ModuleType("toy_application")
    module.train, module.claims = train, make_claims(holds=True)
    monkeypatch.setitem(sys.modules, "toy_application", module)
    paths = {part: f"toy_application:{part}" for part in ("model", "train", "claims", "demo")}
    rows = (
        Application("toys", "toy", "Toy", "On Toys", "points", "Sorts toys.", "ready", **paths),
        Application("games", "game", "Game", "On Games", "points", "Plays.", "planned"),
    )
    monkeypatch.setattr(registry, "APPLICATIONS", rows)
    monkeypatch.setattr(cli, "APPLICATIONS", rows)
    monkeypatch.setattr(tables, "APPLICATIONS", rows)
    monkeypatch.chdir(tmp_path)
    return module


def test_list_shows_every_row():
    result = contrast("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 1 + len(APPLICATIONS)
    for row, line in zip(APPLICATIONS, lines[1:], strict=True):
        assert re.split(r"  +", line) == [row.task, row.paper, row.state, row.summary]


def test_list_is_read_by_programs():
    rows = json.loads(contrast("list", "--json").stdout)
    assert [Application(**row) for row in rows] == list(APPLICATIONS)


def test_version():
    assert re.fullmatch(r"keras-contrast \d+\.\d+\.\d+\S*\n", contrast("--version").stdout)


def test_train_leaves_a_run_folder_and_says_where(toys, tmp_path):
    result = contrast("train", "toys", "--output", tmp_path / "run", "--seed", 5, "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'run'}" in result.stdout
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["task"], config["paper"], config["seed"]) == ("toys", "toy", 5)
    assert config["arguments"] == {"data": None, "epochs": 2}
    assert config["backend"] == keras.config.backend()
    assert len(json.loads((tmp_path / "run" / "history.json").read_text())["loss"]) == 2
    assert keras.saving.load_model(tmp_path / "run" / "model.keras").count_params() == 3
    assert (tmp_path / "run" / "finished.json").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_run_is_resumed_to_the_weights_of_an_unbroken_one(toys, tmp_path, error):
    toys.train = train_in_epochs
    request = ["train", "toys", "--seed", 7, "--epochs", 4, "--output"]
    assert contrast(*request, tmp_path / "unbroken").exit_code == 0
    toys.train = ending(error, epoch=2)
    result = contrast(*request, tmp_path / "my run")
    to_resume = f"contrast train toys --output '{tmp_path / 'my run'}' --resume"
    assert to_resume in result.stderr
    assert "Traceback" not in result.output
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert not (tmp_path / "my run" / "finished.json").exists()

    toys.train = train_in_epochs
    result = contrast(*request, tmp_path / "my run")
    assert result.exit_code == 2 and "--resume goes on with it" in result.stderr
    result = contrast("train", "toys", "--output", tmp_path / "my run", "--resume")
    assert result.exit_code == 0, result.output
    for ours, theirs in zip(weights(tmp_path / "my run"), weights(tmp_path / "unbroken"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    names = [{entry.name for entry in (tmp_path / run).iterdir()} for run in ("my run", "unbroken")]
    assert names[0] == names[1]
    assert len(json.loads((tmp_path / "my run" / "history.json").read_text())["loss"]) == 4
    assert len(json.loads((tmp_path / "my run" / "config.json").read_text())["resumed"]) == 1

    result = contrast("train", "toys", "--output", tmp_path / "my run", "--resume")
    assert result.exit_code == 0 and "holds a finished run; there is nothing to resume" in result.stdout


def test_ctrl_c_ends_a_training_in_several_processes_like_one(toys, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("applications.distributed.needs_processes", lambda *given: 2)
    monkeypatch.setattr("contrast.distribution.launch", interrupted)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert contrast("train", "toys").exit_code == 130


def test_what_contradicts_the_run_is_refused(toys, tmp_path):
    toys.train = ending(KeyboardInterrupt(), epoch=1)
    (tmp_path / "data").mkdir()
    request = ["train", "toys", "--output", tmp_path / "run"]
    assert contrast(*request, "--seed", 7, "--data", "data").exit_code == 130
    toys.train = train_in_epochs
    for option, given, begun in (("--seed", 8, 7), ("--epochs", 3, "the default"), ("--data", "..", "data")):
        result = contrast(*request, "--resume", option, given)
        assert result.exit_code == 2
        assert f"{option} " in result.stderr and "contradicts the run" in result.stderr
        assert str(begun) in result.stderr
    result = contrast(*request, "--resume", "--seed", 7, "--data", tmp_path / "data", "--paper", "toy")
    assert result.exit_code == 0, result.output


def test_there_must_be_something_to_resume(toys, tmp_path):
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([], "--resume needs --output"),
        (["--output", "empty"], "There is no run to resume in empty"),
        (["--output", "nowhere"], "There is no run to resume in nowhere"),
    ):
        result = contrast("train", "toys", "--resume", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_traceback_that_cannot_be_kept_is_printed(toys, tmp_path, monkeypatch):
    toys.train = bad_data
    monkeypatch.setattr("applications.runs.RunFolder.write_failure", full_disk)
    result = contrast("train", "toys", "--output", tmp_path / "run")
    assert result.exit_code == 1
    assert "captions.csv has no column" in result.stderr and "in bad_data" in result.stderr


def full_disk(*arguments):
    raise OSError(28, "No space left on device")


def test_one_seed_moves_weights_and_data(toys, tmp_path):
    def losses(name, seed):
        assert contrast("train", "toys", "--output", tmp_path / name, "--seed", seed).exit_code == 0
        return json.loads((tmp_path / name / "history.json").read_text())["loss"]

    first = losses("a", 1)
    assert losses("b", 1) == first
    assert losses("c", 2) != first


def test_without_output_the_run_goes_below_runs(toys, tmp_path):
    assert contrast("train", "toys").exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("toys-")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "toyz"], "Did you mean 'toys'"),
        (["train", "toys", "--paper", "other"], "Unknown paper of toys: 'other'"),
        (["train", "games"], "games (Game) is planned; it is not built yet."),
        (["reproduce", "games"], "not built yet"),
        (["demo", "games"], "not built yet"),
        (["train", "toys", "--data", "nowhere"], "--data must be an existing folder, got nowhere"),
        (["train", "toys", "--epochs", "0"], "--epochs"),
        (["train", "toys", "--seed", "-1"], "--seed"),
        (["train", "toys", "--output", "/dev/null/run"], "output must be a folder that can be written"),
        (["reproduce", "toys", "--seeds", "1", "1"], "--seeds must all be different, got 1 1"),
        (["reproduce", "toys", "--seeds"], "--seeds"),
        (["reproduce", "toys", "--seeds", "-3"], "--seeds"),
        (
            ["reproduce", "toys", "--json", "no/such/folder/r.json"],
            "--json must be a file in an existing folder",
        ),
        (["demo", "toys", "--port", "0"], "--port"),
        (["demo", "toys", "--port", "70000"], "--port"),
        (["demo", "toys", "--port", "http"], "--port"),
        (["demo", "toys", "--host", "no such host"], "cannot serve on host no such host"),
        (["train"], "TASK"),
        (["fly"], "fly"),
    ],
)
def test_bad_requests_are_answered_without_a_traceback(toys, tmp_path, arguments, message):
    result = contrast(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "reproduce", "demo"])
def test_an_unknown_backend_is_answered_with_the_three(toys, monkeypatch, command):
    monkeypatch.setenv("KERAS_BACKEND", "pytorch")
    result = contrast(command, "toys")
    assert result.exit_code == 2
    assert "KERAS_BACKEND must be one of tensorflow, jax, torch, got 'pytorch'" in result.stderr


def test_a_missing_extra_is_named(toys, monkeypatch, tmp_path):
    toys.train = needs_corpora
    result = contrast("train", "toys", "--output", tmp_path / "run")
    assert result.exit_code == 1
    assert "pip install 'keras-contrast[corpora]'" in result.stderr
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    result = contrast("demo", "toys")
    assert result.exit_code == 1
    assert "pip install 'keras-contrast[demo]'" in result.stderr


def test_bad_data_end_with_their_message_and_a_kept_traceback(toys, tmp_path):
    toys.train = bad_data
    result = contrast("train", "toys", "--output", tmp_path / "run")
    assert result.exit_code == 1
    assert "captions.csv has no column 'caption'" in result.stderr
    assert "Traceback" not in result.output
    assert "bad_data" in (tmp_path / "run" / "error.txt").read_text()
    assert not (tmp_path / "run" / "finished.json").exists()
    toys.train = train
    assert contrast("train", "toys", "--output", tmp_path / "run").exit_code == 0


def test_a_defect_is_not_hidden(toys, tmp_path):
    toys.train = broken
    result = contrast("train", "toys", "--output", tmp_path / "run")
    assert isinstance(result.exception, RuntimeError)


def test_a_finished_run_is_not_written_over(toys, tmp_path):
    assert contrast("train", "toys", "--output", tmp_path / "run").exit_code == 0
    before = (tmp_path / "run" / "config.json").read_text()
    result = contrast("train", "toys", "--output", tmp_path / "run", "--seed", 9)
    assert result.exit_code == 2
    assert "holds a finished run" in result.stderr
    assert (tmp_path / "run" / "config.json").read_text() == before


@pytest.mark.parametrize("seeds", [["--seeds", "0", "2"], ["--seeds", "0", "--seeds", "2"]])
@pytest.mark.parametrize("order", [1, -1])
def test_reproduce_takes_seeds_both_ways_and_writes_json(toys, tmp_path, seeds, order):
    parts = [seeds, ["--fast", "--json", tmp_path / "results.json"]][::order]
    result = contrast("reproduce", "toys", *parts[0], *parts[1])
    assert result.exit_code == 0, result.output
    (written,) = json.loads((tmp_path / "results.json").read_text())
    assert written["seeds"] == [0, 2]
    assert written["fast"] is True
    assert written["arms"]["full"]["accuracy"]["values"] == [0.25, 2.25]
    assert "1.250 ± 1.414" in result.stdout
    assert "claim: not judged: it works" in result.stdout
    assert "observation: not judged: aside" in result.stdout


@pytest.mark.parametrize(("options", "seeds"), [([], [0, 1, 2]), (["--fast"], [0])])
def test_reproduce_takes_three_seeds_by_default_and_a_quick_look_takes_one(toys, tmp_path, options, seeds):
    assert contrast("reproduce", "toys", *options, "--json", tmp_path / "results.json").exit_code == 0
    assert json.loads((tmp_path / "results.json").read_text())[0]["seeds"] == seeds


def test_an_interrupted_experiment_is_resumed(toys, tmp_path):
    asked, seeds = ("reproduce", "toys", "--json", tmp_path / "results.json"), []

    def train(seed, fast):
        seeds.append(seed)
        if seeds == [0, 1]:
            raise KeyboardInterrupt
        return ArmResult({"accuracy": 0.25 + seed})

    toys.claims = lambda: [Claim("toys", "toy", "points", "accuracy", [Arm("full", train)])]
    broken = contrast(*asked)
    assert broken.exit_code == 130
    assert "trainings kept: 1. Go on with --resume" in broken.stderr
    assert contrast(*asked).exit_code == 2, "it is not begun again without a word"
    assert contrast(*asked, "--resume").exit_code == 0
    assert seeds == [0, 1, 1, 2]
    (written,) = json.loads((tmp_path / "results.json").read_text())
    assert written["arms"]["full"]["accuracy"]["values"] == [0.25, 1.25, 2.25]
    assert [path.name for path in tmp_path.iterdir() if "results" in path.name] == ["results.json"]
    assert "--resume needs --json" in contrast("reproduce", "toys", "--resume").stderr
    assert "--jobs needs --json" in contrast("reproduce", "toys", "--jobs", 2).stderr


def test_a_claim_that_does_not_hold_has_its_own_status(toys, tmp_path):
    toys.claims = make_claims(holds=False)
    result = contrast("reproduce", "toys", "--json", tmp_path / "results.json")
    assert result.exit_code == 3
    assert "claim: does not hold: it works" in result.stdout
    assert "The claim does not hold: it works" in result.stderr
    quick = contrast("reproduce", "toys", "--fast")
    assert quick.exit_code == 0, "a quick look proves nothing, for or against"
    assert "does not hold" not in quick.output
    assert (tmp_path / "results.json").exists()


@pytest.fixture
def served(toys, monkeypatch):
    """Pages are not served; what would have been is listed."""
    calls = []
    page = types.SimpleNamespace(block_thread=lambda: calls.append("blocked"), share_url=None)

    def serve(served, host, port, browser, share, **options):
        calls.append((served is page, host, browser, share, options))
        return f"http://{host}:{port}/"

    def build():
        return page

    build.__module__ = "toy_application"
    toys.demo, toys.LAUNCH = build, {"css": "h1 {}"}
    toys.build_all = lambda: (page, {"css": "h2 {}"})
    monkeypatch.setattr(cli, "GALLERY", "toy_application:build_all")
    monkeypatch.setattr("applications.serving.serve", serve)
    return calls, page


def test_demo_serves_what_build_returns(served):
    calls, _ = served
    result = contrast("demo", "toys", "--no-browser")
    assert result.exit_code == 0, result.output
    assert calls == [(True, "127.0.0.1", False, False, {"css": "h1 {}"}), "blocked"]
    assert re.search(r"The demo of toys is at http://127\.0\.0\.1:\d+/", result.stdout)
    assert result.stderr == ""


def test_demo_without_a_task_serves_the_gallery(served):
    calls, _ = served
    result = contrast("demo", "--no-browser")
    assert result.exit_code == 0, result.output
    assert calls == [(True, "127.0.0.1", False, False, {"css": "h2 {}"}), "blocked"]
    assert re.search(r"The gallery is at http://127\.0\.0\.1:\d+/", result.stdout)


def test_who_opens_a_page_to_others_is_warned(served):
    calls, page = served
    result = contrast("demo", "--no-browser", "--share")
    assert calls[0][3] is True
    assert "no public address" in result.stderr
    page.share_url = "https://abc.gradio.live"
    result = contrast("demo", "--no-browser", "--share", "--host", "0.0.0.0")
    assert "Whoever has this address" in result.stderr
    assert "https://abc.gradio.live" in result.stderr
    assert "others may be able to reach it" in result.stdout


def test_what_demos_keep_is_deleted_after_a_question(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path))
    kept, other = tmp_path / "toys-0.1.0-0123456789ab.weights.h5", tmp_path / "other.h5"
    for file in (kept, other):
        file.write_bytes(bytes(2_500_000))
    refused = CliRunner().invoke(cli.app, ["demo", "--clear-cache"], input="n\n")
    assert refused.exit_code == 1
    assert f"Delete 1 file, 2.5 MB in {tmp_path}?" in refused.stdout
    assert kept.exists()
    result = contrast("demo", "--clear-cache", "--yes")
    assert result.exit_code == 0
    assert result.stdout == f"Deleted: 1 file, 2.5 MB in {tmp_path}.\n"
    assert other.exists() and not kept.exists()
    assert "Nothing is kept" in contrast("demo", "--clear-cache").stdout


def test_tables_are_checked_and_renewed(tmp_path):
    (tmp_path / "README.md").write_text("<!-- applications:START -->\n<!-- applications:END -->\n")
    result = contrast("tables", "--check", "--root", tmp_path)
    assert result.exit_code == 1
    assert "README.md" in result.stdout
    assert "SECLA" not in (tmp_path / "README.md").read_text()
    assert contrast("tables", "--root", tmp_path).exit_code == 0
    assert "SECLA" in (tmp_path / "README.md").read_text()
    assert contrast("tables", "--check", "--root", tmp_path).exit_code == 0
    assert contrast("tables", "--root", tmp_path / "nothing").exit_code == 2
