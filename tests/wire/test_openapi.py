"""The committed OpenAPI document is what the routes say."""

import json

from billfleet_gateway.openapi_file import PATH, main


def test_committed_document_is_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_every_operation_says_what_can_go_wrong_in_problem_details() -> None:
    document = json.loads(PATH.read_text("utf-8"))
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, said in operation["responses"].items():
                if int(status) >= 400:
                    assert list(said["content"]) == ["application/problem+json"], (path, status)
            if path.startswith("/v1/"):
                assert "401" in operation["responses"], (method, path)
                assert operation["security"], (method, path)
