"""Questions to a person, in Python and on the page that only this machine can open."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.assets import style_names
from sfumato.errors import ModelError, UsageError
from sfumato.html import render
from sfumato.image import write_image
from sfumato.inference import Style, Stylizer
from sfumato.personal.ask import Questions, sample_photo, side_by_side
from sfumato.personal.gathering import gather
from sfumato.personal.page import Page
from sfumato.personal.service import create, install
from sfumato.personal.store import load_personal_style, load_record
from support import save_works, scene


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_image(scene(48, 64), path)
    return path


@pytest.fixture
def anna(store: Path, tmp_path: Path, stylizer: Stylizer) -> Any:
    _, personal_style = create("anna", gather(save_works(tmp_path / "likes", 0, 4), [], stylizer), stylizer)
    return personal_style


def ask(stylizer: Any, photo: Any) -> Questions:
    return Questions("anna", stylizer, photo)


def test_a_question_shows_the_photo_in_two_styles(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    questions = ask(stylizer, photo)
    assert [style.name for style in questions.candidates] == [*style_names(), "anna"]
    question = questions.next()
    assert question.first.code != question.second.code
    for style, picture in zip((question.first, question.second), question.pictures, strict=True):
        assert np.array_equal(picture, stylizer(photo, style, quality="draft"))
    assert side_by_side(question).shape == (1, 3, 48, 136)
    again = questions.next()  # it stays until it is answered
    assert (again.first, again.second) == (question.first, question.second)


def test_answers_are_kept_learnt_from_and_not_asked_again(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    questions = ask(stylizer, photo)
    pairs = []
    for choice in ("first", "second", "neither"):
        question = questions.next()
        pairs.append({question.first.name, question.second.name})
        before = questions.model().probability(question.first.code, question.second.code)
        questions.answer(question, choice)
        after = questions.model().probability(question.first.code, question.second.code)
        assert (after > before) == (choice == "first")
        assert (after < before) == (choice == "second")
    question = ask(stylizer, photo).next()  # at another sitting
    pairs.append({question.first.name, question.second.name})
    assert len({frozenset(pair) for pair in pairs}) == 4
    record = load_record("anna")
    assert [answer.preferred for answer in record.answers] == ["first", "second", "neither"]
    assert load_personal_style(record).answers == 2


def test_a_question_is_answered_once(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    questions = ask(stylizer, photo)
    question = questions.next()
    questions.answer(question, "first")
    with pytest.raises(UsageError, match="answered already"):
        questions.answer(question, "second")
    assert len(load_record("anna").answers) == 1


def test_a_person_who_knows_what_they_like_is_learnt(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    """They prefer what is nearer to one picture's mean colour: dark ones."""
    questions = ask(stylizer, photo)

    def darkness(style: Any) -> float:
        return -float(style.code.vector[-42:-39].mean())

    asked = 0
    while asked < 40 and (question := questions.next()) is not None:
        questions.answer(question, "first" if darkness(question.first) > darkness(question.second) else "second")
        asked += 1
    model = questions.model()
    styles = [Style.named(name) for name in style_names()]
    scores = [model.score(style.code)[0] for style in styles]
    assert np.corrcoef(scores, [darkness(style) for style in styles])[0, 1] > 0.6


