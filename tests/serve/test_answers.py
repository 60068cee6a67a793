"""What the API answers, against the Python API on the same warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import reelstream
from reelstream.settings import Settings
from reelstream.store.quality import QualityStore
from reelstream.store.quality_figures import POINTS
from tests.fixtures.camps import FIRST_MOVIE, own_camp
from tests.fixtures.live_quality import minutes
from tests.serve.conftest import publish, served


def get(client: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    value: dict[str, Any] = answer.json()
    return value


def ids(answer: dict[str, Any]) -> list[int]:
    return [movie["movie_id"] for movie in answer["movies"]]


def test_a_known_user_has_the_published_list(client: httpx.Client, published: Settings) -> None:
    answer = get(client, "/v1/users/7/recommendations", n=5)

    movies = reelstream.open(published.warehouse).recommend(7, 5)
    assert ids(answer) == [movie.movie_id for movie in movies]
    assert (answer["source"], answer["version"], answer["user_id"]) == ("refit", "000001", 7)
    assert 0 <= answer["age_s"] < 3600
    first = answer["movies"][0]
    assert (first["rank"], first["title"], first["score"]) == (1, movies[0].title, pytest.approx(movies[0].score))
    assert first["title"].endswith(f"({first['year']})")
    assert first["genres"]


def test_further_places_go_on_where_the_published_list_ends(client: httpx.Client) -> None:
    whole = get(client, "/v1/users/7/recommendations", n=60)
    assert whole["source"] == "refit"
    assert [movie["rank"] for movie in whole["movies"]] == list(range(1, len(whole["movies"]) + 1))
    assert ids(get(client, "/v1/users/7/recommendations", n=12)) == ids(whole)[:12]
    assert ids(get(client, "/v1/users/7/recommendations", n=10, offset=8)) == ids(whole)[8:18]
    assert ids(get(client, "/v1/users/7/recommendations", n=0)) == []


def test_seen_movies_are_in_where_they_are_asked_for(client: httpx.Client, published: Settings) -> None:
    rated = reelstream.open(published.warehouse).stars(7)
    answer = get(client, "/v1/users/7/recommendations", n=1000, include_seen=True)

    assert len(answer["movies"]) == 80
    assert {movie["movie_id"]: movie["rated"] for movie in answer["movies"] if movie["rated"]} == rated
    assert not set(ids(get(client, "/v1/users/7/recommendations", n=1000))) & set(rated)


def test_filters_by_genre_and_year(client: httpx.Client) -> None:
    whole = get(client, "/v1/users/7/recommendations", n=1000)["movies"]
    comedies = get(client, "/v1/users/7/recommendations", n=1000, genre="comedy")["movies"]
    assert [movie["movie_id"] for movie in comedies] == [m["movie_id"] for m in whole if "Comedy" in m["genres"]]
    either = get(client, "/v1/users/7/recommendations", n=1000, genre=["Horror", "Crime"])["movies"]
    assert [m["movie_id"] for m in either] == [m["movie_id"] for m in whole if {"Horror", "Crime"} & set(m["genres"])]
    nineties = get(client, "/v1/users/7/recommendations", n=1000, year_from=1990, year_to=1999)["movies"]
    assert [m["movie_id"] for m in nineties] == [m["movie_id"] for m in whole if 1990 <= m["year"] <= 1999]
    assert nineties


def test_an_unknown_user_has_the_popular_list(client: httpx.Client) -> None:
    answer = get(client, "/v1/users/9007199254740991/recommendations", n=7)

    assert answer["source"] == "popular"
    assert ids(answer) == ids(get(client, "/v1/popular", n=7))


def test_an_anonymous_user_gets_what_such_a_user_gets_and_nothing_is_stored(
    client: httpx.Client, published: Settings
) -> None:
    before = get(client, "/v1/status")["ratings"]
    ratings = [{"movie_id": FIRST_MOVIE + 2 * i, "rating": 5.0} for i in range(5)]
    answer = client.post("/v1/visitors/recommendations", params={"n": 10}, json={"ratings": ratings})

    value = answer.json()
    assert (answer.status_code, value["source"], value.get("user_id")) == (
        200,
        "fold_in",
        None,
    )
    assert all((movie["movie_id"] - FIRST_MOVIE) % 2 == 0 for movie in value["movies"])
    assert not set(ids(value)) & {one["movie_id"] for one in ratings}
    assert get(client, "/v1/status")["ratings"] == before


def test_a_group_gets_what_none_has_seen(client: httpx.Client, published: Settings) -> None:
    answer = get(client, "/v1/groups/recommendations", user_id=[1, 3], n=8)

    api = reelstream.open(published.warehouse)
    assert not set(ids(answer)) & (set(api.stars(1)) | set(api.stars(3)))
    assert all(own_camp(1, movie) for movie in ids(answer))  # 1 and 3 are of one camp
    assert set(answer["movies"][0]["predicted_ratings"]) == {"1", "3"}
    strangers = get(client, "/v1/groups/recommendations", user_id=[10**12, 10**12 + 1], n=3)
    assert strangers["source"] == "popular"


def test_why_a_movie_is_there_in_shares_that_add_up(client: httpx.Client) -> None:
    movie = ids(get(client, "/v1/users/7/recommendations", n=1))[0]
    answer = get(client, f"/v1/users/7/because/{movie}", n=3)

    assert len(answer["reasons"]) == 3
    assert sum(one["part"] for one in answer["reasons"]) + answer["others"]["part"] == pytest.approx(answer["score"])
    assert sum(one["share"] for one in answer["reasons"]) + answer["others"]["share"] == pytest.approx(1)
    assert all(own_camp(7, one["movie_id"]) for one in answer["reasons"])


def test_predictions_surprises_and_ratings(client: httpx.Client, published: Settings) -> None:
    rated = reelstream.open(published.warehouse).stars(7)
    known = get(client, f"/v1/users/7/predictions/{next(iter(rated))}")
    assert (known["basis"], known["rated"]) == ("model", next(iter(rated.values())))
    total = known["mean"] + known["user_bias"] + known["movie_bias"] + known["taste"]
    assert known["predicted_rating"] == pytest.approx(min(max(total, 0.5), 5.0))

    surprises = get(client, "/v1/users/7/surprises", n=5)["ratings"]
    assert [abs(one["surprise"]) for one in surprises] == sorted(
        (abs(one["surprise"]) for one in surprises), reverse=True
    )
    assert all(one["rating"] - one["expected_rating"] == pytest.approx(one["surprise"]) for one in surprises)

    ratings = get(client, "/v1/users/7/ratings", n=1000)
    assert ratings["total"] == len(rated)
    assert {one["movie_id"]: one["rating"] for one in ratings["ratings"]} == rated


def test_movies_are_found_described_and_compared(client: httpx.Client) -> None:
    found = get(client, "/v1/movies", q="pulp ficton")["movies"]
    assert (found[0]["movie_id"], found[0]["title"]) == (FIRST_MOVIE + 3, "Pulp Fiction (1983)")
    facts = get(client, f"/v1/movies/{FIRST_MOVIE + 3}")
    assert facts == found[0]
    assert (facts["year"], facts["genres"]) == (1983, ["Crime", "Drama"])
    similar = get(client, f"/v1/movies/{FIRST_MOVIE}/similar", n=4)
    assert all((movie - FIRST_MOVIE) % 2 == 0 for movie in ids(similar))
    watched = get(client, f"/v1/movies/{FIRST_MOVIE}/next", n=4)["movies"]
    assert [one["rank"] for one in watched] == [1, 2, 3, 4]
    assert watched[0]["score"] == 1
    assert get(client, "/v1/genres")["genres"] == [
        "Action",
        "Animation",
        "Comedy",
        "Crime",
        "Drama",
        "Horror",
        "Sci-Fi",
    ]


def test_versions_settings_and_health(client: httpx.Client) -> None:
    versions = get(client, "/v1/versions")
    assert versions["current"] == "000001"
    assert [row["version"] for row in versions["history"]] == ["000001"]
    scale = {"rating_min": 0.5, "rating_max": 5.0, "rating_step": 0.5, "liked_from": 4.0, "kind": "stars"}
    assert get(client, "/v1/settings") == scale
    assert get(client, "/live") == get(client, "/ready") == {"status": "ok"}


def test_the_live_quality_is_told_in_all_and_over_time(tmp_path: Path) -> None:
    settings = publish(tmp_path)
    with served(settings) as url, httpx.Client(base_url=url) as client:
        assert get(client, "/v1/quality")["over_time"] == []
        QualityStore(settings.warehouse).append(minutes(40))

        found = get(client, "/v1/quality")

        assert found["ratings"] == sum(10 + i for i in range(40)) == sum(one["ratings"] for one in found["over_time"])
        assert found["rmse"] == pytest.approx(0.8**0.5)
        assert found["bias_only_rmse"] == pytest.approx(0.9**0.5)
        assert 2 <= len(found["over_time"]) <= POINTS
        for one in (found, *found["over_time"]):
            for name in ("rmse", "hit_rate", "ndcg_at_10"):
                assert one[f"{name}_low"] <= one[name] <= one[f"{name}_high"]
        times = [one["ended_at"] for one in found["over_time"]]
        assert times == sorted(times)
