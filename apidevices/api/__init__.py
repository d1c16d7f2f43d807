"""The management API, a JSON API that administrators can use from their programs.

Every request needs an API Devices token with a scope. With the extra ``openapi`` the blueprint also
serves an OpenAPI document at ``/openapi.json`` and a page that renders it at ``/docs``.
"""

from importlib.util import find_spec

from apidevices.api import activity, bulk, management, marks, merging, overview, storage
from apidevices.api.frame import blueprint

__all__ = ["activity", "blueprint", "bulk", "management", "marks", "merging", "overview", "storage"]

if find_spec("openapi_pydantic"):  # the extra "openapi"
    from apidevices.api import openapi

    blueprint.add_url_rule("/openapi.json", view_func=openapi.document)
    blueprint.add_url_rule("/docs", view_func=openapi.docs)
