"""Host applications that use the ``authorize`` examples of docs/flask.md, one per kind of login.

Run as a program, this module checks the Flask-Security host without any test packages.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, redirect, request, session
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy

from apidevices import APIDevices

ADMIN = "/settings/api-devices"

FORM = '<form method="post"><input name="csrf_token" value="unused"></form>'


def code_below(document: Path, heading: str) -> str:
    """Return the Python code below a heading of a document."""
    section = document.read_text().partition(f"\n### {heading}\n")[2]
    found = re.match(r"[^#]*?```python\n(.*?)```", section, re.DOTALL)
    assert found, f"{document} has no code for {heading}."
    return found[1]


def make_host(folder: Path, code: str) -> tuple[Flask, SQLAlchemy]:
    """Return an application with the admin pages and the ``authorize`` function from the code."""
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102 - runs code from the documentation
    app, db = Flask(__name__), SQLAlchemy()
    app.config["SECRET_KEY"] = "host secret"
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/host.sqlite3"
    db.init_app(app)
    devices = APIDevices(db=db, authorize=namespace["authorize"])
    devices.init_app(app)
    app.register_blueprint(devices.admin, url_prefix="/settings")
    with app.app_context():
        devices.upgrade()
    return app, db


def flask_login(folder: Path, document: Path) -> Flask:
    """Return a host with Flask-Login. Its users are ann, an administrator, and ben."""
    from flask_login import LoginManager, UserMixin, login_user

    app, _ = make_host(folder, code_below(document, "Flask-Login"))
    app.config["USE_SESSION_FOR_NEXT"] = True
    manager = LoginManager(app)
    manager.login_view = "sign_in"

    class User(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name
            self.is_admin = name == "ann"

    manager.user_loader(User)

    @app.route("/login", methods=["GET", "POST"])
    def sign_in() -> ResponseReturnValue:
        if request.method == "GET":
            return FORM
        login_user(User(request.form["email"].partition("@")[0]))
        return redirect(session.pop("next", "/"))

    return app


def flask_security(folder: Path, document: Path) -> Flask:
    """Return a host with Flask-Security. Its users are ann, an administrator, and ben."""
    from flask_security import Security, SQLAlchemyUserDatastore, hash_password
    from flask_security.models import fsqla_v3

    app, db = make_host(folder, code_below(document, "Flask-Security"))
    app.config["SECURITY_PASSWORD_SALT"] = "host secret"
    app.config["SECURITY_PASSWORD_HASH"] = "plaintext"
    app.config["SECURITY_PASSWORD_SCHEMES"] = ["plaintext"]
    fsqla_v3.FsModels.set_db_info(db)  # type: ignore[attr-defined,no-untyped-call]  # untyped

    class Role(db.Model, fsqla_v3.FsRoleMixin):
        pass

    class User(db.Model, fsqla_v3.FsUserMixin):
        pass

    users = SQLAlchemyUserDatastore(db, User, Role)
    Security(app, users)
    with app.app_context():
        db.create_all()
        users.find_or_create_role("admin")
        for name, roles in (("ann", ["admin"]), ("ben", [])):
            password = hash_password("sesame")
            users.create_user(email=f"{name}@example.org", password=password, roles=roles)
        db.session.commit()
    return app


def plain_session(folder: Path, document: Path) -> Flask:
    """Return a host that stores the user in the session: ann, an administrator, or ben."""
    app, _ = make_host(folder, code_below(document, "A plain session"))

    @app.route("/login", methods=["GET", "POST"])
    def login() -> ResponseReturnValue:
        if request.method == "GET":
            return FORM
        session["user"] = request.form["email"].partition("@")[0]
        session["is_admin"] = session["user"] == "ann"
        return redirect(session.pop("next", "/"))

    return app


HOSTS: dict[str, Callable[[Path, Path], Flask]] = {
    "Flask-Login": flask_login,
    "Flask-Security": flask_security,
    "A plain session": plain_session,
}


def visit(app: Flask, user: str) -> tuple[str, int]:
    """Open the admin pages, sign in on the page that they redirect to, and open them again.

    Returns:
        The path of the sign-in page, and the status of the admin pages after signing in.
    """
    client = app.test_client()
    anonymous = client.get(ADMIN)
    assert anonymous.status_code == 302, anonymous.status
    token = re.search(r'name="csrf_token"[^>]* value="(.+?)"', client.get(anonymous.location).text)
    assert token
    fields = {"csrf_token": token[1], "email": f"{user}@example.org", "password": "sesame"}
    signed_in = client.post(anonymous.location, data=fields)
    assert signed_in.status_code == 302, signed_in.text
    assert signed_in.location.rstrip("?") == ADMIN
    return anonymous.location.partition("?")[0], client.get(ADMIN).status_code


if __name__ == "__main__":
    host = flask_security(Path(), Path(sys.argv[1]))
    assert visit(host, "ann") == ("/login", 200)
    assert visit(host, "ben") == ("/login", 403)
