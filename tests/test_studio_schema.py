"""The studio's own OpenAPI schema, fuzzed: whatever comes in, no answer is a server error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.studio_server import (
    RunningStudio,
    make_up_faces,
    photo_bytes,
    running_studio,
    tiny_network,
)

schemathesis = pytest.importorskip("schemathesis")

IDENT = "fuzzed.realdrag"
EXAMPLES = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(tmp_path_factory.mktemp("home")))
        make_up_faces(patch)
        network = tiny_network(tmp_path_factory.mktemp("network"))
        root: Path = tmp_path_factory.mktemp("photos")
        with running_studio(root, network) as running:
            assert running.ready(photo_bytes(seed=5), "fuzzed.jpg") == IDENT
            yield running


def test_no_input_is_a_server_error(server: RunningStudio) -> None:
    headers = {"Cookie": server.cookie, "Origin": server.origin}
    schema = schemathesis.openapi.from_url(f"{server.origin}/api/openapi.json", headers=headers)
    tried = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            if "name" in (case.path_parameters or {}):
                case.path_parameters["name"] = IDENT
            answer = case.call(headers=headers)
            assert answer.status_code < 500, f"{case.method} {case.path}: {answer.text}"
            server.client.post(f"/api/workspaces/{IDENT}/job", json={"action": "stop"})

        ask()
        tried.add((operation.method, operation.path))
    assert ("put", "/api/workspaces/{name}/points") in tried
    assert len(tried) >= 15
