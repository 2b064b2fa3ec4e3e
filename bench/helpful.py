"""Groups of commands that explain themselves."""

from __future__ import annotations

import click


class HelpfulGroup(click.Group):
    """A group that prints its help if no command is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])
