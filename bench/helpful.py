"""Commands that explain themselves, and drop nothing that they are given."""

from __future__ import annotations

import click


class HelpfulGroup(click.Group):
    """A group that prints its help if no command is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])


class EachOnce(click.Command):
    """A command that refuses an option given twice, of which click drops the first; flags and repeatable ones aside."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option in given:
            if isinstance(option, click.Option) and not option.multiple and not option.is_flag:
                times = given.count(option)
                if times > 1:
                    raise click.UsageError(f"{option.opts[-1]} is given {times} times; give it once", ctx)
        return super().parse_args(ctx, args)
