"""Advice: a search through all combinations of structures, caches and update disciplines for the cheapest under a mix.

Costs of parts are added; the best few combinations are then built and measured whole.
"""
