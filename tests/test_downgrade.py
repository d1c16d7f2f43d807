"""``flask db downgrade`` says what it deletes and asks first."""

import re

import pytest
from click.testing import Result
from flask import Flask

from tests.conftest import state_of
from tests.test_migrations import fill, row_counts


def downgrade(app: Flask, *arguments: str, answer: str | None = None) -> Result:
    runner = app.test_cli_runner()
    return runner.invoke(args=["db", "downgrade", *arguments], input=answer)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard input look like a terminal."""
    # Click's test runner replaces sys.stdin, so that the stream itself can't be patched.
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _stream: True)


def heads(app: Flask) -> set[str]:
    with state_of(app).db.connect() as connection:
        query = "SELECT version_num FROM apidevices_alembic_version"
        return set(connection.exec_driver_sql(query).scalars())


@pytest.mark.database("sqlite")
def test_downgrade_without_a_terminal_changes_nothing(app: Flask) -> None:
    fill(app)
    before = row_counts(app), heads(app)
    result = downgrade(app, "base")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "--yes" in result.stderr
    assert (row_counts(app), heads(app)) == before


@pytest.mark.usefixtures("terminal")
def test_downgrade_lists_tables_and_columns_with_their_rows_before_it_asks(app: Flask) -> None:
    fill(app)
    result = downgrade(app, "standalone@base", answer="n\n")
    assert result.exit_code == 1
    assert "0002: Create the accounts" in result.stdout
    assert re.search(r"the table apidevices_users +1\n", result.stdout)
    assert re.search(r"the table apidevices_uploads +1\n", result.stdout)
    assert "apidevices_devices" not in result.stdout
    columns = downgrade(app, "0005", answer="n\n").stdout
    assert re.search(r"the column requires_device_id of apidevices_api_tokens +1\n", columns)
    assert re.search(r"the column new_devices_per_hour of apidevices_api_tokens +0\n", columns)


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("answer", "is_reverted"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_downgrade_runs_only_if_the_answer_is_yes(
    app: Flask, answer: str, is_reverted: bool
) -> None:
    fill(app)
    result = downgrade(app, "standalone@base", answer=answer)
    assert (result.exit_code == 0) is is_reverted
    assert ("apidevices_users" not in row_counts(app)) is is_reverted
    assert "apidevices_devices" in row_counts(app)


@pytest.mark.usefixtures("terminal")
def test_downgrade_without_revision_reverts_the_migration_that_it_lists(app: Flask) -> None:
    before = heads(app)
    with pytest.warns(UserWarning, match="ambiguous"):
        result = downgrade(app, answer="y\n")
    assert result.exit_code == 0
    [listed] = re.findall(r"^  (\d{4}): ", result.stdout, re.MULTILINE)
    assert before - heads(app) == {listed}


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("terminal")
def test_downgrade_to_an_unknown_revision_fails_without_a_question(app: Flask) -> None:
    result = downgrade(app, "nothing", answer="y\n")
    assert result.exit_code == 1
    assert "Continue?" not in result.output


def test_downgrade_keeps_the_options_of_flask_migrate(app: Flask) -> None:
    text = downgrade(app, "--help").stdout
    assert all(option in text for option in ("--sql", "--tag", "--directory", "--yes"))
