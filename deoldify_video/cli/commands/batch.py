"""`batch` and `batch-status`: a whole archive, and where it stands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deoldify_video.cli.console import logged_to, stop_on_interrupt
from deoldify_video.cli.shared_options import Chosen, JsonOutput, LogFile, Quiet, with_film_options
from deoldify_video.errors import EXIT_INTERRUPTED, InputError, OutputError, UsageError

if TYPE_CHECKING:
    from deoldify_video.batch.manifest import Manifest
    from deoldify_video.batch.planner import Plan
    from deoldify_video.executors.base import Executor

EXECUTORS = ("local", "ray")
_ARCHIVE, _WORKERS = "Archive", "Workers"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(batch)
    app.command()(batch_status)


@with_film_options(without=("hints", "start", "end"))
def batch(
    archives: Annotated[
        list[Path], typer.Argument(help="Folders of films and photos; also single files.", metavar="ARCHIVE...")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder for the results, a tree like the archive's.")],
    chosen: Chosen,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would be done, and how long it would take.", rich_help_panel=_ARCHIVE)
    ] = False,
    include: Annotated[
        list[str] | None, typer.Option(help="Only files whose path or name matches; may be repeated.", rich_help_panel=_ARCHIVE)
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="No files whose path or name matches; may be repeated.", rich_help_panel=_ARCHIVE)
    ] = None,
    name: Annotated[
        str, typer.Option(help="What results are called, of {stem} and {suffix}.", rich_help_panel=_ARCHIVE)
    ] = "{stem}{suffix}",
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also take what symbolic links lead to.", rich_help_panel=_ARCHIVE)
    ] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Make anew what was made with other options.", rich_help_panel=_ARCHIVE)
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write a page about the whole archive, with pictures.", rich_help_panel=_ARCHIVE)
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Workers; by default one for each GPU, or one.", rich_help_panel=_WORKERS)
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray for a cluster.", rich_help_panel=_WORKERS)] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="The cluster, such as host:6379; by default the one of this machine.", rich_help_panel=_WORKERS),
    ] = None,
    gpus_per_task: Annotated[
        float | None,
        typer.Option(min=0, help="GPUs for each task of a cluster; may be a part of one.", rich_help_panel=_WORKERS),
    ] = None,
    retry: Annotated[
        int, typer.Option(min=0, help="How often a file is tried again before it is set aside.", rich_help_panel=_WORKERS)
    ] = 2,
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going/--stop-on-error", help="Whether the rest goes on when one fails.", rich_help_panel=_WORKERS),
    ] = True,
    log_file: LogFile = None,
    json_output: JsonOutput = False,
    quiet: Quiet = False,
) -> None:
    """Colorize whole archives: folders in, the same folders out. Run again, it does only what is missing, changed or failed.

    What is no film or photo, in colour already, or there twice, is listed and left out. Exit code 1 when some files failed.
    """
    from deoldify_video.batch.discovery import Search, discover
    from deoldify_video.batch.manifest import PENDING
    from deoldify_video.batch.naming import check_name
    from deoldify_video.batch.planner import Plan, Settings
    from deoldify_video.batch.runner import BatchRunner, Policy

    check_executor(engine, ray_address, gpus_per_task)
    patterns = tuple(include or ()), tuple(exclude or ())
    search = Search(tuple(archives), output, *patterns, follow_links, check_name(name), chosen.options.encode.codec)
    if report is not None and not report.absolute().parent.is_dir():
        raise OutputError("does not exist", path=report.absolute().parent, remedy="create it first")
    settings = Settings.of(chosen.options)
    console = Console(stderr=True, quiet=quiet, soft_wrap=True)
    with ExitStack() as stack:
        stack.enter_context(logged_to(log_file, chosen.options))
        manifest = stack.enter_context(_planning_manifest(output) if plan else _working_manifest(output))
        run = manifest.begin_run(chosen.flags)
        with console.status("looking through the archive") as status:
            found = discover(manifest, search, run, lambda count: status.update(f"looking through the archive: {count} files"))
        if not found:
            raise InputError(
                "there is no file in the archive that is wanted", remedy="look at its path, --include and --exclude"
            )
        todo = Plan(manifest, output.absolute(), run, settings, redo=redo, recover=not plan)
        todo.resolve_states()
        if plan:
            from deoldify_video.cli.batch_output import show_plan

            show_plan(console, todo, jobs or 1, json_output=json_output)
            return
        interrupted = False
        if manifest.counts("run = ?", run)[PENDING]:
            workers = make_executor(engine, chosen, jobs, ray_address, gpus_per_task)
            workers.check([path.absolute() for path in archives], output.absolute())
            should_stop = stack.enter_context(stop_on_interrupt(console))
            from deoldify_video.cli.batch_progress import watching

            with watching(console, todo) as progress:
                BatchRunner(todo, workers, Policy(retry, stop_on_error=not keep_going), progress).run(should_stop)
            interrupted = should_stop()
        if report is not None:
            from deoldify_video.batch.html_report import write_report

            write_report(manifest, run, output.absolute(), report)
            console.print(f"report: {escape(str(report))}", highlight=False)
        _conclude(console, todo, interrupted=interrupted, json_output=json_output)


def check_executor(engine: str, ray_address: str | None, gpus_per_task: float | None) -> None:
    """Raise `UsageError` for an executor that does not exist, and for options of one that was not chosen."""
    if engine not in EXECUTORS:
        raise UsageError(f"engine {engine!r} is not known", remedy=f"choose one of {', '.join(EXECUTORS)}")
    for option, value in (("--ray-address", ray_address), ("--gpus-per-task", gpus_per_task)):
        if engine != "ray" and value is not None:
            raise UsageError(f"{option} is for clusters", remedy="add --engine ray")


def make_executor(
    engine: str, chosen: Chosen, jobs: int | None, ray_address: str | None, gpus_per_task: float | None
) -> Executor:
    """The executor that was asked for. Raises `DependencyError` where its library is not installed."""
    if engine == "local":
        from deoldify_video.executors.local import LocalExecutor

        return LocalExecutor(chosen.options, jobs)
    from deoldify_video.executors.cluster import RayExecutor

    return RayExecutor(ray_address, gpus_per_task, jobs, chosen.options)


def batch_status(
    output: Annotated[Path, typer.Argument(help="The output folder of a batch.")],
    json_output: JsonOutput = False,
) -> None:
    """Show where a batch stands, while it runs or after: counts, what is being done, what failed and why."""
    from deoldify_video.batch.manifest import Manifest
    from deoldify_video.batch.runner import is_running
    from deoldify_video.cli.batch_output import print_items, show_status

    with Manifest.in_folder(output, create=False) as manifest:
        counts, running = manifest.counts(), is_running(output)
        if json_output:
            print_items({"running": running, "counts": counts}, manifest.items("1 ORDER BY key"))
        else:
            show_status(Console(soft_wrap=True), manifest, counts, running=running)


@contextmanager
def _working_manifest(output: Path) -> Iterator[Manifest]:
    """The manifest of the output folder, kept from other batches."""
    from deoldify_video.batch.manifest import Manifest
    from deoldify_video.batch.runner import batch_lock

    with batch_lock(output), Manifest.in_folder(output) as manifest:
        yield manifest


@contextmanager
def _planning_manifest(output: Path) -> Iterator[Manifest]:
    """A copy, so that a plan leaves no trace."""
    from deoldify_video.batch.manifest import FILE, FOLDER, Manifest

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        if (output / FOLDER / FILE).is_file():
            with Manifest.in_folder(output) as manifest:
                manifest.copy_to(path)
        with Manifest(path) as copy:
            yield copy


def _conclude(console: Console, plan: Plan, *, interrupted: bool, json_output: bool) -> None:
    """Say what came of a run, and exit with the code that says so too."""
    from deoldify_video.batch.manifest import FAILED, PENDING
    from deoldify_video.cli.batch_output import print_items, show_outcome

    counts = plan.manifest.counts("run = ?", plan.run)
    show_outcome(console, plan, counts)
    if json_output:
        print_items({"counts": counts}, plan.manifest.items("run = ? ORDER BY key", plan.run))
    if interrupted and counts[PENDING]:
        raise typer.Exit(EXIT_INTERRUPTED)
    if counts[FAILED]:
        raise typer.Exit(1)
