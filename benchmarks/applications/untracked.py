"""The API without a hook: the baseline."""

from flask import Flask

from apidevices.standalone.settings import ServerSettings
from benchmarks.applications import new_api, new_app


def create_app(_settings: ServerSettings) -> Flask:
    """Create the application."""
    return new_app(__name__, new_api())
