"""Times as options of commands."""

from datetime import datetime
from typing import Any

import click

from apidevices.clock import parse_rfc3339


class Moment(click.ParamType[datetime]):
    """A time: RFC 3339 with a time zone."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time that a text means."""
        try:
            return value if isinstance(value, datetime) else parse_rfc3339(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
