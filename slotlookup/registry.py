"""The one table of names: strategies, workloads and importers, found by folder and by entry point.

The declarations of the modules of `slotlookup.strategies` and `slotlookup.workloads`, and of other packages' entry
points in the groups of the same names, are collected. Nothing else lists them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from slotlookup.address import ADDRESS_LIMIT
from slotlookup.discovery import Found, declared
from slotlookup.errors import SpecError, UsageError
from slotlookup.families import native, python
from slotlookup.families.python import CACHES as PYTHON_CACHES
from slotlookup.foreign import parent as foreign
from slotlookup.memslots import Memslot
from slotlookup.recordings.importing import Importer
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Capabilities, Strategy
from slotlookup.structure import (
    PATIENCE,
    Family,
    FileStructure,
    NativeStructure,
    Preset,
    PythonStructure,
    Structure,
)
from slotlookup.vocabulary import CachePolicy, Placement, Role, UpdateDiscipline
from slotlookup.workload import Workload

_KEYS = (*Role, "cache", "update", "unaliased")


@cache
def _strategies() -> Found[Structure | Preset]:
    """The structures and presets, which share one space of names."""
    return declared("slotlookup.strategies", (NativeStructure, PythonStructure, Preset))


@cache
def _workloads() -> Found[Workload]:
    return declared("slotlookup.workloads", (Workload,))


@cache
def structures() -> dict[str, Structure]:
    """Every structure, by name."""
    found = {name: item for name, item in _strategies().items.items() if not isinstance(item, Preset)}
    return {name: item for name, item in found.items() if not _partner_fault(item, found)}


@cache
def presets() -> dict[str, Preset]:
    """Every preset, by name."""
    found = {name: item for name, item in _strategies().items.items() if isinstance(item, Preset)}
    return {name: item for name, item in found.items() if not _preset_fault(item)}


def _partner_fault(item: Structure, known: Mapping[str, Structure]) -> str:
    """Why a structure cannot be combined with its partner; "" if it can, or needs none."""
    partner = known.get(item.partner)
    lacking = set(Role) - set(item.roles)
    if not lacking or (partner is not None and lacking <= set(partner.roles)):
        return ""
    return f"its partner '{item.partner}' is no structure that serves {' and '.join(lacking)}"


def _preset_fault(item: Preset) -> str:
    """Why a preset's spec has no meaning; "" if it has one."""
    try:
        _parse(item.spec, {})
    except SpecError as error:
        return str(error)
    return ""


def workloads() -> Mapping[str, Workload]:
    """Every workload, by name."""
    return _workloads().items


@cache
def importers() -> Mapping[str, Importer]:
    """Every importer of recordings, by name."""
    return declared("slotlookup.workloads", (Importer,)).items


def left_out_strategies() -> Mapping[str, str]:
    """The modules and declarations of strategies that could not be loaded, each with the reason."""
    found = _strategies()
    known = {name: item for name, item in found.items.items() if not isinstance(item, Preset)}
    faults = {
        name: _preset_fault(item) if isinstance(item, Preset) else _partner_fault(item, known)
        for name, item in found.items.items()
    }
    return {**found.left_out, **{name: fault for name, fault in faults.items() if fault}}


def left_out_workloads() -> Mapping[str, str]:
    """The same of workloads."""
    return _workloads().left_out


def page_of(name: str) -> str:
    """The docstring of the module that declares a structure, preset or workload of that name; "" if it has none."""
    module = _strategies().modules.get(name) or _workloads().modules[name]
    return (module.__doc__ or "").strip()


