"""The command line. Commands are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from slotlookup import __version__
from slotlookup.errors import EXIT_FAILED, EXIT_USAGE, SlotlookupError

from .helpful import HelpfulGroup
from .interruption import end_as_interrupted, interrupted_code
from .printable import printable

EXIT_NO_READER = 128 + signal.SIGPIPE
"""As shells report a program that SIGPIPE ended."""
# name: (module, its line in `--help`)
COMMANDS = {
    "run": ("run", "Replay a workload through strategies: check, count and time them."),
    "sweep": ("sweep", "Find the cheapest strategy by slot count, and the crossovers."),
    "strategies": ("listing", "List the available strategies."),
    "workloads": ("listing", "List the available workloads."),
    "check": ("check", "Compare counts with a baseline in git: the gate for continuous integration."),
    "compare": ("compare", "Report the differences between two saved results."),
    "report": ("report", "Write saved results as one HTML file with charts."),
    "history": ("history", "Keep the runs of a project, and report what changed from commit to commit."),
    "export": ("export", "Write saved results as CSV or Markdown."),
    "config": ("config", "Show the effective configuration, or its schema."),
    "record": ("record", "Record a VM on this machine as a trace."),
    "import": ("import_recordings", "Convert recordings of a real VM to a trace."),
    "kernel": ("kernel", "Measure the cost of slots in the running kernel, and compare it with kvm-5.17."),
    "claims": ("claims", "Settle the claims of the 2008 mail thread: one experiment and one verdict each."),
    "advise": ("advise", "Find the cheapest combination for a workload, and measure it whole."),
    "policies": ("policies", "Compare ageing without accessed bits, as on the EPT of 2008, by the faults it costs."),
    "verify": ("verify", "Run the conformance suite on a strategy."),
    "cache": ("cache", "Show or prune the folder of generated traces."),
    "help": ("help", "Explain a command, or how strategies are written (help specs)."),
}


class LazyGroup(HelpfulGroup):
    """A group that lists its commands without importing them, and imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".commands.{COMMANDS[cmd_name][0]}", __package__)
        found: click.Command = getattr(module, "commands", {}).get(cmd_name) or module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from slotlookup.registry import unknown

            raise click.UsageError(unknown("command", args[0], list(COMMANDS)), ctx) from None


def _print_include_dir(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from slotlookup.foreign.parent import include_dir

        click.echo(include_dir())
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="slotlookup")
@click.option(
    "--include-dir",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_include_dir,
    help="Print the folder that contains slotlookup.h, and exit.",
)
def cli() -> None:
    """Measure which data structure should find a virtual machine's memory slot.

    Start with `slotlookup run`. `slotlookup strategies` and `slotlookup workloads` list the names that commands take,
    and explain one: `slotlookup strategies kvm-5.17`.
    """


def main() -> None:
    """The console script.

    Exit codes: 0 success, 1 failure, 2 bad usage or bad input, 3 a regression, 4 nothing to compare with, 130 Ctrl-C,
    141 if the reader of stdout exited.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    end_as_interrupted()
    stdout = sys.stdout
    try:
        code = cli.main(prog_name="slotlookup", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "slotlookup"
        fail(f"{error.format_message()} (see `{where} --help`)", EXIT_USAGE)
    except click.ClickException as error:
        fail(error.format_message(), EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt) as interrupt:
        # click raises an Abort from a KeyboardInterrupt.
        fail("interrupted", interrupted_code(interrupt.__cause__ or interrupt))
    except BrokenPipeError:  # the reader of stdout has exited, as `head` does
        _leave(EXIT_NO_READER)
    except SystemExit as left:
        # rich and click exit with 1 then, which is the code of a wrong answer; click also replaces stdout.
        if sys.stdout is stdout and not isinstance(left.__context__, BrokenPipeError):
            raise
        sys.stdout = stdout
        _leave(EXIT_NO_READER)
    except SlotlookupError as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror or error}", EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def fail(message: str, code: int) -> NoReturn:
    """Print one line on stderr and exit with `code`."""
    with suppress(BrokenPipeError):
        print(f"slotlookup: {printable(' '.join(message.splitlines()))}", file=sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Exit with `code`, also if stdout has no reader: the interpreter would report that and exit with 120."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
