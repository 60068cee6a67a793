"""A reader of a warehouse in a process of its own, which asks for lists and ratings without a pause."""

from __future__ import annotations

import multiprocessing
import queue
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import reelstream

RATINGS_EVERY = 20
"""Reads of lists until one of a user's ratings."""


@dataclass(frozen=True, slots=True)
class SoakReader:
    """`errors` counts the reads that raised, or gave an empty list, or one of two versions."""

    pid: int
    reads: Synchronized[int]
    errors: Synchronized[int]
    sentences: Any

    def said(self) -> list[str]:
        """What went wrong at first."""
        found = []
        while True:
            try:
                found.append(f"reader: {self.sentences.get_nowait()}")
            except queue.Empty:
                return found


@contextmanager
def reading(warehouse: Path, user_ids: Sequence[int]) -> Iterator[SoakReader]:
    """The process, at work once the block begins."""
    spawn = multiprocessing.get_context("spawn")
    reads, errors, sentences, stopping = spawn.Value("q", 0), spawn.Value("q", 0), spawn.Queue(10), spawn.Event()
    ready = spawn.Event()
    process = spawn.Process(target=_read, args=(warehouse, user_ids, reads, errors, sentences, ready, stopping))
    process.start()
    try:
        if not ready.wait(60):
            raise SystemExit("the reader did not start")
        yield SoakReader(process.pid or 0, reads, errors, sentences)
    finally:
        stopping.set()
        process.join(30)
        if process.is_alive():
            process.kill()
            process.join()


def _read(
    warehouse: Path,
    user_ids: Sequence[int],
    reads: Synchronized[int],
    errors: Synchronized[int],
    sentences: Any,
    ready: Any,
    stopping: Any,
) -> None:
    recommender, choose = reelstream.open(warehouse), random.Random(1)
    ready.set()
    while not stopping.is_set():
        user_id = choose.choice(user_ids)
        try:
            movies = recommender.recommend(user_id)
            if len({movie.version for movie in movies}) != 1:
                raise ValueError(f"user {user_id} has a list of {len(movies)} movies of the wrong versions")
            if reads.value % RATINGS_EVERY == 0:
                recommender.ratings(user_id)
        except Exception as error:  # whatever it is, no reader may see it
            errors.value += 1
            if errors.value <= 5:
                sentences.put(f"{type(error).__name__}: {error}")
        reads.value += 1
