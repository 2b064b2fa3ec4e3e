"""The conformance suite: the answers and invariants required of every strategy, including third-party ones.

This folder contains checks that hold for all strategies. A check of a single structure belongs to its tests.
"""
