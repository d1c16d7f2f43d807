"""When devices and tokens were last active: collected in memory, written by a background thread.

A request must not wait for a write, and a thousand requests of one device within a second change
only one row. So each process collects the latest times of each device (``batch.py``), and a thread
writes them at least once per interval (``buffer.py``), in three bulk statements (``writer.py``).
Times only ever move forward, in memory and in the database.
"""

from apidevices.activity.buffer import ActivityBuffer

__all__ = ["ActivityBuffer"]
