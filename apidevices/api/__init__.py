"""The management API: devices as JSON, for programs of administrators, in any application.

Every call needs a token of ours with a scope. With the extra ``openapi`` the blueprint also serves
its description, at ``/openapi.json`` and ``/docs`` below its prefix.
"""

from apidevices.api.management import blueprint

__all__ = ["blueprint"]
