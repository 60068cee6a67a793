"""Tables that several commands print."""

from __future__ import annotations

from typing import Any

from reelstream.cli.options import print_table


def show_recommendations(title: str, movies: Any, unit: str = "stars") -> None:
    """A list of Recommendation as a table. unit: of the predicted ratings."""
    print_table(
        title,
        ("rank", "movie", "title", unit, "score", "source"),
        [(f.rank, f.movie_id, f.title, f.predicted_rating, f.score, f.source) for f in movies],
    )
