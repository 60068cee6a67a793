from __future__ import annotations

import json
import socket
import time
from collections import defaultdict
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.partitioner.default import DefaultPartitioner

from reelstream.errors import BrokerUnavailable, Busy, UsageError
from reelstream.events import RatingEvent
from reelstream.kafka_io import connection
from reelstream.producer import rating_producer
from reelstream.producer.ratings_csv import BadRow
from reelstream.producer.send import RatingProducer, new_user_id, replay
from reelstream.store.locks import exclusive
from tests.fixtures.kafka_broker import fresh_topic
from tests.producer.conftest import Replay
from tests.producer.refused import refused_connections
from tests.producer.topic import records_of


def test_a_replay_puts_each_row_there_once_in_time_order(
    replay_csv: Replay, bootstrap_servers: str, topic: str, ratings_csv: Path, tmp_path: Path
) -> None:
    result = replay_csv()
    assert (result.sent, result.acked, result.bad_rows, result.skipped_by_resume) == (2000, 2000, 0, 0)
    assert result.events_per_s == pytest.approx(2000 / result.seconds)

    records = records_of(bootstrap_servers, topic)
    rows = [line.split(",") for line in ratings_csv.read_text().splitlines()[1:]]
    values = {
        f'{{"v":1,"user_id":{user},"movie_id":{movie},"rating":{stars},"rated_at":{int(time_s) * 1000}}}'.encode()
        for user, movie, stars, time_s in rows
    }
    assert len(records) == len(values) == 2000
    assert {record.value for record in records} == values

    by_partition = defaultdict(list)
    partition_of_user = defaultdict(set)
    for record in records:
        event = record.event()
        assert record.key == str(event.user_id).encode()
        by_partition[record.partition].append(event.rated_at_ms)
        partition_of_user[event.user_id].add(record.partition)
    assert len(by_partition) == 3
    assert all(times == sorted(times) for times in by_partition.values())
    assert all(len(partitions) == 1 for partitions in partition_of_user.values())

    state = json.loads((tmp_path / "run" / "replay.json").read_bytes())
    assert state["acked_rows"] == 2000
    assert sum(state["offsets"].values()) == 2000


def test_sorted_on_disk_it_is_the_same(
    replay_csv: Replay, bootstrap_servers: str, topic: str, ratings_csv: Path, tmp_path: Path
) -> None:
    notices: list[str] = []
    with ratings_csv.open("a") as file:  # several blocks, so that there is something to spill
        file.writelines(f"{i % 40 + 1},7,3.5,{10**9 + i % 997}\n" for i in range(150_000))
    result = replay_csv(memory_rows=1000, limit=5000, notice=notices.append)
    assert result.acked == 5000
    assert len(notices) == 1
    assert "put in time order on disk" in notices[0]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["replay.json", "replay.lock"]
    times = [record.event().rated_at_ms for record in records_of(bootstrap_servers, topic)]
    assert max(times) == 1_000_000_032_000  # about 153 rows share each of the first seconds


def test_bad_rows_are_counted_and_left_out(replay_csv: Replay, ratings_csv: Path) -> None:
    with ratings_csv.open("a") as file:
        file.writelines(f"1,{i},9.5,1000000010\n" for i in range(1, 31))
    result = replay_csv()
    assert (result.acked, result.bad_rows, len(result.first_bad)) == (2000, 30, 20)
    assert result.first_bad[0] == BadRow(2002, "off_scale: rating 9.5 is not between 0.5 and 5", "1,1,9.5,1000000010")


def test_strict_stops_at_the_first_bad_row_and_sends_nothing(
    replay_csv: Replay, ratings_csv: Path, bootstrap_servers: str, topic: str
) -> None:
    with ratings_csv.open("a") as file:
        file.write("x,1,2,3\n")
    with pytest.raises(UsageError, match=r"line 2002: wrong_type: user_id 'x' is not an integer: 'x,1,2,3'"):
        replay_csv(strict=True)
    assert records_of(bootstrap_servers, topic) == []


def test_a_rate_holds_and_progress_is_told(replay_csv: Replay) -> None:
    told: list[tuple[int, int, float]] = []
    started = time.perf_counter()
    result = replay_csv(rate_per_s=500, limit=700, progress=lambda *now: told.append(now))
    assert 1.39 < time.perf_counter() - started < 5
    assert result.sent == 700
    assert len(told) >= 3
    assert told[-1][:2] == (700, 700)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][2] == pytest.approx(500, rel=0.2)


