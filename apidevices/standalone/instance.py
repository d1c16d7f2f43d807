"""The instance folder, which holds the default SQLite database and the secret key."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from sqlalchemy import Engine, event

from apidevices.standalone.settings import MIN_SECRET_KEY
from apidevices.toolkit import ConfigError, sqlite_file

_RENEW = "Delete it to generate a new key, which ends all sessions"


class Instance:
    """The instance folder. It has a secret key file only if no ``SECRET_KEY`` is configured."""

    def __init__(self, folder: Path, secret_key: str) -> None:
        self.folder = folder.resolve()
        self._key_file = None if secret_key else self.folder / "secret_key"
        self._configured = secret_key
        self._generated = secrets.token_urlsafe(48)

    @property
    def secret_key(self) -> str:
        """The configured key, the stored key, or the key that ``create`` will store.

        Raises:
            ConfigError: The stored key can't be read.
        """
        if self._key_file is None:
            return self._configured
        try:
            key = self._key_file.read_text()
        except FileNotFoundError:
            return self._generated
        except UnicodeDecodeError:
            raise self._invalid_key("is not text") from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"APIDEVICES_INSTANCE: can't read {self._key_file}: {reason}. Make it a file that"
                " this user can read, or set SECRET_KEY."
            ) from None
        if not key.strip():
            raise self._invalid_key("is empty")
        if not key.strip().isprintable():
            raise self._invalid_key("is not text")
        if len(key.strip()) < MIN_SECRET_KEY:
            raise self._invalid_key(f"has fewer than {MIN_SECRET_KEY} characters")
        return key

    def create(self) -> None:
        """Create the folder and the secret key file if they don't exist.

        Raises:
            ConfigError: The folder or the file can't be created.
        """
        self.create_folder()
        try:
            if self._key_file is not None and not self._key_file.exists():
                self._store(self._key_file)
        except OSError as error:
            raise ConfigError(f"APIDEVICES_INSTANCE: {error}") from None

    def create_folder(self) -> None:
        """Create the folder if it doesn't exist.

        Raises:
            ConfigError: The folder can't be created.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"APIDEVICES_INSTANCE: {error}") from None

    def _store(self, key_file: Path) -> None:
        # Write a temporary file and link it, so that processes that start together share one key.
        temporary = key_file.with_name(f"{key_file.name}.{os.getpid()}")
        temporary.touch(mode=0o600)
        try:
            with temporary.open("w") as file:
                file.write(self._generated)
                file.flush()
                os.fsync(file.fileno())  # else the file may be empty after a power failure
            with contextlib.suppress(FileExistsError):
                os.link(temporary, key_file)
        finally:
            temporary.unlink()

    def _invalid_key(self, problem: str) -> ConfigError:
        return ConfigError(
            f"APIDEVICES_INSTANCE: the secret key {self._key_file} {problem}. {_RENEW}, or set"
            " SECRET_KEY."
        )


def keep_private(engine: Engine) -> None:
    """Let only the owner read a SQLite database that this engine creates.

    SQLite gives the files next to the database the same permissions.
    """
    file = sqlite_file(engine.url)
    if file is not None and "mode" not in engine.url.query:
        event.listen(engine, "do_connect", lambda *_: _create_private(file))


def _create_private(file: Path) -> None:
    if not file.exists():
        with contextlib.suppress(OSError):  # SQLite will report why it can't create the file
            file.touch(mode=0o600, exist_ok=False)


def exposure_warning(folder: Path, engine: Engine) -> str | None:
    """Return a warning if other users of the system can read the folder or the database.

    In a folder that is closed to them, they can't reach the files.
    """
    exposed = [folder] if _is_exposed(folder) else []
    database = sqlite_file(engine.url)
    if database is not None and database.parent != folder:
        files = (Path(f"{database}{suffix}") for suffix in ("", "-wal", "-shm", "-journal"))
        exposed += filter(_is_exposed, files)
    if not exposed:
        return None
    names = " ".join(map(str, exposed))
    return f"Other users of this system can read {names}. Run: chmod o-rwx {names}"


def _is_exposed(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IRWXO)
    except OSError:
        return False
