"""What a new user meets first: help, names as people write them, sizes, and flags that exclude each other."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner, Result

from slotlookup import registry
from slotlookup.bench.cli import COMMANDS, cli
from slotlookup.bench.commands.explaining import fitted
from slotlookup.bench.commands.help import EXAMPLES
from slotlookup.bench.options import Number, Size
from slotlookup.bench.sweep.points import parse_slots
from slotlookup.errors import SlotlookupError, UsageError
from slotlookup.registry import mentions_a_file, parse_spec
from slotlookup.vocabulary import CachePolicy, UpdateDiscipline


def call(*words: str, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(cli, words, standalone_mode=False)


def refusal(*words: str) -> str:
    error = call(*words).exception
    assert isinstance(error, click.ClickException | SlotlookupError), error
    return error.format_message() if isinstance(error, click.ClickException) else str(error)


@pytest.mark.parametrize("words", [(), ("config",)])
def test_a_group_without_a_command_prints_its_help(words: tuple[str, ...]) -> None:
    bare, asked = call(*words), call(*words, "--help")
    assert bare.stdout == asked.stdout and bare.exception is None
    assert bare.stdout.count("\n") > 5


def test_the_help_of_run_names_its_default_and_where_names_are_listed() -> None:
    text = " ".join(call("run", "--help").stdout.split())
    for words in ("default workload is q35-4G-numa64", "slotlookup workloads", "slotlookup strategies", "help specs"):
        assert words in text


def test_help_explains_commands_and_specs() -> None:
    assert call("help").stdout == call("--help").stdout
    assert call("help", "run").stdout == call("run", "--help").stdout
    text = " ".join(call("help", "specs").stdout.split())
    for value in (*CachePolicy, *UpdateDiscipline):
        assert value.summary and f"{value} {value.summary}" in text
    for example in EXAMPLES:
        assert example in text
        if not mentions_a_file(example):
            parse_spec(example)
    assert "did you mean 'specs'?" in refusal("help", "spec")


@pytest.mark.parametrize("name", registry.strategy_names())
def test_a_strategy_is_shown_in_full(name: str) -> None:
    page = registry.page_of(name)
    assert page.startswith(f"{name}: ")
    if name in registry.structures():
        for part in ("\nStructure: ", "\nInvariants:", "\nCosts", "\nDo not choose it"):
            assert part in page, f"{name} lacks {part!r}"


@pytest.mark.parametrize("columns", [80, 140])
def test_the_page_of_a_preset_has_those_of_its_structures(columns: int) -> None:
    shown = call("strategies", "KVM-5.17", columns=columns).stdout
    assert max(map(len, shown.splitlines())) <= columns
    flat = "".join(shown.split())
    for name in ("kvm-5.17", "rbtree", "interval-tree"):
        assert "".join(registry.page_of(name).split()) in flat
    assert "gfn=rbtree,hva=interval-tree" in shown and "bytes per slot" in shown


def test_a_page_is_refilled_without_moving_lists_and_tables() -> None:
    table = "  gfn   O(n) and a rest\n        that goes on\n"
    page = f"one two three\nfour five\n\nCosts:\n{table}  1. first item\n     more\n"
    assert list(fitted(page, 20)) == [
        "",
        "one two three four",
        "five",
        "",
        "Costs:",
        "  gfn   O(n) and a",
        "        rest that",
        "        goes on",
        "  1. first item more",
    ]


def test_a_workload_is_shown_with_its_mix() -> None:
    shown = " ".join(call("workloads", "Synthetic-Uniform").stdout.split())
    # After each four lookups one visit, of a million events.
    assert "800,000 gfn lookups (80%), 200,000 hva visits (20%); no slot changes: a run derives them" in shown
    assert "512 or any" in shown and "seeded layouts" in shown
    assert "recorded (q35-4G-numa64.samp.u32le.xz)" in call("workloads", "q35-4G-numa64").stdout


def test_one_name_alone_is_explained() -> None:
    assert "did you mean 'linear'" in refusal("strategies", "liner")
    assert "is a combination" in refusal("strategies", "linear,cache=last-used")
    assert "did you mean 'boot'" in refusal("workloads", "bot")


def test_names_match_without_case() -> None:
    ran = call("run", "Two-Slot", "-s", "LINEAR", "-s", "gfn=RBTree,hva=Linear", "--counts-only", "--events", "1e2")
    assert ran.exception is None and "two-slot" in ran.stdout
    assert re.search(r"^ +linear ", ran.stdout, re.MULTILINE) and "rbtree" in ran.stdout


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("64K", 65_536),
        ("64k", 65_536),
        ("64MiB", 64 << 20),
        ("1GB", 1 << 30),
        ("1.5G", 3 << 29),
        ("64T", 64 << 40),
        ("0.5 KiB", 512),
        ("7B", 7),
    ],
)
def test_sizes_are_taken_as_people_write_them(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "many", "-4096", "0.3K", "1.2.3G", "64X", "9" * 19, "64MM", "1e6", "infK"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)


def test_a_size_has_a_limit() -> None:
    assert Size(1 << 30).convert("1G", None, None) == 1 << 30
    with pytest.raises(click.BadParameter, match="more than 1,073,741,824 bytes"):
        Size(1 << 30).convert("1025M", None, None)


@pytest.mark.parametrize(
    ("text", "number"), [("1e6", 1_000_000), ("2.5E3", 2_500), ("1,000,000", 1_000_000), ("1_000", 1_000), ("7", 7)]
)
def test_numbers_are_taken_as_people_write_them(text: str, number: int) -> None:
    assert Number(min=1).convert(text, None, None) == number


@pytest.mark.parametrize("text", ["1e-2", "1.5e0", "1,00", "ten", "0", "1e99"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Number(min=1, max=10_000_000).convert(text, None, None)


def test_slot_counts_are_lists_and_ranges() -> None:
    assert parse_slots("1,2,4") == (1, 2, 4)
    assert parse_slots("1-4, 3 - 6,64") == (1, 2, 3, 4, 5, 6, 64)
    for text, words in (
        ("5-2", "write 2-5"),
        ("-3", "not within 1"),
        ("1-99999", "not within"),
        ("1-", "is not a number"),
    ):
        with pytest.raises(UsageError, match=words):
            parse_slots(text)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "--quick", "--rigorous"), "give --quick or --rigorous, but not both"),
        (("sweep", "--rigorous", "--quick"), "give --rigorous or --quick, but not both"),
        (("run", "--counts-only", "--quick"), "--quick has no effect with --counts-only; remove one of them"),
        (("run", "--counts-only", "--displace", "0"), "--displace has no effect with --counts-only"),
        (("sweep", "--counts-only", "--processes", "2"), "--processes has no effect with --counts-only"),
        (("run", "-s", "linear", "-s", "LINEAR"), "'linear' is given twice; remove one"),
        (("sweep", "--plot", "a.svg", "--plot", "b.svg"), "--plot is given 2 times; give it once"),
        (("run", "--slots", "4", "--slots=8"), "--slots is given 2 times; give it once"),
        (("check", "--format", "json", "--format", "github"), "--format is given 2 times; give it once"),
        (("run", "--slots", "1-64"), "use `slotlookup sweep --slots`"),
        (("run", "--seed", "one"), "'one' is not a whole number"),
    ],
)
def test_flags_that_exclude_each_other_are_refused(words: tuple[str, ...], told: str) -> None:
    assert told in refusal(*words)


def test_a_flag_or_a_repeatable_option_may_be_repeated() -> None:
    words = ("run", "two-slot", "-s", "linear", "-s", "rbtree", "--counts-only", "--counts-only", "--events", "1e2")
    assert call(*words).return_value == 0


def test_every_command_refuses_an_option_given_twice() -> None:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for one in command.commands.values() if isinstance(command, click.Group) else [command]:
            for option in one.params:
                if isinstance(option, click.Option) and not option.is_flag and not option.multiple:
                    twice = (
                        [f"{option.opts[-1]}=1"] * 2 if option.opts[-1].startswith("--") else [option.opts[-1], "1"] * 2
                    )
                    with pytest.raises(click.UsageError, match="give it once"):
                        one.make_context(name, twice)