def in_known_case(name: str, known: Collection[str]) -> str:
    """The one of `known` that equals `name` but for upper and lower case; `name` itself if there is none."""
    if name in known:
        return name
    return next((one for one in known if one.casefold() == name.casefold()), name)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The words for a name that does not exist: those that begin with it, the nearest one, or all."""
    names = sorted(known)
    same = in_known_case(name, names)
    begin = [one for one in names if name and one.startswith(f"{name}-")]
    near = [same] if same in names else get_close_matches(name, names, n=1)
    if len(begin) > 1:
        hint = f"there are: {', '.join(begin)}"
    else:
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names)}"
    return f"no {what} is called '{name}'; {hint}"


def _unknown_strategy(item: str, names: Iterable[str]) -> str:
    if same := _same_kvm(item, names):
        return f"no preset is called '{item}': this Linux finds slots as since {same[4:]}; use {same}"
    return unknown("strategy", item, names)


def _same_kvm(name: str, names: Iterable[str]) -> str:
    """The preset that a later version of Linux still equals, of `kvm-6.1`; "" if the name is none, or too early."""
    wanted = _linux_version(name)
    versions = {version: one for one in names if (version := _linux_version(one))}
    earlier = [version for version in versions if wanted and version < wanted]
    return versions[max(earlier)] if earlier else ""


def _linux_version(preset: str) -> tuple[int, ...]:
    """The version in `kvm-6.1`, but not in `kvm-5.71`: no later series than 2.6 went beyond its release 20."""
    found = re.fullmatch(r"kvm-v?(\d+)\.(\d+)((?:\.\d+)*)", preset.casefold())
    if found is None or int(found[2]) > 20:
        return ()
    return (int(found[1]), int(found[2]), *(int(part) for part in found[3].split(".") if part))


def find_workload(name: str) -> Workload:
    """The workload of that name. Raises UsageError."""
    found = workloads().get(name)
    if found is None:
        if name in left_out_workloads():
            raise UsageError(f"workload '{name}' is left out: {left_out_workloads()[name]}")
        raise UsageError(unknown("workload", name, workloads()))
    return found


def names_a_trace(workload: str) -> bool:
    """Whether a workload is given as a trace's file, not by name."""
    return workload.endswith(".parquet") or "/" in workload


def strategy_names() -> list[str]:
    """Every name that `make_strategy` takes as it stands: structures, then presets."""
    return [*structures(), *presets()]


def names_a_file(structure: str) -> bool:
    """Whether a structure is given as a file, not by name."""
    return "/" in structure or structure.endswith((".so", ".py")) or ".py:" in structure


def mentions_a_file(text: str) -> bool:
    """Whether any part of a spec is a file."""
    return any(names_a_file(item.partition("=")[2] or item) for item in text.split(","))


def _from_file(text: str, structure: str) -> FileStructure:
    """The file that a structure's name is. Raises SpecError where there is none."""
    name, colon, class_name = structure.rpartition(":")
    if not (colon and name.endswith(".py")):
        name, class_name = structure, ""
    path = Path(name).expanduser()
    if any("\udc80" <= character <= "\udcff" for character in name):  # bytes that Python could not decode
        raise SpecError(f"strategy '{text}': the file name is not UTF-8; rename the file")
    if not name.isprintable():  # it would be a name in tables, XML and annotations, which have no form for it
        raise SpecError(f"strategy '{text}': the file name has characters that cannot be printed; rename the file")
    if not path.exists():
        raise SpecError(f"strategy '{text}': {name}: there is no such file")
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "no regular file"
        raise SpecError(f"strategy '{text}': {name} is {kind}; name a shared library, or FILE.py:CLASS")
    if path.suffix == ".py" and not class_name.isidentifier():
        raise SpecError(f"strategy '{text}': {name} is a Python file; say which class of it: {name}:CLASS")
    return FileStructure(structure, path, class_name)


def find_structure(text: str, name: str) -> Structure | FileStructure:
    """The structure that a checked part of the spec `text` names. Raises SpecError for a file that is gone."""
    return _from_file(text, name) if names_a_file(name) else structures()[name]


def family_of(text: str) -> Family:
    """The family of a name or spec. Raises SpecError."""
    return find_structure(text, parse_spec(text).gfn).family


def parse_spec(text: str) -> StrategySpec:
    """Take a spec apart and check every part of it. Raises SpecError."""
    try:
        return _parse(text, presets())
    except SpecError:
        left_out = left_out_strategies()
        for item in map(str.strip, text.split(",")):
            if item in left_out:
                raise SpecError(f"strategy '{text}': '{item}' is left out: {left_out[item]}") from None
        raise


