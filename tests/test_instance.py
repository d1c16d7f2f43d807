"""The instance folder: permissions of the files in it, and invalid secret keys."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from apidevices import ConfigError
from apidevices.standalone.instance import exposure_warning
from tests.conftest import MakeApp, state_of
from tests.server.test_start import failed_start


@pytest.fixture
def common_umask() -> Iterator[None]:
    """The umask of most systems, which lets others read new files."""
    umask = os.umask(0o022)
    yield
    os.umask(umask)


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("common_umask")
def test_files_in_an_existing_folder_are_readable_by_their_owner_only(
    make_bare_app: MakeApp, instance: Path
) -> None:
    instance.mkdir(mode=0o755)
    app = make_bare_app(APIDEVICES_DISK_RESERVE="1")
    assert app.test_cli_runner().invoke(args=["apidevices", "upgrade"]).exit_code == 0
    with state_of(app).db.write(essential=False):
        modes = {path.name: path.stat().st_mode & 0o777 for path in instance.iterdir()}
    assert modes == dict.fromkeys(
        [
            "apidevices.sqlite3",
            "apidevices.sqlite3-reserve",
            "apidevices.sqlite3-shm",
            "apidevices.sqlite3-wal",
            "secret_key",
        ],
        0o600,
    )
    assert os.umask(0o022) == 0o022  # unchanged in this process


@pytest.mark.parametrize(
    ("mode", "warns"), [(0o700, False), (0o750, False), (0o755, True), (0o711, True)]
)
def test_folder_that_others_can_read_causes_a_warning(
    tmp_path: Path, mode: int, warns: bool
) -> None:
    tmp_path.chmod(mode)
    engine = create_engine(f"sqlite:///{tmp_path}/apidevices.sqlite3")
    warning = exposure_warning(tmp_path, engine)
    assert (warning is not None) == warns
    if warning:
        assert warning.endswith(f"Run: chmod o-rwx {tmp_path}")


def test_database_elsewhere_that_others_can_read_causes_a_warning(tmp_path: Path) -> None:
    instance, file = tmp_path / "instance", tmp_path / "devices.sqlite3"
    instance.mkdir(mode=0o700)
    file.touch()
    file.chmod(0o644)
    engine = create_engine(f"sqlite:///{file}")
    assert str(exposure_warning(instance, engine)).endswith(f"Run: chmod o-rwx {file}")
    file.chmod(0o600)
    assert exposure_warning(instance, engine) is None


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"fifteen letters", "has fewer than 16 characters"),
        (b"\xff" * 32, "is not text"),
        (b"\0" * 32, "is not text"),
    ],
)
def test_error_names_the_invalid_secret_key_file_and_the_cure(
    make_bare_app: MakeApp, instance: Path, content: bytes, problem: str
) -> None:
    instance.mkdir(exist_ok=True)
    (instance / "secret_key").write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        make_bare_app()
    message = str(raised.value)
    file = instance / "secret_key"
    assert message.startswith(f"APIDEVICES_INSTANCE: the secret key {file} {problem}")
    assert "Delete it to generate a new key" in message
    assert "\n" not in message


def test_start_fails_with_one_line_if_the_secret_key_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret_key").mkdir()
    line = failed_start(tmp_path, {"APIDEVICES_INSTANCE": str(tmp_path)})
    assert f"can't read {tmp_path}/secret_key: is a directory" in line


@pytest.mark.database("sqlite")
def test_secret_key_may_end_with_a_line_break(make_bare_app: MakeApp, instance: Path) -> None:
    instance.mkdir(exist_ok=True)
    (instance / "secret_key").write_text("0123456789abcdef\n")
    assert make_bare_app().secret_key == "0123456789abcdef\n"
