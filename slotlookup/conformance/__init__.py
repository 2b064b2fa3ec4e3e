"""The conformance suite: what every strategy must answer and keep, whoever wrote it.

What may come in: checks that hold for all strategies. A check of one structure is a test of that structure.
"""