def _parse(text: str, known_presets: Mapping[str, Preset]) -> StrategySpec:
    items = items_given = [item.strip() for item in text.split(",")]
    spec: StrategySpec | None = None
    if items[0] in known_presets:
        spec = _parse(known_presets[items[0]].spec, {})
        items = items[1:]
    elif items[0] in structures():
        spec = _alone(structures()[items[0]])
        items = items[1:]
    elif names_a_file(items[0]) and items[0].partition("=")[0] not in _KEYS:
        spec = StrategySpec(items[0], items[0])
        items = items[1:]
    given: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if key not in _KEYS:
            if names_a_file(value or item) or (not equals and mentions_a_file(text)):
                raise SpecError(
                    f"strategy '{text}': '{item}' is no part of a spec, and a file name cannot contain a comma, which "
                    f"separates the parts; rename the file, or name one of {', '.join(_KEYS)} here"
                )
            if equals:
                raise SpecError(f"strategy '{text}': {unknown('key', key, _KEYS)}")
            if spec is not None and (item in structures() or item in known_presets or names_a_file(item)):
                raise SpecError(f"strategy '{text}': several strategies; give each by itself: {_separate(items_given)}")
            raise SpecError(f"strategy '{text}': {_unknown_strategy(item, [*structures(), *known_presets])}")
        if (key == "unaliased") == bool(equals):
            raise SpecError(f"strategy '{text}': '{key}' {'takes no value' if equals else 'needs a value'}")
        if key in given:
            raise SpecError(f"strategy '{text}': '{key}' is given twice")
        given[key] = value
    if spec is None:
        missing = [role for role in Role if role not in given]
        if missing:
            raise SpecError(f"strategy '{text}': {' and '.join(missing)} not given; write gfn=STRUCTURE,hva=STRUCTURE")
        spec = StrategySpec(given[Role.GFN], given[Role.HVA])
    for key, value in given.items():
        known = _known(key)
        if known and value not in known and not (key in list(Role) and names_a_file(value)):
            what = "structure" if key in list(Role) else key
            raise SpecError(f"strategy '{text}': {unknown(what, value, known)}")
        spec = spec.with_item(key, value)
    _check_combination(text, spec)
    return spec


def _separate(items: Iterable[str]) -> str:
    """The options for several strategies that were written as one: each begins with a name or a file."""
    parts: list[str] = []
    for item in items:
        if item in strategy_names() or names_a_file(item):
            parts.append(f"-s {item}")
        else:
            parts[-1] += f",{item}"
    return " ".join(parts)


def in_known_cases(text: str) -> str:
    """A spec with the names of strategies, structures, caches and disciplines in the case in which they are known."""
    items = []
    for item in text.split(","):
        key, equals, value = item.partition("=")
        known = _known(key) if equals else strategy_names()
        items.append(f"{key}{equals}{in_known_case(value, known)}" if equals else in_known_case(item, known))
    return ",".join(items)


def _known(key: str) -> list[str]:
    """What a key of a spec can be, besides a file; empty for one that takes no value."""
    if key in list(Role):
        return list(structures())
    return {"cache": [*map(str, CachePolicy)], "update": [*map(str, UpdateDiscipline)]}.get(key, [])


def _alone(structure: Structure) -> StrategySpec:
    """What a structure's name alone means: both roles, or its own role and its partner in the other."""
    gfn, hva = (structure.name if role in structure.roles else structure.partner for role in Role)
    return StrategySpec(gfn, hva)


def _check_combination(text: str, spec: StrategySpec) -> None:
    gfn, hva = structures_of(text, spec)
    for role, structure in zip(Role, (gfn, hva), strict=True):
        if role not in structure.roles:
            able = [s.name for s in structures().values() if role in s.roles]
            raise SpecError(f"strategy '{text}': {structure.name} does not serve {role}; {', '.join(sorted(able))} do")
    if gfn.family is not hva.family:
        raise SpecError(
            f"strategy '{text}': {spec.gfn} is {gfn.family} and {spec.hva} is {hva.family}; take one family"
        )
    if gfn.family is Family.PYTHON and spec.cache not in PYTHON_CACHES:
        raise SpecError(
            f"strategy '{text}': Python strategies have no {spec.cache} cache; {' and '.join(PYTHON_CACHES)} there are"
        )
    if gfn.family is Family.PYTHON and spec.update != UpdateDiscipline.IN_PLACE:
        raise SpecError(f"strategy '{text}': Python strategies update in place only")
    if spec.unaliased and not (isinstance(hva, NativeStructure) and hva.unaliased):
        able = [s.name for s in structures().values() if isinstance(s, NativeStructure) and s.unaliased]
        raise SpecError(f"strategy '{text}': {spec.hva} has no unaliased variant; {', '.join(able)} have")


