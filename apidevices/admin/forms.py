"""The forms of the admin pages."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    HiddenField,
    IntegerField,
    RadioField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from apidevices import devices, tokens
from apidevices.admin import local_times
from apidevices.errors import InvalidInput
from apidevices.text import MAX_LENGTH, clean_text


def _choices(*pairs: tuple[str, str]) -> list[Any]:
    """Return choices as the installed WTForms version expects them: 3.3 deprecates tuples."""
    try:
        from wtforms.fields.choices import SelectChoice
    except ImportError:
        return list(pairs)
    return [SelectChoice(*pair) for pair in pairs]


def _clean(value: str | None) -> str:
    return clean_text(value or "")


BLOCK_ENDS: dict[str, tuple[str, timedelta | None]] = {
    "never": ("Never", None),
    "hour": ("In 1 hour", timedelta(hours=1)),
    "day": ("In 1 day", timedelta(days=1)),
    "week": ("In 7 days", timedelta(days=7)),
    "custom": ("On a date", None),
}
"""When a block can end: key -> label and duration."""


class AdminForm(FlaskForm):
    """A form that is in English, like the pages.

    If Flask-Babel is installed, Flask-WTF asks the application for the language. Its function may
    rely on what its own views have loaded.
    """

    class Meta(FlaskForm.Meta):
        """The language of the labels and messages."""

        def get_translations(self, _form: object) -> None:
            """Return None: nothing is translated."""


class RenameForm(AdminForm):
    """The name of a device. ``devices.rename`` validates it."""

    name = StringField("Name", id="device-name", render_kw={"maxlength": MAX_LENGTH})


class EndForm(AdminForm):
    """The end of a block."""

    ends = RadioField(
        "Ends",
        choices=_choices(*((key, label) for key, (label, _) in BLOCK_ENDS.items())),
        validate_choice=False,
    )
    # In the zone of the browser, which JavaScript fills in. Without, it is UTC.
    until = StringField("End", id="block-until")
    zone = HiddenField()

    def until_at(self, now: datetime) -> datetime | None:
        """Return the chosen end of the block, or None for no end.

        Raises:
            InvalidInput: The form asks for an end of its own, but has none.
        """
        _, duration = BLOCK_ENDS[self.chosen_end]
        if duration is not None:
            return now + duration
        if self.chosen_end == "never":
            return None
        until = local_times.parse("until", self.until.data, self.zone.data)
        if until is None:
            raise InvalidInput("until", "Choose when the block ends.")
        return until

    @property
    def chosen_end(self) -> str:
        """The chosen key of ``BLOCK_ENDS``. A form with an end alone means ``custom``."""
        if self.ends.data in BLOCK_ENDS:
            return str(self.ends.data)
        return "custom" if self.until.data else "never"


class BlockForm(EndForm):
    """The reason and end of a block, and tokens to revoke. ``devices.block`` checks them."""

    reason = StringField("Reason", id="block-reason", render_kw={"maxlength": devices.MAX_REASON})
    # WTForms 3.0 requires choices.
    revoke_tokens = SelectMultipleField("API tokens", coerce=int, choices=(), validate_choice=False)
    # Whether the form was opened for a blocked device, to change its block.
    is_change = HiddenField()


class TextForm(AdminForm):
    """A text about a device, of which several administrators may have opened the form."""

    # What the text was when the form was opened.
    opened = HiddenField()

    def has_changed(self, text: str) -> bool:
        """Return whether another text than this one was there when the form was opened.

        Once that has been said, the form replaces this one.
        """
        opened, self.opened.data = self.opened.data, digest(text)
        return bool(opened) and opened != self.opened.data


def digest(text: str) -> str:
    """Return a short value that changes whenever a text does."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class TagsForm(TextForm):
    """The tags of a device, separated by commas. ``devices.set_tags`` validates them."""

    tags = StringField("Tags", id="device-tags")


class NoteForm(TextForm):
    """The note of a device. ``devices.annotate`` validates it."""

    note = TextAreaField("Note", id="device-note", render_kw={"maxlength": devices.MAX_NOTE})


class DeleteForm(AdminForm):
    """The deletion of a device."""

    keep_block = BooleanField("Keep its identifier blocked", id="keep-block")


