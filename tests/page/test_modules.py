"""The page's pure modules, imported into a page: words, the store, filters, the shell-like split, the form's spec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from page.fakegate import serving
from page.fakejobs import job, running
from page.fakequeue import Gate

from trainqueue.core import forewords

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playwright.sync_api import Browser


@pytest.fixture
def run(browser: Browser) -> Generator[Callable[..., Any], None, None]:
    """`run("words", "span(given)", 90)`: with all that the module exports, and `given`."""
    with serving(Gate()) as url:
        page = browser.new_page()
        page.goto(f"{url}/static/icon.svg")
        page.goto(f"{url}/static/words.js")  # a page of the same origin that runs nothing by itself

        def evaluate(module: str, expression: str, given: Any = None) -> Any:
            script = f"""async (given) => {{
                const all = await import("/static/{module}.js");
                with (all) {{ return ({expression}); }}
            }}"""
            return page.evaluate(script, given)

        yield evaluate
        page.close()


def test_figures_are_said_as_on_the_command_line(run: Callable[..., Any]) -> None:
    spans = [0, 59, 60, 90, 2400, 4200, 7500, 86400 * 3 + 7300]
    words = ["0 s", "59 s", "1 min", "1 min 30 s", "40 min", "1 h 10", "2 h 5", "3 d 2 h"]
    assert run("words", "given.map(span)", spans) == words
    ran = [{"run_time": 90.0, "attempt": 2}, {"run_time": None, "attempt": 2}, {"run_time": None, "attempt": 1}]
    assert run("words", "given.map(ran)", ran) == ["took 1 min 30 s", "attempt 2 never ran", "never ran"]
    sizes = [512 * 2**20, 6.1 * 2**30, 48 * 2**30]
    assert run("words", "given.map(size)", sizes) == ["512 MiB", "6.1 GiB", "48 GiB"]
    assert run("words", "given.map(took)", [42, 725, 10921]) == ["0:42", "12:05", "3:02:01"]
    assert run("words", "given.map(percent)", [0, 0.29, 0.57, 0.629, 0.9999, 1]) == (
        ["0 %", "29 %", "57 %", "62 %", "99 %", "100 %"]
    )
    assert run("words", "given.map(rate)", [3.25, 0.25, 0]) == ["3.25 steps/s", "4 s/step", ""]
    assert run("words", "command(given)", ["a b", "", "it's", "x=1", "new\nline"]) == (
        "'a b' '' 'it'\"'\"'s' x=1 $'new\\x0aline'"
    )
    assert run("words", "clean(given, 6)", "a\u202eb\x1b[31mcd") == "a\ufffdb\ufffd[…"


def test_expected_starts_and_ends_read_as_on_the_command_line(run: Callable[..., Any]) -> None:
    """The page's words are the twins of core/forewords.py: the same for each of these."""
    moments = [None, 990.0, 1000.5, 1001.5, 1019, 1092.5, 1150, 3400, 8220, 8500, 90_000, 360_000.0]
    ranges = [None, [None, None], [900.0, 1400.0], [3300.0, 3500.0], [3400.0, 5200.0], [None, 90_000.0], [2000, None]]
    jobs = [
        {"state": state, f"expected_{end}_at": at, f"expected_{end}_range": between}
        for state, end in (("queued", "start"), ("running", "end"), ("completed", "end"))
        for at in moments
        for between in ranges
    ]
    assert run("words", "given.map((job) => [starts(job, 1000), left(job, 1000)])", jobs) == [
        [forewords.starts(one, 1000), forewords.left(one, 1000)] for one in jobs
    ]
    assert run("words", "starts(given, 1000)", job(1, expected_start_at=3400.0)) == "starts in about 40 min"


