"""The routes about movies: search, facts, similar and popular ones.

In: requests. Out: answers of the Python API. Next: `reelstream.serve.app` puts the routes together.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from reelstream.api import movie_queries
from reelstream.api.results import as_plain
from reelstream.ids import Id, number_of
from reelstream.serve import schema
from reelstream.serve.ids import MovieId
from reelstream.serve.json_response import json_response
from reelstream.serve.problems import READ, documented
from reelstream.serve.service import service_of
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.id_texts import MOVIE

router = APIRouter(prefix="/v1", tags=["movies"])

Text = Annotated[
    str, Query(max_length=schema.MAX_QUERY, description="Words of a title; typos do no harm.", examples=["pulp ficton"])
]


@router.get("/movies", response_model=schema.Found, responses=documented(422))
def search(request: Request, q: Text, n: schema.N = 10) -> Response:
    """Movies by title: fewest typos first, then the most rated."""
    found = service_of(request).ask(lambda now: movie_queries.search(now, q, n))
    return json_response({"query": q, "movies": [as_plain(movie) for movie in found]})


@router.get("/movies/{movie_id:id}", response_model=schema.MovieFacts, responses=documented(404, 422))
def movie(request: Request, movie_id: MovieId) -> Response:
    """A movie's facts."""
    return json_response(as_plain(service_of(request).ask(lambda now: movie_queries.movie(now, number_of(movie_id)))))


@router.get("/movies/{movie_id:id}/similar", response_model=schema.SimilarMovies, responses=READ)
def similar(request: Request, movie_id: MovieId, n: schema.N = 10) -> Response:
    """The movies nearest to it. At most `top_n` of the settings are published for a movie."""
    return json_response(service_of(request).similar(movie_id, n))


@router.get("/movies/{movie_id:id}/next", response_model=schema.NextMovies, responses=READ)
def watched_next(request: Request, movie_id: MovieId, n: schema.N = 10) -> Response:
    """The movies that users often rate soon after it."""
    return json_response(service_of(request).watched_next(movie_id, n))


@router.get("/hidden", response_model=schema.HiddenMovies)
def hidden(request: Request) -> Response:
    """The movies that no list has, the newest first."""
    return json_response({"movies": service_of(request).hidden()})


@router.put("/hidden/{movie_id:id}", response_model=schema.Visibility, responses=documented(422))
def hide(request: Request, movie_id: MovieId) -> Response:
    """Hides the movie: no list has it from now on, while its ratings are still learned from."""
    return _set(request, movie_id, hidden=True)


@router.delete("/hidden/{movie_id:id}", response_model=schema.Visibility, responses=documented(422))
def show(request: Request, movie_id: MovieId) -> Response:
    """Shows a hidden movie again."""
    return _set(request, movie_id, hidden=False)


def _set(request: Request, movie_id: Id, *, hidden: bool) -> Response:
    service = service_of(request)
    HiddenMovies(service.settings.warehouse).set([movie_id], hidden=hidden)
    return json_response({"movie_id": service.shown(movie_id, MOVIE), "hidden": hidden})


@router.get("/popular", response_model=schema.Popular, responses=READ)
def popular(request: Request, query: Annotated[schema.Filters, Query()]) -> Response:
    """The movies with the most stars in all."""
    return json_response(service_of(request).popular(query.wanted()))


@router.get("/genres", response_model=schema.GenreNames)
def genres(request: Request) -> Response:
    """Every genre that a movie has."""
    return json_response({"genres": service_of(request).snapshots.now().movies.genres})
