from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import numpy as np
import pytest

from omnifold_pub.explorer.answers import about, answer, verdicts
from omnifold_pub.explorer.desk import Desk
from omnifold_pub.explorer.guard import HEADERS, MOST_BYTES
from omnifold_pub.explorer.questions import Question
from omnifold_pub.explorer.server import PAGE, create_app, new_token

testclient = pytest.importorskip("fastapi.testclient", reason="FastAPI is not installed")

TOKEN = "right-token"  # noqa: S105
SPECTRUM = {"observable": "pT_ll", "kind": "edges", "bins": "200, 230, 270, 350, 1000"}


@pytest.fixture(scope="module")
def client(desk: Desk) -> Iterator[Any]:
    with testclient.TestClient(create_app(desk, TOKEN), base_url="http://127.0.0.1:8000") as found:
        yield found


def test_the_page_and_all_its_files_are_there(client: Any) -> None:
    for path, (_, content_type) in PAGE.items():
        response = client.get(f"/{TOKEN}/{path}")
        assert response.status_code == 200
        assert response.headers["content-type"] == content_type


def test_every_file_of_the_page_is_served() -> None:
    folder = resources.files("omnifold_pub.explorer").joinpath("page")
    assert {file.name for file in folder.iterdir()} == {file for file, _ in PAGE.values()}


def test_measuring_answers_as_the_desk_does(client: Any, desk: Desk) -> None:
    question = Question.from_document(SPECTRUM)
    assert client.get(f"/{TOKEN}/api/release").json() == about(desk)
    assert client.post(f"/{TOKEN}/api/measure", json=SPECTRUM).json() == answer(desk, desk.measured(question))
    assert client.post(f"/{TOKEN}/api/compare", json=SPECTRUM).json() == verdicts(desk.confronted(question))


def test_the_correlation_of_a_component_is_asked_for_by_name(client: Any, desk: Desk) -> None:
    expected = desk.measured(Question.from_document(SPECTRUM)).measurement.correlation("mc_bootstrap")
    found = client.post(f"/{TOKEN}/api/correlation/mc_bootstrap", json=SPECTRUM).json()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert client.post(f"/{TOKEN}/api/correlation/nothing", json=SPECTRUM).status_code == 422


def test_a_download_has_a_name_and_a_type(client: Any, desk: Desk) -> None:
    response = client.post(f"/{TOKEN}/api/download/csv", json=SPECTRUM)
    assert response.text == desk.measured(Question.from_document(SPECTRUM)).measurement.to_csv()
    assert response.headers["content-type"].startswith("text/csv")
    assert response.headers["content-disposition"] == 'attachment; filename="measurement.csv"'


@pytest.mark.parametrize(
    "path", ["/", "/api/release", "/wrong/", "/wrong/api/release", f"/{TOKEN}", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", "/é/"]
)
def test_nothing_is_said_without_the_token(client: Any, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 403
    assert "token" in response.text
    assert TOKEN not in response.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "[::1]:8000",
        "",
        "192.168.0.1",
    ],
)
def test_another_host_is_refused_even_with_the_token(client: Any, host: str) -> None:
    """A page whose name points to 127.0.0.1 (DNS rebinding) has its own host."""
    response = client.get(f"/{TOKEN}/api/release", headers={"host": host})
    assert response.status_code == 403
    assert "host" in response.text


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.1", "localhost:8000", "localhost"])
def test_this_machine_is_let_in(client: Any, host: str) -> None:
    assert client.get(f"/{TOKEN}/", headers={"host": host}).status_code == 200


def test_every_answer_has_the_headers_and_none_allows_another_origin(client: Any) -> None:
    for path in (f"/{TOKEN}/", "/wrong/", f"/{TOKEN}/nothing", f"/{TOKEN}/api/release"):
        response = client.get(path, headers={"origin": "https://evil.example"})
        for name, value in HEADERS.items():
            assert response.headers[name] == value
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert "unsafe" not in HEADERS["content-security-policy"]


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "..%2f..%2fsecret", "page/index.html", "%2e%2e/"])
def test_nothing_else_is_served(client: Any, path: str) -> None:
    assert client.get(f"/{TOKEN}/{path}").status_code == 404


def test_errors_of_ours_are_text(client: Any) -> None:
    hostile = SPECTRUM | {"observable": "__import__('os').system('true')"}
    for path in ("measure", "compare", "download/csv"):
        response = client.post(f"/{TOKEN}/api/{path}", json=hostile)
        assert response.status_code == 422
        assert response.headers["content-type"].startswith("text/plain")
        assert "quotes are not allowed" in response.text


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 5000, b'{"observable": NaN}', b"null", b"[]", b'"pT_ll"']
)
def test_what_is_no_question_is_text_too(client: Any, content: bytes) -> None:
    response = client.post(f"/{TOKEN}/api/measure", content=content, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text.startswith(("question:", "request:"))


def test_a_large_request_is_not_read(client: Any) -> None:
    large = json.dumps(SPECTRUM | {"bins": "1," * MOST_BYTES})
    headers = {"content-type": "application/json"}
    assert client.post(f"/{TOKEN}/api/measure", content=large, headers=headers).status_code == 413
    pieces = iter([b'{"observable": "pT_ll"}'])
    assert client.post(f"/{TOKEN}/api/measure", content=pieces, headers=headers).status_code == 413


def test_other_errors_are_logged_and_say_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        msg = "a secret path"
        raise RuntimeError(msg)

    monkeypatch.setattr(desk, "measured", fail)
    quiet = testclient.TestClient(create_app(desk, TOKEN), base_url="http://127.0.0.1", raise_server_exceptions=False)
    response = quiet.post(f"/{TOKEN}/api/measure", json=SPECTRUM)
    assert response.status_code == 500
    assert "secret" not in response.text
    loud = testclient.TestClient(create_app(desk, TOKEN), base_url="http://127.0.0.1")
    with pytest.raises(RuntimeError):  # uvicorn logs what comes through
        loud.post(f"/{TOKEN}/api/measure", json=SPECTRUM)


def test_tokens_are_long_and_new() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert all(re.fullmatch(r"[\w-]{32}", new_token()) for _ in range(100))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.scripts.append(data)


@pytest.fixture(scope="module")
def page() -> _Page:
    found = _Page()
    found.feed(resources.files("omnifold_pub.explorer").joinpath("page", "index.html").read_text())
    return found


def test_the_page_holds_no_inline_code_and_nothing_from_elsewhere(page: _Page) -> None:
    assert not page.scripts
    for tag, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert "//" not in (attributes.get(name) or "")


def test_every_field_of_the_page_has_a_label(page: _Page) -> None:
    labelled = {attributes["for"] for tag, attributes in page.found if tag == "label" and "for" in attributes}
    fields = [a for tag, a in page.found if tag in ("input", "select") and a.get("type") != "checkbox"]
    assert {attributes["id"] for attributes in fields} <= labelled


def test_the_scripts_set_text_and_never_markup() -> None:
    for file in resources.files("omnifold_pub.explorer").joinpath("page").iterdir():
        if file.name.endswith(".js"):
            text = file.read_text()
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(", text), (
                file.name
            )
            assert text.count("\n") <= 300
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
