from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import all_commands
from reelstream.settings import Settings
from reelstream.store.locks import exclusive
from reelstream.store.movies import MoviesStore
from tests.cli.conftest import Reelstream
from tests.fixtures.camps import camps, fill
from tests.fixtures.published import publish


def test_movies_load_loads_titles_and_counts_them(reelstream: Reelstream, warehouse: Path, tmp_path: Path) -> None:
    csv = tmp_path / "movies.csv"
    csv.write_text('movieId,title,genres\n1,Toy Story (1995),Animation\n2,"Matrix, The (1999)",Action\n')

    assert reelstream("movies", "load", csv, "--warehouse", warehouse) == (0, "2 titles.\n", "")
    assert reelstream("movies", "load", csv, "--json", "--warehouse", warehouse).json == {
        "titles": 2,
        "bad_rows": 0,
        "encoding": "utf-8",
    }
    assert MoviesStore(warehouse).titles().find("the matrix") == 2
    csv.write_text("movieId,title\n7\n")
    assert reelstream("movies", "load", csv, "--warehouse", warehouse) == (
        2,
        "",
        f"reelstream: {csv} has no movie: line 2: not_csv: 1 fields: '7'.\n",
    )
    csv.write_bytes("movieId,title\n3,Amélie\nx,Jaws\n".encode("cp1252"))
    answer = reelstream("movies", "load", csv, "--warehouse", warehouse)
    assert (answer.code, answer.out) == (8, "3 titles.\n")
    assert answer.err.startswith(
        "The file is not UTF-8; it was taken for cp1252.\n1 bad row was left out:\n  line 3: bad_id"
    )


def test_refit_publishes_and_shows_the_metrics(reelstream: Reelstream, warehouse: Path) -> None:
    fill(warehouse, camps())

    answer = reelstream("refit", "--warehouse", warehouse)

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Version 000001 published in ")
    assert "nDCG@10" in answer.out
    value = reelstream("refit", "--json", "--warehouse", warehouse).json
    assert (value["version"], value["accepted"], value["users"]) == ("000002", len(camps()[0]), 60)
    assert set(value) >= {"as_of", "engine", "ratings", "movies", "metrics", "seconds"}


def test_settings_names_each_one_with_its_value_and_meaning(reelstream: Reelstream, tmp_path: Path) -> None:
    said = reelstream("settings", "--warehouse", tmp_path / "[red]movies").out.splitlines()

    assert said[0] == f"warehouse = {tmp_path}/[red]movies"
    for name, field in Settings.model_fields.items():
        at = next(i for i, line in enumerate(said) if line.startswith(f"{name} = "))
        assert said[at + 1] == f"    {field.description}"
    assert len(said) == 2 * len(Settings.model_fields)


def test_file_then_environment_then_flag(reelstream: Reelstream, monkeypatch: pytest.MonkeyPatch) -> None:
    def warehouse() -> tuple[str, str]:
        return reelstream("settings", "--json").json["warehouse"], reelstream(*flag).json["warehouse"]

    flag = ("settings", "--json", "--warehouse", "by-flag")
    assert warehouse() == ("warehouse", "by-flag")
    Path("reelstream.toml").write_text('warehouse = "by-file"\ntop_n = 5\n')
    assert warehouse() == ("by-file", "by-flag")
    monkeypatch.setenv("REELSTREAM_WAREHOUSE", "by-env")
    assert warehouse() == ("by-env", "by-flag")
    assert reelstream("settings", "--json").json["top_n"] == 5


@pytest.mark.parametrize(
    "words",
    [
        ["recommend", 1],
        ["predict", 1, 296],
        ["similar", 296],
        ["popular"],
        ["status"],
        ["rejects"],
        ["refit"],
    ],
)
def test_without_a_warehouse_it_is_3_and_says_how_to_start_one(words: list[object], reelstream: Reelstream) -> None:
    assert reelstream(*words, "--warehouse", "nowhere") == (
        3,
        "",
        "reelstream: there is no warehouse at nowhere; start one with `reelstream up --warehouse nowhere`.\n",
    )
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("words", [["recommend", 1], ["predict", 1, 296], ["similar", 296], ["popular"]])
def test_without_a_version_it_is_3(words: list[object], reelstream: Reelstream, warehouse: Path) -> None:
    warehouse.mkdir()

    assert reelstream(*words, "--warehouse", warehouse) == (
        3,
        "",
        "reelstream: nothing is published yet; run `reelstream refit`, or wait for the first refit of `reelstream up`.\n",
    )


