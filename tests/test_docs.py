"""The documentation against the code: what is there is described, and what is described is there."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from docs.generate import PAGES, SHARED, all_commands, filled_in, options
from reelstream import errors
from reelstream.api.sql import MODELS, VIEWS
from reelstream.cli.exit_codes import BAD_ROWS
from reelstream.cli.main import app
from reelstream.events import REASONS, from_json
from reelstream.kafka_io.properties import kafka_python_options, load_command_config, spark_options
from reelstream.settings import Settings, load
from reelstream.store import schemas

ROOT = Path(__file__).resolve().parents[1]
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PRODUCT = ("reelstream", "producer", "stream", "batch", "serve", "cli")
INTERRUPTED = 130


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def section(page: str, heading: str) -> str:
    """What stands between a heading and the next of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$(.*?)(?=^#{{1,2}} |\Z)", text_of(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {heading!r}"
    return found[2]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of the tables in a text, without code marks."""
    cells = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    return [cell.strip("`") for cell in cells if cell != "---"]


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of these languages in a page."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def shell_lines() -> list[tuple[str, str]]:
    """(page, command line) of all shell blocks, and of all code words that begin with `reelstream` or `make`."""
    lines = []
    for path in MARKDOWN:
        page = str(path.relative_to(ROOT))
        for block in blocks(page, "sh", "bash", "console"):
            lines += [(page, line.removeprefix("$ ")) for line in block.replace("\\\n", " ").splitlines()]
        prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
        lines += [(page, code) for code in re.findall(r"`((?:reelstream|make|python -m bench)\b[^`]*)`", prose)]
        lines += [(page, line) for line in re.findall(r"^    .*?\b((?:make|reelstream) .*)$", prose, re.MULTILINE)]
    return [(page, line) for page, line in lines if "[OPTIONS]" not in line]  # a usage line


# What is there is described


def test_the_generated_parts_are_fresh() -> None:
    for page in PAGES:
        assert filled_in(text_of(page)) == text_of(page), f"{page} is behind the code; run: python -m docs.generate"


@pytest.mark.parametrize("name", all_commands())
def test_every_command_and_option_is_described(name: str) -> None:
    described = section("docs/commands.md", f"reelstream {name}")
    everywhere = section("docs/commands.md", "Options with one meaning everywhere")
    for option in options(all_commands()[name]):
        for word in [*option.opts, *option.secondary_opts]:
            assert f"`{word}`" in described, f"{word} of reelstream {name}"
        assert option.opts[0] not in SHARED or f"| `{option.opts[0]}` |" in everywhere
    assert f"(docs/commands.md#reelstream-{name.replace(' ', '-')})" in section("README.md", "Commands")


def test_the_options_of_reelstream_itself_are_described() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    words = set(re.findall(r"--[a-z-]+[a-z]", shown)) - {"--help"}
    assert "--version" in words
    for word in words:
        assert f"reelstream {word}`" in text_of("docs/commands.md"), word


def test_every_setting_is_described() -> None:
    assert first_cells(section("README.md", "Settings")) == ["setting", *Settings.model_fields]


def test_every_variable_of_the_environment_is_described() -> None:
    read = {
        name
        for directory in PRODUCT
        for path in (ROOT / directory).rglob("*.py")
        for name in re.findall(r"environ(?:\.get\(|\[)\"(REELSTREAM_\w+)\"", path.read_text("utf-8"))
    }
    assert "REELSTREAM_CACHE" in read
    for name in read - {"REELSTREAM_FAILPOINT"}:  # for tests
        assert f"`{name}`" in text_of("README.md"), name


def test_every_exit_code_is_described() -> None:
    kinds = [errors.ReelstreamError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = {0, BAD_ROWS, INTERRUPTED, *(kind.exit_code for kind in kinds)}
    assert first_cells(section("README.md", "Exit codes")) == ["code", *map(str, sorted(codes))]
    helped = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout.split())
    for code in sorted(codes - {INTERRUPTED}):
        assert re.search(rf"(: |· ){code} \w", helped), f"reelstream --help leaves out exit code {code}"


def test_every_reject_reason_is_described() -> None:
    described = first_cells(section("README.md", "The rating event"))
    assert [cell for cell in described if cell in REASONS] == list(REASONS)


@pytest.mark.parametrize("name", ["USERS", "SIMILAR", "POPULAR", "RATINGS", "REJECTS", "MOVIES"])
def test_every_column_is_described(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (\S.*) \|$", section("docs/tables.md", name.lower()), re.MULTILINE)
    expected = [(field.name, str(field.type)) for field in getattr(schemas, name)]
    assert [(column, kind) for column, kind, _ in rows] == expected


def test_every_table_is_described() -> None:
    tables = {name.lower() for name, value in vars(schemas).items() if isinstance(value, type(schemas.RATINGS))}
    described = set(re.findall(r"^## (\w+)$", text_of("docs/tables.md"), re.MULTILINE))
    assert tables <= described


def test_every_sql_view_is_described() -> None:
    described = section("docs/tables.md", "SQL views")
    assert first_cells(described) == ["view", *VIEWS]
    assert all(f"`{name}`" in described for name in MODELS.names)
    helped = " ".join(CliRunner().invoke(app, ["sql", "--help"], env={"COLUMNS": "200"}).stdout.split())
    assert all(name in helped for name in VIEWS)


def test_every_bench_is_in_the_readme() -> None:
    benches = {path.stem for path in (ROOT / "bench").glob("*.py") if "__main__" in path.read_text("utf-8")}
    assert "harness" not in benches
    assert set(re.findall(r"python -m bench\.(\w+)", section("README.md", "Measured"))) == benches


# What is described is there


@pytest.mark.parametrize(("page", "line"), shell_lines())
def test_the_command_exists(page: str, line: str) -> None:
    """Each command of a line is parsed, not run: by the `reelstream` command itself, the Makefile, or a bench's source."""
    words = shlex.split(line, comments=True)
    name = Path(words[0]).name if words else ""
    if name == "reelstream" and len(words) > 1 and not words[1].startswith("-") and not words[1].isupper():
        named = [n for n in all_commands() if words[1 : 1 + len(n.split())] == n.split()]
        assert named, f"{page}: there is no command {line}"
        command, given = all_commands()[named[0]], words[1 + len(named[0].split()) :]
        if given or not command.params[0].required:
            command.make_context(named[0], [word for word in given if word != "…"])
    elif name == "make":
        targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
        asked = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        assert set(asked) <= set(targets), f"{page}: {line}"
    elif words[1:2] == ["-m"] and words[2].startswith("bench."):
        source = text_of(words[2].replace(".", "/") + ".py") + text_of("bench/harness.py")
        for option in [word for word in words[3:] if word.startswith("--")]:
            assert f'"{option}"' in source, f"{page}: {line}"


@pytest.mark.parametrize("path", MARKDOWN, ids=[str(path.relative_to(ROOT)) for path in MARKDOWN])
def test_relative_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in [slug(heading) for heading in headings], f"{path.name} links to {link}"


def slug(heading: str) -> str:
    """A heading's anchor as the usual Markdown sites make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


SUFFIXES = ("py", "json", "lock", "js", "log", "parquet")
"""Of files, which are no names in a module."""
SOURCES = sorted(path for top in (*PRODUCT, "bench", "tests", "docs") for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("path", [*MARKDOWN, *SOURCES], ids=lambda path: str(path.relative_to(ROOT)))
def test_places_in_the_code_exist(path: Path) -> None:
    """In documents and docstrings: a path is a file, what stands after its colon is defined in it, and a dotted name is a
    module, or defined in one."""
    for text in [path.read_text("utf-8")] if path.suffix == ".md" else prose(path):
        for file, name in re.findall(r"`((?:\w+/)+\w+\.(?:py|js))(?::([\w.]+))?`", text):
            assert (ROOT / file).is_file(), f"{path.name} names {file}"
            assert not name or names_in(ROOT / file, name), f"{path.name} names {file}:{name}"
        for dotted in re.findall(r"`((?:reelstream|bench|tests)(?:\.\w+)+)(?:\(.*?\))?`", text):
            assert resolves(dotted), f"{path.name} names {dotted}"
        for module, name in re.findall(r"`(\w+)\.([A-Za-z_]\w*)(?:\(.*?\))?`", text):  # of the same directory
            if path.suffix == ".py" and (beside := path.parent / f"{module}.py").is_file() and name not in SUFFIXES:
                assert names_in(beside, name), f"{path.name} names {module}.{name}"
            assert module not in PRODUCT[1:] or name in SUFFIXES, f"{path.name} names {module}.{name}; add reelstream."


def prose(path: Path) -> list[str]:
    """Docstrings, of names too, and comments."""
    source = path.read_text("utf-8")
    words = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [*words, *re.findall(r"#.*$", source, re.MULTILINE)]


def resolves(dotted: str) -> bool:
    """Whether it is a module or a package, a name defined in one, or a file of one, such as `reelstream.toml`."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:cut])
        if place.is_dir():
            rest = ".".join(parts[cut:])
            inside = (place / "__init__.py") if (place / "__init__.py").is_file() else None
            return not rest or (cut == 1 and rest in ("toml", *PUBLIC)) or bool(inside and names_in(inside, rest))
        if (file := place.with_suffix(".py")).is_file():
            return cut == len(parts) or names_in(file, ".".join(parts[cut:]))
    return False


PUBLIC = ("open", "connect", "Recommender")
"""What the package itself gives, when it is first asked for."""


def names_in(file: Path, name: str) -> bool:
    return any(f".{qualified}".endswith(f".{name}") for qualified in definitions(file))


def test_architecture_names_places() -> None:
    assert len(re.findall(r"\.py:\w+", text_of("ARCHITECTURE.md"))) >= 9


def definitions(path: Path) -> list[str]:
    """Functions, classes and constants of a file; methods and fields as Class.name."""
    found = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        if isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)]
            fields = [inner.target for inner in node.body if isinstance(inner, ast.AnnAssign)]
            found += [f"{node.name}.{field.id}" for field in fields if isinstance(field, ast.Name)]
    return found


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert re.search(r"^## Unreleased$", text_of("CHANGELOG.md"), re.MULTILINE)


