"""A box office whose scanners check tickets. It has its own login, database and API key.

Start it on http://127.0.0.1:5000 with

    python examples/box_office/app.py

and sign in as "ada" with the password "tickets". The scanners use the API key "scan-me".
"""

import os
from hmac import compare_digest
from pathlib import Path

from flask import Blueprint, Flask, abort, redirect, render_template_string, request
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.security import check_password_hash, generate_password_hash

from apidevices import APIDevices

db = SQLAlchemy()
login = LoginManager()
csrf = CSRFProtect()
api = Blueprint("api", __name__, url_prefix="/api")
pages = Blueprint("pages", __name__)
# All scanners share one key. It doesn't identify them, and changing it would stop them all.
API_KEY = os.environ.get("BOX_OFFICE_KEY", "scan-me")


class User(UserMixin, db.Model):
    """A user who can sign in."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]
    is_admin: Mapped[bool] = mapped_column(default=False)


class Ticket(db.Model):
    """A ticket and the scanner that accepted it."""

    code: Mapped[str] = mapped_column(primary_key=True)
    used_by: Mapped[str | None]


# --- API Devices ---------------------------------------------------------------------------------

devices = APIDevices(
    db=db,
    authorize=lambda: current_user.is_authenticated and current_user.is_admin,
    actor=lambda: current_user.name,
)
devices.protect(api)


# --- the scanners' API ---------------------------------------------------------------------------


@api.before_request
def check_key() -> None:
    """Authenticate the caller. This check existed before API Devices was added."""
    if not compare_digest(request.headers.get("X-API-Key", ""), API_KEY):
        abort(401)


@api.post("/tickets/<code>/scan")
def scan(code: str) -> dict[str, str]:
    """Accept a ticket, once."""
    ticket = db.get_or_404(Ticket, code)
    if ticket.used_by:
        abort(409, f"This ticket has already been used at {ticket.used_by}.")
    device = devices.current_device()
    ticket.used_by = device.display_name if device else "unknown scanner"
    db.session.commit()
    return {"ticket": code, "used_by": ticket.used_by}


@api.get("/health")
@devices.exempt
def health() -> dict[str, bool]:
    """Respond to health checks. They are exempt because they do not come from devices."""
    return {"ok": True}


# --- pages and login -----------------------------------------------------------------------------

LOGIN = """<!doctype html><title>Box office</title>
<form method="post"><input type="hidden" name="csrf_token" value="{{ csrf_token() }}">
<label>Name <input name="name"></label> <label>Password <input name="password" type="password">
</label> <button>Sign in</button></form>"""
HOME = """<!doctype html><title>Box office</title><h1>Tickets</h1>
<ul>{% for t in tickets %}<li>{{ t.code }} {{ t.used_by or "not used" }}</li>{% endfor %}</ul>
<p><a href="{{ url_for('apidevices.device_list') }}">Settings &gt; API Devices</a></p>"""


@pages.get("/")
def home() -> str:
    """Show the tickets."""
    return render_template_string(HOME, tickets=db.session.scalars(db.select(Ticket)))


@pages.route("/login", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Sign a user in."""
    if request.method == "POST":
        user = db.session.scalar(db.select(User).filter_by(name=request.form["name"]))
        if user and check_password_hash(user.password, request.form["password"]):
            login_user(user)
            return redirect("/settings/api-devices")
    return render_template_string(LOGIN)


@login.user_loader
def load_user(user_id: str) -> User | None:
    """Return the signed-in user."""
    return db.session.get(User, int(user_id))


def create_app() -> Flask:
    """Create the application."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "change me in production")
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get(
        "DATABASE_URL", "sqlite:///box_office.sqlite3"
    )
    Path(app.instance_path).mkdir(exist_ok=True)
    db.init_app(app)
    login.init_app(app)
    csrf.init_app(app)
    devices.init_app(app)
    csrf.exempt(api)
    app.register_blueprint(api)
    app.register_blueprint(pages)
    app.register_blueprint(devices.admin, url_prefix="/settings")
    with app.app_context():
        db.create_all()
        devices.upgrade()
        if not db.session.get(User, 1):
            ada = User(name="ada", password=generate_password_hash("tickets"), is_admin=True)
            db.session.add_all([ada, *(Ticket(code=f"ticket-{n}") for n in range(1, 6))])
            db.session.commit()
    return app


if __name__ == "__main__":
    create_app().run(port=int(os.environ.get("PORT", "5000")))
