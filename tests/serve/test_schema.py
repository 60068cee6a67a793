"""The API against its own description: every operation, with what fits the schema and with what does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from reelstream.kafka_io.topic import ensure_topic
from reelstream.serve.app import make_app
from reelstream.settings import load
from tests.fixtures.camps import camps, fill
from tests.fixtures.examples import examples
from tests.fixtures.kafka_broker import fresh_topic
from tests.serve.conftest import no_broker, publish, served

with TemporaryDirectory() as _directory:
    fill(Path(_directory), camps())  # so that ids are integers
    SCHEMA = schemathesis.openapi.from_dict(make_app(load(warehouse=_directory), no_broker).openapi())
OPERATIONS = {operation.label: operation for operation in (found.ok() for found in SCHEMA.get_all_operations())}

LEFT_OUT = {
    GenerationMode.POSITIVE: [],
    GenerationMode.NEGATIVE: [positive_data_acceptance],  # what was made wrong may by chance fit the schema still
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, bootstrap_servers: str) -> Iterator[str]:
    """A server with a broker, so that ratings are really posted."""
    topic = fresh_topic()
    ensure_topic(bootstrap_servers, topic, 2, {})
    directory: Path = tmp_path_factory.mktemp("described") / "warehouse"
    with served(
        publish(directory, bootstrap_servers=bootstrap_servers, topic=topic), lambda: bootstrap_servers
    ) as address:
        yield address


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_described(url: str, label: str, mode: GenerationMode) -> None:
    @effort(examples(25), derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def asked(case: schemathesis.Case) -> None:
        if label == "GET /v1/events":
            case.query = {**(case.query or {}), "most": 1}  # it goes on as long as the client listens
        response = case.call(base_url=url, timeout=30)
        too_long = (
            [negative_data_rejection] if response.status_code == HTTPStatus.REQUEST_URI_TOO_LONG else []
        )  # a refusal as well
        case.validate_response(response, excluded_checks=[*LEFT_OUT[mode], *too_long])

    try:
        asked()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing can be wrong with a request that takes nothing


def test_the_description_has_examples_and_the_scale(tmp_path: Path) -> None:
    with served(load(warehouse=tmp_path, rating_min=1, rating_max=10)) as url:
        described = schemathesis.openapi.from_url(f"{url}/openapi.json").raw_schema
    rating = described["components"]["schemas"]["GivenRating"]["properties"]["rating"]
    assert (rating["minimum"], rating["maximum"], rating["examples"]) == (1, 10, [4.5])
    operations = [one for path in described["paths"].values() for one in path.values()]
    assert len(operations) == len({one["operationId"] for one in operations}) > 20
    assert all(one.get("description") for one in operations)


def test_every_operation_is_in_the_page_on_the_api_and_no_other() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "http-api.md").read_text("utf-8")

    assert set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", page, re.MULTILINE)) == set(OPERATIONS)
