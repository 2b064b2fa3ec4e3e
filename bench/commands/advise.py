"""`slotlookup advise`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import click

from slotlookup.errors import EXIT_FAILED, UsageError
from slotlookup.questions import questions_of
from slotlookup.registry import describe, describe_available, in_known_cases, workloads
from slotlookup.structure import Family
from slotlookup.vocabulary import RANKED, Operation, Target, TimingMode
from slotlookup.writing import must_be_writable, write_then_show

from ..advise.advice import Subject, advise
from ..advise.measuring import measure_parts, measure_whole
from ..advise.search import Limits
from ..advise.space import PRESENT, Space, family_of, readers_continue, space_of
from ..advise.writing import check_configuration, write_strategies
from ..configuration import announce_left_out, configuration
from ..helpful import EachOnce
from ..measure.machine import describe_machine
from ..measure.run_options import RunOptions
from ..measure.selection import describe_workload, load_with_outcome, most_slots, unfit
from ..options import Number, choice, effort_option, processes_option
from ..printable import printable_all
from ..results.mix import mix_of, parse_weights

EFFORT = {"quick": 0.25, "rigorous": 5.0}
"""Shares of the default time for timing."""
GUARDS = "adversarial-"
"""The names of the workloads that are the worst case of a structure begin so."""


@click.command(
    cls=EachOnce,
    epilog="Several workloads get one choice, with the regret on each. Without WORKLOAD, the configured one is used.",
)
@click.argument("names", nargs=-1, metavar="[WORKLOAD|TRACE]...")
@click.option(
    "--for",
    "target",
    type=choice(*Target),
    help="What the strategy is for [default: the configured target, or kernel]. "
    + "; ".join(f"{target}: {target.summary}" for target in Target)
    + ".",
)
@click.option(
    "--now", help="The strategy of today [default: the configured one, or kvm-5.17, or py-linear with --for python]."
)
@click.option("--max-bytes-per-slot", type=click.FloatRange(min=0), metavar="BYTES", help="Limit of memory per slot.")
@click.option("--max-update-ns", type=click.FloatRange(min=0), metavar="NS", help="Limit of the time per slot change.")
@click.option(
    "--cold/--hot", default=None, help="Time with displaced or hot caches [default: the configured, or hot ones]."
)
@click.option(
    "--worst-case/--no-worst-case",
    default=None,
    help="Also replay the adversarial workloads, and choose by the workload on which a strategy does worst "
    "[default: as configured, or not].",
)
@click.option(
    "--unaliased",
    is_flag=True,
    help="Also combine structures whose visits stop early, which is right only if no slots share host memory.",
)
@click.option(
    "--mix", metavar="gfn=90,hva=9,update=1", help="Weights of lookups, visits and slot changes [default: the events']."
)
@click.option("--slots", type=Number(), help="Number of slots, for workloads of variable size.")
@click.option("--events", type=Number(min=1), help="Number of events [default: the workload's].")
@click.option(
    "--seed",
    type=click.IntRange(0, (1 << 63) - 1),
    help="Seed of all random draws [default: the configured one, or 0].",
)
@effort_option("quick", "A quarter of the time for timing.")
@effort_option("rigorous", "Five times the time for timing.")
@processes_option
@click.option(
    "--write",
    "write",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Put the choice and the strategy of today into this slotlookup.toml or pyproject.toml, as `strategies`.",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print GitHub tables.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def command(
    names: tuple[str, ...],
    target: str | None,
    now: str | None,
    max_bytes_per_slot: float | None,
    max_update_ns: float | None,
    cold: bool | None,
    worst_case: bool | None,
    unaliased: bool,
    mix: str | None,
    slots: int | None,
    events: int | None,
    seed: int | None,
    effort: str | None,
    processes: int | None,
    write: Path | None,
    as_markdown: bool,
    as_json: bool,
) -> int:
    """Find the cheapest combination for WORKLOAD (a name or a TRACE.parquet).

    A combination is a gfn structure, an hva structure, a cache and an update discipline. Every part is counted and
    timed once, and the costs of all combinations are added under the workload's mix of lookups, visits and slot
    changes. The best few are then built and measured whole. The choice is one of these.
    """
    if as_markdown and as_json:
        raise UsageError("--markdown and --json exclude each other; use one of them")
    config = configuration()
    announce_left_out()
    settings = config.settings
    if write is not None:
        check_configuration(write)
        must_be_writable(write)
    chosen = settings.advise
    wanted = chosen.target if target is None else Target(target)
    family = family_of(wanted)
    # The configured strategy of today is that of the configured target.
    present = now or (chosen.now if wanted is chosen.target else None) or PRESENT[wanted]
    present = in_known_cases(present)
    described = describe_available(present)
    if described.family is not family:
        message = f"{present} is {described.family}, and {wanted} compares {family} strategies"
        raise UsageError(f"--now: {message}") if now else config.error("advise.now", message)
    if cold and family is Family.PYTHON:
        raise UsageError("--cold: Python strategies are timed with hot caches only; remove it")
    cold = chosen.cold and family is Family.NATIVE if cold is None else cold
    worst_case = chosen.worst_case if worst_case is None else worst_case
    limits = Limits(
        chosen.max_bytes_per_slot if max_bytes_per_slot is None else max_bytes_per_slot,
        chosen.max_update_ns if max_update_ns is None else max_update_ns,
    )
    weights = None if mix is None else parse_weights(mix)
    seed = settings.seed if seed is None else seed
    options = RunOptions(
        seed=seed,
        budget=settings.budget if effort is None else EFFORT[effort],
        displaced=settings.displaced,
        placement=settings.placement,
        patience=settings.patience,
        timings=(TimingMode.THROUGHPUT_COLD if cold else RANKED,),
        processes=settings.processes if processes is None else processes,
    )
    space = space_of(wanted, unaliased=unaliased)
    subjects, unfitting = _subjects(names or (settings.workload,), worst_case, slots, events, seed, weights, space)
    from ..console import output, progress_bar

    with progress_bar(shown=not as_json or sys.stderr.isatty()) as report:
        found = advise(
            subjects,
            space,
            limits,
            present,
            _refusal(wanted, present),
            lambda space, questions, tell: measure_parts(space, questions, options, unfitting, tell),
            lambda texts, questions, tell: measure_whole(texts, questions, options, tell),
            report,
            max if worst_case else fmean,
        )
    machine = describe_machine()
    kept = {
        **options.stored(),
        "for": wanted,
        "max_bytes_per_slot": limits.bytes_per_slot,
        "max_update_ns": limits.update_ns,
        "worst_case": worst_case,
        "unaliased": unaliased,
    }

    def put() -> None:
        if write is not None and found.choice is not None:
            write_strategies(write, list(dict.fromkeys((found.choice, present))))

    def show() -> None:
        from ..advise.report import print_advice, to_json, to_markdown

        if as_json:
            click.echo(to_json(found, kept, machine), nl=False)
        elif as_markdown:
            click.echo(to_markdown(printable_all(found), " ".join(_words()), printable_all(machine)), nl=False)
        else:
            print_advice(printable_all(found), output())

    write_then_show(put, show)
    return EXIT_FAILED if found.choice is None else 0


def _words() -> list[str]:
    return ["slotlookup", *sys.argv[1:]]


def _subjects(
    names: tuple[str, ...],
    worst_case: bool,
    slots: int | None,
    events: int | None,
    seed: int,
    weights: Mapping[Operation, float] | None,
    space: Space,
) -> tuple[list[Subject], list[str]]:
    """The workloads, and the structures that cannot hold the slots of one of them."""
    guards = [name for name in workloads() if name.startswith(GUARDS)] if worst_case else []
    found: list[Subject] = []
    unfitting: dict[str, None] = {}
    for name in dict.fromkeys([*names, *guards]):
        trace, outcome = load_with_outcome(name, slots if name in names else None, events, seed)
        questions = questions_of(trace, seed)
        mix = mix_of(questions)
        if weights is not None:
            mix = mix.weighted(weights)
        described = describe_workload(
            trace, most_slots(trace), seed, {"slots": slots, "events": events, "memory": None}, outcome
        )
        found.append(Subject(trace.name, described, questions, mix))
        both = {*space.gfn, *(hva for hva, _ in space.hva)}
        unfitting.update(dict.fromkeys(unfit(trace, both)))
    return found, list(unfitting)


def _refusal(target: Target, now: str) -> str:
    """Why the target does not permit the strategy of today; "" if it does."""
    if target is not Target.KERNEL:
        return ""
    described = describe(now)
    if described.capabilities.obstacle:
        return f"not for a kernel: {described.capabilities.obstacle}"
    return "" if readers_continue(described.spec) else "not for a kernel: readers wait for changes"