def test_a_wrong_pace_is_refused_before_anything_is_read(replay_csv: Replay, ratings_csv: Path) -> None:
    ratings_csv.unlink()
    with pytest.raises(UsageError, match="not both"):
        replay_csv(rate_per_s=1, speed=1)


def test_two_replays_of_a_file_do_not_run_at_once(replay_csv: Replay, tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "run" / "replay.lock", "a test"),
        pytest.raises(Busy, match=r"a replay of ratings\.csv is already running"),
    ):
        replay_csv()


def test_live_ratings_are_acknowledged_with_their_places(bootstrap_servers: str, topic: str) -> None:
    before_ms = time.time_ns() // 1_000_000
    with RatingProducer(bootstrap_servers, topic) as producer:
        places = producer.rate_live(7, [(296, 5), (1, 3.5)])
        started = time.perf_counter()
        places += producer.rate_live(7, [(2, 1.0)])
        assert time.perf_counter() - started < 1
    records = records_of(bootstrap_servers, topic)
    assert [(record.partition, record.offset) for record in records] == places
    events = [record.event() for record in records]
    assert [(event.user_id, event.movie_id, event.rating) for event in events] == [
        (7, 296, 5.0),
        (7, 1, 3.5),
        (7, 2, 1.0),
    ]
    assert all(before_ms <= event.rated_at_ms <= time.time_ns() // 1_000_000 for event in events)


def test_counts_follow_the_acknowledgements(
    bootstrap_servers: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rating_producer, "MAX_PENDING", 50)
    with RatingProducer(bootstrap_servers, topic) as producer:
        for i in range(1, 501):
            producer.send(RatingEvent(i, 1, 1.0, 0))
            assert producer.sent - producer.acked <= 50
        producer.count_as_sent()
        producer.flush(20)
        assert (producer.sent, producer.acked, producer.settled) == (500, 500, 501)
        assert sum(producer.offsets.values()) == 500


def test_the_partition_is_the_one_that_java_takes() -> None:
    class Cluster:
        def topics(self) -> set[str]:
            return {"t"}

        def partitions_for_topic(self, _topic: str) -> set[int]:
            return set(range(7))

        available_partitions_for_topic = partitions_for_topic

    ours, kafkas = rating_producer._ByUser(), DefaultPartitioner()
    for user_id in [*range(1, 500), 2**53 - 1, 2**63 - 1]:
        arguments = ("t", None, str(user_id).encode(), None, b"", Cluster())
        assert ours.partition(*arguments) == kafkas.partition(*arguments)


def test_a_delivery_that_the_broker_refuses_reaches_the_caller(
    bootstrap_servers: str, replay_csv: Replay, tmp_path: Path
) -> None:
    narrow = fresh_topic()
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    admin.create_topics(
        {narrow: {"num_partitions": 2, "replication_factor": -1, "configs": {"max.message.bytes": "64"}}}
    )
    admin.wait_for_topics([narrow])
    admin.close()
    with pytest.raises(BrokerUnavailable, match=f"did not take an event for topic {narrow}"):
        replay_csv(topic=narrow)
    assert json.loads((tmp_path / "run" / "replay.json").read_bytes())["acked_rows"] == 0
    with (
        RatingProducer(bootstrap_servers, narrow) as producer,
        pytest.raises(BrokerUnavailable, match="did not take an event"),
    ):
        producer.rate_live(7, [(296, 5)])


def test_without_a_broker_it_says_so(replay_csv: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_MS", 500)
    with socket.socket() as unused, refused_connections():
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(BrokerUnavailable, match=f"no Kafka answers at {address}"):
            RatingProducer(address, "ratings")
        with pytest.raises(BrokerUnavailable, match=f"no Kafka answers at {address}"):
            replay_csv(bootstrap_servers=address)


def test_without_the_topic_it_says_so(replay_csv: Replay) -> None:
    with pytest.raises(UsageError, match="there is no topic nothing-here at"):
        replay_csv(topic="nothing-here")


def test_new_user_ids_are_beyond_movielens_and_exact_in_a_double() -> None:
    ids = [new_user_id() for _ in range(10_000)]
    assert len(set(ids)) == 10_000
    assert all(2**40 <= user_id < 2**53 and int(float(user_id)) == user_id for user_id in ids)


def test_it_takes_a_missing_file_as_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*none.csv"):
        replay(
            tmp_path / "none.csv",
            bootstrap_servers="127.0.0.1:1",
            topic="t",
            state_path=tmp_path / "s.json",
            rating_min=0.5,
            rating_max=5.0,
        )
