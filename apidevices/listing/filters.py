"""What the list is filtered by."""

from dataclasses import dataclass
from typing import Literal

from apidevices.listing import search
from apidevices.text import clean_text

Status = Literal["all", "active", "blocked"]


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of the list: part of a name or identifier, and the status."""

    name: str = ""
    status: Status = "all"

    def __bool__(self) -> bool:
        """Tell whether any filter is set."""
        return bool(self.name) or self.status != "all"

    @property
    def text(self) -> str:
        """The part of a name or identifier, folded as the search compares it."""
        return search.fold(clean_text(self.name))
