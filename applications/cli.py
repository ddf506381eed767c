"""The command `contrast`: what there is, training, claims and demos.

Exit status: 0 on success, 1 if something failed or is not installed, 2 for a request that cannot be met, 3 if
a paper's claim does not hold, 130 after Ctrl-C. Nothing heavy is imported before a command needs it.
"""

import importlib.metadata
import json
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from applications.registry import APPLICATIONS, Application, find, load

if TYPE_CHECKING:
    from applications.runs import RunFolder

FAILED, BAD_REQUEST, CLAIM_FAILED, INTERRUPTED = 1, 2, 3, 130
GALLERY = "demos.gallery:build_all"
CHECKOUT = Path(__file__).resolve().parent.parent

app = typer.Typer(
    help="Contrastive learning for Keras 3: train, reproduce and try out what papers propose.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Task = Annotated[str, typer.Argument(metavar="TASK", help="A task of `contrast list`.", show_default=False)]
Paper = Annotated[str | None, typer.Option(help="A paper of the task; the first one if not given.")]


def main() -> None:
    """Runs the command line; the frameworks' own chatter is off unless the user asks for it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("contrast").setLevel(logging.INFO)
    app()


def stop(message: str, status: int) -> NoReturn:
    """Ends the command with a message in place of a traceback."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(status)


@contextmanager
def requests_explained() -> Iterator[None]:
    """A request that cannot be met ends the command with a message."""
    try:
        yield
    except ValueError as error:
        stop(str(error), BAD_REQUEST)


@contextmanager
def missing_packages_explained() -> Iterator[None]:
    """A package that is not installed ends the command with what to install."""
    from applications.environment import EXTRAS, MissingPackageError, install_message

    try:
        yield
    except MissingPackageError as error:
        stop(str(error), FAILED)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        stop(install_message(package), FAILED)


def built(task: str, paper: str | None, part: str) -> Application:
    """The row of the registry, if it is built and has that part: `train`, `claims` or `demo`."""
    row = find(task, paper)
    if row.state != "ready":
        raise ValueError(f"{task} ({row.model_name}) is planned; it is not built yet.")
    if getattr(row, part) is None:
        raise ValueError(f"{task} ({row.model_name}) has no {part}.")
    return row


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"keras-contrast {importlib.metadata.version('keras-contrast')}")
        raise typer.Exit


@app.command("list")
def list_applications(
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole table as JSON.")] = False,
) -> None:
    """Lists the tasks and papers that there are."""
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in APPLICATIONS], indent=2))
        return
    rows = [("TASK", "PAPER", "STATE", "WHAT IT DOES")]
    rows += [(row.task, row.paper, row.state, row.summary) for row in APPLICATIONS]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[3]]))


