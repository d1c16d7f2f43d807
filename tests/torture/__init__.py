"""Kill the real server and its database under load, and check that no acknowledged write is lost.

It belongs to the tests because it uses the same server and PostgreSQL harness, and because
test_torture.py runs a short version of it. ``make torture`` runs it for half an hour.

clients.py     the load: simulated devices and an administrator that record all responses
ledger.py      what was acknowledged, what is uncertain, and when processes were killed
deployment.py  the processes: kills them and restarts them like a supervisor
checks.py      compares the ledger with the final state of the server and its database
run.py         one run, from start to report
"""