def test_badges_name_state_and_position(run: Callable[..., Any]) -> None:
    jobs = [
        job(1, position=2),
        job(1, hold=True),
        running(1, 0),
        running(1, 0, stopping=True),
        job(1, "failed", cause="exit", exit_code=3),
        job(1, "failed", cause="out-of-memory"),
        job(1, "pending"),
    ]
    assert run("words", "given.map(badge)", jobs) == [
        *("Queued (position: 2)", "Held", "Running", "Stopping"),
        *("Failed (exit code 3)", "Failed (out of memory)", "Starting"),
    ]


STORE = """(() => {
    const due = [];
    const store = createStore({schedule: (act) => due.push(act), clock: () => 5000});
    const heard = [];
    store.subscribe((changes) => heard.push({...changes, jobs: [...changes.jobs]}));
    for (const [kind, data] of given) store[kind](data);
    const frames = due.length;
    for (const act of due) act();
    const {jobs, ...state} = store.state;
    return {state, jobs: Object.fromEntries(jobs), heard, frames, now: store.now()};
})()"""


def told(run: Callable[..., Any], *messages: tuple[str, Any]) -> Any:
    return run("store", STORE, [list(message) for message in messages])


def test_lines_to_copy_make_such_a_job_again(run: Callable[..., Any]) -> None:
    plain = job(7, name="", command=["python", "t.py"], cwd="/w")
    curl = "curl -H 'Content-Type: application/json' -d '{}' http://h:1/api/training/execute"
    assert run("shell", "[submitLine(given), curlLine(given, 'http://h:1')]", plain)[1] == curl.format(
        '{"command":["python","t.py"],"cwd":"/w"}'
    )
    asks = {
        "gpus": 0,
        "gpu_name": "H100",
        "gpu_from": [0, 2],
        "grace": 60,
        "hold": True,
        "max_running": 2,
        "group": "g",
    }
    submit, line = run("shell", "[submitLine(given), curlLine(given, 'http://h:1')]", plain | asks)
    for option in ("--gpus 0", "--gpu-any 0,2", "--gpu-name H100", "--grace 60s", "--max-running 2", "--hold"):
        assert option in submit
    for name, value in asks.items():
        assert f'"{name}":{json.dumps(value, separators=(",", ":"))}' in line


@pytest.mark.parametrize(("steps", "stepped"), [([0, 10, 10, 30], True), ([0, 30, 0, 30], False)])
def test_a_curve_never_goes_back(run: Callable[..., Any], steps: list[int], stepped: bool) -> None:  # noqa: FBT001
    """Steps that begin anew in each epoch make no axis: it goes over time then."""
    points = [[1000 + at, step, 0.5 / (at + 1)] for at, step in enumerate(steps)]
    drawn = """(() => {
        const chart = lineChart("loss");
        chart.set(given);
        const across = [...chart.node.querySelector(".curve").getAttribute("d").matchAll(/[ML]([0-9.]+) /g)];
        return [across.map((found) => Number(found[1])), chart.node.querySelector("svg").textContent.includes("step")];
    })()"""
    across, said = run("charts", drawn, points)
    assert across == sorted(across)
    assert said is stepped


def test_a_curve_that_is_thinned_keeps_its_spikes_and_ends(run: Callable[..., Any]) -> None:
    points = [[at, at, 1000.0 if at == 171 else -5.0 if at == 330 else 1 / (1 + at)] for at in range(401)]
    kept = run("jobmetrics", "thinned(given)", points)
    assert 150 < len(kept) < 210
    assert kept == sorted(kept)
    assert all(point in kept for point in (points[0], points[171], points[330], points[-1]))


def test_who_asks_twice_at_once_takes_one_seat(run: Callable[..., Any]) -> None:
    """Else one of the three would stay taken until the tab is closed."""
    taken = """(async () => {
        const seats = createSeats();
        const got = await Promise.all([seats.take(), seats.take()]);
        const { held } = await navigator.locks.query();
        seats.leave();
        return [got, held.map((lock) => lock.name)];
    })()"""
    assert run("logseats", f"await {taken}") == [[True, True], ["trainq.log.0"]]


