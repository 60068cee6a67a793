from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from reelstream.broker.embedded import EmbeddedBroker
from reelstream.errors import BrokerUnavailable, UsageError
from reelstream.kafka_io.topic import ensure_topic
from reelstream.producer.send import MAX_AHEAD_OF_STATE, replay
from tests.producer.conftest import Replay
from tests.producer.refused import refused_connections
from tests.producer.topic import Record, records_of

ROWS = 40_000
CHILD = """
import json, sys
from pathlib import Path
from reelstream.producer.send import replay

arguments = json.loads(sys.argv[1])
csv_path, state_path = Path(arguments.pop("csv_path")), Path(arguments.pop("state_path"))
replay(csv_path, state_path=state_path, progress=lambda acked, *_: print(acked, flush=True), **arguments)
"""


def write_ratings(path: Path, rows: int = ROWS) -> None:
    """Sorted by user, all rows different, times out of order and some of them shared."""
    with path.open("w") as file:
        file.write("userId,movieId,rating,timestamp\n")
        file.writelines(
            f"{i // 200 + 1},{i % 200 + 1},{i % 10 / 2 + 0.5},{10**9 + (i * 7919) % 30_011}\n" for i in range(rows)
        )


def killed_halfway(**arguments: object) -> int:
    """Starts a replay in a process of its own, kills it when some of it is sent; returns the rows in its state."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(arguments)], stdout=subprocess.PIPE)
    assert child.stdout
    with child.stdout:
        assert child.stdout.readline(), "the child ended before it sent anything"
        time.sleep(0.1)  # it sends on beyond what its state counts
        child.kill()
        assert child.wait() == -9
    state = json.loads(Path(str(arguments["state_path"])).read_bytes())
    return int(state["acked_rows"])


def each_row_once_in_order(records: list[Record], rows: int = ROWS) -> None:
    events = [record.event() for record in records]
    counts = Counter((event.user_id, event.movie_id) for event in events)
    assert len(counts) == rows
    assert set(counts.values()) == {1}
    latest_ms: dict[int, int] = {}
    for record, event in zip(records, events, strict=True):
        assert event.rated_at_ms >= latest_ms.get(record.partition, 0)
        latest_ms[record.partition] = event.rated_at_ms


def test_after_kill_9_and_another_kill_9_each_row_is_there_once(
    bootstrap_servers: str, topic: str, tmp_path: Path
) -> None:
    csv_path, state_path = tmp_path / "ratings.csv", tmp_path / "run" / "state.json"
    write_ratings(csv_path)
    arguments = {"bootstrap_servers": bootstrap_servers, "topic": topic, "rating_min": 0.5, "rating_max": 5.0}
    paths = {"csv_path": str(csv_path), "state_path": str(state_path)}

    first = killed_halfway(**arguments, **paths)
    there = len(records_of(bootstrap_servers, topic))
    assert 0 < first <= there < ROWS
    assert there - first <= MAX_AHEAD_OF_STATE

    second = killed_halfway(**arguments, **paths, resume=True, rate_per_s=5000)
    there = len(records_of(bootstrap_servers, topic))
    assert first <= second <= there < ROWS

    last = replay(csv_path, state_path=state_path, resume=True, **arguments)  # type: ignore[arg-type]
    assert last.skipped_by_resume == there
    assert last.sent == last.acked == ROWS - there
    each_row_once_in_order(records_of(bootstrap_servers, topic))

    again = replay(csv_path, state_path=state_path, resume=True, **arguments)  # type: ignore[arg-type]
    assert (again.sent, again.skipped_by_resume) == (0, ROWS)


def test_when_the_broker_goes_it_says_so_and_when_it_is_back_the_rest_follows(tmp_path: Path) -> None:
    csv_path, state_path = tmp_path / "ratings.csv", tmp_path / "run" / "state.json"
    write_ratings(csv_path)
    broker = EmbeddedBroker(tmp_path / "broker")
    with broker:
        address = broker.bootstrap_servers
        ensure_topic(address, "ratings", 2, {})
        stopping = threading.Thread(target=broker.stop)

        def stop_it(acked: int, _of: int, _per_s: float) -> None:
            if acked and not stopping.ident:
                stopping.start()

        with (
            refused_connections(),
            pytest.raises(BrokerUnavailable, match=f"Kafka at {address} did not take an event for topic ratings"),
        ):
            replay(
                csv_path,
                bootstrap_servers=address,
                topic="ratings",
                state_path=state_path,
                rating_min=0.5,
                rating_max=5.0,
                rate_per_s=10_000,
                delivery_timeout_s=3,
                progress=stop_it,
            )
        stopping.join()
    acked = json.loads(state_path.read_bytes())["acked_rows"]
    assert 0 < acked < ROWS

    with EmbeddedBroker(tmp_path / "broker") as broker:
        last = replay(
            csv_path,
            bootstrap_servers=broker.bootstrap_servers,
            topic="ratings",
            state_path=state_path,
            rating_min=0.5,
            rating_max=5.0,
            resume=True,
        )
        assert last.skipped_by_resume >= acked
        each_row_once_in_order(records_of(broker.bootstrap_servers, "ratings"))


def test_ctrl_c_leaves_a_state_to_resume_from(replay_csv: Replay, bootstrap_servers: str, topic: str) -> None:
    def interrupt(acked: int, _of: int, _per_s: float) -> None:
        if acked:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay_csv(rate_per_s=1500, progress=interrupt)
    there = len(records_of(bootstrap_servers, topic))
    assert 0 < there < 2000
    result = replay_csv(resume=True)
    assert (result.skipped_by_resume, result.acked) == (there, 2000 - there)
    each_row_once_in_order(records_of(bootstrap_servers, topic), 2000)


def test_a_limit_is_for_each_run(replay_csv: Replay, bootstrap_servers: str, topic: str) -> None:
    assert replay_csv(limit=700).acked == 700
    result = replay_csv(limit=700, resume=True)
    assert (result.acked, result.skipped_by_resume) == (700, 700)
    assert replay_csv(limit=0, resume=True).acked == 0
    assert replay_csv(resume=True).acked == 600
    each_row_once_in_order(records_of(bootstrap_servers, topic), 2000)


def test_without_resume_it_starts_at_the_first_row(replay_csv: Replay, tmp_path: Path) -> None:
    replay_csv(limit=700)
    assert replay_csv(limit=10).skipped_by_resume == 0
    assert json.loads((tmp_path / "run" / "replay.json").read_bytes())["acked_rows"] == 10


def test_without_an_earlier_replay_resume_starts_at_the_first_row_and_says_so(
    replay_csv: Replay, ratings_csv: Path
) -> None:
    notices: list[str] = []
    assert replay_csv(resume=True, limit=10, notice=notices.append).acked == 10
    assert notices == [f"There is no earlier replay of {ratings_csv} to resume; it starts at the first row."]


def test_rows_without_a_time_keep_the_time_of_the_first_replay(
    replay_csv: Replay, ratings_csv: Path, bootstrap_servers: str, topic: str
) -> None:
    ratings_csv.write_text("userId,movieId,rating\n" + "".join(f"{i},1,3.5\n" for i in range(1, 101)))
    replay_csv(limit=40)
    replay_csv(resume=True)
    events = [record.event() for record in records_of(bootstrap_servers, topic)]
    assert sorted(event.user_id for event in events) == list(range(1, 101))
    assert len({event.rated_at_ms for event in events}) == 1


def test_a_changed_file_is_refused(replay_csv: Replay, ratings_csv: Path) -> None:
    replay_csv(limit=10)
    status = ratings_csv.stat()
    for change in (
        lambda: os.utime(ratings_csv, ns=(status.st_atime_ns, status.st_mtime_ns + 1)),
        lambda: ratings_csv.write_text(ratings_csv.read_text() + "1,2,3,4\n"),
    ):
        change()
        with pytest.raises(UsageError, match=r"ratings\.csv has changed since the last replay"):
            replay_csv(resume=True)
    assert replay_csv(limit=10).acked == 10


def test_another_scale_is_refused(replay_csv: Replay) -> None:
    replay_csv(limit=10)
    with pytest.raises(UsageError, match=r"took ratings from 0\.5 to 5; use that scale again"):
        replay_csv(resume=True, rating_max=10.0)


def test_a_topic_made_anew_is_refused(replay_csv: Replay, bootstrap_servers: str, topic: str) -> None:
    replay_csv(limit=10)
    ensure_topic(bootstrap_servers, f"{topic}-anew", 3, {})
    with pytest.raises(UsageError, match="has fewer events than the last replay put there"):
        replay_csv(resume=True, topic=f"{topic}-anew")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 2}', b'{"format":1,"file":3}', b"\xff"])
def test_a_damaged_state_is_refused(replay_csv: Replay, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "replay.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"replay\.json can't be read .*; replay from the start, without --resume"):
        replay_csv(resume=True)
