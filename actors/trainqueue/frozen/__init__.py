"""Code frozen at submit: what belongs to a working folder, a copy of it in the home, and how long that is kept.

`listing` and `copying` are the submitter's, `kept` the daemon's; `changed` says what has become of code that was not
frozen.
"""