def test_a_minute_of_samples_is_kept_however_often_gpus_are_told_of(run: Callable[..., Any]) -> None:
    gate = Gate(waiting=1)
    card = gate.cards[0]
    first = gate.snapshot() | {"at": 0.0, "gpu_history": {}}
    deltas = [("delta", {"at": at / 8, "gpus": [card]}) for at in range(560)]
    history = told(run, ("snapshot", first), *deltas)["state"]["gpuHistory"][card["id"]]
    assert [history[0][0], history[-1][0]] == [9.875, 69.875]


def test_the_store_lays_deltas_over_the_snapshot(run: Callable[..., Any]) -> None:
    gate = Gate(waiting=3)
    first = gate.snapshot() | {"at": 7.0}
    end = gate.jobs[10] | {"state": "completed", "ended_at": 9.0}
    start = gate.jobs[20] | {"state": "running", "position": None}
    line = {"jobs": [22, 21], "ready": 1, "expected_start_at": [50.0, None]}
    found = told(
        run,
        ("snapshot", first),
        ("delta", {"seq": 9, "jobs": [end, start, job(23)]}),
        ("delta", {"line": line, "progress": {"11": {"fraction": 0.9}, "999": {"fraction": 0.1}}}),
        ("delta", {"paused": True, "gone": [1, 12345], "gpus": [gate.cards[0]], "log": {"job": 11, "data": "x"}}),
    )
    state, jobs = found["state"], found["jobs"]
    assert (state["running"], state["line"], state["seq"]) == ([11, 12, 13, 20], [22, 21], 9)
    assert state["recent"][0] == 10
    assert 1 not in state["recent"]
    assert [jobs[n]["position"] for n in ("22", "21")] == [1, None]
    assert (jobs["22"]["expected_start_at"], jobs["11"]["progress"]) == (50.0, {"fraction": 0.9})
    assert state["paused"] is True
    assert len(state["gpuHistory"]["GPU-fake-0"]) == 31
    assert found["frames"] == 1, "the snapshot is drawn without one, all that follows in one"
    [first_drawn, heard] = found["heard"]
    assert first_drawn["whole"]
    assert heard["log"] == [{"job": 11, "data": "x"}]
    assert found["now"] == 7.0, "the server's clock is the one that counts"


def test_before_the_snapshot_and_about_strangers_a_delta_says_nothing(run: Callable[..., Any]) -> None:
    found = told(run, ("delta", {"jobs": [job(1)], "line": {"jobs": [1], "ready": 1}}))
    assert found["jobs"] == {}
    found = told(
        run, ("snapshot", {}), ("delta", {"progress": {"7": None}, "gone": [7], "line": {"jobs": [7], "ready": 1}})
    )
    assert (found["jobs"], found["state"]["line"]) == ({}, [7])


def test_the_store_hosts_one_job_that_no_list_holds(run: Callable[..., Any]) -> None:
    old = [job(number, "completed", name="old") for number in (901, 902)]
    gate = Gate(waiting=1)
    first = ("snapshot", gate.snapshot())
    known = set(told(run, first)["jobs"])
    found = told(run, first, ("host", old[0]), ("host", job(20, name="not told by the stream")), ("host", old[1]))
    assert set(found["jobs"]) - known == {"902"}
    assert found["jobs"]["20"]["name"] == gate.jobs[20]["name"]
    retried = ("delta", {"jobs": [old[0] | {"state": "queued"}]})
    found = told(run, first, ("host", old[0]), retried, ("host", old[1]))
    assert set(found["jobs"]) - known == {"901", "902"}, "it stands in the line now"


