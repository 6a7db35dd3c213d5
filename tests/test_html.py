"""Pages from templates; what each page shows is tested beside its module."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

import sfumato
from sfumato.html import render

TEMPLATES = Path(sfumato.__file__).parent / "templates"


def test_values_are_escaped_and_the_page_is_one_file() -> None:
    page = render("blind.html", data={"question": "\"><script>'&"})
    assert page.startswith("<!doctype html>")
    assert page.count("&#34;&gt;&lt;script&gt;&#39;&amp;") == 1
    assert "\\u003cscript\\u003e" in page  # inside the JSON
    for part in ("base.css", "blind.css", "blind.js"):
        assert (TEMPLATES / part).read_text("utf-8").strip() in page


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'data' is undefined"):
        render("blind.html")
