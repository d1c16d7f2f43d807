"""The instance folder: the default SQLite database and the secret key."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from apidevices.toolkit import ConfigError


class Instance:
    """The instance folder. The file with the secret key exists only if the settings have none."""

    def __init__(self, folder: Path, secret_key: str) -> None:
        self.folder = folder.resolve()
        self._key_file = None if secret_key else self.folder / "secret_key"
        self._generated = secrets.token_urlsafe(48)
        self._configured = secret_key

    @property
    def secret_key(self) -> str:
        """The configured key, the stored one, or the one that `create` will store."""
        if self._key_file is None:
            return self._configured
        try:
            return self._key_file.read_text()
        except FileNotFoundError:
            return self._generated
        except OSError as error:
            raise ConfigError(f"APIDEVICES_INSTANCE: {error}") from None

    def create(self, *_: Any) -> None:
        """Create the folder and its secret key, unless they exist.

        Takes any arguments, so that it can listen to an event.

        Raises:
            ConfigError: the folder or the file can't be created.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._key_file is not None and not self._key_file.exists():
                self._store(self._key_file)
        except OSError as error:
            raise ConfigError(f"APIDEVICES_INSTANCE: {error}") from None

    def _store(self, key_file: Path) -> None:
        # Written to a temporary file, then linked: processes that start together share one key.
        temporary = key_file.with_name(f"{key_file.name}.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(self._generated)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, key_file)
        temporary.unlink()
