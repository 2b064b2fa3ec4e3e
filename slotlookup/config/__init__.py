"""Configuration: the keys (`settings`), and the sources of their values (`load`).

This folder contains keys, their types, bounds and defaults. The registry decides whether a name in a value exists.
"""
