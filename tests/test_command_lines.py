"""Every `slotlookup` command line that the documentation and `--help` show is one that the commands accept.

The lines are parsed by the real click commands, names of strategies and workloads are looked up in the registry, and
nothing is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest
from source_tree import ROOT

from slotlookup.bench.cli import COMMANDS, cli, fail
from slotlookup.errors import SlotlookupError
from slotlookup.registry import find_workload, mentions_a_file, parse_spec

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("workloads/data/*.md")])
PLACEHOLDERS = {"PERCENT": "5", "SECONDS": "1", "N": "1", "KB": "64", "SIZE": "64M"}
"""Values for the placeholders of options that take a number."""


class Refused(Exception):
    """A command line that slotlookup does not accept, and why."""


def check_line(words: list[str], *, whole: bool = True, declared: Collection[str] = ()) -> None:
    """Parse one command line, without its first word `slotlookup`. Raises Refused.

    A line that is not `whole` may lack arguments. `declared` are strategies and caches that the page itself adds.
    """
    command: click.Command = cli
    name, parent = "slotlookup", None
    try:
        while isinstance(command, click.Group):
            own = list(takewhile(lambda word: word.startswith("-"), words))
            rest = words[len(own) :]
            # The group parses its own options, and a subcommand that it need not have.
            parent = command.make_context(name, [*own, *rest[:1]], parent=parent)
            found, subcommand, words = command.resolve_command(parent, rest)
            assert found is not None and subcommand is not None
            name, command = found, subcommand
        parameters = command.make_context(name, list(words), parent=parent).params
    except click.exceptions.Exit:
        return  # --help and the like
    except (click.MissingParameter, click.BadOptionUsage) as error:
        if whole or isinstance(error, click.NoSuchOption):
            raise Refused(error.format_message()) from None
        return
    except click.ClickException as error:
        raise Refused(error.format_message()) from None
    strategies = parameters.get("strategies") or ()
    workload = parameters.get("workload")
    try:
        for text in (*strategies, parameters.get("strategy") or "linear"):
            if not mentions_a_file(text) and not any(name in text for name in declared):
                parse_spec(text)
        if workload and not workload.endswith(".parquet") and not workload.isupper():
            find_workload(workload)
    except SlotlookupError as error:
        raise Refused(str(error)) from None


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each slotlookup command in shell text, without the first; also of `make run ARGS=...`."""
    loops = dict(re.findall(r"for (\w+) in ([^\s;]+)", text))
    for line in text.replace("\\\n", " ").splitlines():
        # A list of commands has its explanations two spaces to the right.
        line = re.split(r"(?<=\S) {3,}", line.strip().removeprefix("$ ").removeprefix("- run: "))[0]
        line = re.sub(r"\$\(\(.*?\)\)", "1", line)
        if made := re.search(r'make run ARGS="(.*?)"', line):
            line = f"slotlookup run {made[1]}"
        for part in re.split(r"&&|\|\||[;>]| do ", line):
            if found := re.match(r"(?:sudo )?slotlookup(?=\s|$)(.*)", part.strip().removeprefix("- ")):
                # As the shell substitutes: 1 for a command, the first value for a loop's variable, nothing for options.
                line = re.sub(r"\$(\w+)", lambda name: loops.get(name[1], ""), re.sub(r"\$\(.*?\)", "1", found[1]))
                words = shlex.split(line, comments=True)
                yield [PLACEHOLDERS.get(word, word) for word in words]


