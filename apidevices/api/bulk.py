"""The management API for several devices: block, tag or delete them with one request."""

from collections.abc import Collection, Sequence
from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import ConfigDict, Field, field_validator, model_validator

from apidevices import clock, devices, state
from apidevices.api.description import WITH_BODY, described
from apidevices.api.frame import DEVICES, KEEP_BLOCK, TAG, WRITE, Body, Reason, actor, blueprint
from apidevices.api.requests import parse_body
from apidevices.devices import Chosen, Matching
from apidevices.fields import DeviceTags, Moment, RowId
from apidevices.listing import NEEDS_APPLICATION, Filters
from apidevices.representation import (
    ArchivedJson,
    BlockedJson,
    DeletedJson,
    TaggedJson,
    UnarchivedJson,
    UnblockedJson,
    UntaggedJson,
)

MAX_IDS = 1_000

FLAGS = ("unnamed", "denied", "shared", "archived")
"""The filters that are either set or not."""


def _describe_short_forms(schema: dict[str, Any]) -> None:
    """Add what ``FilterBody`` also accepts: a single tag, and 1 for true."""
    schema.update(NEEDS_APPLICATION)
    fields = schema["properties"]
    fields["tag"]["anyOf"] = [
        fields["tag"]["items"],
        {key: fields["tag"].pop(key) for key in ("type", "items", "maxItems")},
    ]
    for name in FLAGS:
        fields[name]["anyOf"] = [{"type": fields[name].pop("type")}, {"const": 1}]


class FilterBody(Filters):
    """Filters, like those of the list. Devices must match all of them."""

    model_config = ConfigDict(strict=True, json_schema_extra=_describe_short_forms)

    @field_validator("tag", mode="before")
    @classmethod
    def _one_tag(cls, tag: object) -> object:
        return [tag] if isinstance(tag, str) else tag

    @field_validator(*FLAGS, mode="before")
    @classmethod
    def _one(cls, flag: object) -> object:
        # 1 is the value in the URL of the list. In JSON, 1.0 is the same number.
        return True if type(flag) in (int, float) and flag == 1 else flag