def missing(text: str) -> str:
    """What a spec's structures lack on this machine, with the remedy; "" where nothing. Raises SpecError."""
    spec = parse_spec(text)
    for name in dict.fromkeys((spec.gfn, spec.hva)):
        structure = find_structure(text, name)
        if isinstance(structure, PythonStructure) and structure.missing:
            return f"{structure.name} is {structure.missing}" if structure.name != text else structure.missing
    return ""


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a strategy without building it.

    `roles` are those that its structure serves, or both where it is a combination. `missing` says what it lacks on this
    machine, with the remedy; it is empty where nothing is missing. `note` is what a strategy's row must say, and is
    empty where something is missing.
    """

    name: str
    spec: StrategySpec
    capabilities: Capabilities
    roles: tuple[Role, ...]
    missing: str
    note: str

    @property
    def family(self) -> Family:
        """The family whose strategies it is compared with."""
        return self.capabilities.family

    def refusal(self, slots: Iterable[Memslot]) -> str:
        """Why the first slot that cannot be held is refused; "" where all can be held."""
        if min(self.capabilities.limits) >= ADDRESS_LIMIT - 1:
            return ""
        return next((refusal for slot in slots if (refusal := self.capabilities.refusal(slot))), "")


def describe(text: str) -> Description:
    """A strategy's description from its name or spec. Nothing is built and no process is started. Raises SpecError."""
    spec = parse_spec(text)
    lacking = missing(text)
    gfn, hva = structures_of(text, spec)
    declared = structures().get(text)
    roles = tuple(Role) if declared is None else declared.roles
    files = _files(gfn, hva)
    if files:
        return Description(text, spec, foreign.capabilities(spec, files), roles, lacking, foreign.note_of(files))
    if isinstance(gfn, NativeStructure) and isinstance(hva, NativeStructure):
        return Description(text, spec, native.capabilities(spec, (gfn, hva)), roles, lacking, "")
    pair = _python_pair(gfn, hva)
    note = "" if lacking else python.note_of(pair)
    return Description(text, spec, python.capabilities(pair), roles, lacking, note)


def describe_available(text: str) -> Description:
    """The description of a strategy that is to be built. Raises SpecError also where it lacks something."""
    described = describe(text)
    if described.missing:
        raise SpecError(f"strategy '{text}': {described.missing}")
    return described


def structures_of(text: str, spec: StrategySpec) -> tuple[Structure | FileStructure, Structure | FileStructure]:
    """The structures that serve gfn lookups and hva visits. `text` is what messages call the strategy."""
    return find_structure(text, spec.gfn), find_structure(text, spec.hva)


def _files(*structures: Structure | FileStructure) -> list[FileStructure]:
    """The structures that come from files, each once."""
    return [structure for structure in dict.fromkeys(structures) if isinstance(structure, FileStructure)]


def _python_pair(*structures: Structure | FileStructure) -> tuple[PythonStructure, PythonStructure]:
    """Both structures, if neither comes from a file and not both are native: no spec mixes families."""
    gfn, hva = (structure for structure in structures if isinstance(structure, PythonStructure))
    return gfn, hva


def make_strategy(
    text: str,
    *,
    counted: bool = False,
    placement: str = Placement.PACKED,
    seed: int = 0,
    stride: int = 0,
    patience: float = PATIENCE,
) -> Strategy:
    """A new, empty strategy from a name or a spec. Raises SpecError.

    `counted` makes the instance that counts instead of the one that is timed; `placement` and `seed` say where a native
    strategy's slots lie in memory, and `stride` how many bytes apart (0: as its nodes need); `patience` is how many
    seconds a structure from a file may take for one answer.
    """
    spec = describe_available(text).spec
    gfn, hva = structures_of(text, spec)
    files = _files(gfn, hva)
    if files:
        return foreign.ForeignStrategy(
            text, spec, files, counted=counted, placement=placement, seed=seed, patience=patience
        )
    if isinstance(gfn, NativeStructure) and isinstance(hva, NativeStructure):
        return native.NativeStrategy(
            text, spec, (gfn, hva), counted=counted, placement=placement, seed=seed, stride=stride
        )
    return python.PythonStrategy(text, spec, _python_pair(gfn, hva), counted=counted)
