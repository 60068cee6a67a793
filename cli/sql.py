"""`sql`: queries of the warehouse, one from the command line or a pipe, or one after the other at a prompt."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reelstream.cli.options import Warehouse, err, out, print_json, print_table, settings_of
from reelstream.cli.safe_console import shown
from reelstream.errors import UsageError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MOST_ROWS = 200
"""Rows that `--format table` prints; the other formats have all."""

HELP = """A query ends with a semicolon. .tables lists the tables, .reload reads them anew, .quit ends."""


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def sql(
    query: Annotated[
        str | None, typer.Argument(help="A query; without one: a prompt, or the query from a pipe.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="table, csv, json or parquet.")] = Format.table,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write into this file.")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Ask the tables by SQL (DuckDB): one consistent version, read-only, and nothing but these tables in reach.

    Tables: ratings, recommendations, "similar" (with quotes, as it is a word of SQL), movies, hidden, dismissed, models,
    rejects, quality.

    Examples: `reelstream sql "SELECT * FROM recommendations WHERE user_id = 42"` ·
    `reelstream sql "FROM ratings" --format parquet --output ratings.parquet` · `reelstream sql`
    """
    from reelstream.api.sql import connect

    path = settings_of(warehouse).warehouse
    connection = connect(path)
    if query is None and sys.stdin.isatty():
        _prompt(connection, path, form)
        return
    answer(connection, sys.stdin.read() if query is None else query, form, output)


def answer(connection: duckdb.DuckDBPyConnection, query: str, form: Format, output: Path | None = None) -> None:
    """Prints what the query finds, or writes it into the file. Raises UsageError if it is no query, or a wrong one."""
    table = ask(connection, query)
    if form is Format.parquet:
        _write_parquet(table, output)
        return
    with _printed_into(output):
        if form is Format.json:
            print_json(table.to_pylist())
        elif form is Format.csv:
            out.out(shown(_as_csv(table)) if out.is_terminal else _as_csv(table), end="")
        else:
            _print(table)


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """What the one statement finds. Raises UsageError if it is another one than a query, or a wrong one."""
    import duckdb

    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1:
            raise UsageError(f"one query is wanted, here are {len(statements)}.")
        if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise UsageError("only queries are answered: SELECT, FROM, WITH, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN.")
        relation = connection.sql(query)
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise UsageError(str(error).strip()) from None


def _prompt(connection: duckdb.DuckDBPyConnection, warehouse: Path, form: Format) -> None:
    from reelstream.api.sql import VIEWS, connect

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  gives `input` its keys and its memory
    err.print(HELP, markup=False, soft_wrap=True)
    typed: list[str] = []
    while True:
        try:
            text = input("   … " if typed else "sql> ")
        except EOFError:
            return
        except KeyboardInterrupt:
            err.print()
            typed.clear()
            continue
        word = "" if typed else text.strip().rstrip(";").lower()
        if word in (".quit", ".exit", "quit", "exit"):
            return
        if word == ".reload":
            connection = connect(warehouse)
        elif word in (".tables", ".help", "help"):
            out.print("\n".join([HELP, *(f"{name:16}{meaning}" for name, meaning in VIEWS.items())]), markup=False)
        elif text.strip():
            typed.append(text)
        if typed and text.rstrip().endswith(";"):
            try:
                answer(connection, "\n".join(typed), form)
            except UsageError as error:
                err.print(str(error), style="red", markup=False, soft_wrap=True)
            typed.clear()


def _print(table: pa.Table) -> None:
    rows = [[_cell(value) for value in row.values()] for row in table.slice(0, MOST_ROWS).to_pylist()]
    more = table.num_rows - len(rows)
    print_table(None, table.column_names, rows)
    out.print(f"{table.num_rows:,} row{'' if table.num_rows == 1 else 's'}", style="dim")
    if more > 0:
        err.print(f"{more:,} more rows; --format csv, json or parquet gives all of them.", style="yellow")


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _as_csv(table: pa.Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        values = (value.isoformat() if hasattr(value, "isoformat") else value for value in row.values())
        writer.writerow(v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v for v in values)
    return text.getvalue()


def _write_parquet(table: pa.Table, output: Path | None) -> None:
    import pyarrow.parquet as pq

    if output:
        with _usage_errors(output):
            pq.write_table(table, output)
        return
    if sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal; give it a file with --output, or a pipe.")
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    sys.stdout.buffer.write(buffer.getvalue())


@contextlib.contextmanager
def _printed_into(output: Path | None) -> Iterator[None]:
    """What is printed meanwhile goes into the file, if there is one."""
    if output is None:
        yield
        return
    with _usage_errors(output), output.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        yield


@contextlib.contextmanager
def _usage_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{output} can't be written: {error.strerror or error}.") from None
