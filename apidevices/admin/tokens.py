"""Settings > API Tokens: create, shown once; revoke."""

from typing import Any

from flask import abort, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from apidevices import clock, state, tokens
from apidevices.admin.forms import TokenForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import InvalidInput
from apidevices.models import MAX_ID
from apidevices.rendering import render

_NEW_TOKEN = "_apidevices_new_token"  # noqa: S105 - the name of a key


@blueprint.before_request
def _where_tokens_are_checked() -> None:
    view = current_app.view_functions[str(request.endpoint)]
    if view.__module__ == __name__ and not state.current().uses_tokens:
        abort(404)


@blueprint.get("/api-tokens")
def token_list() -> ResponseReturnValue:
    """Show the tokens, and the one that was just created, once."""
    return render("tokens/list.html", **_page(session.pop(_NEW_TOKEN, None)))


@blueprint.post("/api-tokens")
def create_token() -> ResponseReturnValue:
    """Create a token."""
    form = TokenForm()
    if not form.validate():
        return _answer(_page(None, form)), 422
    try:
        token, text = tokens.issue(
            state.database(),
            form.name.data or "",
            form.scopes.data or (),
            expires_at=form.expires_at,
            actor=state.current().actor(),
            now=clock.now(),
        )
    except InvalidInput as refusal:
        form[refusal.field].errors = [str(refusal)]
        return _answer(_page(None, form)), 422
    flash(f"Created the token “{token.name}”.")
    new = {"name": token.name, "text": text}
    if wants_fragment():
        return _answer(_page(new))
    # The one redirect that carries a secret: in the session of who made it, until it is shown.
    session[_NEW_TOKEN] = new
    return redirect(url_for(".token_list"), 303)


@blueprint.post(f"/api-tokens/<int(max={MAX_ID}):token_id>/revoke")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Revoke a token."""
    if not FlaskForm().validate():
        abort(400, "The page had expired. Reload it and try again.")
    revoked = tokens.revoke(
        state.database(), token_id, actor=state.current().actor(), now=clock.now()
    )
    flash(f"Revoked the token “{revoked.name}”: its next request is refused.")
    if wants_fragment():
        return _answer(_page(None))
    return redirect(url_for(".token_list"), 303)


def _answer(page: dict[str, Any]) -> str:
    changed = "_changed_tokens.html" if wants_fragment() else "list.html"
    return render(f"tokens/{changed}", **page)


def _page(new: dict[str, str] | None, form: TokenForm | None = None) -> dict[str, Any]:
    return {
        "tokens": tokens.all_tokens(state.database()),
        "form": form or TokenForm(formdata=None),
        "new": new,
        "now": clock.now(),
    }
