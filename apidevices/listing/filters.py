"""The filters of the list."""

from dataclasses import dataclass
from typing import Literal

from apidevices.listing import search
from apidevices.text import clean_text

Status = Literal["all", "active", "blocked"]


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters by status and by part of the name or identifier."""

    name: str = ""
    status: Status = "all"

    def __bool__(self) -> bool:
        """Return whether any filter is set."""
        return bool(self.name) or self.status != "all"

    @property
    def text(self) -> str:
        """The name filter, folded like search keys."""
        return search.fold(clean_text(self.name))
