"""A real server on a real warehouse: two camps, published, with titles; and one that posts to a real broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from reelstream.batch.refit import refit
from reelstream.errors import BrokerUnavailable
from reelstream.producer.movies_file import read_movies
from reelstream.serve.app import make_app
from reelstream.serve.listener import listening, url_of
from reelstream.settings import Settings, load
from reelstream.store.movies import MoviesStore
from tests.fixtures.camps import FIRST_MOVIE, camps, fill

TITLES = "movieId,title,genres\n" + "".join(
    f'{FIRST_MOVIE + i},"{name} ({1980 + i % 40})",{genres}\n'
    for i, (name, genres) in enumerate(
        [
            ("Matrix, The", "Action|Sci-Fi"),
            ("Toy Story", "Animation|Comedy"),
            ("<script>alert(1)</script>", "Horror"),
            ("Pulp Fiction", "Crime|Drama"),
            *((f"Movie number {i}", "Comedy|Drama" if i % 2 else "Action") for i in range(4, 80)),
        ]
    )
)


def publish(warehouse: Path, **settings: object) -> Settings:
    """A warehouse with titles, ratings of two camps and one version."""
    warehouse.mkdir(parents=True, exist_ok=True)
    csv = warehouse / "movies.csv"
    csv.write_text(TITLES)
    MoviesStore(warehouse).load(read_movies(csv).table)
    fill(warehouse, camps())
    whole = load(warehouse=warehouse, top_n=12, **settings)
    refit(whole)
    return whole


def no_broker() -> str:
    raise BrokerUnavailable("no broker runs here.")


@contextmanager
def served(settings: Settings, kafka_address: Callable[[], str] = no_broker) -> Iterator[str]:
    """The URL of a server that runs meanwhile."""
    with listening(settings) as listener:
        server: uvicorn.Server
        app = make_app(settings, kafka_address, closing=lambda: server.should_exit)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=3))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.02)
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def client_of(settings: Settings) -> Iterator[httpx.Client]:
    """A client of such a server, which posts to the Kafka of the settings."""
    with (
        served(settings, lambda: settings.bootstrap_servers or "") as url,
        httpx.Client(base_url=url, timeout=30) as one,
    ):
        yield one


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Only read."""
    return publish(tmp_path_factory.mktemp("served") / "warehouse")


@pytest.fixture(scope="session")
def url(published: Settings) -> Iterator[str]:
    with served(published) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as one:
        yield one