@app.command()
def train(
    task: Task,
    paper: Paper = None,
    data: Annotated[Path | None, typer.Option(help="Folder of your data; else built-in data.")] = None,
    output: Annotated[Path | None, typer.Option(help="Run folder; runs/TASK-DATE-TIME if not given.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Moves everything random; 0 if not given.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="The recipe's own if not given.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the interrupted run in --output, as it was asked for."),
    ] = False,
    distribute: Annotated[
        str | None,
        typer.Option(metavar="auto|N", help="Train on all GPUs of this machine, or on N devices."),
    ] = None,
) -> None:
    """Trains a model and leaves a run folder: configuration, weights, history, curves.

    After each epoch there is a checkpoint in the folder. With --resume an interrupted run goes on from there,
    and comes to the same weights as one that was never interrupted.
    """
    from applications import distributed
    from applications.environment import check_backend, load_keras
    from applications.runs import default_path, is_finished

    request = {"task": task, "paper": paper, "data": data, "seed": seed, "epochs": epochs}
    with requests_explained(), missing_packages_explained():
        built(task, paper, "train")
        if resume and output is None:
            raise ValueError("--resume needs --output, the folder of the run to go on with.")
        if resume and is_finished(output):
            typer.echo(f"{output} holds a finished run; there is nothing to resume.")
            return
        backend = check_backend()
        devices = distributed.checked_devices(distribute)
        output = output or default_path(task)
        processes = distributed.needs_processes(devices, backend)
        if processes:
            try:
                status = distributed.train_in_processes(request, output, resume, processes)
            except KeyboardInterrupt:
                status = INTERRUPTED
            raise typer.Exit(status)
        replicas = distributed.begin(devices, backend)
        if resume:
            run = distributed.run_folder(output, replicas, resume=True)
            request = as_begun(request, run)
        row = built(task, request["paper"], "train")
        if request["data"] is not None and not request["data"].is_dir():
            raise ValueError(f"--data must be an existing folder, got {request['data']}.")
        if not resume:
            run = distributed.run_folder(output, replicas)
    typer.echo(f"Run folder: {run.path}")
    seed, data, epochs = request["seed"] or 0, request["data"], request["epochs"]
    to_resume = f"contrast train {row.task} --output {shlex.quote(str(run.path))} --resume"
    try:
        with missing_packages_explained():
            load_keras(seed)
            if resume:
                run.write_resumption(backend)
            else:
                arguments = {"data": None if data is None else str(data.resolve()), "epochs": epochs}
                run.write_config(row.task, row.paper, seed, backend, arguments)
            with distributed.scope_of(replicas):
                model = load(row.train)(run, data=data, seed=seed, epochs=epochs)
        if not run.has_history and getattr(model, "history", None):
            run.write_history(model.history.history)
        run.save_model(model)
        run.finish()
    except (ValueError, OSError) as error:
        stop(f"{error}\nThe training did not end. {after_failure(run, to_resume)}", FAILED)
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted. To go on from the last checkpoint: {to_resume}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    files = ", ".join(sorted(entry.name for entry in run.path.iterdir()))
    typer.echo(f"Done. {run.path} holds {files}.")


def after_failure(run: "RunFolder", to_resume: str) -> str:
    """Keeps the traceback of the failure that is being handled, if the disk lets it; says what to do."""
    text = traceback.format_exc()
    try:
        lines = [f"The traceback is in {run.write_failure(text)}."]
    except OSError:
        lines = [f"The traceback:\n{text}"]
    if run.has_checkpoint:
        lines.append(f"To go on from the last checkpoint: {to_resume}")
    return "\n".join(lines)


def as_begun(request: dict, run: "RunFolder") -> dict:
    """The request with which the run in the folder was begun; what is given now may not contradict it."""
    config = run.read_config()
    begun = {"task": config["task"], "paper": config["paper"], "seed": config["seed"], **config["arguments"]}
    begun["data"] = None if begun["data"] is None else Path(begun["data"])
    for name, value in request.items():
        value = value.resolve() if isinstance(value, Path) else value
        if value not in (None, begun[name]):
            option = "TASK" if name == "task" else f"--{name}"
            begun_with = "the default" if begun[name] is None else begun[name]
            raise ValueError(
                f"{option} {value} contradicts the run in {run.path}, begun with {begun_with}; leave it out, "
                "or start a new run in another folder."
            )
    return begun


class SeveralSeeds(typer.core.TyperCommand):
    """Reads `--seeds 0 1 2` as `--seeds 0 --seeds 1 --seeds 2`."""

    def parse_args(self, ctx, args):
        spread, several = [], False
        for argument in args:
            if several and argument.isdecimal():
                spread += ["--seeds"] if spread[-1] != "--seeds" else []
            else:
                several = argument == "--seeds"
            spread.append(argument)
        return super().parse_args(ctx, spread)


@app.command(cls=SeveralSeeds)
def reproduce(
    task: Task,
    paper: Paper = None,
    seeds: Annotated[
        list[int] | None, typer.Option(min=0, help="For example: --seeds 0 1 2, which is the default.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Tiny runs that only show that it works; of seed 0 unless told.")
    ] = False,
    file: Annotated[Path | None, typer.Option("--json", help="Also write the results there.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted experiment of --json.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Seeds side by side, each in a process; more than 1 needs --json.")
    ] = 1,
) -> None:
    """Repeats a paper's experiment at laptop size: its arms side by side, and whether its claim holds.

    With --json each training is kept as it ends, in a file beside the results that is gone in the end; with
    --resume an interrupted experiment goes on from there.
    """
    from applications.environment import check_backend, compilations_kept, load_keras, versions

    seeds = seeds or ([0] if fast else [0, 1, 2])
    with requests_explained(), missing_packages_explained():
        row = built(task, paper, "claims")
        backend = check_backend()
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"--seeds must all be different, got {' '.join(map(str, seeds))}.")
        if file is not None and (file.is_dir() or not os.access(file.absolute().parent, os.W_OK)):
            raise ValueError(f"--json must be a file in an existing folder that can be written, got {file}.")
        if resume and file is None:
            raise ValueError("--resume needs --json, the file of the experiment to go on with.")
        if jobs > 1 and file is None:
            raise ValueError("--jobs needs --json, the file beside which trainings are kept.")
    from applications.claims import failed_claims
    from applications.claims import reproduce as run_experiment
    from applications.files import json_text, write_text
    from applications.kept_trainings import KeptTrainings
    from applications.seed_processes import train_seeds
    from applications.tables import format_table

    results, kept = [], None
    with missing_packages_explained(), compilations_kept(quick=fast):
        load_keras()
        if file is not None:
            request = {"task": row.task, "paper": row.paper, "fast": fast, "backend": backend}
            request["versions"] = versions(backend)
            with requests_explained():
                kept = KeptTrainings(file.with_name(f"{file.name}.part"), request, resume)
        try:
            if jobs > 1:
                train_seeds(row.claims, seeds, fast, kept, jobs)
            for claim in load(row.claims)():
                results.append(run_experiment(claim, seeds=seeds, fast=fast, kept=kept))
                typer.echo(f"\n{format_table(results[-1])}\n")
                if file is not None:
                    write_text(file, json_text(results))
        except KeyboardInterrupt:
            if kept:
                typer.echo(f"\nInterrupted; trainings kept: {len(kept)}. Go on with --resume.", err=True)
            raise typer.Exit(INTERRUPTED) from None
    if kept is not None:
        kept.remove()
    failed = failed_claims(results)
    if failed:
        typer.echo("The claim does not hold: " + "; ".join(failed), err=True)
        raise typer.Exit(CLAIM_FAILED)


