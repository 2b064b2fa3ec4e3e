"""The words of results: figures with three digits, lists, and what the rows of a table are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def significant(value: float | None, digits: int = 3) -> str:
    """A figure with `digits` significant digits; from 1,000 on, a grouped whole number."""
    if value is None:
        return "n/a"
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 1000:
        return f"{value:,.0f}"
    text = f"{rounded:g}"
    return text if "e" not in text else f"{value:.6f}"


def enumerated(names: Sequence[str]) -> str:
    """Names as a list in a sentence: "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def what_rows_are(rows: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """A sentence that explains rows (name, uses, strategies); "" if their names are sufficient."""
    clauses: list[str] = []
    for name, uses, strategies in rows:
        # Of two structures, the one after which a strategy is named gives the row its name.
        plain = uses.split(" + ") if " + " in uses else []
        others = [strategy for strategy in strategies if strategy != name and strategy not in plain]
        if uses != name:
            alike = f", as {'do' if len(others) > 1 else 'does'} {enumerated(others)}" if others else ""
            clauses.append(f"{name} uses {uses}{alike}")
        elif others:
            clauses.append(f"{name} {'also ' if name in strategies else ''}serves {enumerated(others)}")
    return "; ".join(clauses) + "." if clauses else ""
