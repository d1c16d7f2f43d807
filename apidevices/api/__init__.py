"""The management API, a JSON API that administrators can use from their programs.

Every request needs an API Devices token with a scope. With the extra ``openapi`` the blueprint also
serves an OpenAPI document at ``/openapi.json`` and a page that renders it at ``/docs``.
"""

from apidevices.api.management import blueprint

__all__ = ["blueprint"]