def test_who_came_as_a_file_is_not_asked(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    install(anna, "bert")
    with pytest.raises(UsageError, match="came as a file, so it cannot learn from answers"):
        Questions("bert", stylizer, photo)


def test_styles_of_another_model_are_not_asked_about(anna: Any, photo: Any, store: Path) -> None:
    from dataclasses import replace

    from sfumato.style_code import StyleCode

    code = anna.codes[0]
    replace(anna, codes=(StyleCode(code.vector, "another", code.channel_stats),)).save(store / "anna" / "anna.sfumato")
    with pytest.raises(ModelError, match="learn it again"):
        Questions("anna", Stylizer(threads=1), photo)


def test_the_sample_photo_is_a_picture_and_the_same_each_time() -> None:
    picture = sample_photo()
    assert picture.shape == (1, 3, 240, 320)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() < 0.2
    assert 0.8 < picture.max() <= 1
    assert np.array_equal(picture, sample_photo())


# ---- the page --------------------------------------------------------------------------------------------------------


def serve_in_thread(page: Page, error: type[Exception]) -> tuple[threading.Thread, list[Exception]]:
    """Serve a page; the second value gets the error of that type that ends it."""
    raised: list[Exception] = []

    def serve() -> None:
        try:
            page.serve()
        except error as problem:
            raised.append(problem)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread, raised


class Browser:
    """Asks the page as a browser does, or as it should not."""

    def __init__(self, page: Any) -> None:
        self.host, _, self.path = page.address.removeprefix("http://").partition("/")
        self.path = f"/{self.path}"

    def __call__(self, path: str = "question", body: Any = None, **headers: Any) -> Any:
        if body is not None:
            headers = {"Origin": f"http://{self.host}", "Content-Type": "application/json", **headers}
        headers = {name: value for name, value in headers.items() if value is not None}
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request("GET" if body is None else "POST", f"{self.path}{path}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def choose(self, question: Any, choice: Any) -> Any:
        return json.loads(self(body=json.dumps({"question": question, "choice": choice}))[1])


@pytest.fixture
def page(anna: Any, stylizer: Stylizer, photo: Any) -> Iterator[Any]:
    page = Page(ask(stylizer, photo), max_answers=2)
    thread = threading.Thread(target=page.serve)
    thread.start()
    yield page
    if not page.ended:
        Browser(page).choose(page._number, "stop")
    thread.join(30)
    assert not thread.is_alive()


def test_the_page_asks_until_it_ends(page: Any) -> None:
    browser = Browser(page)
    status, html, headers = browser("")
    assert status == 200
    assert b"Which do you like better?" in html
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    first = json.loads(browser()[1])
    assert first["question"] == 1
    assert len(first["pictures"]) == 2
    assert json.loads(browser()[1]) == first  # it stays, also for a page that is loaded again
    second = browser.choose(1, "first")
    assert second["question"] == 2
    assert browser.choose(1, "second")["question"] == 2  # a second click
    last = browser.choose(2, "neither")
    assert last == {"question": None, "status": "2 questions are enough for now. You can close this page."}
    assert page.ended
    assert [answer.preferred for answer in load_record("anna").answers] == ["first", "neither"]


def test_stopping_keeps_what_was_answered(page: Any) -> None:
    browser = Browser(page)
    browser()
    browser.choose(1, "second")
    assert browser.choose(2, "stop")["status"] == "Stopped. You can close this page."
    assert len(load_record("anna").answers) == 1


def test_strangers_are_refused(page: Any) -> None:
    browser = Browser(page)
    answer = json.dumps({"question": 1, "choice": "first"})
    assert browser()[0] == 200
    port = browser.host.rpartition(":")[2]
    refused = [
        browser(Host="evil.example"),
        browser(Host=f"localhost:{port}"),
        browser(Origin="http://evil.example"),
        browser(Origin="null"),
        browser(body=answer, Origin="http://evil.example"),
        browser(body=answer, Origin=None),
        browser(body=answer, Host="evil.example"),
    ]
    ours, browser.path = browser.path, "/"
    refused += [browser(path) for path in ("", "question", "guess/question", "../../etc/passwd", "%2e%2e/x")]
    browser.path = ours
    assert [status for status, _, _ in refused] == [403] * len(refused)
    assert not any(b"base64" in body or b"pictures" in body for _, body, _ in refused)
    assert load_record("anna").answers == ()


def test_it_serves_no_files_and_takes_no_nonsense(page: Any) -> None:
    browser = Browser(page)
    assert browser("../../../etc/passwd")[0] == 404
    assert browser("record.json")[0] == 404
    for body in ("", "[]", "?", "x" * 500, "{" * 150):
        assert browser(body=body)[0] == 400
    assert browser(body="{}")[0] == 200  # answers nothing
    browser()
    for choice in ("maybe", {}, [], None, 1, {"first": 1}):
        answer = browser.choose(1, choice)
        assert answer["question"] == 1, choice
    assert load_record("anna").answers == ()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def resetting(page: Any) -> Any:
    """A connection that is reset when it is closed."""
    host, port = Browser(page).host.split(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return connection


def test_clients_that_reset_leave_nothing_on_the_terminal(page: Any, capfd: pytest.CaptureFixture[str]) -> None:
    browser = Browser(page)
    browser()
    busy = threading.active_count()
    for _ in range(3):
        with resetting(page) as client:
            client.sendall(f"GET {browser.path}question HTTP/1.1\r\nHost: {browser.host}\r\n\r\n".encode())
    deadline = time.monotonic() + 20
    while threading.active_count() > busy and time.monotonic() < deadline:
        time.sleep(0.05)
    assert browser()[0] == 200
    assert capfd.readouterr().err == ""


def test_stop_by_a_client_that_is_gone_stops(page: Any) -> None:
    browser = Browser(page)
    browser()
    head = f"POST {browser.path}question HTTP/1.1\r\nHost: {browser.host}\r\nOrigin: http://{browser.host}\r\n"
    body = json.dumps({"question": 1, "choice": "stop"})
    with page._lock, resetting(page) as client:  # it is gone before the answer is written
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        time.sleep(0.5)
    deadline = time.monotonic() + 20
    while not page.ended and time.monotonic() < deadline:
        time.sleep(0.05)
    assert page.ended == "Stopped."  # and the fixture sees that the server has ended


def test_keys_with_others_held_are_the_browsers(page: Any) -> None:
    Browser(page)()
    script = Browser(page)("")[1].decode().partition("<script")[2].partition(">")[2].partition("</script>")[0]
    around = """
const part = {addEventListener() {}, firstElementChild: {}};
globalThis.document = {getElementById: () => part};
globalThis.addEventListener = (kind, does) => { globalThis.press = does; };
const asked = [];
globalThis.fetch = async (path, options) => {
  asked.push(options ? JSON.parse(options.body).choice : "");
  return {json: async () => ({question: asked.length, said: "", pictures: ["", ""]})};
};
"""
    pressing = """
(async () => {
  for (const more of [{ctrlKey: true}, {metaKey: true}, {altKey: true}, {repeat: true}, {}]) {
    await new Promise(done => setTimeout(done, 10));
    press({key: "1", ...more});
  }
  console.log(JSON.stringify(asked));
})();
"""
    result = subprocess.run(["node", "-e", around + script + pressing], capture_output=True, text=True, timeout=60)
    assert json.loads(result.stdout) == ["", "first"], result.stderr


class Elements(HTMLParser):
    """A page's elements with their attributes, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.scripts, self.inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)


def test_the_page_is_whole_by_itself(page: Any) -> None:
    Browser(page)()
    _, html, headers = Browser(page)("")
    tags = Elements(html.decode()).tags
    nonces = [attributes["nonce"] for tag, attributes in tags if tag in ("script", "style")]
    assert len(nonces) == 2
    assert {f"'nonce-{nonce}'" for nonce in nonces} == set(
        re.findall(r"'nonce-[^']*'", headers["Content-Security-Policy"])
    )
    assert not any({"src", "href"} & attributes.keys() for _, attributes in tags)
    assert not re.search(rb"https?:|url\(|@import", html)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_no_text_from_outside_is_markup(
    anna: Any, stylizer: Stylizer, photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what fills the template nor what the script shows: an error may name a file or a style."""
    bad = "<script>alert('1')</script><img src=x onerror='y'>&amp;\"'"
    questions = ask(stylizer, photo)

    def fail() -> None:
        raise UsageError(f"there is no style {bad}")

    monkeypatch.setattr(questions, "next", fail)
    page = Page(questions, max_answers=5)
    thread, raised = serve_in_thread(page, UsageError)
    html = Browser(page)("")[1].decode()
    _, state, headers = Browser(page)()
    thread.join(30)
    assert len(raised) == 1
    assert (headers["Content-Type"], headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    # The script, with elements that tell what was set on them.
    around = f"""
const set = [];
const part = new Proxy({{addEventListener() {{}}, firstElementChild: {{}}}}, {{
  set(part, name, value) {{ set.push([name, value]); return true; }},
}});
globalThis.document = {{getElementById: () => part}};
globalThis.addEventListener = () => {{}};
globalThis.fetch = async () => ({{json: async () => ({state.decode()})}});
"""
    (script,) = Elements(html).scripts
    shown = "setTimeout(() => console.log(JSON.stringify(set)), 20);"
    result = subprocess.run(["node", "-e", around + script + shown], capture_output=True, text=True, timeout=60)
    assert [name for name, value in json.loads(result.stdout) if bad in str(value)] == ["textContent"], result.stderr
    tags = [tag for tag, _ in Elements(render("ask.html", nonce=f'">{bad}')).tags]
    assert (tags.count("script"), tags.count("img")) == (1, 2)


def test_lengths_that_are_no_length_are_refused(page: Any) -> None:
    Browser(page)()
    assert Browser(page)(body="{}", **{"Content-Length": "1" * 5000})[0] == 400


def test_what_nobody_expected_ends_the_page_and_is_raised(
    anna: Any, stylizer: Stylizer, photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = ask(stylizer, photo)
    page = Page(questions, max_answers=5)

    def fail() -> None:
        raise ValueError("the question cannot be painted")

    monkeypatch.setattr(questions, "next", fail)
    thread, raised = serve_in_thread(page, ValueError)
    assert json.loads(Browser(page)()[1])["status"] == "the question cannot be painted."
    thread.join(30)
    assert [str(problem) for problem in raised] == ["the question cannot be painted"]


def test_a_store_that_vanishes_meanwhile_ends_it_with_one_sentence(
    anna: Any, stylizer: Stylizer, photo: Any, store: Path
) -> None:
    from sfumato.personal.service import delete

    page = Page(ask(stylizer, photo), max_answers=5)
    thread, raised = serve_in_thread(page, UsageError)
    browser = Browser(page)
    browser()
    delete("anna")
    assert "no style 'anna' was learnt" in browser.choose(1, "first")["status"]
    thread.join(30)
    assert len(raised) == 1
    assert not (store / "anna").exists()
