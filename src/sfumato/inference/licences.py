"""What a result depends on, under which licences, and whether it may be used commercially.

The answers come from the ledger (`sfumato.assets.whole_ledger`) and from the recipe in a result. They repeat what
owners and users state; they are no legal advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sfumato import assets
from sfumato.inference.bundle import Card
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.retouch import UNPAINTED
from sfumato.inference.session import read_card
from sfumato.inference.style_sheet import SHEET
from sfumato.inference.upscale import upscaler_digest
from sfumato.rights import may_sell, rights_counts
from sfumato.text import short

#: What the rights in a style allow. They are stated by whoever made it: the user, or who gave them the style file.
_STATED: dict[str, tuple[str, bool | None]] = {
    "own": ("the maker of the style states: own work", True),
    "licensed": ("the maker of the style states: licensed to them, on terms that Sfumato does not know", None),
    "public-domain": ("the maker of the style states: public domain", True),
    "unstated": ("rights not stated", None),
}


@dataclass(frozen=True)
class Dependency:
    """One thing that a result depends on.

    Attributes:
        name: of the thing.
        kind: ``code``, ``weights``, ``training``, ``picture``, ``style``, ``script`` or ``package``; ``recipe`` stands
            for what a damaged recipe does not name.
        licence: its text.
        author: who made it; empty where nobody says.
        source: where it comes from; empty where nobody says.
        sha256: of its file, in hex; empty where there is no file.
        commercial: whether it may be used commercially; None where it is not known.
        count: of the pictures that it stands for.
    """

    name: str
    kind: str
    licence: str
    author: str
    source: str
    sha256: str
    commercial: bool | None
    count: int = 1

    def to_json(self) -> dict[str, object]:
        """Return the attributes as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class OwnModel:
    """What the card of a user's model says of its training.

    Attributes:
        name: the model's id.
        digest: SHA-256 of its graphs and weights, in hex, as recipes have it.
        data: of the card: the counts of training pictures, by licence, under ``licences``.
        training: of the card.
        has_encoder: whether an encoder that begins with VGG19 is in it.
    """

    name: str
    digest: str
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    has_encoder: bool

    @classmethod
    def read(cls, folder: Path) -> OwnModel:
        """Read the card of an exported model of any kind.

        Raises:
            ModelError: the folder holds no model.
        """
        if read_card(folder).get("kind") == "matching":
            networks = FeatureNetworks(folder)
            data, training = (networks.card.get(key) for key in ("data", "training"))
            return cls(
                networks.name,
                networks.digest,
                data if isinstance(data, dict) else {},
                training if isinstance(training, dict) else {},
                True,
            )
        card = Card.read(folder)
        return cls(card.model, card.digest, card.data, card.training, card.has_codes)


_CODE = Dependency("Sfumato", "code", "Apache-2.0", "The Sfumato authors", "", "", True)
_NOT_NAMED = Dependency("what the recipe does not name", "recipe", "not known: the recipe is damaged", "", "", "", None)


def dependencies(recipe: Mapping[str, Any], own: OwnModel | None = None) -> list[Dependency]:
    """Return what a picture or video depends on, from the recipe that it contains.

    These are Sfumato's code, the weights and what they were trained on, and the pictures of the styles. The photo is
    not among them: Sfumato knows nothing of its rights.

    Args:
        recipe: as JSON values, possibly from an untrusted source; damaged parts are reported as not known.
        own: a model of the user's own. It answers for the weights with its hash.
    """
    found = [_CODE] if _is_whole(recipe) else [_CODE, _NOT_NAMED]
    used = [(str(recipe["model"]), recipe.get("model_sha256"))] if "model" in recipe else []
    if "decoder_sha256" in recipe:
        used.append(("decoder", recipe["decoder_sha256"]))
    used += [("upscaler", step["upscaler"]) for step in _mappings(recipe.get("finish")) if step.get("upscaler")]
    ours = _models_by_digest()
    for name, digest in used:
        if own is not None and digest == own.digest:
            found += of_own_model(own)
        else:
            found += of_model(ours.get(str(digest), name), str(digest) in ours)
    if recipe.get("kind") == SHEET:
        found += [each for name in assets.style_names() for each in of_painting_in(name, {}) if each != _CODE]
    for style in _mappings(recipe.get("styles")):
        found += _of_style_in_recipe(style)
    return list(dict.fromkeys(found))


def of_model(model: str, is_shipped: bool = True) -> list[Dependency]:
    """Return the weights of a model, by its id, and the pictures that it was trained on, by licence."""
    ledger = assets.whole_ledger()
    if not is_shipped or model not in ledger["models"]:
        licence = "not known: not the weights that ship with this version"
        return [Dependency(f"weights {short(model)}", "weights", licence, "", "", "", None)]
    saw = ledger["models"][model]
    weights = next(line for line in ledger["lines"] if line.get("model") == model)
    return [
        replace(_of_line(weights), name=f"weights {model}", sha256=""),
        *(_of_line(line) for line in ledger["lines"] if model in line.get("part_of", ())),
        *(
            Dependency("training pictures", "training", licence, "", saw["list"], "", may_sell(licence), count)
            for licence, count in saw["licences"].items()
        ),
    ]


