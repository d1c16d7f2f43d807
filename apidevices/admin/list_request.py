"""What the URL of the device list says: filters, order and page."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from flask import request, url_for

from apidevices.errors import InvalidInput
from apidevices.listing import Cursor, Filters, Sort, sort_or_default
from apidevices.models import MAX_ID

_ACTIONS = {
    "device": ".device",
    "block": ".block_device",
    "unblock": ".unblock_device",
    "rename": ".rename_device",
    "tag": ".tag_device",
    "annotate": ".annotate_device",
    "delete": ".delete_device",
}


class DeviceURLs:
    """The URLs of devices that return to a page of the list: ``urls.block(device_id)``.

    Flask takes longer to build the URLs of a page of devices than the database to find them.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        self._parts = {}
        for name, endpoint in _ACTIONS.items():
            values = {"device_id": MAX_ID, **args}
            if name != "device":
                values["from"] = "list"
            self._parts[name] = url_for(endpoint, **values).split(str(MAX_ID), 1)

    def __getattr__(self, name: str) -> Callable[[int], str]:
        before, after = self._parts[name]
        return lambda device_id: f"{before}{device_id}{after}"


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A page of the device list. The templates build the URLs of other ones from it."""

    filters: Filters
    sort: Sort = "activity"
    cursor: Cursor | None = None

    @classmethod
    def current(cls) -> Self:
        """Return what the URL of this request says. Whatever is invalid is ignored."""
        sort = sort_or_default(request.args.get("sort"))
        try:
            cursor = Cursor.parse(request.args.get("cursor", ""), sort)
        except InvalidInput:
            cursor = None
        return cls(Filters.lenient(request.args), sort, cursor)

    @property
    def args(self) -> dict[str, Any]:
        """The query parameters, without defaults. Those of repeated parameters are lists."""
        return {**self.filter_args, **({"cursor": str(self.cursor)} if self.cursor else {})}

    @property
    def filter_args(self) -> dict[str, Any]:
        """The query parameters of the first page with these filters and this order."""
        args: dict[str, Any] = defaultdict(list)
        for name, value in self.filters.query:
            args[name].append(value)
        if self.sort != "activity":
            args["sort"] = self.sort
        return dict(args)

    def url(self, **changes: Any) -> str:
        """Return the URL of the first page with some parameters changed, or removed by None."""
        return url_for(".device_list", **{**self.filter_args, **changes})

    def page_url(self, cursor: Cursor | None) -> str:
        """Return the URL of another page."""
        return self.url(cursor=cursor)

    def sort_url(self, key: str) -> str:
        """Return the URL of the list sorted by a column; the other way round if it already is."""
        sort = f"-{key}" if self.sort == key else key
        return self.url(sort=None if sort == "activity" else sort)

    def direction(self, key: str) -> str | None:
        """Return the ``aria-sort`` of a column, or None if the list is not sorted by it."""
        if self.sort.removeprefix("-") != key:
            return None
        is_ascending = (key == "name") != self.sort.startswith("-")
        return "ascending" if is_ascending else "descending"
