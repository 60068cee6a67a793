"""`recommend`, `predict`, `similar`, `popular`: what a warehouse answers, read by the Python API."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from reelstream.cli.options import (
    AsJson,
    Bootstrap,
    Count,
    Warehouse,
    err,
    out,
    print_json,
    print_table,
    settings_of,
    user_of,
)
from reelstream.cli.tables import show_recommendations


def recommend(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    count: Count = 10,
    as_json: AsJson = False,
) -> None:
    """The best movies that a user has not rated; the popular ones for a user that is not known.

    Example: `reelstream recommend 42 -n 20 --json`
    """
    import reelstream

    settings = settings_of(warehouse, bootstrap_servers)
    listed = reelstream.open(settings.warehouse).recommend(user_of(settings, user), count)
    if as_json:
        print_json(listed)
        return
    if not listed and count:
        err.print(f"User {user} has rated every movie of this version; there is none left to recommend.")
        return
    show_recommendations(f"For user {user}", listed, settings.scale.unit)


def predict(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    movie: Annotated[str, typer.Argument(help="The movie's id or title.")],
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Will this user like that movie: the predicted rating, and how it came about.

    Example: `reelstream predict 42 "Pulp Fiction"`
    """
    import reelstream

    settings = settings_of(warehouse, bootstrap_servers)
    recommender = reelstream.open(settings.warehouse)
    prediction = recommender.predict(user_of(settings, user), recommender.find_movie(movie))
    if as_json:
        print_json(prediction)
        return
    p = prediction
    because = {
        "model": f"from {p.user_ratings} ratings of the user and {p.movie_ratings} of the movie",
        "movie": f"the user has no rating yet; from {p.movie_ratings} ratings of the movie",
        "user": f"the movie has no rating yet; from {p.user_ratings} ratings of the user",
        "mean": "neither the user nor the movie has a rating yet",
    }[p.source]
    name = escape(p.title or f"movie {p.movie_id}")
    out.print(f"[bold]{p.predicted_rating:.2f}[/] {settings.scale.unit} for {name} by user {p.user_id}")
    out.print(f"  {because}")
    out.print(
        f"  {p.mean:.2f} mean of all {p.user_bias:+.2f} this user {p.movie_bias:+.2f} this movie {p.taste:+.2f} taste"
        f"  (version {p.version})",
        soft_wrap=True,
    )
    if p.rated is not None:
        out.print(f"  The user gave it {p.rated:g}.")


def similar(
    movie: Annotated[str, typer.Argument(help="The movie's id or title.")],
    warehouse: Warehouse = None,
    bootstrap_servers: Bootstrap = None,
    count: Count = 10,
    as_json: AsJson = False,
) -> None:
    """Movies that the same people like.

    Example: `reelstream similar "Toy Story"`
    """
    import reelstream

    recommender = reelstream.open(settings_of(warehouse, bootstrap_servers).warehouse)
    listed = recommender.similar(recommender.find_movie(movie), count)
    if as_json:
        print_json(listed)
        return
    print_table(
        f"Like {movie}",
        ("rank", "movie", "title", "similarity"),
        [(entry.rank, entry.movie_id, entry.title, entry.score) for entry in listed],
    )


def popular(
    warehouse: Warehouse = None, bootstrap_servers: Bootstrap = None, count: Count = 10, as_json: AsJson = False
) -> None:
    """The popular movies: what a user with no rating gets.

    Example: `reelstream popular -n 5`
    """
    import reelstream

    settings = settings_of(warehouse, bootstrap_servers)
    listed = reelstream.open(settings.warehouse).popular(count)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Popular",
        ("rank", "movie", "title", settings.scale.unit, "ratings"),
        [(movie.rank, movie.movie_id, movie.title, movie.predicted_rating, movie.n_ratings) for movie in listed],
    )
