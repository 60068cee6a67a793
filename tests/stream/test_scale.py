"""A stream that runs before anybody knows the scale of its ratings."""

from __future__ import annotations

from pathlib import Path

from reelstream.als.scale import Scale
from reelstream.cli.replay import replay_file
from reelstream.producer.rating_producer import RatingProducer
from reelstream.settings import load
from reelstream.store import scale_file
from reelstream.store.ratings import RatingsStore
from tests.fixtures.processes import reelstream, stream_runs, wait_until

ROWS = 400


def test_a_stream_takes_the_scale_of_the_first_replay(tmp_path: Path, bootstrap_servers: str, topic: str) -> None:
    csv = tmp_path / "ratings.csv"
    rows = [f"{1 + i // 20},{1 + i % 20},{i % 101},{1_600_000_000 + i}" for i in range(ROWS)]
    csv.write_text("userId,movieId,rating,timestamp\n" + "\n".join(rows) + "\n")
    settings = load(warehouse=tmp_path / "warehouse", bootstrap_servers=bootstrap_servers, topic=topic)
    store = RatingsStore(settings.warehouse)

    def taken() -> bool:
        state = store.state()
        return state.accepted + state.rejected == ROWS + 1

    with reelstream(settings, "stream") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        options = {"rate": None, "speed": None, "limit": None, "resume": False, "strict": False, "quiet": True}
        assert replay_file(settings, csv, **options).acked == ROWS  # type: ignore[arg-type]
        with RatingProducer(bootstrap_servers, topic, {}) as producer:
            producer.rate_live(7, [(3000, 101.0)])
        wait_until(taken, "all is taken", process)

    assert scale_file.read(settings.warehouse) == Scale(0, 100, 1)
    assert (store.state().accepted, store.state().rejected) == (ROWS, 1)
    assert sorted(store.read()["rating"].to_pylist()) == sorted(float(i % 101) for i in range(ROWS))
    assert store.read_rejects()["reason"].to_pylist() == ["off_scale"]
