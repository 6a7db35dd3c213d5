"""The cache of judging: files named by a hash of all that a result depends on."""

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

#: Raised with every change of a measure: cached figures of another version are not used.
VERSION = 3


def cache_key(everything: list[Any]) -> str:
    """Name of the file that keeps a result which depends on ``everything``."""
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:40]


@dataclass(frozen=True)
class EvaluatedPair:
    """A pair's figures, its features in each set, and the logit of the method's own discriminator."""

    row: Row
    members: list[Pooled]
    logit: float | None

    @classmethod
    def read(cls, path: Path, pair: Pair) -> EvaluatedPair | None:
        """Read what `write` wrote; None where there is no file, or a damaged one."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                found = json.loads(str(file["row"]))
                members = [Pooled(file[f"features{i}"], file.get(f"classes{i}")) for i in range(found["backbones"])]
            return cls(Row(pair, found["values"], found["artefacts"], found["resized"]), members, found["logit"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, path: Path) -> None:
        """Write a file of the cache, whole or not at all."""
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
