"""Attack the real server, and count what gets through.

It belongs to the tests because it uses the same server and PostgreSQL harness, and because
test_hostile.py runs a short version of it. ``make hostile`` runs all of it.

naughty.py     naughty strings in every field
markup.py      the pages that show those strings, in Chromium
shapes.py      malformed HTTP requests, from case.py, cases.py and bodies.py
blocked.py     attempts to get past a block; spellings.py lists them
floods.py      more requests, connections and guesses than the server can take
disk.py        a disk without space
tools.py       kept scanners: wapiti and sqlmap

tally.py       counts the responses of a part
target.py      the server under attack, and its administrator
wire.py        requests as raw bytes
run.py         the parts, in order
"""
