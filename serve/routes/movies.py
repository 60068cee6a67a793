"""The routes about movies: search, facts, similar and popular ones.

In: requests. Out: answers of the Python API. Next: `reelstream.serve.app` puts the routes together.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from reelstream.api import movie_queries
from reelstream.api.results import as_plain
from reelstream.ids import number_of
from reelstream.serve import schema
from reelstream.serve.ids import MovieId
from reelstream.serve.json_response import json_response
from reelstream.serve.problems import READ, documented
from reelstream.serve.service import service_of

router = APIRouter(prefix="/v1", tags=["movies"])

Text = Annotated[
    str, Query(max_length=schema.MAX_QUERY, description="Words of a title; typos do no harm.", examples=["pulp ficton"])
]


@router.get("/movies", response_model=schema.Found, responses=documented(422))
def search(request: Request, q: Text, n: schema.N = 10) -> Response:
    """Movies by title: fewest typos first, then the most rated."""
    found = service_of(request).ask(lambda now: movie_queries.search(now, q, n))
    return json_response({"query": q, "movies": [as_plain(movie) for movie in found]})


@router.get("/movies/{movie_id}", response_model=schema.MovieFacts, responses=documented(404, 422))
def movie(request: Request, movie_id: MovieId) -> Response:
    """A movie's facts."""
    return json_response(as_plain(service_of(request).ask(lambda now: movie_queries.movie(now, number_of(movie_id)))))


@router.get("/movies/{movie_id}/similar", response_model=schema.SimilarMovies, responses=READ)
def similar(request: Request, movie_id: MovieId, n: schema.N = 10) -> Response:
    """The movies nearest to it. At most `top_n` of the settings are published for a movie."""
    return json_response(service_of(request).similar(movie_id, n))


@router.get("/movies/{movie_id}/next", response_model=schema.NextMovies, responses=READ)
def watched_next(request: Request, movie_id: MovieId, n: schema.N = 10) -> Response:
    """The movies that users often rate soon after it."""
    return json_response(service_of(request).watched_next(movie_id, n))


@router.get("/popular", response_model=schema.Popular, responses=READ)
def popular(request: Request, query: Annotated[schema.Filters, Query()]) -> Response:
    """The movies with the most stars in all."""
    return json_response(service_of(request).popular(query.wanted()))


@router.get("/genres", response_model=schema.GenreNames)
def genres(request: Request) -> Response:
    """Every genre that a movie has."""
    return json_response({"genres": service_of(request).snapshots.now().movies.genres})
