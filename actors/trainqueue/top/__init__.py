"""`trainq-cli top`: the queue full-screen, live, with the same actions as the page. Needs the extra `[tui]`.

What is shown is pure and knows no Textual: `world` (what is known), `rows`, `panels`, `detail` (words and columns),
`logtext` (bytes to lines), `deeds` (what can be done, and the question before it), `view` (what somebody looks at).
`asker` has the threads that talk to the daemon; `first` draws before Textual is there; `lines` is the one
widget, `paint` fills it, `keys` obeys, `app` puts them together.
"""
