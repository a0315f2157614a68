"""The HTTP interface and the page: a process of its own, and a client of the daemon like any other.

`serve.py` starts it, `app.py` has the routes. `watch.py` hears the daemon's events in a thread and hands what it learns
to the event loop, where `picture.py` keeps what all pages see and `streams.py` what each of them has not been told yet.
"""

BASE = "/api/training"
"""What all routes of the contract begin with."""
