"""Recordings as people paste them: what mail, terminals, logs and web pages do to text is undone, and counted.

A file is read as it is where that succeeds. Where it does not, `cleaned` takes off what is common to pastes: encodings
(UTF-16, HTML entities, quoted-printable, JSON of QEMU's monitor), quoting, time stamps of logs, indentation, blanks at
line ends, and lines wrapped at a column. Lines of other programs are left out and counted by kind. A line that holds
what only lines of the recording hold, and is not whole, is kept: it is damaged, and the importer refuses it.
"""

from __future__ import annotations

import codecs
import html
import json
import quopri
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from slotlookup.recordings.importing import LONGEST_LINE, Importer, LineRules, Source

LARGEST_PASTE = 1 << 26
"""Bytes of text that are searched for pastes. Nobody posts more, and the cleaning is far slower than an importer."""
MOST_JOINED = 8
"""Lines that one line may have been wrapped into."""
MOST_WORDS_MORE = 3
"""Words that a line may go on with which would be whole without them."""

_ENTITY = re.compile(r"&(?:quot|lt|gt|amp|nbsp|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_TAG = re.compile(r"</?(?:pre|code|p|div|br|span|tt|blockquote)\b[^>]{0,200}>", re.IGNORECASE)
_QUOTED_PRINTABLE = re.compile(r"=3[Dd]|=20$", re.MULTILINE)
_QUOTE = re.compile(r"(?:> ?)+")
_STAMPS = tuple(
    re.compile(pattern)
    for pattern in (
        r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ [^\s:\[]+(?:\[\d+\])?: ",
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? \S+ [^\s:\[]+(?:\[\d+\])?: ",
        r"\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ",
        r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ",
        r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]? +(?:\| )?",
        r"\[?\d\d:\d\d:\d\d(?:\.\d+)?\]? +(?:\| )?",
        r" *\d{1,6}[:|] ",
    )
)
_ELISION = re.compile(
    r"[\s>#*|/]*(?:\[ ?(?:\.{2,}|…|snip(?:ped)?|cut|skipped|elided|truncated|omitted)[^\]]{0,40}\]|"
    r"<(?:snip|cut)[^>]{0,40}>|"
    r"\.{3,}|…|[-=~ ]*8<[-=~ ]*|\(?(?:snip|snipped)\)?|\.{2,} ?.{0,40}(?:lines?|events?|omitted|snip).{0,20})[\s.*/]*",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*(?:```|~~~)[\w+-]*\s*|\{(?:code|noformat)[^}]{0,40}\}|\[/?(?:code|quote)[^\]]{0,40}\]")
_SEPARATOR = re.compile(r"[-=_*~]{2,}")
_PROMPT = re.compile(
    r"\(qemu\).*|QEMU \d\S* monitor .*|"
    r"(?:\[[^\]]{1,60}\]|[\w.@:~/+-]{1,80}|\([^)]{1,40}\) ?[\w.@:~/+-]{0,80})? ?[$#%\u276f] ?.*"
)
_QEMU = re.compile(r"(?:\d{4}-\S+ )?\S{0,60}qemu[^\s:]{0,60}: .*|(?:char device redirected|VNC server running) .*")
_STACK = re.compile(r"\s*=> .*|\s> (?:/|\[|\w).*")


@dataclass
class Cleaned:
    """Text with what was done to it undone.

    `numbers` are the lines of the file that each line comes from. `counted` says what was undone and left out, by line;
    `elided` are the lines that say that others were left out, with their text, and whether that was between lines of
    the recording.
    """

    lines: list[str]
    numbers: list[int]
    counted: Counter[str]
    elided: list[tuple[int, str, bool]] = field(default_factory=list)
    records: int = 0
    open_end: bool = False

    def source(self, source: Source) -> Source:
        """The same as a file to read."""
        head = "\n".join([*self.lines, ""]).encode()
        return replace(source, head=head, more=False, numbers=tuple(self.numbers), open_end=self.open_end)


Numbered = list[tuple[int, str]]


def decoded(source: Source) -> tuple[Numbered, Counter[str], bool]:
    """The file's numbered lines with encodings undone, what was undone, and whether the last line has no end.

    Raises InputFileError where it is no text.
    """
    counted: Counter[str] = Counter()
    data = source.data
    for mark, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
        (codecs.BOM_UTF8, "utf-8-sig"),
    ):
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                raise source.fault(None, f"begins as {encoding} text and is not; the file is damaged") from None
            counted[f"lines of {encoding.removesuffix('-sig').upper()} text with a byte order mark"] = text.count("\n")
            break
    else:
        text = "\n".join(source.lines) + ("" if source.unterminated else "\n")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    long = next((number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE), None)
    if long is not None:
        raise source.fault(long, f"a line of more than {LONGEST_LINE:,} characters; the file is damaged")
    open_end = lines[-1] != ""
    if not open_end:
        lines.pop()
    numbered = list(enumerate(lines, 1))
    numbered = _undo_quoted_printable(numbered, text, counted)
    numbered = _undo_html(numbered, text, counted)
    return _undo_json(numbered, counted), counted, open_end


def _undo_quoted_printable(lines: Numbered, text: str, counted: Counter[str]) -> Numbered:
    if not _QUOTED_PRINTABLE.search(text):
        return lines
    out: Numbered = []
    joined = ""
    first = 0
    for number, line in lines:
        first = first if joined else number
        if line.endswith("=") and not line.endswith("=="):
            rest = _QUOTE.match(line)
            joined += line[:-1] if not joined or rest is None else line[rest.end() : -1]
            counted["lines of quoted-printable text"] += 1
            continue
        out.append((first, quopri.decodestring((joined + line).encode()).decode("utf-8", "replace")))
        joined = ""
        if "=3" in line:
            counted["lines of quoted-printable text"] += 1
    if joined:
        out.append((first, joined))
    return out


def _undo_html(lines: Numbered, text: str, counted: Counter[str]) -> Numbered:
    if not (_ENTITY.search(text) or _TAG.search(text)):
        return lines
    out: Numbered = []
    for number, line in lines:
        plain = html.unescape(_TAG.sub("", line)).replace("\xa0", " ")
        if plain != line:
            counted["lines of HTML"] += 1
            if not plain.strip():
                continue
        out.append((number, plain))
    return out


def _undo_json(lines: Numbered, counted: Counter[str]) -> Numbered:
    """The text that a monitor's command answered, out of the JSON around it."""
    out: Numbered = []
    for number, line in lines:
        begin = line.find('{"')
        answer: object = None
        if begin >= 0 and line.rstrip().endswith("}"):
            try:
                answer = json.loads(line[begin:])
            except (ValueError, RecursionError):
                answer = None
        if not isinstance(answer, dict):
            out.append((number, line))
            continue
        counted["lines of JSON"] += 1
        told = answer.get("return")
        if isinstance(told, str):
            out += ((number, part) for part in told.replace("\r\n", "\n").split("\n"))
    return out


def cleaned(lines: Numbered, counted: Counter[str], open_end: bool, rules: LineRules) -> Cleaned:
    """The lines of one form out of decoded text."""
    counted = counted.copy()
    bare = [(number, _bare(line, rules, counted)) for number, line in lines]
    if rules.columns:
        bare = _dedented(bare, rules, counted)
    joined = _joined(bare, rules, counted)
    out = Cleaned([], [], counted)
    pending: list[tuple[int, str]] = []
    inside = False
    last = bare[-1][0] if bare else 0
    for number, line, upto in joined:
        if _ELISION.fullmatch(line):
            counted["lines that say that others were left out"] += 1
            pending.append((number, "".join(c if c.isprintable() else "?" for c in line.strip())))
            continue
        kind = "" if rules.whole(line) else _kind(line, rules, open_end and upto == last)
        if kind:
            counted[kind] += 1
            continue
        record = rules.begins.match(line) is not None
        out.records += record
        out.elided += ((at, text, inside and record) for at, text in pending)
        pending = []
        inside = record
        out.lines.append(line)
        out.numbers.append(number)
        out.open_end = open_end and upto == last
    out.elided += ((at, text, False) for at, text in pending)
    return out


def _bare(line: str, rules: LineRules, counted: Counter[str]) -> str:
    """A line without quoting, stamps and blanks at its end, where what is left is the recording's."""
    text = line.rstrip()
    if len(text) < len(line) and text:
        counted["lines with blanks at their end"] += 1
    if rules.whole(text) or _ELISION.fullmatch(text):
        return text
    quote = _QUOTE.match(text)
    if quote is not None:
        counted["quoted lines"] += 1
        # One blank belongs to the mark: a map's lines begin with more.
        text = text[quote.end() :]
    stripped = text if rules.columns else text.lstrip()
    if rules.begins.match(stripped) or rules.whole(stripped):
        if stripped != text:
            counted["indented lines"] += 1
        return stripped
    for stamp in _STAMPS:
        found = stamp.match(f"{stripped} ")
        if found is not None:
            rest = stripped[found.end() :]
            if not rest or rules.begins.match(rest) or rules.whole(rest):
                counted["lines with another log's time before them"] += 1
                return rest
    return text


def _dedented(lines: Numbered, rules: LineRules, counted: Counter[str]) -> Numbered:
    """Lines less the indentation with which the most of them are whole."""
    depths = Counter(len(line) - len(line.lstrip(" \t")) for _, line in lines if line.strip())
    if len(depths) < 1:
        return lines
    least = min(depths)
    best, most = 0, sum(rules.whole(line) for _, line in lines)
    for depth in sorted({d - k for d in depths for k in range(4) if d - k > 0} | {least})[:64]:
        fits = sum(rules.whole(line[depth:]) for _, line in lines if not line[:depth].strip())
        if fits > most:
            best, most = depth, fits
    if not best:
        return lines
    counted["indented lines"] += most
    return [(number, line[best:] if not line[:best].strip() else line) for number, line in lines]


def _joined(lines: Numbered, rules: LineRules, counted: Counter[str]) -> list[tuple[int, str, int]]:
    """Lines that were wrapped, whole again: the number of the first, the text, and the number of the last."""
    out: list[tuple[int, str, int]] = []
    at = 0
    while at < len(lines):
        number, line = lines[at]
        if not line.strip():
            counted["blank lines"] += 1
            at += 1
            continue
        taken = 1
        if rules.begins.match(line):
            line, taken = _continued(lines, at, rules)
        if taken > 1:
            counted["lines that were wrapped"] += taken - 1
        out.append((number, line, lines[at + taken - 1][0]))
        at += taken
    return out


def _continued(lines: Numbered, at: int, rules: LineRules) -> tuple[str, int]:
    """The longest whole line that begins at `at`, and how many lines it was wrapped into."""
    first = lines[at][1]
    width = max(len(line) for _, line in lines[max(at - 40, 0) : at + 40])
    best = (first, 1)
    held = rules.whole(first)
    texts = [first]
    for taken in range(2, MOST_JOINED + 1):
        if at + taken > len(lines):
            break
        before, line = lines[at + taken - 2][1], lines[at + taken - 1][1]
        more = line.strip()
        if (
            not more
            or rules.begins.match(line)
            or _FENCE.fullmatch(line)
            or _PROMPT.fullmatch(line)
            or _ELISION.fullmatch(line)
        ):
            break
        words = more.split()
        if held and (len(words) > MOST_WORDS_MORE or len(before) + 1 + len(words[0]) <= width):
            break  # it would have fitted on the line before, so nothing wrapped it; or it is prose
        # A mail wraps at a blank, a terminal in the middle of a word.
        texts = [text + glue + more for glue in (" ", "") for text in texts][:64]
        whole = next((text for text in texts if rules.whole(text)), None)
        if whole is not None:
            best, held, texts = (whole, taken), True, [whole]
        elif held:
            break
    return best


def _kind(line: str, rules: LineRules, cut: bool) -> str:
    """What a line of other programs is; "" for one that is a damaged line of the recording."""
    if _FENCE.fullmatch(line):
        return "code fences"
    if _SEPARATOR.fullmatch(line.strip()):
        return "separators"
    if rules.begins.match(line) is None:
        if _QEMU.fullmatch(line):
            return "messages of QEMU"
        if _PROMPT.fullmatch(line):
            return "prompts and commands"
        if _STACK.fullmatch(line):
            return "lines of stack traces"
    if rules.damaged.search(line):
        return ""
    return "lines of other programs or prose"


def nearest(lines: Numbered, known: Sequence[Importer]) -> tuple[Importer, int, str] | None:
    """The form that the text looks most like, and its first line that does not fit."""
    best: tuple[int, Importer, int, str] | None = None
    for importer in known:
        rules = importer.lines
        if rules is None:
            continue
        like = [(number, line) for number, line in lines if rules.damaged.search(line) and not rules.whole(line)]
        if like and (best is None or len(like) > best[0]):
            best = (len(like), importer, *like[0])
    return None if best is None else best[1:]