LISTENS = """(async () => {
    const { bindDrag } = await import("/static/views/drag.js");
    const [{ addEventListener: add, removeEventListener: remove }, heard] = [globalThis, new Set()];
    globalThis.addEventListener = (kind, act) => heard.add(act);
    globalThis.removeEventListener = (kind, act) => heard.delete(act);
    const root = Object.assign(document.createElement("div"), {setPointerCapture() {}});
    root.innerHTML = '<div class="row" data-id="7"><i class="grip"></i></div>';
    const rows = {height: 10, items: [7], indexAt: () => 0};
    const unbind = bindDrag(root, rows, () => {});
    const counts = [heard.size];
    const drag = () => {
        root.querySelector("i").dispatchEvent(new PointerEvent("pointerdown", {bubbles: true}));
        counts.push(heard.size);
    };
    drag();
    for (const act of [...heard]) act({key: "Escape"});
    counts.push(heard.size);
    drag();
    unbind();
    counts.push(heard.size);
    Object.assign(globalThis, {addEventListener: add, removeEventListener: remove});
    return counts;
})()"""


def test_a_drag_listens_to_the_window_while_it_lasts(run: Callable[..., Any]) -> None:
    assert run("store", LISTENS) == [0, 1, 0, 1, 0]


def test_a_move_is_shown_at_once_and_the_server_has_the_last_word(run: Callable[..., Any]) -> None:
    moves = {
        "front": {"ids": [3], "to": "front"},
        "back": {"ids": [1, 2], "to": "back"},
        "before": {"ids": [4], "before": 2},
        "gone": {"ids": [4], "before": 99},
        "place": {"ids": [4], "position": 2},
    }
    lines = {name: run("store", "moved([1, 2, 3, 4], given)", move) for name, move in moves.items()}
    assert lines["front"] == [3, 1, 2, 4]
    assert lines["back"] == [3, 4, 1, 2]
    assert lines["before"] == lines["place"] == [1, 4, 2, 3]
    assert lines["gone"] == [1, 2, 3, 4]
    assert run("store", "moved([1, 2, 3, 4], given, 3)", moves["back"]) == [3, 1, 2, 4], "4 stands in no line"
    gate = Gate(waiting=3)
    found = told(run, ("snapshot", gate.snapshot()), ("layMove", {"ids": [22], "to": "front"}))
    assert found["state"]["line"] == [22, 20, 21]
    assert found["jobs"]["22"]["position"] == 1
    line = ("delta", {"line": {"jobs": [20, 21, 22], "ready": 3}})
    found = told(run, ("snapshot", gate.snapshot()), ("layMove", {"ids": [22], "to": "front", "settled": True}), line)
    assert found["state"]["line"] == [20, 21, 22]


SECOND_TAB = """(async () => {
    const { createStore } = await import("/static/store.js");
    const store = createStore({schedule: (act) => act(), clock: () => 5000});
    const own = Object.assign(new EventTarget(), {close() { this.closed = true; }});
    const doc = Object.assign(new EventTarget(), {visibilityState: "visible"});
    let hear;
    const peers = (heard, {onFollow}) => (hear = heard, onFollow(), {tell() {}, close() {}});
    const stream = createStream({store, doc, peers, source: () => own});
    own.dispatchEvent(new MessageEvent("delta", {data: '{"at": 6, "daemon": {"connected": false}}'}));
    const before = {closed: own.closed, known: store.state.known};
    for (const [kind, data] of given) hear({kind, data: JSON.stringify(data)});
    stream.close();
    return {before, known: store.state.known, line: store.state.line, connected: store.state.daemon.connected};
})()"""


def test_a_tab_that_comes_while_no_daemon_lives_hears_of_the_next_one(run: Callable[..., Any]) -> None:
    """From the tab that leads: its own stream ended with the word that there is no daemon."""
    said = [("ping", {}), ("delta", {"line": {"jobs": [7], "ready": 1}}), ("snapshot", Gate(waiting=2).snapshot())]
    found = run("stream", SECOND_TAB, [list(message) for message in said])
    assert found == {"before": {"closed": True, "known": False}, "known": True, "line": [20, 21], "connected": True}


