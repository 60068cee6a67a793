"""The routes about users: their lists, and why; their ratings, read and posted.

In: requests. Out: answers of `reelstream.serve.service`. Next: `reelstream.serve.app` puts the routes together.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from reelstream.ids import Id, number_of
from reelstream.producer.rating_producer import new_user_id
from reelstream.serve import schema
from reelstream.serve.ids import MovieId, UserId, own_id
from reelstream.serve.json_response import json_response
from reelstream.serve.problems import READ, documented
from reelstream.serve.rating_sender import RatingSender
from reelstream.serve.service import Service, service_of
from reelstream.store.id_texts import MOVIE, USER

router = APIRouter(prefix="/v1")

ListQuery = Annotated[schema.ListQuery, Query()]
GroupQuery = Annotated[schema.GroupQuery, Query()]
BODY = documented(400, 413)
WRITE = {**documented(414, 422, 503), **BODY}


@router.get(
    "/users/{user_id:id}/recommendations",
    response_model=schema.Recommendations,
    responses=READ,
    tags=["recommendations"],
)
async def recommendations(request: Request, user_id: UserId, query: ListQuery) -> Response:
    """The user's best movies; for an unknown user the popular ones, with `source` "popular"."""
    service, want = service_of(request), query.wanted()
    answer = service.in_memory(user_id, want)
    return json_response(answer or await run_in_threadpool(service.recommendations, user_id, want))


@router.post(
    "/visitors/recommendations", response_model=schema.Recommendations, responses=READ | BODY, tags=["recommendations"]
)
def recommendations_of_an_anonymous_user(request: Request, given: schema.AnonymousUser, query: ListQuery) -> Response:
    """The list of somebody who is no user, from the ratings in the body. Nothing is stored."""
    service = service_of(request)
    return json_response(service.to_anonymous(stars_of(given, service), query.wanted()))


@router.get(
    "/groups/recommendations", response_model=schema.GroupRecommendations, responses=READ, tags=["recommendations"]
)
def recommendations_of_a_group(request: Request, query: GroupQuery) -> Response:
    """Movies for several users together: of the highest mean score, and rated by none of them."""
    service = service_of(request)
    users = [own_id(USER, user_id, service.ids.now()) for user_id in query.user_id]
    return json_response(service.for_group(users, query.wanted()))


@router.get(
    "/users/{user_id:id}/predictions/{movie_id:id}", response_model=schema.Prediction, responses=READ, tags=["why"]
)
def prediction(request: Request, user_id: UserId, movie_id: MovieId) -> Response:
    """How many stars the user will give the movie, and what they are made of."""
    return json_response(service_of(request).prediction(user_id, movie_id))


@router.get("/users/{user_id:id}/because/{movie_id:id}", response_model=schema.Because, responses=READ, tags=["why"])
def because(request: Request, user_id: UserId, movie_id: MovieId, n: schema.N = 5) -> Response:
    """Which of the user's own ratings give the movie its score, in exact shares."""
    return json_response(service_of(request).because(user_id, movie_id, n))


@router.post("/visitors/because/{movie_id:id}", response_model=schema.Because, responses=READ | BODY, tags=["why"])
def because_of_an_anonymous_user(
    request: Request, given: schema.AnonymousUser, movie_id: MovieId, n: schema.N = 5
) -> Response:
    """The same for the ratings in the body. Nothing is stored."""
    service = service_of(request)
    return json_response(service.because_anonymous(stars_of(given, service), movie_id, n))


@router.get("/users/{user_id:id}/surprises", response_model=schema.Surprises, responses=READ, tags=["why"])
def surprises(request: Request, user_id: UserId, n: schema.N = 10) -> Response:
    """The user's ratings that are furthest from what all the others let expect."""
    return json_response(service_of(request).surprises(user_id, n))


@router.get("/users/{user_id:id}/ratings", response_model=schema.UsersRatings, responses=READ, tags=["ratings"])
def ratings(request: Request, user_id: UserId, n: schema.N = 100, offset: schema.Offset = 0) -> Response:
    """What the user has rated, the newest first; also what was acknowledged a moment ago."""
    return json_response(service_of(request).ratings(user_id, n, offset))