class Devices(Body):
    """The devices to change: either their ids, or a filter and how many devices match it."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["ids"],
                    "not": {"anyOf": [{"required": ["filter"]}, {"required": ["expected"]}]},
                },
                {"required": ["filter", "expected"], "not": {"required": ["ids"]}},
            ]
        }
    )

    ids: list[RowId] = Field(
        default_factory=list,
        min_length=1,
        max_length=MAX_IDS,
        description="The `id` of each device. Unknown ones are ignored and listed in the response.",
    )
    filter: FilterBody = Field(
        default_factory=FilterBody, description="All devices that match the filter."
    )
    expected: RowId = Field(
        default_factory=int,
        description="How many devices match the filter. If it is another number, the response is"
        " 409, and nothing changes.",
    )

    @model_validator(mode="after")
    def _either(self) -> "Devices":
        sent = self.model_fields_set & {"ids", "filter", "expected"}
        if sent not in ({"ids"}, {"filter", "expected"}):
            raise ValueError("must contain either 'ids', or 'filter' and 'expected'")
        return self

    @property
    def chosen(self) -> Chosen:
        """The devices to change."""
        if "ids" in self.model_fields_set:
            return frozenset(self.ids)
        return Matching(self.filter, self.expected)


class BlockDevices(Devices):
    """The devices to block, the reason and the end."""

    reason: Reason = None
    until: Moment | None = Field(
        None, description="Time when the block ends by itself; null for a block without an end."
    )


class DeleteDevices(Devices):
    """The devices to delete, and whether those that are blocked stay blocked."""

    keep_block: bool = Field(False, description=KEEP_BLOCK)


class TagDevices(Devices):
    """The devices to tag, and the tags to add or remove."""

    tags: DeviceTags = Field(
        min_length=1, description="The tags to add or remove.", examples=[["Main entrance"]]
    )


@blueprint.post(f"{DEVICES}/block")
@described(BlockedJson, 409, *WITH_BODY, tag=TAG, scope=WRITE, body=BlockDevices)
def block_devices() -> ResponseReturnValue:
    """Block up to 1,000 devices, or all that match a filter. Idempotent."""
    body = parse_body(BlockDevices)
    blocked = devices.block_all(
        state.database(), body.chosen, reason=body.reason, until=body.until, **_audit_args()
    )
    return BlockedJson(blocked=blocked, not_found=_missing(body.ids, blocked)).model_dump()


@blueprint.post(f"{DEVICES}/unblock")
@described(UnblockedJson, 409, *WITH_BODY, tag=TAG, scope=WRITE, body=Devices)
def unblock_devices() -> ResponseReturnValue:
    """Unblock up to 1,000 devices, or all that match a filter. Idempotent."""
    body = parse_body(Devices)
    unblocked = devices.unblock_all(state.database(), body.chosen, **_audit_args())
    return UnblockedJson(unblocked=unblocked, not_found=_missing(body.ids, unblocked)).model_dump()


@blueprint.post(f"{DEVICES}/tag")
@described(TaggedJson, 409, *WITH_BODY, tag=TAG, scope=WRITE, body=TagDevices)
def tag_devices() -> ResponseReturnValue:
    """Add tags to up to 1,000 devices, or to all that match a filter. Idempotent."""
    body = parse_body(TagDevices)
    tagged = devices.tag_all(state.database(), body.chosen, body.tags, **_audit_args())
    return TaggedJson(tagged=tagged, not_found=_missing(body.ids, tagged)).model_dump()


@blueprint.post(f"{DEVICES}/untag")
@described(UntaggedJson, 409, *WITH_BODY, tag=TAG, scope=WRITE, body=TagDevices)
def untag_devices() -> ResponseReturnValue:
    """Remove tags from up to 1,000 devices, or from all that match a filter. Idempotent."""
    body = parse_body(TagDevices)
    untagged = devices.untag_all(state.database(), body.chosen, body.tags, **_audit_args())
    return UntaggedJson(untagged=untagged, not_found=_missing(body.ids, untagged)).model_dump()


@blueprint.post(f"{DEVICES}/archive")
@described(ArchivedJson, 409, *WITH_BODY, tag=TAG, scope=WRITE, body=Devices)
def archive_devices() -> ResponseReturnValue:
    """Archive up to 1,000 devices, or all that match a filter. Idempotent.

    Lists leave archived devices out. Each comes back by itself with its next request.
    """
    body = parse_body(Devices)
    archived = devices.archive_all(state.database(), body.chosen, **_audit_args())
    return ArchivedJson(archived=archived, not_found=_missing(body.ids, archived)).model_dump()


@blueprint.post(f"{DEVICES}/unarchive")
@described(UnarchivedJson, 409, *WITH_BODY, tag=TAG, scope=WRITE, body=Devices)
def unarchive_devices() -> ResponseReturnValue:
    """Bring up to 1,000 devices, or all that match a filter, back from the archive. Idempotent."""
    body = parse_body(Devices)
    back = devices.unarchive_all(state.database(), body.chosen, **_audit_args())
    return UnarchivedJson(unarchived=back, not_found=_missing(body.ids, back)).model_dump()


@blueprint.post(f"{DEVICES}/delete")
@described(DeletedJson, 409, *WITH_BODY, tag=TAG, scope=WRITE, body=DeleteDevices)
def delete_devices() -> ResponseReturnValue:
    """Delete up to 1,000 devices, or all that match a filter."""
    body = parse_body(DeleteDevices)
    deleted = devices.delete_all(
        state.database(), body.chosen, keep_block=body.keep_block, **_audit_args()
    )
    return DeletedJson(deleted=deleted, not_found=_missing(body.ids, deleted)).model_dump()


def _audit_args() -> dict[str, Any]:
    return {"actor": actor(), "now": clock.now()}


def _missing(ids: Collection[int], found: Sequence[int]) -> list[int]:
    return sorted(set(ids).difference(found))