def code_blocks(page: str) -> Iterator[str]:
    """The fenced and the indented code blocks of a Markdown page."""
    for fence in re.finditer(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        yield fence[1]
    for block in re.finditer(r"(?:^    .*\n?)+", without_fences(page), re.MULTILINE):
        yield block[0]


def without_fences(page: str) -> str:
    """A Markdown page without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)


def without_brackets(line: str) -> str:
    """A usage line with the first of all alternatives, and everything optional present."""
    return re.sub(r"\[([^\]|]*)[^\]]*\]", r"\1", line)


def page_lines(page: str) -> Iterator[tuple[list[str], bool]]:
    """Every command line of a page, and whether it is whole.

    Those in code blocks are; code spans within sentences may lack arguments.
    """
    for block in code_blocks(page):
        for words in command_lines(without_brackets(block)):
            yield words, True
    for span in re.finditer(r"`(slotlookup\s[^`]+)`", without_fences(page)):
        for words in command_lines(" ".join(span[1].split())):
            yield words, False


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_documentation_shows_commands_that_exist(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    declared = re.findall(r'^ +(?:static constexpr const char\* )?name ?= ?"([\w-]+)"', page, re.MULTILINE)
    for words, whole in page_lines(page):
        try:
            check_line(words, whole=whole, declared=declared)
        except Refused as refused:
            pytest.fail(f"{path.name}: slotlookup {shlex.join(words)}: {refused}")


def test_there_are_command_lines_to_check() -> None:
    found = [words for path in PAGES for words, whole in page_lines(path.read_text(encoding="utf-8")) if whole]
    assert {words[0] for words in found if words} == set(COMMANDS)
    assert ["run", "synthetic-uniform", "--slots", "4096", "-s", "linear"] in [words[:6] for words in found]


def options_of(command: click.Command) -> set[str]:
    """The options of a command and of its subcommands."""
    own = {name for parameter in command.params for name in parameter.opts}
    nested = command.commands.values() if isinstance(command, click.Group) and command is not cli else ()
    return own.union(*(options_of(subcommand) for subcommand in nested), {"--help"})


ALL_OPTIONS = set[str]().union(
    options_of(cli),
    *(options_of(command) for name in COMMANDS if (command := cli.get_command(click.Context(cli), name))),
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_documentation_names_options_that_exist(path: Path) -> None:
    named = {span[1] for span in re.finditer(r"`(--[a-z][a-z-]*)", without_fences(path.read_text(encoding="utf-8")))}
    assert named <= ALL_OPTIONS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_options_and_commands_that_exist(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    texts = [command.help or "", *(p.help or "" for p in command.params if isinstance(p, click.Option))]
    for text in texts:
        for span in re.finditer(r"`(slotlookup [^`]+)`", text):
            for words in command_lines(span[1]):
                check_line(words, whole=False)
        without_spans = re.sub(r"`[^`]*`", "", text)
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", without_spans)) <= options_of(command)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("slotlookup run --slot-count 4", "No such option"),
        ("slotlookup runs", "runs"),
        ("slotlookup run a b", "unexpected extra argument"),
        ("slotlookup run --slots many", "not a whole number"),
        ("slotlookup run -s rbtre", "rbtre"),
        ("slotlookup run synthetic-unifrom", "synthetic-unifrom"),
        ("slotlookup compare old.json", "Missing argument"),
        ("slotlookup run && slotlookup config shows", "shows"),
        ("sudo slotlookup record --demo", "Missing option"),
        ('make run ARGS="-s linear --fast"', "No such option"),
    ],
)
def test_a_wrong_line_is_refused(line: str, reason: str) -> None:
    page = f"Text.\n\n    {line}    its explanation\n"
    with pytest.raises(Refused, match=reason):
        for words, whole in page_lines(page):
            check_line(words, whole=whole)


def test_a_wrong_span_is_refused() -> None:
    check_line(*[words for words, _ in page_lines("`slotlookup compare` and more")], whole=False)
    with pytest.raises(Refused, match="No such option"):
        check_line(*[words for words, _ in page_lines("`slotlookup compare --efect 1` and more")], whole=False)


def test_an_error_does_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail("\x1b]0;title\x07 a\rb\u202e.so:\nline 2", 2)
    assert capsys.readouterr().err == "slotlookup: \\x1b]0;title\\x07 a b\\u202e.so: line 2\n"
