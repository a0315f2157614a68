"""`--watch` on a real terminal, read by an emulator, and the differ by itself."""

from __future__ import annotations

from emulator import Screen
from hypothesis import given
from hypothesis import strategies as st

from trainqueue.cli.painter import Frame, Line

NAMES = st.text(st.sampled_from("abc de█░…漢é\N{COMBINING ACUTE ACCENT}"), max_size=14)
FRAMES = st.lists(st.lists(st.builds(Line, NAMES, st.sampled_from(["", "1"])), max_size=6), min_size=2, max_size=6)


@given(FRAMES)
def test_the_differ_ends_with_what_a_fresh_screen_would_show(frames: list[list[Line]]) -> None:
    screen, frame = Screen(10, 4), Frame()
    screen.feed("\x1b[?7l")
    for lines in frames:
        screen.feed(frame.changes(lines, (10, 4)))
        fresh = Screen(10, 4)
        fresh.feed("\x1b[?7l" + Frame().changes(lines, (10, 4)))
        assert screen.text() == fresh.text()
        assert frame.changes(lines, (10, 4)) == ""
