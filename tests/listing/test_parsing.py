"""Filters in the URL of a page, and versions that are compared."""

from itertools import pairwise
from urllib.parse import parse_qsl, urlencode

import pytest
from werkzeug.datastructures import MultiDict

from apidevices.listing import Filters, sort_or_default
from apidevices.listing.versions import version_key
from tests.conftest import NOON

ALL = Filters(
    name="door & window",
    status="blocked",
    application="Касса",
    application_version="2.10",
    version_below="2.11",
    os="iOS",
    os_version="17",
    manufacturer="Apple",
    model="iPad",
    tag=("Foyer", "VIP"),
    token=2,
    registered_after=NOON,
    active_days=60,
    inactive_days=30,
    no_upload_days=7,
    uploaded=True,
    unnamed=True,
    denied=True,
)


@pytest.mark.parametrize("filters", [Filters(), ALL], ids=["none", "all"])
def test_filters_survive_a_round_trip_through_a_url(filters: Filters) -> None:
    query = parse_qsl(urlencode(filters.query))
    assert Filters.lenient(MultiDict(query)) == filters


def test_url_leaves_out_filters_that_are_not_set_and_repeats_tags() -> None:
    assert Filters().query == []
    assert Filters(tag=("a", "b"), unnamed=True).query == [
        ("tag", "a"),
        ("tag", "b"),
        ("unnamed", "1"),
    ]


@pytest.mark.parametrize(
    ("given", "filters"),
    [
        ([("sort", "name"), ("page", "2"), ("name", "door")], Filters(name="door")),
        ([("name", ""), ("application", ""), ("token", ""), ("unnamed", "")], Filters()),
        ([("name", " a\0\n b ")], Filters(name="a b")),
        ([("status", "new")], Filters()),
        ([("token", "box office"), ("os", "iOS")], Filters(os="iOS")),
        ([("token", "-1"), ("token", "2")], Filters()),
        ([("version_below", "2.0")], Filters()),
        ([("version_below", "new"), ("application", "a")], Filters(application="a")),
        ([("registered_after", "yesterday")], Filters()),
        ([("registered_after", "2030-05-17T12:00:00")], Filters()),
        ([("registered_after", "2030-02-30")], Filters()),
        ([("inactive_days", "0"), ("no_upload_days", "9" * 5000)], Filters()),
        ([("inactive_days", "1.5"), ("no_upload_days", "7")], Filters(no_upload_days=7)),
        ([("unnamed", "maybe"), ("denied", "1")], Filters(denied=True)),
        ([("tag", ""), ("tag", "\0"), ("tag", "vip")], Filters(tag=("vip",))),
        ([("tag", "x" * 256), ("model", "\u200e")], Filters()),
    ],
)
def test_page_ignores_unknown_and_invalid_parameters(
    given: list[tuple[str, str]], filters: Filters
) -> None:
    assert Filters.lenient(MultiDict(given)) == filters


@pytest.mark.parametrize(
    ("text", "sort"), [("-name", "-name"), ("price", "activity"), (None, "activity")]
)
def test_unknown_order_means_the_default(text: str | None, sort: str) -> None:
    assert sort_or_default(text) == sort


# --- versions ----------------------------------------------------------------------------------

ASCENDING = [
    "0.9",
    "1.0-dev",
    "1.0-alpha",
    "1.0-beta1",
    "1.0b2",
    "1.0-rc.1",
    "v1",
    "1.0 (9)",
    "1.0 (10)",
    "1.0-hotfix",
    "1.0.1 (2)",
    "1.2",
    "2.9",
    "2.10",
    "2.10.1",
    "2024.11.3",
    "٣٠٠٠",
]


def test_versions_are_compared_number_by_number() -> None:
    keys = [version_key(version) for version in ASCENDING]
    assert None not in keys
    for lower, higher in pairwise(keys):
        assert lower is not None
        assert higher is not None
        assert lower < higher


@pytest.mark.parametrize(
    "same",
    [
        ("1", "1.0.0", "v1", "V1.0", "1.0+build.7", "01"),
        ("2.0-rc1", "2-RC1", "2.0.0rc1", "2.0~rc1"),
    ],
)
def test_differences_that_mean_nothing_make_versions_equal(same: tuple[str, ...]) -> None:
    assert len({version_key(version) for version in same}) == 1


@pytest.mark.parametrize("version", ["", "unknown", "v", "beta", "+1", "(7)"])
def test_version_without_a_number_is_not_compared(version: str) -> None:
    assert version_key(version) is None
