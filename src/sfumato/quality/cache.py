"""The cache of evaluations: files named by a hash of everything that a result depends on."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.files import atomic_file
from sfumato.quality.backbones import Pooled
from sfumato.quality.evaluation import Row
from sfumato.quality.pairs import Pair

#: Raise it with every change of a measure, so that values in the cache are computed again.
VERSION = 3


def cache_key(dependencies: list[Any]) -> str:
    """Return the file name of a result with these dependencies: 40 hex digits of their hash."""
    return hashlib.sha256(json.dumps(dependencies).encode()).hexdigest()[:40]


@dataclass(frozen=True)
class EvaluatedPair:
    """The result of one pair: a row of the evaluation, and the pair's part in the measures of sets.

    Attributes:
        row: The measures of the pair.
        members: Pooled features of the output, one per set backbone.
        logit: Logit of the method's own discriminator; None if the method has no discriminator.
    """

    row: Row
    members: list[Pooled]
    logit: float | None

    @classmethod
    def read(cls, path: Path, pair: Pair) -> EvaluatedPair | None:
        """Read a file of `write`; None where it is missing or damaged."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                found = json.loads(str(file["row"]))
                members = [Pooled(file[f"features{i}"], file.get(f"classes{i}")) for i in range(found["backbones"])]
            return cls(Row(pair, found["values"], found["artefacts"], found["resized"]), members, found["logit"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, path: Path) -> None:
        """Write the result to a file of the cache, whole or not at all."""
        row = self.row
        found = {"values": row.values, "artefacts": row.artefacts, "resized": row.resized}
        arrays: dict[str, Any] = {"row": json.dumps({**found, "logit": self.logit, "backbones": len(self.members)})}
        for i, member in enumerate(self.members):
            arrays[f"features{i}"] = member.features
            if member.probabilities is not None:
                arrays[f"classes{i}"] = member.probabilities
        content = io.BytesIO()
        np.savez(content, **arrays)
        with atomic_file(path) as file:
            file.write(content.getvalue())
