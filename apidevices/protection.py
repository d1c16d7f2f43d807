"""Which requests of an application are checked: what `protect` was given, and where that is."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from flask import Blueprint, Flask, Request
from flask.sansio.blueprints import Blueprint as SansioBlueprint
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import Map, MapAdapter, RequestRedirect, Rule

EXEMPT = "_apidevices_exempt"
"""The attribute of a view that is not checked."""

_OURS = ("apidevices", "apidevices_api", "apidevices_gate")  # which have checks of their own

_PLAIN_PREFIX = re.compile(r"[^<>*?#]*")

_PREFIXES = "apidevices_prefixes"
"""The key of ``app.extensions`` for the prefix of each registration: registered name -> prefix."""

View = TypeVar("View", bound=Callable[..., Any])


def exempt(view: View) -> View:
    """Let requests of a view through unchecked."""
    setattr(view, EXEMPT, True)
    return view


class Protected:
    """What an extension protects in each of its applications: blueprints, and prefixes of paths."""

    def __init__(self) -> None:
        self.prefixes: set[str] = set()
        self.blueprints: dict[int, Blueprint] = {}  # by identity: equal names mean nothing
        self._apps: WeakSet[Flask] = WeakSet()

    def __len__(self) -> int:
        return len(self.prefixes) + len(self.blueprints)

    def add(self, *what: Blueprint | str) -> None:
        """Protect blueprints and prefixes; what is protected already stays so.

        Raises:
            TypeError: it is neither.
            ValueError: it is no plain prefix.
            RuntimeError: the blueprint was registered before.
        """
        for part in what:
            if isinstance(part, Blueprint):
                for app in self._apps:
                    _refuse_if_late(app, part)
            elif not isinstance(part, str):
                raise TypeError(f"This can't be protected, only blueprints and prefixes: {part!r}")
            elif not _PLAIN_PREFIX.fullmatch(part):
                raise ValueError(f"This is no plain prefix of paths: {part!r}")
        for part in what:
            if isinstance(part, Blueprint):
                _record_prefix_of(part)
                self.blueprints[id(part)] = part
            else:
                self.prefixes.add(part)

    def connect(self, app: Flask) -> "Protection":
        """Return the protection of one application, and hold it to what is protected later.

        Raises:
            RuntimeError: a protected blueprint was registered before it was protected.
        """
        for blueprint in self.blueprints.values():
            _refuse_if_late(app, blueprint)
        self._apps.add(app)
        return Protection(app, self)


def _record_prefix_of(blueprint: SansioBlueprint) -> None:
    if _record_prefix not in blueprint.deferred_functions:
        # Not by ``record``, which refuses a blueprint that any application has registered before.
        blueprint.deferred_functions.append(_record_prefix)


def _record_prefix(setup: BlueprintSetupState) -> None:
    """Note where a blueprint is registered: Flask hands over the prefix, and doesn't keep it."""
    name = f"{setup.name_prefix}.{setup.name}".lstrip(".")
    setup.app.extensions.setdefault(_PREFIXES, {})[name] = setup.url_prefix or ""
    for nested, _ in setup.blueprint._blueprints:  # Flask registers these next
        _record_prefix_of(nested)


def _refuse_if_late(app: Flask, blueprint: Blueprint) -> None:
    """Raise RuntimeError if an application has a blueprint from before it was protected.

    Then nobody knows its prefix, so unknown paths beneath it would pass unchecked.
    """
    for name, registered in app.blueprints.items():
        if registered is blueprint and name not in app.extensions.get(_PREFIXES, ()):
            raise RuntimeError(
                f"The blueprint {name!r} was registered before it was protected. Call protect()"
                " before register_blueprint(), or protect the prefix of its paths instead, as in"
                " protect('/api')."
            )


class _Scope(NamedTuple):
    """What is protected in an application, ready to be matched against requests."""

    size: int  # how much it was made of
    prefixes: tuple[str, ...]
    names: frozenset[str]  # under which protected blueprints are registered
    prefixes_of_all: tuple[str, ...]  # with those of the blueprints
    with_variables: MapAdapter  # prefixes such as /<tenant>/api


class Protection:
    """The protected part of one application.

    What the application has registered when its first request comes is what counts, as Flask has
    it; more may be protected at any time.
    """

    def __init__(self, app: Flask, protected: Protected) -> None:
        self._app = app
        self._protected = protected
        self._scope: _Scope | None = None

    def covers(self, request: Request) -> bool:
        """Tell whether a request is to be checked."""
        scope = self._scope
        if scope is None or scope.size != len(self._protected) + len(self._app.blueprints):
            scope = self._scope = self._make_scope()
        path = f"{request.path}/"
        if request.url_rule is None:
            return (
                path.startswith(scope.prefixes_of_all)
                or scope.with_variables.test(request.path)
                or self._is_beside_a_view(request, scope)
            )
        if request.blueprint in _OURS:
            return False
        if not (path.startswith(scope.prefixes) or not scope.names.isdisjoint(request.blueprints)):
            return False
        view = self._app.view_functions[request.url_rule.endpoint]
        # Said of the class itself, not of one that it inherits from.
        declared = (view, getattr(view, "view_class", None))
        return not any(EXEMPT in getattr(part, "__dict__", ()) for part in declared)

    def _make_scope(self) -> _Scope:
        protected, app = self._protected, self._app
        size = len(protected) + len(app.blueprints)
        names = frozenset(
            name
            for name, registered in app.blueprints.items()
            if id(registered) in protected.blueprints
        )
        # A blueprint at the root has no prefix of its own: a path there may be anybody's.
        of_blueprints = {
            prefix.strip("/")
            for name, prefix in app.extensions.get(_PREFIXES, {}).items()
            if prefix.strip("/") and _is_within(name, names)
        }
        plain = {prefix for prefix in of_blueprints if "<" not in prefix}
        prefixes = {prefix.strip("/") for prefix in protected.prefixes}
        variable = Map(
            [
                Rule(f"/{prefix}/{rest}", endpoint=prefix)
                for prefix in of_blueprints - plain
                for rest in ("", "<path:apidevices_rest>")
            ],
            converters=app.url_map.converters,
        )
        return _Scope(
            size,
            tuple(map(_with_slashes, prefixes)),
            names,
            tuple(map(_with_slashes, prefixes | plain)),
            variable.bind(""),
        )

    def _is_beside_a_view(self, request: Request, scope: _Scope) -> bool:
        """Tell whether a protected view has this path, but not this method."""
        error = request.routing_exception
        adapter = self._app.create_url_adapter(request)
        if not isinstance(error, MethodNotAllowed) or adapter is None:
            return False
        for method in error.valid_methods or ():
            try:
                endpoint, _ = adapter.match(method=method)
            except RequestRedirect:
                continue
            if _is_within(endpoint.rpartition(".")[0], scope.names):
                return True
        return False


def _is_within(blueprint: str, names: frozenset[str]) -> bool:
    """Tell whether a registered name is one of these, or nested in one."""
    return any(f"{blueprint}.".startswith(f"{name}.") for name in names)


def _with_slashes(prefix: str) -> str:
    return f"/{prefix}/" if prefix else "/"