def of_own_model(model: OwnModel) -> list[Dependency]:
    """Return the weights of a user's model, and the pictures that its card counts, by licence."""
    name = f"weights {short(model.name)}"
    counts = model.data.get("licences")
    if not isinstance(counts, dict) or not counts or not all(type(n) is int and n > 0 for n in counts.values()):
        licence = "not known: the model's card does not count the licences of its pictures"
        return [Dependency(name, "weights", licence, "", "", "", None)]
    found = [
        Dependency(name, "weights", "a model of your own; what its card says of its training follows", "", "", "", True)
    ]
    if model.has_encoder:
        vgg = [line for line in assets.whole_ledger()["lines"] if line["kind"] == "weights" and "part_of" in line]
        found += map(_of_line, vgg)
    pictures = {short(licence): (may_sell(licence), count) for licence, count in counts.items()}
    if "started_from" in model.training:
        pictures["of the weights that its training began with: not known"] = (None, 1)
    return found + [
        Dependency("training pictures", "training", licence, "", "the model's card", "", answer, count)
        for licence, (answer, count) in pictures.items()
    ]


def of_painting_in(name: str, about: Mapping[str, str], hashes: Iterable[str] = ()) -> list[Dependency]:
    """Return what a picture depends on that the shipped weights paint in a style; arguments as for `of_style`."""
    base, matching = list(_models_by_digest().values())[:2]
    return list(dict.fromkeys([_CODE, *of_model(base), *of_model(matching), *of_style(name, about, hashes)]))


def of_style(name: str, about: Mapping[str, str], hashes: Iterable[str] = ()) -> list[Dependency]:
    """Return what a style itself depends on.

    Args:
        name: of the style.
        about: `Style.about`.
        hashes: SHA-256 of its pictures.
    """
    ours = {line["sha256"]: line for line in assets.whole_ledger()["lines"] if line["kind"] == "picture"}
    hashes, rights = list(hashes), rights_counts(about.get("rights", ""))
    pictures = [ours[digest] for digest in hashes if digest in ours]
    if not hashes and not rights and name in assets.style_names():
        pictures = [line for line in ours.values() if line["style"] == name]
    if len(pictures) < max(1, len(hashes)) and not rights:
        rights = {"unstated": max(1, len(hashes) - len(pictures))}
    found = [_of_line(line) for line in pictures]
    for right, count in rights.items():
        licence, commercial = _STATED[right]
        found.append(
            Dependency(short(name), "style", licence, short(about.get("artist", "")), "", "", commercial, count)
        )
    return found


def shipped() -> list[Dependency]:
    """Return everything in the ledger, and what the weights were trained on."""
    ledger = assets.whole_ledger()
    models = [each for model in ledger["models"] for each in of_model(model) if each.kind == "training"]
    return [*(_of_line(line) for line in ledger["lines"]), *dict.fromkeys(models)]


def verdict(found: Sequence[Dependency]) -> bool | None:
    """Return whether all of these may be used commercially: False if one may not, None if one is not known."""
    answers = {each.commercial for each in found}
    return False if False in answers else None if None in answers else True


def _models_by_digest() -> dict[str, str]:
    """Return the id of each model that ships, by the digest that recipes store."""
    base, matching = Card.read(assets.weights_dir()), FeatureNetworks()
    return {base.digest: base.model, matching.digest: str(matching.card["model"]), upscaler_digest(): "upscaler"}


def _is_whole(recipe: Mapping[str, Any]) -> bool:
    """Return whether a recipe names all that its kind of picture depends on."""
    kind = recipe.get("kind", "arbitrary")
    steps, styles = _mappings(recipe.get("finish")), _mappings(recipe.get("styles"))
    if "finish" in recipe and (not steps or len(steps) != len(recipe["finish"])):
        return False
    if kind == UNPAINTED:
        return bool(steps)
    if kind == SHEET:
        return True
    if not all(isinstance(recipe.get(name), str) for name in ("model", "model_sha256")):
        return False
    return kind not in ("arbitrary", "video") or (bool(styles) and len(styles) == len(recipe["styles"]))


def _mappings(values: object) -> list[Mapping[str, Any]]:
    """Return the JSON objects of a list; none where the value of a damaged recipe is no list."""
    return [each for each in values if isinstance(each, Mapping)] if isinstance(values, list | tuple) else []


def _of_line(line: Mapping[str, Any]) -> Dependency:
    """Return a line of the ledger as a dependency."""
    name = f"{line['title']} ({line['year']})" if line["kind"] == "picture" else line["name"]
    return Dependency(
        name,
        line["kind"],
        line["licence"],
        line["author"],
        line["source"],
        line["sha256"] or "",
        line["commercial"],
    )


def _of_style_in_recipe(style: Mapping[str, Any]) -> list[Dependency]:
    """Return what a style in a recipe depends on; a blend names its parts, as in ``monet:0.7 + klimt:0.3``."""
    name, rights = str(style.get("name", "")), style.get("rights")
    about = {"rights": rights} if isinstance(rights, str) else {}
    hashes = [str(picture.get("sha256")) for picture in _mappings(style.get("pictures"))]
    parts = [part.rpartition(":")[0] or part for part in name.split(" + ")[:32]]
    built_in = [part for part in parts if part in assets.style_names()] if len(parts) > 1 and not hashes else []
    found = [each for part in built_in for each in of_style(part, {})]
    if len(built_in) < len(parts) or about:
        found += of_style(name, about, hashes)
    return found
