"""A check's outcome for continuous integration: GitHub's commands and step summary, and JUnit's XML."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from .formats import describe, markdown, sentences, stale_sentence
from .judge import Outcome, Row, Verdict

MOST_ANNOTATIONS = 10
"""The maximum number of annotations per level and step; GitHub drops the rest."""
SUMMARY_BYTES = 1024 * 1024
"""The maximum size of the summary of one step; GitHub drops a larger one entirely."""

Annotation = tuple[str, str, int | None]
"""Title, message and line."""


def escape_data(text: str) -> str:
    """Text as a workflow command's message. The percent sign is escaped first, as the other escapes contain one."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Text as the value of a workflow command's property."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def annotation(level: str, message: str, title: str, file: str | None = None, line: int | None = None) -> str:
    """One workflow command."""
    properties = {"file": file, "line": None if line is None or file is None else str(line), "title": title}
    given = ",".join(f"{key}={escape_property(value)}" for key, value in properties.items() if value is not None)
    return f"::{level} {given}::{escape_data(message)}"


def github(outcome: Outcome, file: str | None, lines: Mapping[tuple[str, ...], int]) -> str:
    """Workflow commands, at most MOST_ANNOTATIONS of each level; the last gives the total number.

    `file` is the baseline within the repository, None if it is outside; `lines` are those of its groups.
    """

    def of_row(row: Row) -> Annotation:
        return f"slotlookup: {row.verdict.value}", describe(row), lines.get(row.place)

    errors: list[Annotation] = [("slotlookup: wrong answer", f"{f.where}: {f.message}", None) for f in outcome.faults]
    errors += [of_row(row) for row in outcome.of(Verdict.REGRESSION)]
    for problem in outcome.problems:
        errors.append(("slotlookup: not comparable", problem.message, None))
    commands = _limited("error", errors, file)
    commands += _limited("warning", [of_row(row) for row in outcome.of(Verdict.NOISY)], file)
    if outcome.of(Verdict.CHEAPER):
        commands.append(annotation("notice", stale_sentence(outcome), "slotlookup: the baseline is stale", file))
    elif not errors:
        commands.append(annotation("notice", " ".join(sentences(outcome)), "slotlookup: passed"))
    return "".join(f"{command}\n" for command in commands)


def _limited(level: str, found: list[Annotation], file: str | None) -> list[str]:
    shown = found if len(found) <= MOST_ANNOTATIONS else found[: MOST_ANNOTATIONS - 1]
    commands = [annotation(level, message, title, file, line) for title, message, line in shown]
    if len(shown) < len(found):
        words = f"and {len(found) - len(shown):,} more; the summary of this step lists all"
        commands.append(annotation(level, words, "slotlookup: more", file))
    return commands


def within_repository(path: Path, environment: Mapping[str, str]) -> str | None:
    """The path relative to the root of the repository that GitHub checked out, as annotations require."""
    root = Path(environment.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    real = path.resolve()
    return real.relative_to(root).as_posix() if real.is_relative_to(root) else None


def append_summary(outcome: Outcome, environment: Mapping[str, str]) -> str | None:
    """Append the full outcome to the step's summary, within its maximum size. Returns an error message, if any.

    It does not raise, because a summary that cannot be written must not lose the verdict.
    """
    name = environment.get("GITHUB_STEP_SUMMARY")
    if not name:
        return None
    try:
        held = os.stat(name).st_size if os.path.exists(name) else 0  # noqa: PTH110, PTH116
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(markdown(outcome, limit=SUMMARY_BYTES - held))
    except OSError as error:
        return f"{name}: the step's summary cannot be written: {error.strerror or error}"
    return None


def junit(outcome: Outcome) -> str:
    """JUnit's XML: one test case per workload, strategy and role, and one per gated time.

    A regression is a failure; a wrong answer and a figure that cannot be compared are errors; noisy times are skipped.
    """
    suite = ElementTree.Element("testsuite", name="slotlookup check")
    cases: dict[tuple[str, str], ElementTree.Element] = {}

    def case(workload: str, name: str) -> ElementTree.Element:
        if (workload, name) not in cases:
            attributes = {"classname": xml_text(workload), "name": xml_text(name)}
            cases[workload, name] = ElementTree.SubElement(suite, "testcase", attributes)
        return cases[workload, name]

    def tell(where: ElementTree.Element, tag: str, kind: str, lines: list[str]) -> None:
        attributes = {"message": xml_text(lines[0]), **({"type": kind} if tag != "skipped" else {})}
        ElementTree.SubElement(where, tag, attributes).text = xml_text("\n".join(lines))

    for workload, strategy, role in outcome.groups:
        case(workload, f"{strategy} {role}")
    worse: dict[tuple[str, str], list[str]] = {}
    for row in outcome.rows:
        name = f"{row.strategy} {row.role}"
        if row.against is not None:
            name += f" {row.metric} against {row.against}"
        where = case(row.workload, name)
        if row.verdict is Verdict.REGRESSION:
            worse.setdefault((row.workload, name), []).append(describe(row))
        elif row.verdict is Verdict.NOISY:
            tell(where, "skipped", "", [describe(row)])
    for (workload, name), lines in worse.items():
        tell(case(workload, name), "failure", "regression", lines)
    for fault in outcome.faults:
        tell(
            case(fault.workload or "conformance", f"{fault.strategy} answers"), "error", "wrong answer", [fault.message]
        )
    for i, problem in enumerate(outcome.problems, 1):
        # One case per message, as readers of JUnit files show only one message per case.
        tell(case(problem.workload or "baseline", f"comparable {i}"), "error", "not comparable", [problem.message])
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Text in which characters that XML forbids are replaced by their Python escapes."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
