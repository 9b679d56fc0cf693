"""`batch` and `batch-status`: a whole archive, and where it stands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deoldify_video.cli.console import logged_to, stop_on_interrupt
from deoldify_video.cli.shared_options import Chosen, JsonOutput, LogFile, Quiet, with_film_options, with_options_of
from deoldify_video.errors import EXIT_INTERRUPTED, InputError, OutputError, UsageError

if TYPE_CHECKING:
    from deoldify_video.batch.discovery import Search
    from deoldify_video.batch.manifest import Manifest
    from deoldify_video.batch.planner import Plan
    from deoldify_video.executors.base import Executor
    from deoldify_video.options import FilmOptions

EXECUTORS = ("local", "ray")
_ARCHIVE, _WORKERS = "Archive", "Workers"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(batch)
    app.command()(batch_status)


@dataclass(frozen=True)
class BatchOptions:
    """Which files of an archive are done, by whom, and what is told of them. Raises `UsageError` for what does not go together."""

    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would be done, and how long it would take.", rich_help_panel=_ARCHIVE)
    ] = False
    include: Annotated[
        list[str] | None, typer.Option(help="Only files whose path or name matches; may be repeated.", rich_help_panel=_ARCHIVE)
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(help="No files whose path or name matches; may be repeated.", rich_help_panel=_ARCHIVE)
    ] = None
    name: Annotated[str, typer.Option(help="What results are called, of {stem} and {suffix}.", rich_help_panel=_ARCHIVE)] = (
        "{stem}{suffix}"
    )
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also take what symbolic links lead to.", rich_help_panel=_ARCHIVE)
    ] = False
    redo: Annotated[
        bool, typer.Option("--redo", help="Make anew what was made with other options.", rich_help_panel=_ARCHIVE)
    ] = False
    report: Annotated[
        Path | None, typer.Option(help="Write a page about the whole archive, with pictures.", rich_help_panel=_ARCHIVE)
    ] = None
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Workers; by default one for each GPU, or one.", rich_help_panel=_WORKERS)
    ] = None
    engine: Annotated[str, typer.Option(help="local, or ray for a cluster.", rich_help_panel=_WORKERS)] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(help="The cluster, such as host:6379; by default the one of this machine.", rich_help_panel=_WORKERS),
    ] = None
    gpus_per_task: Annotated[
        float | None,
        typer.Option(min=0, help="GPUs for each task of a cluster; may be a part of one.", rich_help_panel=_WORKERS),
    ] = None
    retry: Annotated[
        int, typer.Option(min=0, help="How often a file is tried again before it is set aside.", rich_help_panel=_WORKERS)
    ] = 2
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going/--stop-on-error", help="Whether the rest goes on when one fails.", rich_help_panel=_WORKERS),
    ] = True

    def __post_init__(self) -> None:
        if self.engine not in EXECUTORS:
            raise UsageError(f"engine {self.engine!r} is not known", remedy=f"choose one of {', '.join(EXECUTORS)}")
        for option, value in (("--ray-address", self.ray_address), ("--gpus-per-task", self.gpus_per_task)):
            if self.engine != "ray" and value is not None:
                raise UsageError(f"{option} is for clusters", remedy="add --engine ray")

    def search(self, archives: Sequence[Path], output: Path, codec: str) -> Search:
        """Where and how to look for files. Raises `InputError` and `UsageError`."""
        from deoldify_video.batch.discovery import Search
        from deoldify_video.batch.naming import check_name

        patterns = tuple(self.include or ()), tuple(self.exclude or ())
        return Search(tuple(archives), output, *patterns, self.follow_links, check_name(self.name), codec)

    def executor(self, options: FilmOptions) -> Executor:
        """Who does them. Raises `DependencyError` where a library is not installed."""
        if self.engine == "local":
            from deoldify_video.executors.local import LocalExecutor

            return LocalExecutor(options, self.jobs)
        from deoldify_video.executors.cluster import RayExecutor

        return RayExecutor(self.ray_address, self.gpus_per_task, self.jobs, options)


@with_film_options(without=("hints", "start", "end"))
@with_options_of(BatchOptions, "options")
def batch(
    archives: Annotated[
        list[Path], typer.Argument(help="Folders of films and photos; also single files.", metavar="ARCHIVE...")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder for the results, a tree like the archive's.")],
    chosen: Chosen,
    options: BatchOptions,
    log_file: LogFile = None,
    json_output: JsonOutput = False,
    quiet: Quiet = False,
) -> None:
    """Colorize whole archives: folders in, the same folders out. Run again, it does only what is missing, changed or failed.

    What is no film or photo, in colour already, or there twice, is listed and left out. Exit code 1 when some files failed.
    """
    from deoldify_video.batch.manifest import PENDING
    from deoldify_video.batch.planner import Plan, Settings
    from deoldify_video.cli.batch_output import show_plan

    search = options.search(archives, output, chosen.options.encode.codec)
    if options.report is not None and not options.report.absolute().parent.is_dir():
        raise OutputError("does not exist", path=options.report.absolute().parent, remedy="create it first")
    settings = Settings.of(chosen.options)
    console = Console(stderr=True, quiet=quiet, soft_wrap=True)
    with logged_to(log_file, chosen.options), _manifest(output, working=not options.plan) as manifest:
        run = manifest.begin_run(chosen.flags)
        _discover(console, manifest, search, run)
        plan = Plan(manifest, output.absolute(), run, settings, redo=options.redo, recover=not options.plan)
        plan.resolve_states()
        if options.plan:
            show_plan(console, plan, options.jobs or 1, json_output=json_output)
            return
        interrupted = bool(manifest.counts("run = ?", run)[PENDING]) and _work(console, plan, archives, options)
        if options.report is not None:
            from deoldify_video.batch.html_report import write_report

            write_report(manifest, run, output.absolute(), options.report)
            console.print(f"report: {escape(str(options.report))}", highlight=False)
        _conclude(console, plan, interrupted=interrupted, json_output=json_output)


def _discover(console: Console, manifest: Manifest, search: Search, run: int) -> None:
    """Enter all files of the archive. Raises `InputError` when there is none."""
    from deoldify_video.batch.discovery import discover

    with console.status("looking through the archive") as status:
        found = discover(manifest, search, run, lambda count: status.update(f"looking through the archive: {count} files"))
    if not found:
        raise InputError("there is no file in the archive that is wanted", remedy="look at its path, --include and --exclude")


def _work(console: Console, plan: Plan, archives: Sequence[Path], options: BatchOptions) -> bool:
    """Do all that is pending; whether the user has stopped it."""
    from deoldify_video.batch.runner import BatchRunner, Policy
    from deoldify_video.cli.batch_progress import watching

    executor = options.executor(plan.settings.options)
    executor.check([path.absolute() for path in archives], plan.out)
    with stop_on_interrupt(console) as should_stop:
        with watching(console, plan) as progress:
            BatchRunner(plan, executor, Policy(options.retry, stop_on_error=not options.keep_going), progress).run(should_stop)
        return bool(should_stop())


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
def _manifest(output: Path, *, working: bool) -> Iterator[Manifest]:
    """The manifest of the output folder, kept from other batches while one is `working`; for a plan a copy, which leaves no trace."""
    from deoldify_video.batch.manifest import FILE, FOLDER, Manifest
    from deoldify_video.batch.runner import batch_lock

    if working:
        with batch_lock(output), Manifest.in_folder(output) as manifest:
            yield manifest
        return
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
