"""The texts of Studio's page: the same keys in both languages, none missing and none that nobody shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[2] / "src" / "sfumato" / "studio" / "pages"
_GAP = re.compile(r"\{(\w+)\}")


def texts(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAGES / "texts" / f"{language}.json").read_text("utf-8"))
    return found


def script() -> str:
    return "\n".join(path.read_text("utf-8") for path in PAGES.rglob("*.js") if path.parent.name != "vendor")


def gaps(text: str | dict[str, str]) -> set[str]:
    """The names in braces; those of all forms together."""
    forms = [text] if isinstance(text, str) else list(text.values())
    return {name for form in forms for name in _GAP.findall(form)}


def test_both_languages_have_the_same_texts() -> None:
    english, chinese = texts("en"), texts("zh")
    assert english.keys() == chinese.keys()
    wrong = [key for key in english if gaps(english[key]) != gaps(chinese[key])]
    assert not wrong
    empty = [key for key, text in chinese.items() if not text]
    assert not empty


@pytest.mark.parametrize(("language", "forms"), [("en", {"one", "other"}), ("zh", {"other"})])
def test_texts_with_numbers_have_the_forms_of_their_language(language: str, forms: set[str]) -> None:
    plural = {key: set(text) - {"zero"} for key, text in texts(language).items() if isinstance(text, dict)}
    assert {key for key, found in plural.items() if found != forms} == set()


def test_every_text_that_is_asked_for_is_there_and_every_other_is_gone() -> None:
    code, english = script(), texts("en")
    asked = set(re.findall(r"""["'`]([a-z]{2,5}\.[a-z][\w.]*)["'`]""", code))
    prefixes = {found for found in re.findall(r"`([a-z]{2,5}\.[\w.]*)\$\{", code)}
    groups = {key.split(".")[0] for key in english}
    missing = {key for key in asked if key.split(".")[0] in groups and key not in english and not key.endswith(".js")}
    assert not missing
    assert not {prefix for prefix in prefixes if not any(key.startswith(prefix) for key in english)}
    unused = {key for key in english if key not in asked and not any(key.startswith(each) for each in prefixes)}
    assert not unused