def test_a_refit_without_ratings_is_3(reelstream: Reelstream, warehouse: Path) -> None:
    warehouse.mkdir()

    answer = reelstream("refit", "--json", "--warehouse", warehouse)

    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith("reelstream: there are no ratings yet; ")


@pytest.mark.parametrize(
    "words", [["rate", 1, "296=5"], ["rate", 1, "296=5", "--json"], ["replay", "ratings.csv"], ["stream"]]
)
def test_without_a_broker_it_is_5(
    words: list[object], reelstream: Reelstream, warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ratings.csv").write_text("userId,movieId,rating\n1,296,5\n")
    answer = reelstream(*words, "--warehouse", warehouse)

    assert (answer.code, answer.out) == (5, "")
    assert answer.err.endswith(
        f"reelstream: no broker runs on {warehouse}; start `reelstream up --warehouse {warehouse}` in another terminal, "
        "or name a Kafka with --bootstrap-servers.\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rate", 1, "296"], "'296' is not MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5', or 296=none."),
        (["rate", 1, "=5"], "'=5' is not MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5', or 296=none."),
        (["rate", 1, "296=five"], "'296=five' is not MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5', or 296=none."),
        (["rate", 1], "nothing to rate; give at least one MOVIE=STARS, such as 296=5 or 'Pulp Fiction=5'."),
        (["rate", 1, "10=4", "296=9"], "off_scale: rating 9 is not between 0.5 and 5"),
        (["rate", 1, "296=nan"], "nan: rating nan is not a number"),
        (["rate", 1, f"{2**63}=5"], f"bad_id: movie_id {2**63} is not between 0 and 2^63 - 1"),
        (["rate", 2**63, "296=5"], f"bad_id: user_id {2**63} is not between 0 and 2^63 - 1"),
        (["rate", "²", "296=5"], "'²' is not a user's id; give a number, or `new` for a new user."),
        (["rate", 1, "፩=5"], "no movie is called '፩'; use its id, or load titles with `reelstream movies load`."),
        (
            ["rate", 1, "Toy=5"],
            "'Toy' fits several movies; use an id: 300 = Toy Story (1995), 400 = [red]Toy[/] :cat: Story 2",
        ),
        (
            ["predict", 1, "toy"],
            "'toy' fits several movies; use an id: 300 = Toy Story (1995), 400 = [red]Toy[/] :cat: Story 2",
        ),
        (["similar", "Jaws"], "no movie is called 'Jaws'; use its id, or load titles with `reelstream movies load`."),
        (["recommend", 2**63], f"id {2**63} is beyond 64 bits; ids go up to 2^63 - 1."),
        (["predict", 1, 10**30], f"id {10**30} is beyond 64 bits; ids go up to 2^63 - 1."),
        (["movies", "load", "no.csv"], "there is no file no.csv; give the path of one."),
    ],
)
def test_what_does_not_fit_is_2_and_one_sentence(
    words: list[object], said: str, reelstream: Reelstream, warehouse: Path
) -> None:
    publish(warehouse)

    assert reelstream(*words, "--warehouse", warehouse) == (2, "", f"reelstream: {said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["settings", "--warehouse"], "requires an argument"),
        (["recommend"], "Missing argument"),
        (["recommend", "1", "-n", "0"], "Invalid value"),
        (["popular", "--bogus"], "No such option"),
        (["nothing"], "No such command"),
    ],
)
def test_a_command_line_that_does_not_fit_is_2(words: list[str], said: str, reelstream: Reelstream) -> None:
    answer = reelstream(*words)

    assert (answer.code, answer.out) == (2, "")
    assert said in " ".join(answer.err.split())
    assert "Traceback" not in answer.err


