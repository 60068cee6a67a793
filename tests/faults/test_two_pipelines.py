"""Two pipelines on one warehouse: the second refuses, whichever way it is started, and the first goes on."""

from __future__ import annotations

from pathlib import Path

from reelstream.broker.embedded import running_broker
from reelstream.producer.send import RatingProducer
from reelstream.settings import load
from tests.fixtures.command import command
from tests.fixtures.exact import exactly_stored, stored
from tests.fixtures.processes import reelstream, stream_runs, wait_until

BUSY = 6


def test_a_second_pipeline_refuses_and_the_first_goes_on(warehouse: Path) -> None:
    settings = load(warehouse=warehouse)
    with reelstream(settings, "broker") as broker:
        wait_until(lambda: running_broker(warehouse / "broker"), "the broker answers", broker)
        address = running_broker(warehouse / "broker") or ""
        for words in (["up"], ["broker"]):
            refused = command(settings, *words)
            assert refused.returncode == BUSY, refused.stderr
            assert (
                f"another broker runs on {warehouse}/broker; stop that one, or use another warehouse." in refused.stderr
            )

        with reelstream(settings, "up", "--bootstrap-servers", address) as first:
            wait_until(lambda: stream_runs(settings, first), "the stream runs", first)
            for words in (["up"], ["up", "--bootstrap-servers", address]):
                refused = command(settings, *words)
                assert refused.returncode == BUSY, refused.stderr
                assert "stop" in refused.stderr
            with RatingProducer(address, settings.topic, {}) as producer:
                places = producer.rate_live(7, [(1, 4.0), (2, 3.5)])
            wait_until(lambda: stored(settings) == 2, "the first one still takes ratings", first)
        assert first.returncode == 0
        assert broker.poll() is None
    assert broker.returncode == 0
    exactly_stored(settings, dict.fromkeys(places, 7))
