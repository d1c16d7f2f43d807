"""The ``authorize`` examples of docs/flask.md, which control access to the admin pages."""

from pathlib import Path

import pytest

from harness.environments import run
from harness.real_server import ROOT
from tests.applications import authorize
from tests.applications.conftest import MakeEnvironment
from tests.conftest import state_of

DOCUMENT = ROOT / "docs" / "flask.md"


@pytest.mark.parametrize(("user", "status"), [("ann", 200), ("ben", 403)])
@pytest.mark.parametrize("login", authorize.HOSTS)
def test_authorize_example_redirects_to_login_and_admits_only_administrators(
    tmp_path: Path, login: str, user: str, status: int
) -> None:
    app = authorize.HOSTS[login](tmp_path, DOCUMENT)
    try:
        assert authorize.visit(app, user) == ("/login", status)
    finally:
        state_of(app).close()


def test_authorize_example_works_with_flask_security_too(
    environment: MakeEnvironment, tmp_path: Path
) -> None:
    programs = environment("flask_security_too")
    owner = "from importlib.metadata import packages_distributions as p; print(*p()[{!r}])"
    owners = run(programs / "python", "-c", owner.format("flask_security"), cwd=tmp_path).stdout
    assert owners.split() == ["Flask-Security-Too"]
    run(programs / "python", Path(authorize.__file__), DOCUMENT, cwd=tmp_path)
