"""The documented place of `load_result`, which reads a saved run back."""

from __future__ import annotations

from .results.load import load_result as load_result
