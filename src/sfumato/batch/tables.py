"""Tables of pairs, CSV or Parquet: the column ``photo`` and, as wanted, ``style`` and ``target``."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sfumato.batch.places import Place, is_url, shown
from sfumato.errors import InputError, UsageError, first_line
from sfumato.tables import read_table

TABLES = (".csv", ".parquet")
_COLUMNS = ("photo", "style", "target")
_MAX_CSV, _MAX_PARQUET = 64_000_000, 2**30  # bytes
_MAX_ROWS = 10_000_000


class Row(NamedTuple):
    """A row of a table: its number, from 1, and its values; style and target may be empty."""

    line: int
    photo: str
    style: str
    target: str


def read_rows(source: str) -> list[Row]:
    """Read a table of pairs from a path or a URL.

    Raises:
        InputError: it cannot be read, has no row, or lacks a photo.
        UsageError: Parquet cannot be read here.
    """
    rows = list(_parquet(source) if PurePosixPath(source).suffix.lower() == ".parquet" else _csv(source))
    if not rows:
        raise InputError(f"the table {shown(source)} has no row")
    return rows


def _csv(source: str) -> Iterator[Row]:
    if not is_url(source):
        found = read_table(source.removeprefix("file://"), ["photo"], "table", ["style", "target"])
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / PurePosixPath(source).name
            copy.write_bytes(Place("").read(source, _MAX_CSV))
            found = read_table(copy, ["photo"], "table", ["style", "target"])
    for line, row in found:
        yield Row(line, row["photo"], row.get("style", ""), row.get("target", ""))


def _parquet(source: str) -> Iterator[Row]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as problem:
        raise UsageError(
            "reading Parquet needs pyarrow; run pip install pyarrow, or save the table as CSV"
        ) from problem
    content = Place("").read(source, _MAX_PARQUET)
    try:
        table = parquet.ParquetFile(io.BytesIO(content))
        columns = [name for name in _COLUMNS if name in table.schema_arrow.names]
        if "photo" not in columns:
            raise InputError(f"the table {shown(source)} has no column 'photo'")
        if table.metadata.num_rows > _MAX_ROWS:
            raise InputError(f"the table {shown(source)} has more than {_MAX_ROWS} rows; split it")
        number = 0
        for batch in table.iter_batches(columns=columns):
            for values in batch.to_pylist():
                number += 1
                texts = [values.get(name) or "" for name in _COLUMNS]
                if not all(isinstance(text, str) for text in texts) or not texts[0]:
                    raise InputError(f"row {number} of the table {shown(source)} has no photo, or a value is not text")
                yield Row(number, *texts)
    except InputError:
        raise
    except Exception as problem:  # pyarrow raises several unrelated types for damaged files
        raise InputError(f"cannot read the table {shown(source)}: {first_line(problem)}") from problem
