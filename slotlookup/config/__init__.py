"""Configuration: which keys there are (`settings`), and where their values come from (`load`).

What may come in: keys, their types, bounds and defaults. Whether a name in a value exists is for the registry to say.
"""