POLLED = """(async () => {
    const {fetch, setTimeout} = globalThis;
    const [urls, told] = [[], []];
    await new Promise((done) => {
        globalThis.setTimeout = (act) => (given.length ? setTimeout(act, 0) : done());
        globalThis.fetch = async (url) => {
            urls.push(url);
            const [body, headers] = given.shift();
            return new Response(body, {headers});
        };
        pollLog(7, 1, (piece) => told.push([piece.offset, piece.next, piece.data]));
    });
    Object.assign(globalThis, {fetch, setTimeout});
    return {asked: urls.slice(1).map((url) => Number(/offset=(\\d+)/.exec(url)[1])), told};
})()"""


def test_a_log_that_is_read_beside_the_stream_goes_on_behind_what_was_cut(run: Callable[..., Any]) -> None:
    pieces: list[tuple[str, dict[str, str]]] = [
        ("x", {"content-range": "bytes 9-9/10"}),
        ("ab", {"x-next-offset": "12"}),
        ("cd", {"x-next-offset": "5000"}),
        ("", {"x-next-offset": "3"}),  # the job has emptied it
        ("ef", {"x-next-offset": "5"}),
    ]
    found = run("logseats", POLLED, [list(piece) for piece in pieces])
    assert found["asked"] == [10, 12, 5000, 3]
    assert found["told"] == [[10, 12, "ab"], [12, 5000, "cd"], [3, 5, "ef"]]


def test_the_timeline_opens_at_the_shortest_time_that_holds_all(run: Callable[..., Any]) -> None:
    def fitting(*jobs: Any) -> Any:
        return run("spans", "fitting(given, 100000)", list(jobs))

    def past(began: float) -> Any:
        return job(1, "completed", started_at=began, ended_at=began + 5)

    assert [fitting(past(100_000 - age)) for age in (600, 3000, 20_000, 80_000, 400_000)] == [
        *("15m", "1h", "6h", "24h", "24h")
    ]
    plan = job(2, expected_start_at=101_000.0, expected_end_at=190_000.0, expected_gpu_ids=["GPU-1"])
    assert (fitting(past(99_900), plan), fitting()) == ("1h", "15m")


def test_the_filter_finds_words_anywhere_and_orders(run: Callable[..., Any]) -> None:
    jobs = [
        job(1, name="Alpha", tags={"lr": "0.1"}),
        job(2, name="beta", hold=True),
        job(3, name=None, priority="high"),
    ]
    script = "chosen([1, 2, 3], new Map(given.jobs.map((job) => [job.id, job])), given.query, given.sort)"

    def chosen(query: str, sort: str = "line") -> Any:
        return run("filter", script, {"jobs": jobs, "query": query, "sort": sort})

    assert (chosen("ALPHA"), chosen("lr=0.1 ann"), chosen("held"), chosen("#3")) == ([1], [1], [2], [3])
    assert (chosen("train.py"), chosen("nobody")) == ([1, 2, 3], [])
    assert (chosen("", "priority"), chosen("", "submitted"), chosen("", "name")) == ([3, 1, 2], [3, 2, 1], [1, 2, 3])


def test_a_command_is_split_as_a_shell_does(run: Callable[..., Any]) -> None:
    text = "python 'a b' \"c \\\"d\\\" $e\" f\\ g '' x'y'z \\\n next"
    assert run("split", "split(given)", text) == ["python", "a b", 'c "d" $e', "f g", "", "xyz", "next"]
    for wrong, words in (("a 'b", "is opened and not closed"), ("a \\", "ends with a backslash")):
        assert words in run("split", "(() => { try { split(given) } catch (error) { return error.message } })()", wrong)
    assert "there is no shell" in run("split", "shellish(split(given))", "a && b")
    assert run("split", "given.map(seconds)", ["90s", "4h", "1h 30m", "0.5d"]) == [90, 14400, 5400, 43200]
    assert run("split", "given.map(bytes)", ["8GiB", "500 M", "auto", "1024"]) == [8 * 2**30, 500 * 2**20, "auto", 1024]
    assert run("split", "ids(given)", "3, 5-7 #9") == [3, 5, 6, 7, 9]
    assert run("split", "pairs(given)", "set=a, b, lr=0.1") == {"set": "a, b", "lr": "0.1"}


