"""Structures from files: shared libraries and Python classes that run in a process of their own.

What may come in: the two ends of that process, `parent` here and `child` over there, and what they say to each other.
"""