@app.command()
def demo(
    task: Annotated[
        str | None,
        typer.Argument(metavar="[TASK]", help="A task of `contrast list`; a gallery of all if none."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="A free one from 7860 on.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    share: Annotated[
        bool,
        typer.Option("--share", help="Also ask Gradio for a public address: anyone who has it can enter."),
    ] = False,
    browser: Annotated[bool | None, typer.Option(help="Open the page; else if there is a screen.")] = None,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Delete the models and data that demos keep; serve nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --clear-cache deletes.")] = False,
) -> None:
    """Serves a page to try a model on, which is trained on built-in data first; without TASK all of them.

    Trained models are kept in ~/.cache/keras-contrast, or in the folder that CONTRAST_CACHE names.
    """
    if clear_cache:
        delete_kept_models(yes)
        return
    from applications.environment import check_backend, check_packages, load_keras
    from applications.serving import LOCAL_HOST, free_port, has_screen, private_files, serve

    with requests_explained(), missing_packages_explained():
        row = None if task is None else built(task, None, "demo")
        check_packages("gradio", "matplotlib", "PIL")
        check_backend()
        port = free_port(host, port)
    typer.echo("Starting ...")
    with missing_packages_explained(), private_files():
        if row is None:
            page, options = load(GALLERY)()
            name = "The gallery"
        else:
            load_keras()
            build: Callable = load(row.demo)
            page, name = build(), f"The demo of {row.task}"
            options = getattr(sys.modules[build.__module__], "LAUNCH", {})
        browser = has_screen() if browser is None else browser
        with requests_explained():
            address = serve(page, host, port, browser, share, **options)
        typer.echo(f"{name} is at {address} (Ctrl+C ends it).")
        if host != LOCAL_HOST:
            typer.echo(f"It listens on {host}: others may be able to reach it.")
        if share:
            tell_public_address(page.share_url)
        page.block_thread()


def tell_public_address(address: str | None) -> None:
    """Warns of the public address of a page, or says that there is none."""
    if address is None:
        typer.echo("Warning: Gradio gave no public address; the page is on this machine alone.", err=True)
        return
    typer.echo(
        f"Warning: it is public at {address}. Whoever has this address can use this machine's page, and what "
        "they send goes through Gradio's servers.",
        err=True,
    )


def delete_kept_models(yes: bool) -> None:
    """Deletes what demos keep on disk, after a question unless `yes`."""
    from applications.cache_folder import cache_folder, clear, in_words, kept_files, size

    folder, files = cache_folder(), kept_files()
    if not files:
        typer.echo(f"Nothing is kept in {folder}.")
        return
    if not yes:
        typer.confirm(f"Delete {in_words(len(files), size(files))} in {folder}?", abort=True)
    count, freed = clear(files)
    typer.echo(f"Deleted: {in_words(count, freed)} in {folder}.")
    if count < len(files):
        stop(f"{len(files) - count} could not be deleted.", FAILED)


@app.command()
def tables(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if one is outdated.")] = False,
    root: Annotated[Path, typer.Option(help="The source checkout.")] = CHECKOUT,
) -> None:
    """Makes the tables of the READMEs from the committed results and the registry."""
    from applications.tables import stale_readmes

    with requests_explained():
        if not (root / "README.md").exists():
            raise ValueError(f"--root must be a source checkout with a README.md, got {root}.")
        stale = stale_readmes(root)
    for path, text in stale.items():
        typer.echo(f"{'out of date' if check else 'renewed'}: {path}")
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        stop("the tables above are out of date; `contrast tables` renews them.", FAILED)
    if not stale:
        typer.echo("All tables are up to date.")


if __name__ == "__main__":
    main()