@router.post("/users", status_code=201, response_model=schema.NewUser, tags=["ratings"])
def new_user(request: Request) -> Response:
    """A random id for a new user. Nothing is stored until the first rating."""
    return json_response({"user_id": service_of(request).shown(new_user_id())}, 201)


@router.post(
    "/users/{user_id:id}/ratings",
    status_code=201,
    response_model=schema.Acknowledged,
    responses=WRITE,
    tags=["ratings"],
)
def rate(request: Request, user_id: UserId, given: schema.GivenRating) -> Response:
    """A rating, or another one in its place. Answers when Kafka has acknowledged it."""
    movie_id = own_id(MOVIE, given.movie_id, service_of(request).ids.now())
    return json_response(_post(request, user_id, movie_id, given.rating, "rate"), 201)


@router.put(
    "/users/{user_id:id}/ratings/{movie_id:id}",
    response_model=schema.Acknowledged,
    responses=WRITE,
    tags=["ratings"],
)
def change(request: Request, user_id: UserId, movie_id: MovieId, given: schema.Stars) -> Response:
    """The rating of that movie, whether there was one before or not. Answers when Kafka has acknowledged it."""
    return json_response(_post(request, user_id, movie_id, given.rating, "change"))


@router.delete(
    "/users/{user_id:id}/ratings/{movie_id:id}",
    response_model=schema.Acknowledged,
    responses=WRITE,
    tags=["ratings"],
)
def take_back(request: Request, user_id: UserId, movie_id: MovieId) -> Response:
    """Takes the rating of that movie back. Answers when Kafka has acknowledged it."""
    return json_response(_post(request, user_id, movie_id, None, "delete"))


@router.get(
    "/users/{user_id:id}/dismissed",
    response_model=schema.DismissedMovies,
    responses=documented(422),
    tags=["dismissed"],
)
def dismissed(request: Request, user_id: UserId) -> Response:
    """The movies that the user is not interested in, the newest first."""
    return json_response(service_of(request).dismissed(user_id))


@router.put(
    "/users/{user_id:id}/dismissed/{movie_id:id}",
    response_model=schema.Dismissed,
    responses=documented(422, 503),
    tags=["dismissed"],
)
def dismiss(request: Request, user_id: UserId, movie_id: MovieId) -> Response:
    """The user is not interested in the movie: no list of the user has it. Answers when Kafka has acknowledged it."""
    return json_response(_dismiss(request, user_id, movie_id, is_so=True))


@router.delete(
    "/users/{user_id:id}/dismissed/{movie_id:id}",
    response_model=schema.Dismissed,
    responses=documented(422, 503),
    tags=["dismissed"],
)
def undismiss(request: Request, user_id: UserId, movie_id: MovieId) -> Response:
    """Takes that back. Answers when Kafka has acknowledged it."""
    return json_response(_dismiss(request, user_id, movie_id, is_so=False))


def _dismiss(request: Request, user_id: Id, movie_id: Id, *, is_so: bool) -> dict[str, Any]:
    sender: RatingSender = request.app.state.rating_sender
    place, service = sender.dismiss(user_id, movie_id, is_so=is_so), service_of(request)
    service.acknowledged.add_dismissed(number_of(user_id), [(number_of(movie_id), is_so)], [place])
    return _sent(service, user_id, movie_id, place, dismissed=is_so)


def stars_of(given: schema.AnonymousUser, service: Service) -> dict[int, float]:
    ids = service.ids.now()
    return {number_of(own_id(MOVIE, one.movie_id, ids)): one.rating for one in given.ratings}


def _post(request: Request, user_id: Id, movie_id: Id, stars: float | None, action: str) -> dict[str, Any]:
    sender: RatingSender = request.app.state.rating_sender
    place, service = sender.rate(user_id, movie_id, stars), service_of(request)
    service.acknowledged.add(number_of(user_id), [(number_of(movie_id), stars)], [place])
    request.app.state.metrics.posted(action)
    return _sent(service, user_id, movie_id, place, rating=stars)


def _sent(service: Service, user_id: Id, movie_id: Id, place: tuple[int, int], **change: Any) -> dict[str, Any]:
    shown = {"user_id": service.shown(user_id), "movie_id": service.shown(movie_id, MOVIE)}
    return {**shown, **change, "partition": place[0], "offset": place[1]}
