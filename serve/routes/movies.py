"""The routes about movies: search, facts, similar and popular ones.

In: requests. Out: answers of the Python API. Next: `reelstream.serve.app` puts the routes together.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from reelstream.api.results import Movie
from reelstream.serve import schema
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
    found = service_of(request).recommender.search(q, n)
    return json_response({"query": q, "movies": [_facts(movie) for movie in found]})


@router.get("/movies/{movie_id}", response_model=schema.MovieFacts, responses=documented(404, 422))
def movie(request: Request, movie_id: schema.MovieId) -> Response:
    """A movie's facts."""
    return json_response(_facts(service_of(request).recommender.movie(movie_id)))


@router.get("/movies/{movie_id}/similar", response_model=schema.SimilarMovies, responses=READ)
def similar(request: Request, movie_id: schema.MovieId, n: schema.N = 10) -> Response:
    """The movies nearest to it. At most `top_n` of the settings are published for a movie."""
    service = service_of(request)
    found = service.recommender.similar(movie_id, n or 1)[:n]
    return json_response(
        {
            "movie_id": movie_id,
            "title": service.facts(movie_id)["title"],
            **service.origin("refit", found[0].version if found else None),
            "movies": [{**service.facts(one.movie_id), "rank": one.rank, "score": one.score} for one in found],
        }
    )


@router.get("/popular", response_model=schema.Popular, responses=READ)
def popular(request: Request, query: Annotated[schema.Filters, Query()]) -> Response:
    """The movies with the most stars in all."""
    service = service_of(request)
    found = service.recommender.popular(**query.wanted())
    rows = [
        {
            **service.facts(one.movie_id),
            "rank": one.rank,
            "score": one.score,
            "predicted_rating": one.predicted_rating,
            "n_ratings": one.n_ratings,
        }
        for one in found
    ]
    return json_response({**service.origin("popular", found[0].version if found else None), "movies": rows})


@router.get("/genres", response_model=schema.GenreNames)
def genres(request: Request) -> Response:
    """Every genre that a movie has."""
    return json_response({"genres": service_of(request).recommender.genres()})


def _facts(movie: Movie) -> dict[str, Any]:
    return {
        "movie_id": movie.movie_id,
        "title": movie.title,
        "year": movie.year,
        "genres": list(movie.genres),
        "n_ratings": movie.n_ratings,
        "mean_rating": movie.mean_rating,
    }
