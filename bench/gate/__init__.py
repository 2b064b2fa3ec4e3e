"""The gate: its suite, the comparison of new counts and times with a baseline, the judgement, and its output formats.

This folder contains code that decides or explains whether a check passes.
"""
