"""`reelstream evaluate`: files in, figures out."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelstream.batch.refit import refit
from reelstream.settings import load
from tests.cli.conftest import Reelstream
from tests.fixtures.camps import camps, fill

HEADER = "userId,movieId,rating,timestamp\n"
KEYS = {
    *("rmse", "mae", "r2", "explained_variance", "ndcg_at_10", "precision_at_10", "recall_at_10", "map_at_10"),
    *("mrr_at_10", "auc", "coverage", "novelty", "diversity", "cold_rows", "test_rows", "ranked_users"),
    *("fit_seconds", "top_n_seconds", "baselines", "bad_rows", "duplicates"),
}


def lines(every: slice = slice(None)) -> str:
    """Ratings of two camps, in order of time."""
    rows = list(zip(*(column.tolist() for column in camps()), strict=True))[every]
    return "".join(f"{user},{movie},{rating:g},{at}\n" for at, (user, movie, rating) in enumerate(rows, 1_000_000_000))


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(HEADER + lines())
    return path


def test_a_table_for_people(reelstream: Reelstream, csv: Path) -> None:
    answer = reelstream("evaluate", csv)

    assert (answer.code, answer.err) == (0, "")
    said = answer.out.splitlines()
    n = len(camps()[0])
    assert " ".join(said[:2]).replace("  ", " ") == (
        f"Learned from {n - round(n / 5):,} ratings of 60 users and 80 movies, measured on {round(n / 5):,}: "
        "a random 20%, seed 42."
    )
    at = next(i for i, line in enumerate(said) if line.startswith("On ratings that it has not seen"))
    assert said[at + 1].split("  ")[-3:] == ["this model", "biases only", "popularity"]
    names = [line[:18].strip() for line in said[at + 2 :]]
    lists = ["nDCG@10", "precision@10", "recall@10", "MAP@10", "MRR@10", "AUC"]
    assert names == ["RMSE", "MAE", "R²", "explained variance", *lists, "coverage", "novelty (bits)", "diversity"]
    assert max(map(len, said)) <= 80


def test_json_has_every_figure(reelstream: Reelstream, csv: Path) -> None:
    figures = reelstream("evaluate", csv, "--json").json

    assert set(figures) >= KEYS
    assert set(figures["baselines"]) == {"bias_only", "popularity", "last_version"}
    assert figures["held_out"] == {"split": "random", "test_fraction": 0.2, "seed": 42}
    assert (figures["bad_rows"], figures["duplicates"], figures["report"]) == (0, 0, None)
    other = reelstream("evaluate", csv, "--json", "--k", 3, "--seed", 1, "--relevant-from", 4.5).json
    assert set(other) >= {"ndcg_at_3", "map_at_3"}
    assert (other["k"], other["relevant_from"], other["held_out"]["seed"]) == (3, 4.5, 1)


@pytest.mark.parametrize(
    ("how", "said"), [("time", "the newest 30% of all."), ("user-time", "the newest 30% of each user's.")]
)
def test_splits_by_time(reelstream: Reelstream, csv: Path, how: str, said: str) -> None:
    assert said in " ".join(reelstream("evaluate", csv, "--split", how, "--test-fraction", 0.3).out.split())


def test_a_test_file_is_measured_on_as_it_is(reelstream: Reelstream, tmp_path: Path) -> None:
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text(HEADER + lines(slice(0, None, 2)))
    test.write_text(HEADER + lines(slice(1, None, 2)) + lines(slice(0, 6, 2)))

    figures = reelstream("evaluate", train, "--test", test, "--json").json

    n = len(camps()[0])
    assert (figures["train_rows"], figures["test_rows"]) == ((n + 1) // 2, n // 2)
    assert (figures["test_rows_in_training"], figures["held_out"]) == (3, {"test": str(test)})
    assert "3 test ratings in training too were left out." in reelstream("evaluate", train, "--test", test).out


def test_bad_rows_and_older_ratings_are_counted(reelstream: Reelstream, csv: Path) -> None:
    csv.write_bytes(b"# Am\xe9lie\n" + csv.read_bytes())
    with csv.open("a") as file:
        file.write(lines(slice(0, 2)).replace(",1000000", ",1100000") + "1,1000,9,1000000000\n[red]x,1,3,5\n")
    n = len(camps()[0])

    answer = reelstream("evaluate", csv)

    assert answer.code == 8
    assert answer.err.splitlines() == [
        "ratings.csv: It is not UTF-8: its letters are taken for Windows-1252, or --encoding says another.",
        f"2 bad rows of {csv} were left out:",
        f"  line {n + 5}: off_scale: rating 9 is not between 0.5 and 5: '1,1000,9,1000000000'",
        f"  line {n + 6}: wrong_type: user_id '[red]x' is not an integer: '[red]x,1,3,5'",
    ]
    assert "2 older ratings of the same movie were left out." in answer.out
    machine = reelstream("evaluate", csv, "--json")
    assert (machine.code, machine.json["bad_rows"], machine.json["duplicates"]) == (8, 2, 2)
    assert machine.json["train_rows"] + machine.json["test_rows"] == n
    assert [row["line_number"] for row in machine.json["first_bad"]] == [n + 5, n + 6]


def test_the_published_version_stands_beside(reelstream: Reelstream, csv: Path, warehouse: Path) -> None:
    fill(warehouse, camps())
    refit(load(warehouse=warehouse))

    answer = reelstream("evaluate", csv, "--warehouse", warehouse)

    assert "popularity  last version" in answer.out
    assert "may have learned from these test rows" in " ".join(answer.out.split())
    assert max(map(len, answer.out.splitlines())) <= 80


def test_a_report_is_written(reelstream: Reelstream, csv: Path, tmp_path: Path) -> None:
    directory = tmp_path / "to" / "[red]report"

    answer = reelstream("evaluate", csv, "--report", directory)

    assert answer.out.splitlines()[-1] == f"Report: {directory}/index.html"
    page = (directory / "index.html").read_text("utf-8")
    figures = reelstream("evaluate", csv, "--json").json
    assert f'<th scope="row">nDCG@10</th><td>{figures["ndcg_at_10"]:.3f}</td>' in page
    assert "a random 20%, seed 42." in page
    assert reelstream("evaluate", csv, "--json", "--report", directory).json["report"] == f"{directory}/index.html"


def test_mistakes_are_told(reelstream: Reelstream, csv: Path, tmp_path: Path) -> None:
    empty, header, strangers, bad = (tmp_path / f"{name}.csv" for name in ("empty", "header", "strangers", "bad"))
    empty.write_text("")
    header.write_text(HEADER)
    strangers.write_text(HEADER + "900,1000,4,1000000000\n")
    bad.write_text(HEADER + "1,1,9,1000000000\n")
    mistakes = {
        (tmp_path / "none.csv",): f"there is no file {tmp_path}/none.csv",
        (empty,): f"{empty} is empty",
        (header,): f"{header} has no good rating. Give a ratings.csv",
        (bad,): f"1 of 1 rows of {bad} would be rejected, 1 of them as line 2: off_scale",
        (csv, "--test", strangers): "are these ratings of the same people and movies?",
        (csv, "--test", csv): "every test rating is one of the training ratings too",
        (csv, "--test", csv, "--split", "time"): "--test and --split exclude each other",
        (csv, "--test", csv, "--seed", 1): "--test and --seed exclude each other",
        (csv, "--split", "newest"): "--split is 'newest'; choose one of random, time, user-time.",
        (csv, "--test-fraction", 1): "--test-fraction is 1; set it between 0 and 1.",
        (csv, "--relevant-from", 6): "no rating is relevant from 6 stars on",
        (csv, "--engine", "magic"): "engine: ",
        (csv, "--report", csv): f"--report {csv} is not a directory",
        (csv, "--report", csv / "below"): f"{csv}/below/index.html can't be written",
    }
    for words, said in mistakes.items():
        answer = reelstream("evaluate", *words)
        assert (answer.code, answer.out) == (2, ""), words
        assert answer.err.startswith("reelstream: "), words
        assert said in answer.err, words
    absent = reelstream("evaluate", csv, "--warehouse", tmp_path / "none")
    assert (absent.code, absent.out) == (3, "")
    assert list(Path.cwd().iterdir()) == []


def test_settings_are_searched_where_that_is_asked_for(
    reelstream: Reelstream, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reelstream.batch.tuning import search

    monkeypatch.setattr(search, "MOST_DRAWS", 2)
    monkeypatch.setattr(search, "ROUNDS", 0)
    tried = reelstream("evaluate", csv, "--json", "--self-tuning").json["tuning"]["tried"]
    assert [(row["of"], row["trials"]) for row in tried] == [("rating model", 2), ("ranking model", 2), ("fold-in", 2)]
    assert reelstream("evaluate", csv, "--json", "--no-self-tuning").json["tuning"]["tried"] == []


def test_what_is_detected_can_be_said(reelstream: Reelstream, csv: Path, tmp_path: Path) -> None:
    rows = [row.split(",") for row in csv.read_text().splitlines()[1:]]
    other = tmp_path / "other.csv"
    other.write_text("\n".join(f"{user};{movie};{stars};{at}000" for user, movie, stars, at in rows), "utf-16")
    words = ("--column", "user_id=1", "--column", "movie_id=2", "--column", "rating=3", "--column", "rated_at=4")

    own = reelstream("evaluate", csv, "--json").json
    answer = reelstream("evaluate", other, "--json", *words, "--time-unit", "ms", "--encoding", "utf-16").json

    assert [answer[name] for name in ("rmse", "train_rows", "bad_rows")] == [
        own[name] for name in ("rmse", "train_rows", "bad_rows")
    ]
    wrong = reelstream("evaluate", csv, "--column", "user=x")
    assert (wrong.code, wrong.err.startswith("reelstream: --column user is unknown; say FIELD=COLUMN")) == (2, True)
