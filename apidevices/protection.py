"""Which requests of an application are checked."""

from collections.abc import Callable, Sequence
from posixpath import commonpath
from typing import Any, TypeVar

from flask import Blueprint, Flask, Request
from werkzeug.exceptions import MethodNotAllowed

EXEMPT = "_apidevices_exempt"
"""The attribute of a view that is not checked."""

_OURS = ("apidevices", "apidevices_api", "apidevices_gate")  # which have checks of their own

View = TypeVar("View", bound=Callable[..., Any])


def exempt(view: View) -> View:
    """Let requests of a view through unchecked."""
    setattr(view, EXEMPT, True)
    return view


class Protection:
    """The protected part of an application: blueprints, and prefixes of paths.

    What an application has registered when its first request comes is what counts, as Flask has it.
    """

    def __init__(self, app: Flask, protected: Sequence[Blueprint | str]) -> None:
        self._app = app
        self._protected = protected
        self._known = -1  # how many of these the rest was read from

    def _read(self) -> None:
        self._known = len(self._protected)
        self._prefixes = tuple(
            f"/{prefix.strip('/')}/" if prefix.strip("/") else "/"
            for prefix in self._protected
            if isinstance(prefix, str)
        )
        # The names under which protected blueprints are registered.
        self._blueprints = frozenset(
            name
            for name, registered in self._app.blueprints.items()
            if any(registered is part for part in self._protected)
        )
        # Below these a path without a view is checked, too. Where a blueprint was registered is
        # nowhere kept, and shows in what its paths have in common.
        of_blueprints = (self._common_prefix(name) for name in self._blueprints)
        self._all_prefixes = (*self._prefixes, *(found for found in of_blueprints if found != "/"))

    def covers(self, request: Request) -> bool:
        """Tell whether a request is to be checked."""
        if self._known != len(self._protected):
            self._read()
        path = f"{request.path}/"
        if request.url_rule is None:
            return path.startswith(self._all_prefixes) or self._is_beside_a_view(request)
        if request.blueprint in _OURS:
            return False
        if not (
            path.startswith(self._prefixes) or not self._blueprints.isdisjoint(request.blueprints)
        ):
            return False
        view = self._app.view_functions[request.url_rule.endpoint]
        # Said of the class itself, not of one that it inherits from.
        declared = (view, getattr(view, "view_class", None))
        return not any(EXEMPT in getattr(part, "__dict__", ()) for part in declared)

    def _is_beside_a_view(self, request: Request) -> bool:
        """Tell whether a protected view has this path, but not this method."""
        error = request.routing_exception
        if not isinstance(error, MethodNotAllowed) or not error.valid_methods:
            return False
        adapter = self._app.create_url_adapter(request)
        if adapter is None:
            return False
        method = next(iter(error.valid_methods))
        endpoint, _ = adapter.match(method=method)
        blueprint = endpoint.rpartition(".")[0]
        return any(f"{blueprint}.".startswith(f"{name}.") for name in self._blueprints)

    def _common_prefix(self, name: str) -> str:
        paths = [
            rule.rule.partition("<")[0]
            for rule in self._app.url_map.iter_rules()
            if f"{rule.endpoint.rpartition('.')[0]}.".startswith(f"{name}.")
        ]
        declared = (self._app.blueprints[name].url_prefix or "").rstrip("/") + "/"
        if declared != "/" and all(f"{path}/".startswith(declared) for path in paths):
            return declared
        return commonpath(paths).rstrip("/") + "/" if paths else "/"
