"""Ranking metrics of one list by their definitions, one step at a time, for tests to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2


def ndcg(listed: Sequence[int], relevant: set[int], k: int) -> float:
    gains = [1 / log2(place + 1) for place, movie in enumerate(listed[:k], 1) if movie in relevant]
    ideal = [1 / log2(place + 1) for place in range(1, min(k, len(relevant)) + 1)]
    return sum(gains) / sum(ideal)


def precision(listed: Sequence[int], relevant: set[int], k: int) -> float:
    return len(set(listed[:k]) & relevant) / k


def recall(listed: Sequence[int], relevant: set[int], k: int) -> float:
    return len(set(listed[:k]) & relevant) / len(relevant)


def average_precision(listed: Sequence[int], relevant: set[int], k: int) -> float:
    at_hits = [
        precision(listed, relevant, place) for place in range(1, k + 1) if set(listed[place - 1 : place]) & relevant
    ]
    return sum(at_hits) / min(k, len(relevant))


def reciprocal_rank(listed: Sequence[int], relevant: set[int], k: int) -> float:
    return next((1 / place for place, movie in enumerate(listed[:k], 1) if movie in relevant), 0.0)


def auc(scores: Sequence[float], relevant: set[int], seen: set[int]) -> float | None:
    """None where there is no pair."""
    others = [movie for movie in range(len(scores)) if movie not in relevant | seen]
    pairs = [(scores[a], scores[b]) for a in relevant for b in others]
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs) if pairs else None
