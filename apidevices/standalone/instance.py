"""The instance folder, which holds the default SQLite database and the secret key."""

import contextlib
import os
import secrets
from pathlib import Path

from apidevices.toolkit import ConfigError


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
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"APIDEVICES_INSTANCE: {self._key_file}: {error}") from None
        if not key.strip():
            raise ConfigError(f"APIDEVICES_INSTANCE: {self._key_file} is empty. Delete it.")
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
        temporary.write_text(self._generated)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, key_file)
        temporary.unlink()
