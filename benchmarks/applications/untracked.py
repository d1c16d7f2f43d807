"""The API without a hook: the baseline."""

from flask import Flask

from benchmarks.applications import new_api, new_app


def create_app(_url: str = "") -> Flask:
    """Create the application."""
    return new_app(__name__, new_api())
