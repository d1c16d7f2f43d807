"""Paths of the management API for the device with the id 1."""

from tests.conftest import DEVICES

ONE = f"{DEVICES}/1"
HISTORY = f"{ONE}/history"
BLOCK = f"{ONE}/block"
UNBLOCK = f"{ONE}/unblock"
BULK_BLOCK = f"{DEVICES}/block"
