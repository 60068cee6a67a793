"""Errors are problems that say what to do; and who may ask."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from reelstream.errors import UsageError
from reelstream.serve.listener import check_token, listening
from reelstream.settings import Settings, load
from tests.serve.conftest import publish, served

TOKEN = "a-long-word-by-chance"


def problem(answer: httpx.Response) -> str:
    """Its detail, of an answer that is a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    value = answer.json()
    assert value["status"] == answer.status_code
    assert value["title"]
    detail: str = value["detail"]
    return detail


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/v1/users/-1/recommendations", 422, "user_id"),
        ("/v1/users/007/recommendations", 422, "user_id"),
        ("/v1/users/mary/recommendations", 422, "user_id"),
        (f"/v1/users/{2**63}/recommendations", 422, "user_id"),
        ("/v1/users/7/recommendations?n=1001", 422, "n"),
        ("/v1/users/7/recommendations?n=-1", 422, "n"),
        ("/v1/users/7/recommendations?genre=Westerns", 404, "westerns"),
        ("/v1/users/7/because/99", 404, "99"),
        ("/v1/movies/99", 404, "99"),
        ("/v1/movies/99/similar", 404, "99"),
        ("/v1/movies", 422, "q"),
        ("/v1/groups/recommendations", 422, "user_id"),
        ("/v1/nothing", 404, "Not Found"),
        ("/page/..%2fapp.py", 404, ""),
        ("/docs", 404, ""),
    ],
)
def test_a_bad_question_is_told_what_is_wrong(client: httpx.Client, path: str, status: int, word: str) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert word in problem(answer)


def test_a_method_that_is_not_there_names_those_that_are(client: httpx.Client) -> None:
    answer = client.patch("/v1/users/7/ratings")

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    problem(answer)


@pytest.mark.parametrize("rating", [5.5, 0, -1, "five", None, float("inf")])
def test_a_rating_off_the_scale_is_refused(client: httpx.Client, rating: object) -> None:
    text = str(rating) if isinstance(rating, str) else {float("inf"): "1e999", None: "null"}.get(rating, str(rating))
    body = f'{{"ratings": [{{"movie_id": 1000, "rating": {text}}}]}}'
    answer = client.post("/v1/visitors/recommendations", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    problem(answer)


def test_a_body_has_a_limit(client: httpx.Client) -> None:
    def endless() -> object:
        for _ in range(100):
            yield b" " * 10_000

    for content in (b" " * 300_000, endless()):
        answer = client.post("/v1/visitors/recommendations", content=content)  # type: ignore[arg-type]
        assert answer.status_code == 413
        problem(answer)
    many = {"ratings": [{"movie_id": i + 1, "rating": 3} for i in range(2001)]}
    assert client.post("/v1/visitors/recommendations", json=many).status_code == 422
    assert client.get("/v1/movies", params={"q": "x" * 10_000}).status_code == 414


def test_without_a_broker_a_rating_is_not_acknowledged(client: httpx.Client) -> None:
    answer = client.put("/v1/users/7/ratings/1000", json={"rating": 4})

    assert answer.status_code == 503
    assert "broker" in problem(answer)


def test_nothing_published_is_no_failure_of_the_server(tmp_path: Path) -> None:
    with served(load(warehouse=tmp_path)) as url, httpx.Client(base_url=url) as client:
        assert client.get("/live").status_code == 200
        for path in ("/ready", "/v1/users/7/recommendations", "/v1/popular"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "published" in problem(answer)
        assert client.get("/v1/users/7/ratings").json()["total"] == 0
        assert client.get("/v1/movies", params={"q": "matrix"}).json()["movies"] == []
        assert client.get("/v1/versions").json()["current"] is None
        assert client.get("/").status_code == 200


def test_another_sites_name_for_this_machine_is_refused(client: httpx.Client) -> None:
    answer = client.get("/v1/users/7/ratings", headers={"host": "evil.example"})

    assert answer.status_code == 403
    problem(answer)
    assert client.get("/live", headers={"host": "localhost:99"}).status_code == 200


def test_a_form_of_another_site_cannot_rate(client: httpx.Client) -> None:
    """What a browser sends without asking the server first is no JSON by its content type."""
    body = '{"movie_id": 1000, "rating": 5}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {} if kind is None else {"content-type": kind}
        answer = client.post("/v1/users/7/ratings", content=body, headers=headers)
        assert answer.status_code == 422
    assert "access-control-allow-origin" not in client.options("/v1/users/7/ratings").headers


def test_a_token_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    with served(publish(tmp_path / "warehouse", serve_token=TOKEN)) as url, httpx.Client(base_url=url) as client:
        for headers in ({}, {"authorization": "Bearer no"}, {"authorization": f"Basic {TOKEN}"}):
            answer = client.get("/v1/users/7/ratings", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            problem(answer)
        assert client.get("/v1/users/7/ratings", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get(f"/v1/users/7/ratings?token={TOKEN}").status_code == 401
        assert client.get(f"/v1/events?most=1&token={TOKEN}").status_code == 200
        for path in ("/live", "/ready", "/"):
            assert client.get(path).status_code == 200


def test_others_are_not_served_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="REELSTREAM_SERVE_TOKEN"):
        check_token(load(warehouse=tmp_path, serve_host="0.0.0.0"))
    with pytest.raises(UsageError, match="16"):
        check_token(load(warehouse=tmp_path, serve_token="short"))
    check_token(load(warehouse=tmp_path, serve_host="0.0.0.0", serve_token=TOKEN))
    for host in ("127.0.0.1", "::1", "localhost"):
        check_token(load(warehouse=tmp_path, serve_host=host))


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with listening(load(warehouse=tmp_path)) as listener:
        taken: Settings = load(warehouse=tmp_path, serve_port=listener.getsockname()[1])
        with pytest.raises(UsageError, match="--port"):
            listening(taken)
