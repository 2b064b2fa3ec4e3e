"""The history of a project's runs: one file per run in a folder that is kept in git, and what changed between them."""