class BulkForm(EndForm):
    """What a change of many devices needs to know besides the devices."""

    reason = StringField("Reason", id="bulk-reason", render_kw={"maxlength": devices.MAX_REASON})
    tag = StringField("Tags", id="bulk-tag")
    keep_block = BooleanField("Keep blocked identifiers blocked", id="bulk-keep-block")

    def arguments(self, action: str, now: datetime) -> dict[str, Any]:
        """Return the arguments of the operation.

        Raises:
            InvalidInput: A value is invalid.
        """
        if action == "block":
            until = self.until_at(now)
            devices.check_until(until, now)
            reason = devices.clean_reason(self.reason.data)
            return {"reason": reason, "until": until and until.isoformat()}
        if action in ("tag", "untag"):
            tags = devices.clean_tags((self.tag.data or "").split(","))
            if not tags:
                raise InvalidInput("tags", "Enter at least one tag.")
            return {"tags": list(tags.values())}
        if action == "delete":
            return {"keep_block": self.keep_block.data}
        return {}


class ViewForm(AdminForm):
    """The name of a saved view. ``views.save`` validates it."""

    name = StringField("Name", filters=[_clean])
    replaced = HiddenField()

    @property
    def replaces(self) -> bool:
        """Whether to replace the view with this name: the form has asked for that very name."""
        return bool(self.name.data) and self.name.data == self.replaced.data

    def ask_to_replace(self, problem: str) -> None:
        """Ask whether to replace the view that has this name."""
        self.name.errors = [f"{problem} Save again to replace it, or choose another name."]
        self.replaced.data = self.name.data


TOKEN_EXPIRIES = {
    "never": "Never",
    "30": "In 30 days",
    "90": "In 90 days",
    "365": "In a year",
    "custom": "On a date",
}
"""When a token can expire: a number of days, or another choice -> label."""


class TokenForm(AdminForm):
    """A new token."""

    name = StringField(
        "Name",
        id="token-name",
        filters=[_clean],
        validators=[InputRequired("Enter a name for the token."), Length(max=MAX_LENGTH)],
        render_kw={"maxlength": MAX_LENGTH},
    )
    expires = RadioField(
        "Expires", choices=_choices(*TOKEN_EXPIRIES.items()), validators=[Optional()]
    )
    expires_on = DateField("Date", id="token-expires-on", validators=[Optional()])
    scopes = SelectMultipleField(
        "Scopes",
        choices=_choices(*tokens.SCOPES.items()),
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    requires_device_id = BooleanField("Require a device identifier")
    new_devices_per_hour = IntegerField(
        "New devices per hour",
        id="token-new-devices",
        validators=[Optional()],
        render_kw={"inputmode": "numeric"},
    )

    @property
    def expiry(self) -> str:
        """The chosen expiry. A form with a date alone means ``custom``."""
        if self.expires.data in TOKEN_EXPIRIES:
            return str(self.expires.data)
        return "custom" if self.expires_on.raw_data and self.expires_on.raw_data[0] else "never"

    def expiries(self, now: datetime) -> Iterator[tuple[str, str, date | None]]:
        """Yield the value, the label and the last day of each choice."""
        for value, label in TOKEN_EXPIRIES.items():
            yield value, label, _last_day(value, now) if value.isdecimal() else None

    def expires_at(self, now: datetime) -> datetime | None:
        """Return the end of the last day in UTC, or None for a token that doesn't expire.

        Raises:
            InvalidInput: The form asks for a date of its own, but has none.
        """
        if self.expiry == "never":
            return None
        last = self.expires_on.data if self.expiry == "custom" else _last_day(self.expiry, now)
        if last is None:
            raise InvalidInput("expires_on", "Choose a date.")
        return datetime.combine(last, time.max, UTC)

    @property
    def has_options(self) -> bool:
        """Whether the form has scopes or limits, or errors in them."""
        options = (self.scopes, self.requires_device_id, self.new_devices_per_hour)
        return any(field.errors or field.data not in (None, False, []) for field in options)


def _last_day(days: str, now: datetime) -> date:
    return (now + timedelta(days=int(days))).date()
