"""The families of strategies: how a structure written in C++ or in Python becomes a strategy.

What may come in: one module for each family that runs in this process. Structures from files have `slotlookup.foreign`.
"""
