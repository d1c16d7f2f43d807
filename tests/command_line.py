"""Runs ``flask apidevices …`` in the test's own process."""

import json
from typing import Any

from click.testing import Result
from flask import Flask


class Cli:
    """The command line of an application."""

    def __init__(self, app: Flask) -> None:
        self._runner = app.test_cli_runner()

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        return self._runner.invoke(args=["apidevices", *arguments], input=stdin)

    def succeed(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the output of a command that must succeed."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.succeed(*arguments, "--json"))

    def fail(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the one line on stderr of a command that must fail."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        [line] = result.stderr.splitlines()
        return line
