"""Tests in which a broker refuses connections."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refused_connections() -> Iterator[None]:
    """kafka-python leaves refused sockets to the garbage collector, with a ResourceWarning each: they go here.

    It also logs the exceptions that hold those sockets, and pytest would keep them for its report.
    """
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
            gc.collect()
    finally:
        logger.setLevel(level)
