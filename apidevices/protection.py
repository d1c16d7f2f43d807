"""Decide which requests are checked: those to protected blueprints and path prefixes."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from flask import Blueprint, Flask, Request
from flask.sansio.blueprints import Blueprint as SansioBlueprint
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import BaseConverter, Map, MapAdapter, RequestRedirect, Rule

EXEMPT = "_apidevices_exempt"
"""The attribute that marks a view as exempt from checks."""

_PLAIN_PREFIX = re.compile(r"(?!.*//)[^<>*?#%\s\x00-\x1f\x7f]*")

_PREFIXES = "apidevices_prefixes"
"""The key in ``app.extensions`` of the blueprints' prefixes: registered name -> URL prefix."""

View = TypeVar("View", bound=Callable[..., Any])


class OwnBlueprint(Blueprint):
    """A blueprint of this package. It does its own checks."""

    enable_openapi = False  # APIFlask reads this from every blueprint that has hooks


def exempt(view: View) -> View:
    """Exempt a view from checks."""
    setattr(view, EXEMPT, True)
    return view


class Protected:
    """The blueprints and path prefixes that an ``APIDevices`` object protects."""

    def __init__(self) -> None:
        self.prefixes: set[str] = set()
        self.blueprints: dict[int, Blueprint] = {}  # by id(): several may share a name
        self.size = 0  # of both together; stored, because every request reads it
        self._apps: WeakSet[Flask] = WeakSet()

    def add(self, *targets: Blueprint | str) -> None:
        """Protect blueprints and path prefixes. Idempotent.

        Raises:
            TypeError: A target is neither a blueprint nor a string.
            ValueError: A prefix contains variables, wildcards, a query or a fragment.
            RuntimeError: A blueprint is already registered.
        """
        for target in targets:
            if isinstance(target, Blueprint):
                for app in self._apps:
                    _require_recorded_prefix(app, target)
            elif not isinstance(target, str):
                raise TypeError(f"protect() takes blueprints and path prefixes, not {target!r}")
            elif not _PLAIN_PREFIX.fullmatch(target):
                raise ValueError(f"Not a plain path prefix such as '/api': {target!r}")
        for target in targets:
            if isinstance(target, Blueprint):
                _record_prefix_when_registered(target)
                self.blueprints[id(target)] = target
            else:
                self.prefixes.add(target)
        self.size = len(self.prefixes) + len(self.blueprints)

    def connect(self, app: Flask) -> "Protection":
        """Return the protection of one application; later calls to ``add`` apply to it as well.

        Raises:
            RuntimeError: A protected blueprint was registered before it was protected.
        """
        for blueprint in self.blueprints.values():
            _require_recorded_prefix(app, blueprint)
        self._apps.add(app)
        return Protection(app, self)


def _record_prefix_when_registered(blueprint: SansioBlueprint) -> None:
    if _record_prefix not in blueprint.deferred_functions:
        # ``Blueprint.record`` raises if any application has already registered the blueprint.
        blueprint.deferred_functions.append(_record_prefix)


def _record_prefix(setup: BlueprintSetupState) -> None:
    """Remember a blueprint's URL prefix, which Flask passes here but does not store."""
    name = f"{setup.name_prefix}.{setup.name}".lstrip(".")
    setup.app.extensions.setdefault(_PREFIXES, {})[name] = setup.url_prefix or ""
    for nested, _ in setup.blueprint._blueprints:  # Flask registers these next
        _record_prefix_when_registered(nested)


def _require_recorded_prefix(app: Flask, blueprint: Blueprint) -> None:
    """Raise RuntimeError if an application registered a blueprint before it was protected.

    Its prefix is unknown then, so requests to unknown paths below it would not be checked.
    """
    for name, registered in app.blueprints.items():
        if registered is blueprint and name not in app.extensions.get(_PREFIXES, ()):
            raise RuntimeError(
                f"The blueprint {name!r} was registered before it was protected. Call protect()"
                " before register_blueprint(), or protect its path prefix instead, as in"
                " protect('/api')."
            )


class AnyPath(BaseConverter):
    """Any path, including line breaks and repeated slashes."""

    regex = "(?s:.*)"
    part_isolating = False


class _Scope(NamedTuple):
    """The protected part of an application's URL map, prepared for matching requests."""

    size: int  # number of protected targets and registered blueprints, to detect changes
    prefixes: tuple[str, ...]
    names: frozenset[str]  # registered names of protected blueprints
    own_names: frozenset[str]  # registered names of this package's blueprints
    all_prefixes: tuple[str, ...]  # including those of protected blueprints
    variable_prefixes: MapAdapter  # prefixes such as /<tenant>/api


class Protection:
    """The protected part of one application.

    The application must register protected blueprints before its first request. Targets can be
    added at any time.
    """

    def __init__(self, app: Flask, protected: Protected) -> None:
        self._app = app
        self._protected = protected
        self._scope: _Scope | None = None

    def covers(self, request: Request) -> bool:
        """Return whether a request must be checked."""
        scope = self._scope
        if scope is None or scope.size != self._protected.size + len(self._app.blueprints):
            scope = self._scope = self._make_scope()
        path = f"{request.path}/"
        if request.url_rule is None:
            return (
                path.startswith(scope.all_prefixes)
                or scope.variable_prefixes.test(request.path)
                or self._matches_other_method(request, scope)
            )
        if request.blueprint in scope.own_names:
            return False
        if not (path.startswith(scope.prefixes) or not scope.names.isdisjoint(request.blueprints)):
            return False
        view = self._app.view_functions[request.url_rule.endpoint]
        if EXEMPT in getattr(view, "__dict__", ()):
            return False
        # Exempting a view class does not exempt its subclasses.
        view_class = getattr(view, "view_class", None)
        return view_class is None or EXEMPT not in view_class.__dict__

    def _make_scope(self) -> _Scope:
        protected, app = self._protected, self._app
        size = protected.size + len(app.blueprints)
        names = frozenset(
            name
            for name, registered in app.blueprints.items()
            if id(registered) in protected.blueprints
        )
        # Omit a blueprint without a prefix: unknown paths may belong to another one.
        blueprint_prefixes = {
            prefix.strip("/")
            for name, prefix in app.extensions.get(_PREFIXES, {}).items()
            if prefix.strip("/") and _is_within(name, names)
        }
        plain = {prefix for prefix in blueprint_prefixes if "<" not in prefix}
        prefixes = {prefix.strip("/") for prefix in protected.prefixes}
        variable = Map(
            [
                Rule(f"/{prefix}/{rest}", endpoint=prefix)
                for prefix in blueprint_prefixes - plain
                for rest in ("", "<apidevices_rest:rest>")
            ],
            converters={**app.url_map.converters, "apidevices_rest": AnyPath},
            merge_slashes=False,
        )
        return _Scope(
            size,
            tuple(map(_with_slashes, prefixes)),
            names,
            frozenset(
                name
                for name, registered in app.blueprints.items()
                if isinstance(registered, OwnBlueprint)
            ),
            tuple(map(_with_slashes, prefixes | plain)),
            variable.bind(""),
        )

    def _matches_other_method(self, request: Request, scope: _Scope) -> bool:
        """Return whether a protected view has this path but does not allow this method."""
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
    """Return whether a blueprint is one of these or nested in one; all by registered name."""
    return any(f"{blueprint}.".startswith(f"{name}.") for name in names)


def _with_slashes(prefix: str) -> str:
    return f"/{prefix}/" if prefix else "/"
