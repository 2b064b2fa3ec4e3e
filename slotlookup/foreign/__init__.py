"""Structures from files: shared libraries and Python classes that run in a process of their own.

This folder contains both ends of the communication: `parent` in this process, `child` in the other, and their protocol.
"""
