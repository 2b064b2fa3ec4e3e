"""`slotlookup history`."""

from __future__ import annotations

from pathlib import Path

import click

from slotlookup.errors import UsageError

from ..helpful import EachOnce, HelpfulGroup
from ..printable import printable, printable_all

FOLDER = "slotlookup-history"
folder_option = click.option(
    "--folder",
    metavar="FOLDER",
    default=FOLDER,
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of the history.",
)


@click.group(cls=HelpfulGroup)
def command() -> None:
    """Keep the runs of a project, and report what changed from commit to commit.

    A history is a folder with one small JSON file per run, to be kept in git.
    """


@command.command("add", cls=EachOnce)
@click.argument("result", metavar="RESULT.json", type=click.Path(path_type=Path, dir_okay=False))
@folder_option
@click.option("--commit", metavar="REVISION", help="The commit that was measured [default: the one checked out].")
@click.option("--label", metavar="NAME", help="A name instead of a commit, where there is no git.")
def add_command(result: Path, folder: Path, commit: str | None, label: str | None) -> int:
    """Add a result that `slotlookup run --save` wrote, with the commit that it measured."""
    from ..history.entries import add, commit_here, entry_of
    from ..results.load import load_result

    if commit is not None and label is not None:
        raise UsageError("--commit and --label exclude each other; give one")
    if label is not None and not label.strip():
        raise UsageError("--label: the name is empty")
    run = load_result(result)
    measured = commit_here(commit, folder) if label is None else {"commit": label, "subject": "", "changed": False}
    entry = entry_of(run, **measured)
    path = add(folder, entry)
    click.echo(printable(f"added: {path} ({entry.label} {entry.subject})".rstrip()), err=True)
    return 0


@command.command("show", cls=EachOnce)
@folder_option
def show_command(folder: Path) -> int:
    """Report the runs of a history by series, and what changed between them.

    Runs of another workload, other options or another machine are series of their own. Counts are compared exactly,
    times as in `slotlookup compare`.
    """
    from rich.markup import escape

    from ..console import output
    from ..history.entries import read_history
    from ..history.series import series_of

    console = output()
    for i, one in enumerate(printable_all(series_of(read_history(folder)))):
        if i:
            console.print()
        console.print(f"[bold]{escape(one.title)}[/bold]")
        if one.apart:
            console.print(f"[yellow]a series of its own: {escape(one.apart)}[/yellow]")
        for entry in one.entries:
            console.print(f"  {entry.date[:19]}  {escape(entry.label):12} {escape(entry.subject)}", soft_wrap=True)
        for step in one.steps():
            console.print(escape(step.sentence))
    return 0
