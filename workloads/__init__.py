"""Layouts and activity, importers of real recordings, and the recordings that ship with the package.

The registry finds them.
"""
