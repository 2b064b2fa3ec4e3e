"""The gate: its suite, new counts and times beside a baseline, the judgement, and its forms for people and for CI.

What may come in: what decides or explains whether a check passes.
"""
