"""Where templates, static files and migrations lie.

In a checkout they are folders at its top; a wheel carries them inside the package.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
IS_INSTALLED = (_PACKAGE / "templates").is_dir()
ROOT = _PACKAGE if IS_INSTALLED else _PACKAGE.parent

TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"
MIGRATIONS = ROOT / "migrations"

# What a checkout keeps lies beside it, wherever a command is started; an installed package has no
# place of its own, and uses the folder that it is started in.
INSTANCE = (Path() if IS_INSTALLED else ROOT) / "instance"
