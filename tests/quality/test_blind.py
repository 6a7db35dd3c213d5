from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from itertools import combinations
from math import comb
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import InputError, OutputError, UsageError
from sfumato.image import read_image, resize, write_image
from sfumato.quality.blind import plan_trials, write_page
from sfumato.quality.pairs import Pair, pairs_of
from sfumato.quality.votes import CHOICES, MAX_VOTES, Duel, Vote, read_votes, tally
from support import FLOAT64, run

LEVELS = {"Zwirner-v1": 0.1, "Quasimodo": 0.5, "Überlack": 0.9}
QUESTION = 'Which <b>one</b>, "A" or "B"? {style} </script>'


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate(((60, 90), (200, 100))):
        write_image(np.full((1, 3, height, width), 0.3 + 0.1 * i, np.float32), folder / "c" / f"kittiwake{i}.png")
    for i in range(3):
        write_image(rng.random((1, 3, 40, 30), np.float32), folder / "s" / f"haystack{i}.png")
    return pairs_of(folder / "c", folder / "s")


def flat(level: Any, made: Any = None) -> Any:
    """A method that paints one grey, at half the photo's size."""

    def paint(pair: Any) -> Any:
        if made is not None:
            made.append(pair)
        height, width = read_image(pair.content).shape[2:]
        return np.full((1, 3, height // 2, width // 2), level, np.float32)

    return paint


@pytest.fixture(scope="module")
def page(pairs: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("page") / "blind.html"
    name = write_page(path, {name: flat(level) for name, level in LEVELS.items()}, pairs, QUESTION, side=100)
    return path, name


class Parsed(HTMLParser):
    """A page's elements by id, the text of its elements by tag, and the tags that nothing closed."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.ids, self.texts, self.open, self.tags = {}, {}, [], []
        self.feed(text)

    def handle_starttag(self, tag: Any, attributes: Any) -> None:
        found = dict(attributes)
        self.tags.append((tag, found))
        if "id" in found:
            assert found["id"] not in self.ids
            self.ids[found["id"]] = (tag, found)
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: Any) -> None:
        where = self.open[-1] if self.open else ""
        self.texts[where] = [*self.texts.get(where, []), data]


@pytest.fixture(scope="module")
def parsed(page: Any) -> Parsed:
    return Parsed(page[0].read_text("utf-8"))


@pytest.fixture(scope="module")
def data(parsed: Parsed) -> Any:
    return json.loads(parsed.texts["script"][0])


# ---- the plan --------------------------------------------------------------------------------------------------------


def places(count: int) -> Any:
    return [Pair(f"c{i}", "s") for i in range(count)]  # type: ignore[arg-type]


@pytest.mark.parametrize("methods", [2, 3, 5])
@pytest.mark.parametrize("count", [None, 1, 7, 20])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_plans_are_balanced(methods: int, count: int | None, seed: int) -> None:
    names, pairs = list("abcdefg"[:methods]), places(21)
    trials = plan_trials(names, pairs, seed, count)
    duels = list(combinations(names, 2))
    assert len(trials) == (count or len(duels) * 21)
    met = Counter(tuple(sorted((t.left, t.right))) for t in trials)
    assert met.keys() <= set(duels)
    shown = Counter(t.pair for t in trials)
    for values in ([met[duel] for duel in duels], [shown[pair] for pair in pairs]):
        assert max(values) - min(values) <= 1
    sides = Counter((t.left, t.right) for t in trials)
    assert all(abs(sides[a, b] - sides[b, a]) <= 1 for a, b in duels)
    assert len({(t.pair, frozenset((t.left, t.right))) for t in trials}) == len(trials)


def test_plans_are_drawn_from_their_seed() -> None:
    pairs = places(30)
    one, again, other = (plan_trials("ab", pairs, seed) for seed in (4, 4, 5))
    assert one == again != other
    assert [t.pair for t in one] != pairs
    runs = [t.left for t in one]
    assert runs not in (["a", "b"] * 15, ["b", "a"] * 15, sorted(runs), sorted(runs)[::-1])
    firsts = Counter(plan_trials("ab", pairs, seed)[0].left for seed in range(40))
    assert min(firsts.values()) > 8  # of 40 throws of a coin


@pytest.mark.parametrize(("methods", "count"), [("a", None), ("", None), ("abc", 0), ("abc", 7), ("abc", -1)])
def test_plans_that_cannot_be(methods: str, count: int | None) -> None:
    with pytest.raises(UsageError, match=r"needs 2 methods|make 1 to 6 trials"):
        plan_trials(methods, places(2), 0, count)
    with pytest.raises(UsageError, match="1 pair or more"):
        plan_trials("ab", [], 0)


# ---- the page --------------------------------------------------------------------------------------------------------


def grey(text: Any) -> Any:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert image.format == "JPEG"
    return image.size, np.asarray(image).mean() / 255


def test_every_trial_shows_the_pictures_of_its_methods(data: Any, pairs: Any) -> None:
    key = json.loads(base64.b64decode(data["key"]))
    assert len(key) == len(data["trials"]) == 3 * 6
    by_name = {(pair.content.name, pair.style.name): pair for pair in pairs}
    for (content, style, *methods), (photo, painting, *made) in zip(key, data["trials"], strict=True):
        pair = by_name[content, style]
        small = resize(read_image(pair.content), *((60, 90) if "0" in content else (100, 50)))  # none is enlarged
        size, level = grey(data["pictures"][photo])
        assert size == (small.shape[3], small.shape[2])
        assert level == pytest.approx(small.mean(), abs=0.01)
        assert grey(data["pictures"][painting])[0] == (30, 40)
        for method, number in zip(methods, made, strict=True):
            assert grey(data["pictures"][number]) == (size, pytest.approx(LEVELS[method], abs=0.01))
    assert len(data["pictures"]) == 2 + 3 + 3 * 6
    assert {number for trial in data["trials"] for number in trial} == set(range(23))


def test_the_page_names_no_method_and_no_file_in_plain_text(page: Any) -> None:
    text = page[0].read_text("utf-8")
    text = re.sub(r'"key": ".*?"', "", text)
    for name in ("Zwirner", "Quasimodo", "berlack", "kittiwake", "haystack"):
        assert name.lower() not in text.lower()


def test_the_page_is_one_file_that_loads_nothing(page: Any, parsed: Parsed) -> None:
    assert [path.name for path in page[0].parent.iterdir()] == ["blind.html"]
    for tag, attributes in parsed.tags:
        assert not {"src", "href", "srcset"} & attributes.keys()
        assert tag not in ("link", "iframe", "object", "embed", "form")
    policy = next(a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp", page[0].read_text("utf-8"))


def test_the_page_is_well_formed_and_its_parts_have_names(parsed: Parsed, data: Any) -> None:
    assert not parsed.open
    assert parsed.texts["h1"] == [QUESTION]
    assert data["question"] == QUESTION
    assert len(parsed.texts["script"]) == 2
    for name, (tag, attributes) in parsed.ids.items():
        if tag == "img":
            assert attributes["alt"], name
    assert len(parsed.texts["button"]) == sum(tag == "button" for tag, _ in parsed.tags)
    assert parsed.ids["progress"][1]["role"] == "status"
    assert ("html", {"lang": "en"}) in parsed.tags


def test_the_id_tells_pages_apart(pairs: Any, tmp_path: Path) -> None:
    def made(level: float = 0.2, question: str = "Which?", **options: Any) -> Any:
        return write_page(tmp_path / "p.html", {"a": flat(level), "b": flat(0.7)}, pairs, question, **options)

    first = made()
    assert re.fullmatch("[0-9a-f]{12}", first)
    assert made() == first
    assert len({first, made(level=0.4), made(question="Whither?"), made(seed=1), made(count=5)}) == 5


def test_a_picture_is_asked_for_once_and_only_if_shown(pairs: Any, tmp_path: Path) -> None:
    made = {name: [] for name in "abc"}
    methods = {name: flat(0.5, some) for name, some in made.items()}
    write_page(tmp_path / "p.html", methods, pairs)
    assert all(sorted(some, key=str) == sorted(pairs, key=str) for some in made.values())
    for some in made.values():
        some.clear()
    write_page(tmp_path / "p.html", methods, pairs, count=1)
    assert sum(len(some) for some in made.values()) == 2


@pytest.mark.parametrize("options", [{"question": " "}, {"side": 63}, {"side": 5000}, {"count": 100}])
def test_pages_that_cannot_be(pairs: Any, tmp_path: Path, options: Any) -> None:
    with pytest.raises(UsageError):
        write_page(tmp_path / "p.html", {"a": flat(0.2), "b": flat(0.7)}, pairs, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_question_that_is_no_utf8_is_written_out(pairs: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", {"a": flat(0.1), "b\udce9": flat(0.5)}, pairs[:1], "Which \udce9?", side=64)
    assert "<h1>Which \\udce9?</h1>" in (tmp_path / "page.html").read_text("utf-8")


def test_no_text_from_outside_is_markup(tmp_path: Path) -> None:
    bad = "<script>alert('1')<!--&amp;\"'"
    for kind in "cs":
        write_image(np.full((1, 3, 20, 20), 0.5, np.float32), tmp_path / kind / f"{bad}.png")
    methods = {bad: flat(0.2), f"{bad}2": flat(0.7)}
    write_page(tmp_path / "page.html", methods, pairs_of(tmp_path / "c", tmp_path / "s"), bad, side=64)
    got = Parsed((tmp_path / "page.html").read_text("utf-8"))
    assert not got.open
    assert [tag for tag, _ in got.tags].count("script") == 2
    assert got.texts["h1"] == [bad]
    data = json.loads(got.texts["script"][0])
    assert data["question"] == bad
    ((content, style, *methods),) = json.loads(base64.b64decode(data["key"]))
    assert (content, style) == (f"{bad}.png", f"{bad}.png")
    assert sorted(methods) == [bad, f"{bad}2"]


def test_a_method_that_fails_leaves_no_page(pairs: Any, tmp_path: Path) -> None:
    def fails(pair: Any) -> None:
        raise InputError("no picture")

    with pytest.raises(InputError, match="no picture"):
        write_page(tmp_path / "p.html", {"a": flat(0.2), "b": fails}, pairs)
    with pytest.raises(OutputError):
        write_page(tmp_path, {"a": flat(0.2), "b": flat(0.3)}, pairs)
    assert list(tmp_path.iterdir()) == []


# As much of a browser as the page's script asks for.
BROWSER = """
const {readFileSync} = require("node:fs"), {resolveObjectURL} = require("node:buffer"), vm = require("node:vm");
const {ids, script, steps, stored} = JSON.parse(readFileSync(0, "utf8"));
class Part {
  constructor(text = "") {
    Object.assign(this, {textContent: text, value: "", hidden: false, disabled: false, heard: {}});
  }
  addEventListener(kind, hear) { (this.heard[kind] ??= []).push(hear); }
  fire(kind, event = {}) { for (const hear of this.heard[kind] ?? []) hear(event); }
  click() { if (!this.disabled) this.fire("click"); }
  focus() { focused = this; }
}
let focused = null, saved = [];
const parts = Object.fromEntries(Object.entries(ids).map(([id, text]) => [id, new Part(text)]));
const document = new Part();
document.getElementById = id => parts[id];
document.createElement = () => ({click() { saved.push(this); }});
const kept = new Map(Object.entries(stored ?? {}));
const localStorage = {
  getItem: place => { if (!stored) throw new Error("forbidden"); return kept.get(place) ?? null; },
  setItem: (place, text) => { if (!stored) throw new Error("forbidden"); kept.set(place, text); },
};
const clock = {now: () => clock.time, time: 1000};
const world = {document, localStorage, performance: clock, setTimeout: () => {}, atob, TextDecoder, URL, Blob};
vm.runInNewContext(script, world);
const seen = [];
for (const step of steps) {
  if (step.wait) clock.time += step.wait;
  if (step.click) parts[step.click].click();
  if (step.type !== undefined) { parts.voter.value = step.type; parts.voter.fire("input"); }
  if (step.key) {
    let stopped = false;
    const event = {target: parts[step.at] ?? document, preventDefault() { stopped = true; }, ...step};
    document.fire("keydown", event);
    if (step.stopped !== undefined && stopped !== step.stopped) throw new Error(`${step.key}: ${stopped}`);
  }
  seen.push({
    progress: parts.progress.textContent,
    shown: parts.trial.hidden ? null : ["photo", "style", "left", "right"].map(id => parts[id].src),
    disabled: Object.keys(ids).filter(id => parts[id].disabled).sort(),
    voter: parts.voter.value,
  });
}
Promise.all(saved.map(async link => [link.download, await resolveObjectURL(link.href).text()])).then(files =>
  console.log(JSON.stringify({seen, files, stored: Object.fromEntries(kept), exported: focused === parts.export})));
"""
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="runs the page's script, which needs node")


@pytest.fixture
def browse(parsed: Parsed) -> Any:
    def run(*steps: Any, stored: Any = None) -> Any:
        texts = dict.fromkeys(parsed.ids, "") | {"page": parsed.texts["script"][0]}
        asked = {"ids": texts, "script": parsed.texts["script"][1], "steps": steps, "stored": stored}
        done = subprocess.run(
            ["node", "-e", BROWSER], input=json.dumps(asked), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def key(name: str, **more: Any) -> Any:
    return {"key": name, **more}


@needs_node
def test_votes_by_buttons_and_keys_are_exported_and_read(browse: Any, data: Any, page: Any, tmp_path: Path) -> None:
    ways = [
        ({"click": "vote-left", "wait": 1500}, "left"),
        ({"click": "vote-same", "wait": 20}, "same"),
        ({"click": "vote-right", "wait": 2346}, "right"),
        (key("ArrowLeft", wait=10, stopped=True), "left"),
        (key("ArrowDown", stopped=True), "same"),
        (key("ArrowRight", stopped=True), "right"),
    ]
    found = browse(*(way for way, _ in ways), {"type": " Ada "}, {"click": "export"}, stored={})
    trials = [[f"data:image/jpeg;base64,{data['pictures'][n]}" for n in trial] for trial in data["trials"]]
    for i, seen in enumerate(found["seen"][:6]):
        assert seen["progress"] == f"{i + 2} of 18"
        assert seen["shown"] == trials[i + 1]
    ((name, text),) = found["files"]
    assert name == f"votes-{page[1]}.json"
    (tmp_path / name).write_text(text, "utf-8")
    votes = read_votes([tmp_path / name])
    assert [vote.choice for vote in votes] == [choice for _, choice in ways]
    assert [vote.seconds for vote in votes] == [1.5, 0.02, 2.35, 0.01, 0, 0]
    shown = json.loads(base64.b64decode(data["key"]))
    assert [[v.content, v.style, v.left, v.right] for v in votes] == shown[:6]
    assert {(v.page, v.question, v.voter) for v in votes} == {(page[1], QUESTION, "Ada")}
    assert {method for v in votes for method in (v.left, v.right)} <= LEVELS.keys()


@needs_node
def test_undo_takes_the_last_vote_back(browse: Any, data: Any) -> None:
    found = browse(
        {"wait": 0}, key("Backspace"), key("ArrowLeft"), key("ArrowLeft"), key("Backspace"), {"click": "undo"},
        key("ArrowRight"), {"click": "export"}, stored={},
    )  # fmt: skip
    progress = [int(seen["progress"].split(" of ")[0]) for seen in found["seen"]]
    assert progress == [1, 1, 2, 3, 2, 1, 2, 2]
    assert [vote["choice"] for vote in json.loads(found["files"][0][1])["votes"]] == ["right"]
    assert found["seen"][0]["shown"] == found["seen"][5]["shown"]
    assert found["seen"][0]["disabled"] == ["export", "undo"]
    assert found["seen"][2]["disabled"] == []
    assert "voter" not in json.loads(found["files"][0][1])


@needs_node
def test_votes_outlive_the_page_under_its_id(browse: Any, page: Any) -> None:
    first = browse(key("ArrowLeft"), {"type": "Ada"}, key("ArrowDown"), stored={"another page": "its votes"})
    assert first["stored"].keys() == {"another page", f"sfumato-votes-{page[1]}"}
    again = browse({"wait": 5}, key("ArrowRight"), {"click": "export"}, stored=first["stored"])
    assert again["seen"][0]["progress"] == "3 of 18"
    assert again["seen"][0]["voter"] == "Ada"
    assert [vote["choice"] for vote in json.loads(again["files"][0][1])["votes"]] == ["left", "same", "right"]


@needs_node
@pytest.mark.parametrize("stored", [None, {}], ids=["forbidden", "allowed"])
def test_all_the_way_to_the_end(browse: Any, stored: Any) -> None:
    found = browse(*[key("ArrowLeft")] * 18, key("ArrowLeft"), {"click": "export"}, key("Backspace"), stored=stored)
    end, after, _, back = found["seen"][17:]
    assert end["progress"].startswith("All 18 are done")
    assert end["shown"] is None
    assert end["disabled"] == ["vote-left", "vote-right", "vote-same"]
    assert found["exported"]  # has the focus
    assert after == end
    assert len(json.loads(found["files"][0][1])["votes"]) == 18
    assert back["progress"] == "18 of 18"


@needs_node
def test_damaged_storage_is_begun_anew(browse: Any, page: Any) -> None:
    found = browse(key("ArrowLeft"), stored={f"sfumato-votes-{page[1]}": "{damaged"})
    assert found["seen"][0]["progress"] == "2 of 18"


@needs_node
def test_keys_that_mean_something_else(browse: Any) -> None:
    others = [
        key("ArrowLeft", repeat=True, stopped=False),  # held down
        key("ArrowLeft", altKey=True, stopped=False),  # back, in a browser
        key("ArrowLeft", ctrlKey=True, stopped=False),
        key("ArrowLeft", metaKey=True, stopped=False),
        key("ArrowLeft", at="voter", stopped=False),
        key("Backspace", at="voter", stopped=False),
        key("ArrowUp", stopped=False),
        key("a", stopped=False),
        key("Tab", stopped=False),
    ]
    assert {seen["progress"] for seen in browse(*others, stored={})["seen"]} == {"1 of 18"}


# ---- the votes -------------------------------------------------------------------------------------------------------


def vote(
    left: Any, right: Any, choice: Any, content: str = "c.jpg", style: str = "s.jpg", seconds: float = 1.0, **more: Any
) -> Vote:
    return Vote(content, style, left, right, choice, seconds, more.pop("page", "p1"), "Which?", **more)


def plain(*votes: Any, **more: Any) -> Any:
    rows = [
        {name: getattr(v, name) for name in ("content", "style", "left", "right", "choice", "seconds")} for v in votes
    ]
    return {"format": "sfumato-votes-1", "page": "p1", "question": "Which?", "votes": rows} | more


def write(path: Path, found: Any) -> Any:
    path.write_text(json.dumps(found), "utf-8")
    return path


def test_files_of_several_voters(tmp_path: Path) -> None:
    one, two = vote("a", "b", "left", seconds=2), vote("b", "a", "same", content="ü.jpg")
    first = write(tmp_path / "1.json", plain(one, two, voter="Ada"))
    second = write(tmp_path / "2.json", plain(two, page="p2"))
    ada = [replace(one, voter="Ada"), replace(two, voter="Ada")]
    assert read_votes([first]) == read_votes([first, first]) == ada
    assert read_votes([second, first]) == [replace(two, page="p2"), *ada]


def changed(**more: Any) -> Any:
    return plain(vote("a", "b", "left") if not more else replace(vote("a", "b", "left"), **more))


def plan_of(count: int) -> Any:
    return plain(*[vote("a", "b", "left")] * count)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, r"no file of votes: its format is None, not 'sfumato-votes-1'"),
        ([], "its format is None"),
        (plain(format="sfumato-votes-2"), "its format is 'sfumato-votes-2'"),
        (plain(), "holds no vote"),
        (plain(votes=None), "holds no vote"),
        (plain(votes={"a": 1}), "holds no vote"),
        (plain(votes=[3]), "vote 1 in .* is damaged"),
        (plain(votes=[plain(vote("a", "b", "left"))["votes"][0], {}]), "vote 2 in .* is damaged"),
        (plain(vote("a", "b", "left"), page=7), "lacks the page.s id"),
        (plain(vote("a", "b", "left"), question=None), "lacks the page.s id or its question"),
        (plain(vote("a", "b", "left"), voter=7), "lacks"),
        (changed(choice="both"), "is 'both', but must be one of left, right, same"),
        (changed(choice=1), "is damaged"),
        (changed(left=None), "is damaged"),
        (changed(left="b"), "between 'b' and itself"),
        (changed(seconds=-1), "-1 seconds"),
        (changed(seconds=float("nan")), "is damaged .NaN is not JSON"),
        (changed(seconds="1"), "'1' seconds"),
        (changed(seconds=None), "None seconds"),
        (changed(seconds=True), "True seconds"),
        (changed(seconds=10**400), "took 1000.*000 seconds"),
        (changed(seconds=float("inf")), "Infinity is not JSON"),
        (plan_of(MAX_VOTES + 1), "holds 10,001 votes, but at most 10,000 are allowed"),
    ],
)
def test_files_that_hold_no_votes(tmp_path: Path, found: Any, message: str) -> None:
    path = write(tmp_path / "v.json", found)
    with pytest.raises(InputError, match=message) as caught:
        read_votes([path])
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    whole = json.dumps(plain(vote("a", "b", "left")))
    (tmp_path / "half.json").write_text(whole[:-9], "utf-8")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.json").write_text("[" * 200_000, "utf-8")
    for name in ("half.json", "bytes.json", "deep.json", "none.json", "."):
        with pytest.raises(InputError, match="cannot read the votes in"):
            read_votes([tmp_path / name])
    with pytest.raises(UsageError, match="no files"):
        read_votes([])


def test_somebody_exported_twice_or_answered_something_else(tmp_path: Path) -> None:
    votes = [vote("a", "b", choice, seconds=i) for i, choice in enumerate(CHOICES)]
    early = write(tmp_path / "early.json", plain(*votes[:2]))
    late = write(tmp_path / "late.json", plain(*votes, voter="Ada"))
    apart = write(tmp_path / "apart.json", plain(*votes[1:]))
    with pytest.raises(InputError, match=r"early.json and .*late.json hold the same votes"):
        read_votes([early, apart, late])
    assert len(read_votes([early, apart])) == 4
    other = write(tmp_path / "other.json", plain(*votes, question="Whither?", page="p2"))
    with pytest.raises(InputError, match=r"other.json answers another question than .*early.json"):
        read_votes([early, other])


def repeated(**counts: Any) -> Any:
    """Votes between two letters by their winner: ``ab=(3, 1, 2)`` are 3 for a, 1 for b and 2 for neither."""
    votes = []
    for (one, other), (won, lost, same) in counts.items():  # type: ignore[str-unpack]
        for i, winner in enumerate([one] * won + [other] * lost + [""] * same):
            left, right = (one, other) if i % 2 else (other, one)
            choice = "same" if not winner else "left" if winner == left else "right"
            votes.append(vote(left, right, choice, content=f"{i}.jpg"))
    return votes


def test_two_methods_have_the_odds_of_their_votes() -> None:
    found = tally(repeated(ab=(50, 20, 10)))
    a, b = found.standings
    assert (a.method, a.votes, a.win_rate, b.win_rate) == ("a", 80, 55 / 80, 25 / 80)
    # Bradley and Terry's strengths of two are the logit of the share, ties halved.
    assert a.strength.value - b.strength.value == pytest.approx(np.log(55 / 25), abs=0.01)
    assert a.strength.low < a.strength.value < a.strength.high
    # Its standard error, of each half of the difference: 1 / sqrt(n p q) / 2.
    half = 1.96 * np.sqrt(80 / (55 * 25)) / 2
    assert a.strength.high - a.strength.value == pytest.approx(half, rel=0.01)
    assert found.duels == (Duel("a", "b", 50, 20, 10),)
    assert (found.votes, found.same, found.question) == (80, pytest.approx(1 / 8), "Which?")  # type: ignore[comparison-overlap]


def test_three_methods_are_ranked() -> None:
    found = tally(repeated(ab=(10, 20, 0), bc=(20, 10, 0), ca=(15, 15, 4)))
    assert found.standings[0].method == "b"
    assert found.standings[1].strength.value == pytest.approx(found.standings[2].strength.value)
    assert sum(s.strength.value for s in found.standings) == pytest.approx(0, abs=FLOAT64)
    assert sum(s.win_rate * s.votes for s in found.standings) == found.votes
    assert {frozenset((d.one, d.other)) for d in found.duels} == {frozenset("ab"), frozenset("bc"), frozenset("ac")}
    order = [s.method for s in found.standings]
    assert all(order.index(d.one) < order.index(d.other) for d in found.duels)
    assert Duel("b", "a", 20, 10, 0) in found.duels


def test_methods_that_never_met_are_ranked_through_others() -> None:
    found = tally(repeated(ab=(9, 3, 0), bc=(9, 3, 0)))
    a, b, c = (s.strength.value for s in found.standings)
    assert [s.method for s in found.standings] == ["a", "b", "c"]
    assert (a - b, b - c) == pytest.approx((np.log(3), np.log(3)), abs=0.05)
    assert len(found.duels) == 2


def test_who_won_everything_has_finite_figures() -> None:
    found = tally(repeated(ab=(12, 0, 0)))
    a, b = found.standings
    assert (a.win_rate, b.win_rate) == (1, 0)
    for each in (a.strength, b.strength):
        assert np.isfinite([each.low, each.value, each.high]).all()
        assert each.high - each.low > 2  # and says that little is known
    assert a.strength.value > 1


def test_no_difference_at_all() -> None:
    found = tally(repeated(ab=(0, 0, 8)))
    assert [s.strength.value for s in found.standings] == pytest.approx([0, 0])
    assert (found.same, found.left, found.left_p) == (1, None, 1)


def test_methods_without_a_common_scale() -> None:
    with pytest.raises(UsageError, match="no chain of votes connects 'a' with 'c'"):
        tally(repeated(ab=(5, 3, 0), cd=(5, 3, 0)))
    with pytest.raises(UsageError, match="no votes"):
        tally([])


@pytest.mark.parametrize(
    ("left", "right", "p"),
    [(9, 1, 22 / 1024), (1, 9, 22 / 1024), (5, 5, 1), (0, 3, 0.25), (3, 4, 1), (60, 40, 0.05688793364098078)],
)
def test_the_side_that_was_chosen(left: int, right: int, p: float) -> None:
    votes = [vote("a", "b", "left")] * left + [vote("a", "b", "right")] * right + [vote("a", "b", "same")] * 2
    found = tally(votes)
    assert found.left_p == pytest.approx(p, rel=FLOAT64)
    assert found.left.value == left / (left + right)
    assert found.left.low <= found.left.value <= found.left.high


@pytest.mark.parametrize(("left", "right"), [(520, 481), (700, 800), (2600, 2400), (1000, 1)])
def test_the_side_that_was_chosen_of_many(left: int, right: int) -> None:
    """Beside the sum of whole numbers, which takes minutes for many more."""
    n, k = left + right, min(left, right)
    exact = min(1.0, float(Fraction(2 * sum(comb(n, i) for i in range(k + 1)), 2**n)))
    votes = [vote("a", "b", "left")] * left + [vote("a", "b", "right")] * right
    assert tally(votes).left_p == pytest.approx(exact, rel=FLOAT64)


def test_many_votes_and_methods_are_counted_at_once(tmp_path: Path) -> None:
    one = [vote("a", "b", CHOICES[i % 3], content=str(i)) for i in range(MAX_VOTES)]
    path = write(tmp_path / "many.json", plain(*one))
    began = perf_counter()
    assert tally(read_votes([path])).votes == MAX_VOTES
    assert perf_counter() - began < 60
    other = write(tmp_path / "more.json", plain(vote("b", "a", "same")))
    with pytest.raises(InputError, match="10,001 votes"):
        read_votes([path, other])
    chain = write(tmp_path / "chain.json", plain(*(vote(f"m{i}", f"m{i + 1}", "left") for i in range(64))))
    with pytest.raises(InputError, match="name 65 methods"):
        read_votes([chain])


def test_files_that_are_no_files_of_votes_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="not a regular file"):
        read_votes([tmp_path / "pipe.json"])
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(60_000_000_000)
    with pytest.raises(InputError, match="more than 16 MB"):
        read_votes([tmp_path / "huge.json"])


def test_names_from_strangers_are_told_as_text(tmp_path: Path) -> None:
    odd = ("[/red]x", "\x1b]0;pwned\x07QQ")
    path = write(tmp_path / "v.json", plain(vote(*odd, "left"), question="\x1b[2J[/b]?"))
    path.write_text(path.read_text("utf-8").replace("QQ", "\\ud800"), "utf-8")
    result = run("evaluate", path)
    assert result.exit_code == 0
    assert "[/red]x" in result.stdout
    assert r"\x1b]0;pwned\x07\ud800" in result.stdout
    assert r"\x1b[2J[/b]?" in result.stdout
    assert "\x1b" not in result.stdout
    told = json.loads(run("evaluate", path, "--json").stdout)
    assert told["standings"][0]["method"] == "[/red]x"


def test_very_many_votes() -> None:
    found = tally([vote("a", "b", "left"), vote("b", "a", "left")] * 3000)
    assert found.left_p == 0  # 2 in 2 to the power of 6000
    assert found.left.value == 1


def test_agreement_is_between_votes_on_the_same_pictures() -> None:
    alone = [vote("a", "b", "left", content="1"), vote("a", "b", "left", content="2")]
    assert tally(alone).agreement is None
    assert tally([*alone, vote("b", "a", "right", content="1", voter="Ada")]).agreement == 1
    assert tally([*alone, vote("b", "a", "left", content="1", voter="Ada")]).agreement == 0
    three = [vote("a", "b", choice, content="1") for choice in ("left", "left", "same")]
    assert tally(three).agreement == pytest.approx(1 / 3)


def test_the_middle_of_the_seconds() -> None:
    assert tally([vote("a", "b", "left", seconds=s) for s in (1, 2, 30)]).seconds == 2
