"""Kills the real server and its database under load, and looks for what was promised and lost.

It lives with the tests because it is made of their real server and real PostgreSQL, and because a
short run of it is one of them. ``make torture`` does a long one.

clients.py   devices and an administrator: the load, and the ledger of what they were answered
ledger.py    what was acknowledged, what is uncertain, and when processes were killed
site.py      the processes: kills them, and starts them again as a supervisor would
checks.py    compares the ledger with what is found in the end
run.py       one run, from the start to its report
"""
