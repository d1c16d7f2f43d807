"""Record when devices and tokens were last active: in memory first, then from a background thread.

A request must not wait for a write, and a thousand requests from one device within a second need
only one row update. Each process therefore collects the latest times of each device
(``batch.py``). A thread writes them once per interval (``buffer.py``), in three bulk statements
(``writer.py``). Times only move forward, both in memory and in the database.
"""

from apidevices.activity.buffer import ActivityBuffer, BufferLoad

__all__ = ["ActivityBuffer", "BufferLoad"]
