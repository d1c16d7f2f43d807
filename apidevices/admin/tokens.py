"""Settings > API Tokens: list, create, and revoke tokens."""

from datetime import datetime
from typing import Any

from flask import abort, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, state, tokens
from apidevices.admin.dialogs import is_submitted, show_form
from apidevices.admin.forms import AdminForm, TokenForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import InvalidInput
from apidevices.models import MAX_ID, ApiToken
from apidevices.rendering import render

_SESSION_KEY = "_apidevices_sealed_token"


@blueprint.before_request
def _require_tokens_enabled() -> None:
    view = current_app.view_functions[str(request.endpoint)]
    if view.__module__ == __name__ and not state.current().uses_tokens:
        abort(404)


@blueprint.get("/api-tokens")
def token_list() -> ResponseReturnValue:
    """Show the tokens. A token that was just created is shown in full, once."""
    sealed = None if request.method == "HEAD" else session.pop(_SESSION_KEY, None)
    revealed = sealed and tokens.reveal(state.database(), *sealed, now=clock.now())
    new = {"name": revealed[0].name, "text": revealed[1]} if revealed else None
    return render("tokens/list.html", **_context(new))


@blueprint.get("/api-tokens/new")
def new_token() -> ResponseReturnValue:
    """Show the form that creates a token."""
    return _show_form(TokenForm(formdata=None), clock.now())


@blueprint.post("/api-tokens")
def create_token() -> ResponseReturnValue:
    """Create a token."""
    form, now = TokenForm(), clock.now()
    if not is_submitted(form):
        return _show_form(form, now)
    try:
        token, text = tokens.issue(
            state.database(),
            form.name.data or "",
            form.scopes.data or (),
            expires_at=form.expires_at(now),
            requires_device_id=form.requires_device_id.data,
            new_devices_per_hour=form.new_devices_per_hour.data,
            actor=state.current().actor(),
            now=now,
        )
    except InvalidInput as error:
        form[error.field].errors = [str(error)]
        return _show_form(form, now)
    flash(f"The token “{token.name}” was created.")
    if wants_fragment():
        return _changed(_context({"name": token.name, "text": text}))
    # Without HTMX, the next page shows the token. The session must not contain it, because its
    # cookie can be read and sent again.
    session[_SESSION_KEY] = [token.id, tokens.seal(state.database(), token.id, text)]
    return redirect(url_for(".token_list"), 303)


@blueprint.route(f"/api-tokens/<int(max={MAX_ID}):token_id>/revoke", methods=["GET", "POST"])
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Revoke a token."""
    token = tokens.get(state.database(), token_id)
    form = AdminForm()
    if not is_submitted(form):
        return show_form(
            "tokens/_revoke.html",
            title=f"Revoke {token.name}",
            back=url_for(".token_list"),
            back_label="API Tokens",
            token=token,
        )
    tokens.revoke(state.database(), token_id, actor=state.current().actor(), now=clock.now())
    flash(f"The token “{token.name}” is revoked. Requests with it are denied from now on.")
    if wants_fragment():
        return _changed(_context(None))
    return redirect(url_for(".token_list"), 303)


def _show_form(form: TokenForm, now: datetime) -> ResponseReturnValue:
    return show_form(
        "tokens/_create.html",
        title="Create a token",
        back=url_for(".token_list"),
        back_label="API Tokens",
        form=form,
        expiries=form.expiries(now),
        default_new_devices=state.current().settings.new_devices_per_hour,
    )


def _changed(context: dict[str, Any]) -> str:
    return render("tokens/_changed_tokens.html", **context)


def _context(new: dict[str, str] | None) -> dict[str, Any]:
    now = clock.now()
    active: list[ApiToken] = []
    ended: list[ApiToken] = []
    for token in tokens.all_tokens(state.database()):
        (active if token.status_at(now) == "active" else ended).append(token)
    return {"active": active, "ended": ended, "new": new, "now": now}
