"""Layouts and activity, importers of real recordings, and the recordings that ship; found by the registry."""
