"""The families of strategies: strategies made of structures written in C++ or in Python.

This folder contains one module per family that runs in this process. Structures from files are in `slotlookup.foreign`.
"""
