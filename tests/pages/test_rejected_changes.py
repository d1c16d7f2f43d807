"""Requests to change a device that are rejected: forged, by GET, or for an unknown device."""

import pytest

from tests.conftest import Administrator
from tests.pages.device_changes import each_action, plain_and_htmx
from tests.pages.device_list import LIST
from tests.pages.visitor import Visitor


def csrf_token(visitor: Visitor, path: str, action: str) -> str:
    form = visitor.open_form(visitor.get(path), action).form(action)
    return form.one("input", name="csrf_token")["value"]


@pytest.mark.database("sqlite")
@plain_and_htmx
@each_action
@pytest.mark.parametrize("forged", ["missing", "invalid", "from another session"])
def test_form_without_valid_csrf_token_is_rejected(
    admin: Visitor,
    anonymous: Visitor,
    administrator: Administrator,
    phone: int,
    action: str,
    forged: str,
    htmx: bool,
) -> None:
    if action == "unblock":
        administrator.block()
    before = administrator.device()
    fields = {"name": "New", "reason": "New"}
    if forged == "invalid":
        fields["csrf_token"] = "x"
    elif forged == "from another session":
        fields["csrf_token"] = csrf_token(anonymous, "/login", "/login")
    response = admin.post(f"{LIST}/{phone}/{action}", htmx=htmx, **fields)
    assert response.status == 400
    assert "nothing was changed. Reload it and try again." in response.text
    assert administrator.device() == before


@each_action
def test_get_request_changes_nothing(
    admin: Visitor, administrator: Administrator, phone: int, action: str
) -> None:
    before = administrator.device()
    assert admin.get(f"{LIST}/{phone}/{action}").status == 200
    assert administrator.device() == before


@each_action
def test_unknown_device_gets_404(admin: Visitor, phone: int, action: str) -> None:
    token = csrf_token(admin, LIST, "/name")
    page = admin.post(f"{LIST}/{phone + 1}/{action}", csrf_token=token)
    assert page.status == 404
    assert "This device does not exist." in page.text


def test_htmx_shows_an_unknown_device_in_the_status_line(admin: Visitor, phone: int) -> None:
    token = csrf_token(admin, LIST, "/name")
    response = admin.post(f"{LIST}/{phone + 1}/block", htmx=True, csrf_token=token)
    assert response.status == 404
    assert response.announced == "This device does not exist."
    assert response.headers["HX-Reswap"] == "none"
