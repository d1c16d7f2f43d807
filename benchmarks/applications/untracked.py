"""The API without any hook: what there is to compare with."""

from flask import Flask

from apidevices.standalone.settings import ServerSettings
from benchmarks.applications import new_api, new_app


def create_app(_settings: ServerSettings) -> Flask:
    """Make the application."""
    return new_app(__name__, new_api())