def test_a_setting_that_does_not_fit_is_2(reelstream: Reelstream, monkeypatch: pytest.MonkeyPatch) -> None:
    see = "See `reelstream settings` for what each one takes."
    answer = reelstream("refit", "--engine", "magic")
    assert answer == (2, "", f"reelstream: engine: Input should be 'native' or 'mllib'. {see}\n")
    monkeypatch.setenv("REELSTREAM_TOP_N", "0")
    answer = reelstream("popular")
    assert answer == (2, "", f"reelstream: top_n: Input should be greater than or equal to 1. {see}\n")
    monkeypatch.delenv("REELSTREAM_TOP_N")
    Path("reelstream.toml").write_text("warehose = 'x'\n")
    answer = reelstream("settings")
    assert answer == (2, "", f"reelstream: warehose: Extra inputs are not permitted. {see}\n")


def test_a_second_refit_is_6_and_a_damaged_pointer_7(reelstream: Reelstream, warehouse: Path) -> None:
    publish(warehouse)
    with exclusive(warehouse / "run" / "refit.lock", "A test"):
        answer = reelstream("refit", "--warehouse", warehouse)
    assert (answer.code, answer.out) == (6, "")
    assert answer.err.startswith("reelstream: A refit is already running on this warehouse")

    (warehouse / "recommendations" / "CURRENT").write_text('{"format": 99}')
    answer = reelstream("popular", "--warehouse", warehouse)
    assert (answer.code, answer.out) == (7, "")
    assert answer.err.endswith("upgrade reelstream.\n")


def test_the_demo_does_not_touch_a_warehouse_of_ones_own(reelstream: Reelstream, warehouse: Path) -> None:
    publish(warehouse)

    answer = reelstream("demo", "--warehouse", warehouse)

    assert answer == (
        2,
        "",
        f"reelstream: {warehouse} is a warehouse of your own; name another for the demo with --warehouse.\n",
    )
    assert reelstream("popular", "--warehouse", warehouse).code == 0


def test_a_process_of_its_own_ends_with_the_same_codes(warehouse: Path, tmp_path: Path) -> None:
    def ended(*words: object) -> tuple[int, str, str]:
        command = [sys.executable, "-P", "-m", "reelstream", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"})
        return done.returncode, done.stdout, done.stderr

    publish(warehouse)
    code, out, err = ended("popular", "-n", 1, "--warehouse", warehouse)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].rstrip() == "   1    296  Pulp Fiction (1994)   4.20        2"
    nowhere = tmp_path / "nowhere"
    assert ended("status", "--warehouse", nowhere)[:2] == (3, "")


def test_a_reader_that_goes_away_is_no_traceback(warehouse: Path) -> None:
    publish(warehouse)
    command = f"{sys.executable} -P -m reelstream popular --warehouse {warehouse} | true"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("", "")


def test_every_commands_help_has_an_example_of_it(reelstream: Reelstream) -> None:
    assert len(all_commands()) >= 15
    for name, command in all_commands().items():
        assert f"`reelstream {name}" in (command.help or ""), name
        answer = reelstream(*name.split(), "--help")
        assert (answer.code, answer.err) == (0, "")
        assert "Example" in answer.out


def test_the_help_lists_all_exit_codes(reelstream: Reelstream) -> None:
    said = " ".join(reelstream("--help").out.split())

    for code in range(9):
        assert f" {code} " in said.split("Exit codes:")[1]


@pytest.mark.parametrize(
    "words",
    [["rate", "9" * 5000, "1=5"], ["rate", 1, f"{'9' * 5000}=5"], ["predict", 1, "9" * 5000], ["rate", "٣", "1=5"]],
)
def test_an_id_of_any_length_is_answered_with_a_sentence(
    words: list[object], reelstream: Reelstream, warehouse: Path
) -> None:
    publish(warehouse)

    answer = reelstream(*words, "--warehouse", warehouse)

    assert answer.code == 2
    assert answer.err.startswith("reelstream: ")
