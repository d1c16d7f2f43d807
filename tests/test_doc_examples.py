"""The Python examples and the anchors in the documentation."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, session
from flask_login import LoginManager, UserMixin, login_user
from flask_security import Security, SQLAlchemyUserDatastore
from flask_security.models import fsqla_v3
from flask_security.models.fsqla import FsModels
from flask_sqlalchemy import SQLAlchemy

from apidevices import APIDevices
from harness.real_server import ROOT
from tests.conftest import state_of

ADMIN = "/settings/api-devices"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = pytest.mark.database("sqlite")


def authorize_example(heading: str) -> Callable[[], Any]:
    """Return the function in the section of docs/flask.md with this heading."""
    section = (ROOT / "docs/flask.md").read_text().partition(f"\n### {heading}\n")[2]
    [code] = re.findall(r"```python\n(.*?)```", section.partition("\n##")[0], re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - runs code from the documentation
    authorize: Callable[[], Any] = names["authorize"]
    return authorize


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """A host application with a page that signs in as a user or as an administrator."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "s" * 32
    yield app
    state_of(app).close()


def connect(app: Flask, tmp_path: Path, heading: str) -> None:
    devices = APIDevices(
        db=f"sqlite:///{tmp_path}/devices.sqlite3", authorize=authorize_example(heading)
    )
    devices.init_app(app)
    app.register_blueprint(devices.admin, url_prefix="/settings")
    with app.app_context():
        devices.upgrade()


def use_flask_login(app: Flask) -> None:
    class User(UserMixin):  # type: ignore[misc]  # an untyped package
        def __init__(self, name: str) -> None:
            self.id, self.is_admin = name, name == "admin"

    manager = LoginManager(app)
    manager.login_view = "login"
    manager.user_loader(User)
    app.add_url_rule("/login", "login", lambda: "")
    app.add_url_rule("/as/<name>", "sign_in", lambda name: str(login_user(User(name))))


def use_flask_security(app: Flask) -> None:
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SECURITY_PASSWORD_SALT="salt",
        SECURITY_PASSWORD_HASH="plaintext",
    )
    db = SQLAlchemy(app)
    FsModels.set_db_info(db)  # type: ignore[no-untyped-call]

    class Role(db.Model, fsqla_v3.FsRoleMixin):  # type: ignore[name-defined, misc]
        pass

    class User(db.Model, fsqla_v3.FsUserMixin):  # type: ignore[name-defined, misc]
        pass

    store = SQLAlchemyUserDatastore(db, User, Role)
    Security(app, store)
    with app.app_context():
        db.create_all()
        store.create_role(name="admin")
        for name, roles in (("user", []), ("admin", ["admin"])):
            store.create_user(email=f"{name}@example.com", password="x", roles=roles)
        store.commit()  # type: ignore[no-untyped-call]
    app.add_url_rule(
        "/as/<name>",
        "sign_in",
        lambda name: str(login_user(store.find_user(email=f"{name}@example.com"))),
    )


def use_plain_session(app: Flask) -> None:
    def sign_in(name: str) -> str:
        session.update(user=name, is_admin=name == "admin")
        return ""

    app.add_url_rule("/login", "login", lambda: "")
    app.add_url_rule("/as/<name>", "sign_in", sign_in)


EXAMPLES = [
    ("Flask-Login", use_flask_login),
    ("Flask-Security", use_flask_security),
    ("A plain session", use_plain_session),
]


@pytest.mark.parametrize(("heading", "use"), EXAMPLES, ids=[heading for heading, _ in EXAMPLES])
def test_authorize_examples_admit_only_administrators(
    app: Flask, tmp_path: Path, heading: str, use: Callable[[Flask], None]
) -> None:
    use(app)
    connect(app, tmp_path, heading)
    for name, status in (("user", 403), ("admin", 200)):
        client = app.test_client()
        anonymous = client.get(ADMIN)
        assert anonymous.status_code == 302
        assert anonymous.location.partition("?")[0] == "/login"
        client.get(f"/as/{name}")
        assert client.get(ADMIN).status_code == status


def test_plain_session_example_remembers_the_requested_page(app: Flask, tmp_path: Path) -> None:
    use_plain_session(app)
    connect(app, tmp_path, "A plain session")
    client = app.test_client()
    client.get(f"{ADMIN}?status=blocked")
    client.post(f"{ADMIN}/1/block")
    with client.session_transaction() as stored:
        assert stored["next"] == f"{ADMIN}?status=blocked"


def python_examples() -> list[Any]:
    found = [
        SimpleNamespace(place=f"{path.name}:{number}", code=code)
        for path in DOCUMENTS
        for number, code in enumerate(
            re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
        )
        if not code.startswith(" ")
    ]
    return [pytest.param(example.code, id=example.place) for example in found]


@pytest.mark.parametrize("code", python_examples())
def test_python_example_has_valid_syntax(code: str) -> None:
    compile(code, "<example>", "exec")


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, by GitHub's rules."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_links_to_headings_have_an_existing_target(path: Path) -> None:
    for document, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text()):
        target = (path.parent / document) if document else path
        assert anchor in anchors(target), f"{document}#{anchor}"