def test_the_form_makes_a_spec_and_what_has_changed(run: Callable[..., Any]) -> None:
    given = {
        "command": "python train.py",
        "cwd": "/home",
        "gpus": "2",
        "time_limit": "4h",
        "more": '{"grace": 60}',
        "hold": True,
    }
    spec = {
        "command": ["python", "train.py"],
        "cwd": "/home",
        "gpus": 2,
        "time_limit": 14400,
        "grace": 60,
        "hold": True,
    }
    assert run("spec", "specOf(given)", given) == {"spec": spec, "errors": {}}
    wrong = {"command": "a 'b", "cwd": "home", "gpus": "two", "priority": "urgent", "more": "[1]"}
    assert sorted(run("spec", "specOf(given).errors", wrong)) == ["command", "cwd", "gpus", "more", "priority"]
    before = job(7, time_limit=14400.0, tags={"a": "1"}, grace=60.0, hold=True)
    edited = "changed({...specOf(texts(given)).spec, gpus: 3, tags: undefined, hold: undefined}, given)"
    assert run("spec", edited, before) == {"gpus": 3, "tags": {}, "hold": False}
    assert run("spec", "changed(specOf(texts(given)).spec, given)", before) == {}
    line = run("spec", "cliOf(given)", spec | {"name": "a b", "tags": {"x": "1"}})
    assert (
        line
        == "trainq-cli submit --name 'a b' --cwd /home --gpus 2 --time-limit 4h --tag x=1 --hold -- python train.py"
    )
    told_at = run("spec", "refusalAt(given)", "Expected `int` >= 0 - at `$.jobs[0].gpus`")
    assert told_at == {"field": "gpus", "words": "Expected `int` >= 0"}
    assert run("spec", "refusalAt(given).field", "$.cwd: must be an absolute path") == "cwd"


def test_each_action_has_its_line_for_a_terminal(run: Callable[..., Any]) -> None:
    lines = {
        name: run("actions", f'cliLine(action("{name}"), [7], [5, 7, 8, 9])')
        for name in ("cancel", "kill", "up", "down", "front", "copy")
    }
    assert lines == {
        "cancel": "trainq-cli cancel 7",
        "kill": "trainq-cli cancel 7 --force",
        "up": "trainq-cli move 7 --before 5",
        "down": "trainq-cli move 7 --before 9",
        "front": "trainq-cli move 7 --front",
        "copy": "trainq-cli retry 7 --copy",
    }
    steps = "given.map(([name, id]) => step(action(name), id, [5, 7, 8, 9, 6], 3))"  # 9 and 6 are held
    asked = [("up", 5), ("up", 8), ("up", 9), ("up", 6), ("down", 5), ("down", 7), ("down", 8), ("down", 9)]
    back = {"to": "back"}
    assert run("actions", steps, [list(one) for one in asked]) == [
        *({"to": "front"}, {"before": 7}, {"before": 8}, back),
        *({"before": 8}, back, back, back),
    ]
    assert run("actions", 'cliLine(action("hold"), [3, 4, 5, 9])') == "trainq-cli hold 3-5 9"
    assert run("actions", 'curlLine(action("hold"), [3, 4], "http://h:1")') == (
        "curl -X POST http://h:1/api/training/hold -H 'Content-Type: application/json' -d '{\"jobs\":[3,4]}'"
    )
    names = "actionsOf(given).map((one) => one.name)"
    assert "suspend" in run("actions", names, [running(1, 0)])
    assert "edit" not in run("actions", names, [job(1), job(2)])
    assert run("actions", names, [job(1, "completed")]) == ["retry", "retryEdited", "copy"]