def test_decisions_are_short_and_numbered() -> None:
    paths = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in paths] == list(range(1, len(paths) + 1))
    for path in paths:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 40, path.name
        assert [line for line in lines if line.startswith("#")][1:] == ["## Context", "## Decision", "## Consequences"]


# The examples are good ones


def test_the_events_of_the_readme_keep_the_contract() -> None:
    events = [line for block in blocks("README.md", "json") for line in block.splitlines()]
    assert len(events) == 5
    for text in events:
        event = from_json(text.encode(), rating_min=0.5, rating_max=5.0, now_ms=1_800_000_000_000)
        assert getattr(event, "user_id", 42) == 42
        assert getattr(event, "movie_id", 296) == 296


def test_the_client_properties_of_the_readme_are_taken(tmp_path: Path) -> None:
    [text] = blocks("README.md", "properties")
    file = tmp_path / "client.properties"
    file.write_text(text)
    properties = load_command_config(file)
    assert kafka_python_options("kafka:9093", properties)["sasl_plain_username"] == "movies"
    assert spark_options("kafka:9093", properties)["kafka.sasl.mechanism"] == "SCRAM-SHA-512"


def test_the_reelstream_toml_of_the_readme_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = blocks("README.md", "toml")
    for name in Settings.model_fields:
        monkeypatch.delenv(f"REELSTREAM_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("reelstream.toml").write_text(text)
    assert load().model_dump(include=set(tomllib.loads(text)), mode="json") == tomllib.loads(text)
