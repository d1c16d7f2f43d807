"""Downloads in chunks: a million rows don't fit into memory."""

from apidevices.export.devices import csv_chunks, json_chunks, run
from apidevices.export.history import run_history
from apidevices.export.log import run_log

MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/jsonl",
}
"""File name extension -> media type."""

__all__ = ["MEDIA_TYPES", "csv_chunks", "json_chunks", "run", "run_history", "run_log"]
