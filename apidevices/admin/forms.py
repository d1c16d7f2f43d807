"""The forms: what each accepts, and how the filters become a query string again."""

from datetime import UTC, datetime, time
from typing import Any, get_args

from flask_wtf import FlaskForm
from wtforms import DateField, RadioField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from apidevices import tokens
from apidevices.listing import Filters, Status
from apidevices.text import MAX_LENGTH, clean_text


def _choices(*pairs: tuple[str, str]) -> list[Any]:
    """Return choices as this version of WTForms wants them: 3.3 warns about plain pairs."""
    try:
        from wtforms.fields.choices import SelectChoice
    except ImportError:
        return list(pairs)
    return [SelectChoice(*pair) for pair in pairs]


def _clean(value: str | None) -> str:
    return clean_text(value or "")


class FilterForm(FlaskForm):
    """The filters of the list; they live in the URL, so nothing here needs a CSRF token."""

    class Meta:
        """See the form."""

        csrf = False

    name = StringField("Name or identifier", filters=[_clean, lambda text: text[: MAX_LENGTH + 1]])
    status = RadioField(
        "Blocked status",
        choices=_choices(("all", "All"), ("active", "Hide blocked"), ("blocked", "Only blocked")),
        default="all",
    )

    @property
    def filters(self) -> Filters:
        """What was chosen; an unknown status counts as none."""
        if self.status.data not in get_args(Status):
            self.status.data = "all"
        return Filters(self.name.data or "", self.status.data)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query string that say the same, without the defaults."""
        chosen = {"name": self.filters.name, "status": self.filters.status}
        return {key: value for key, value in chosen.items() if value not in ("", "all")}


class RenameForm(FlaskForm):
    """A device's new name; what a name may be is the rule of ``devices.rename``."""

    name = StringField("Name")


class BlockForm(FlaskForm):
    """Why a device is blocked; what a reason may be is the rule of ``devices.block``."""

    reason = StringField("Reason")


class TokenForm(FlaskForm):
    """A new token."""

    name = StringField(
        "Name",
        filters=[_clean],
        validators=[InputRequired("Give the token a name."), Length(max=MAX_LENGTH)],
    )
    expires_on = DateField("Expires", validators=[Optional()])
    scopes = SelectMultipleField(
        "Scopes",
        choices=_choices(*tokens.SCOPES.items()),
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )

    @property
    def expires_at(self) -> datetime | None:
        """The end of the chosen day, UTC."""
        if self.expires_on.data is None:
            return None
        return datetime.combine(self.expires_on.data, time.max, UTC)
