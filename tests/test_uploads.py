"""Uploads must be JSON in UTF-8 and are stored unchanged."""

import pytest
from sqlalchemy import select

from apidevices import tokens
from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.standalone import uploads
from apidevices.standalone.models import Upload
from tests.conftest import NOON, Register


@pytest.fixture
def token_id(db: Database) -> int:
    return tokens.issue(db, "test", actor="ann", now=NOON)[0].id


def store(db: Database, body: bytes, device_id: int, token_id: int) -> int:
    upload = uploads.store(db, body, device_id=device_id, token_id=token_id, now=NOON)
    return upload.id


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a": [1, 2.5, null, true, "x"]}', id="object"),
        pytest.param(b" [ ]\n", id="surrounding white space"),
        pytest.param(b'"text"', id="bare string"),
        pytest.param(b"0", id="bare number"),
        pytest.param('["\u00e9\u7ea2\U0001f4f1"]'.encode(), id="non-Latin text"),
        pytest.param(b'["\\u0000"]', id="escaped NUL"),
        pytest.param(b'["\\ud800"]', id="escaped lone surrogate"),
        pytest.param(b"[" + b"9" * 10_000 + b"]", id="very long integer"),
        pytest.param(b"[1e999999]", id="number larger than any float"),
        pytest.param(b'{"a": 1, "a": 2}', id="duplicate key"),
        pytest.param(b"[" * 200 + b"]" * 200, id="200 levels deep"),
    ],
)
def test_json_is_stored_unchanged(
    db: Database, register: Register, token_id: int, body: bytes
) -> None:
    device_id = register("phone-1")
    upload_id = store(db, body, device_id, token_id)
    with db.read() as session:
        query = select(Upload.body, Upload.size).where(Upload.id == upload_id)
        stored, size = session.execute(query).one()
    assert (stored.encode(), size) == (body, len(body))


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b"[1,]", id="trailing comma"),
        pytest.param(b"[1] [2]", id="two documents"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[-Infinity]", id="infinity"),
        pytest.param(b'["a\nb"]', id="raw line break in a string"),
        pytest.param(b'["\x00"]', id="raw NUL"),
        pytest.param(b'["\xff"]', id="not UTF-8"),
        pytest.param(b'["\xed\xa0\x80"]', id="raw surrogate"),
        pytest.param('["a"]'.encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf[]", id="byte order mark"),
        pytest.param(b"[" * 500_000 + b"]" * 500_000, id="nested too deeply"),
    ],
)
def test_invalid_json_is_rejected(
    db: Database, register: Register, token_id: int, body: bytes
) -> None:
    device_id = register("phone-1")
    with pytest.raises(InvalidInput):
        store(db, body, device_id, token_id)
    assert uploads.recent(db, device_id) == []


def test_recent_uploads_are_sorted_newest_first(
    db: Database, register: Register, token_id: int
) -> None:
    device_id, other = register("phone-1"), register("phone-2")
    first, second, third = (store(db, b"[]", device_id, token_id) for _ in range(3))
    store(db, b"[]", other, token_id)
    assert [upload.id for upload in uploads.recent(db, device_id, limit=2)] == [third, second]
    assert first < second < third
