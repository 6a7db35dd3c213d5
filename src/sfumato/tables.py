"""The reader of all CSV tables, in the variants that spreadsheets and scripts write."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from sfumato.errors import InputError
from sfumato.files import read_bytes

_MAX_BYTES = 64_000_000
_SEPARATORS = ",;\t"
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_table(
    path: str | os.PathLike[str], columns: Sequence[str], what: str, optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV, each as its line number (from 1) and its values by column, stripped of spaces.

    The text is UTF-8 with or without a byte-order mark, or UTF-16 with one. Columns are separated by commas,
    semicolons or tabs: the most frequent of them in the first line, or the one that it names, as in ``sep=;``. Line
    ends may be those of any system; empty lines are skipped.

    Args:
        path: the file.
        columns: required columns, in any order and letter case; other columns are ignored.
        what: the kind of the file in errors, such as ``manifest``.
        optional: columns that may be missing or empty; a row has no key for an empty one.

    Raises:
        InputError: the file cannot be read, is not such text, or a column or a value is missing.
    """
    path = Path(path)
    needs = f"it needs the columns {', '.join(columns)}"
    lines = _text(path, what).splitlines(keepends=True)
    first = 0
    separator = None
    if lines and re.fullmatch(
        f"sep=[{_SEPARATORS}]", separator_line := lines[0].strip(" \r\n"), re.IGNORECASE
    ):  # Excel writes and reads such a line
        separator, first = separator_line[-1], 1
    while first < len(lines) and not lines[first].strip(f" {_SEPARATORS}\r\n"):
        first += 1
    if first == len(lines):
        raise InputError(f"the {what} {path} is empty; {needs}")
    separator = separator or max(_SEPARATORS, key=lines[first].count)  # the first of equals
    reader = csv.reader(io.StringIO("".join(lines[first:]), newline=""), delimiter=separator)
    found: list[tuple[int, dict[str, str]]] = []
    try:
        names = [name.strip().lower() for name in next(reader)]
        if lacking := [column for column in columns if column not in names]:
            raise InputError(f"the {what} {path} has no column {lacking[0]!r}; {needs}")
        places = {column: names.index(column) for column in columns}
        others = {column: names.index(column) for column in optional if column in names}
        for row in reader:
            if not any(value.strip() for value in row):
                continue
            line = first + reader.line_num
            values = {column: row[at].strip() if at < len(row) else "" for column, at in places.items()}
            if empty := [column for column, value in values.items() if not value or "\0" in value]:
                raise InputError(f"the {what} {path} has no {empty[0]} in line {line}; {needs} in each row")
            more = {column: row[at].strip() for column, at in others.items() if at < len(row)}
            found.append((line, values | {column: value for column, value in more.items() if value}))
    except csv.Error as problem:
        raise InputError(f"cannot read the {what} {path}: {problem}; save it as CSV in UTF-8") from problem
    return found


def _text(path: Path, what: str) -> str:
    try:
        data = read_bytes(path, _MAX_BYTES)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise InputError(f"cannot read the {what} {path}: {reason}; name a CSV file") from problem
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as problem:
        raise InputError(f"cannot read the {what} {path}: it is not UTF-8 text; save it as CSV in UTF-8") from problem
