"""How a life becomes spans and a drawing."""

from jobfleet_contracts.state import State, Status
from jobfleet_dashboard.views.job.spans import span_rows
from jobfleet_dashboard.views.job.timeline_svg import MAX_ROWS, WIDTH, draw_timeline
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.views.story import OTHER, WORKER, at, failed, life, retry, started, step


def test_each_claim_is_a_row_that_begins_with_the_wait_for_it() -> None:
    broken, again = retry(5)
    events = life((2, started()), (4, broken), (4, again), (6, started(OTHER)), (9, failed()))
    rows = span_rows(events)
    kinds = [[span.state for span in row.spans] for row in rows]
    assert kinds == [[State.QUEUED, State.RUNNING], [State.RETRYING, State.RUNNING]]
    assert [row.worker_id for row in rows] == [WORKER, OTHER]
    assert [row.attempt for row in rows] == [1, 2]


def test_progress_lengthens_the_running_span() -> None:
    (row,) = span_rows(life((1, started()), (2, step(1, 2)), (3, step(2, 2))))
    running = row.spans[-1]
    assert (running.start, running.end) == (at(1), None)


def test_a_takeover_begins_a_row_and_is_marked() -> None:
    lost = Change(kind=Status.TAKEN_OVER, worker_id=OTHER, continues=True, message="lease gone")
    rows = span_rows(life((1, started()), (30, lost), (30, started(OTHER))))
    assert len(rows) == 2
    assert [mark.kind for mark in rows[1].marks] == ["takeover"]


def test_a_redrive_begins_a_row() -> None:
    rows = span_rows(life((1, started()), (2, failed()), (9, Change(kind=Status.REDRIVEN))))
    assert [mark.kind for mark in rows[-1].marks] == ["redrive"]


def test_the_drawing_fills_its_width_and_tells_itself_in_words() -> None:
    events = life((2, started()), (10, failed()))
    drawing = draw_timeline(span_rows(events), now=at(99))
    waited, ran = drawing.rows[0].bars
    assert (waited.x, waited.width) == (0, WIDTH / 5)
    assert (ran.x, ran.width) == (WIDTH / 5, WIDTH * 4 / 5)
    assert drawing.summary == "attempt 1, waited 2 s, ran 8 s"


def test_an_unfinished_span_grows_until_now() -> None:
    drawing = draw_timeline(span_rows(life((2, started()))), now=at(10))
    assert drawing.rows[0].bars[-1].open
    assert drawing.rows[0].ran == "8 s"


def test_an_instant_job_still_has_bars_within_the_drawing() -> None:
    drawing = draw_timeline(span_rows(life((0, started()), (0, failed()))), now=at(0))
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in drawing.rows[0].bars)


def test_more_claims_than_fit_are_cut_and_counted() -> None:
    changes = []
    for number in range(MAX_ROWS + 6):
        changes += [(number, started()), (number + 0.5, Change(kind=Status.DEFERRED, due_at=at(0)))]
    drawing = draw_timeline(span_rows(life(*changes)), now=at(99))
    assert len(drawing.rows) == MAX_ROWS
    assert drawing.omitted == 7
