"""Measure what stylised copies do to a classifier that meets pictures of another look, relative to colour jitter.

    python benchmarks/augmentation.py OUT --pacs DIR [--parts choose pacs fashion tuned control] [--seeds 5]
    python benchmarks/augmentation.py OUT --table

Two sets of data:

* **PACS** (DIR has photo/, art_painting/, cartoon/ and sketch/, each with 7 folders): learn from photos, judge on the
  other three domains. Of each class and domain, 56 pictures judge (of photos 20). 24 others of each domain are the
  target's unlabelled pictures, which are styles. Their labels serve only the part `choose`.
* **Fashion-MNIST** (Debian's dataset-fashion-mnist): learn from clothes on black, judge on 1,000 clothes that are
  drawn in lines, or lie on patterned cloth, or are noisy. The styles are 100 such pictures of other clothes.

Arms: `plain`; `jitter` (brightness, contrast, saturation, order of channels); `built-in` (copies in the built-in
styles); `jitter + built-in`; `jitter + TARGET` (each copy in the style of one random picture of that target); and for
comparison `jitter + colours-TARGET` (means and deviations of the channels are taken from such a picture, without the
engine), and the quality that was not chosen. All arms crop and mirror, and take the same number of steps. A copy takes
the place of its photo with the probability "share"; jitter changes both.

Parts: `choose` compares quality, strength and share with the look of sketches, judged on its 24 pictures of each class;
the others use what it found best. `pacs` and `fashion` train a small network from nothing. `tuned` trains all of an
EfficientNet-Lite0 that has seen ImageNet. Each seed draws 30 of 40 training photos of each class, and the weights.

Copies are painted once and kept in OUT. Each training appends one line to OUT/runs.jsonl, and none is repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from augmentation_data import Data, Setting, copies, fashion, pacs
from PIL import Image
from torch import nn

from sfumato.quality.backbones import EfficientNetLite0
from sfumato.quality.intervals import crossed_interval

CHOOSING_SEED = 100  # that no other part has
DRAWN = 30  # training photos of a class that a seed draws
GRID = (
    Setting("standard", 0.5, 0.3),
    Setting("standard", 0.5, 0.6),
    Setting("standard", 1.0, 0.6),
    Setting("draft", 0.5, 0.6),
)

OTHER = GRID[1]  # the quality that was not found best, for comparison


@dataclass(frozen=True)
class Arm:
    """What is mixed into the photos."""

    jitter: bool
    look: str = ""
    setting: Setting = GRID[0]

    @property
    def name(self) -> str:
        return " + ".join(["jitter"] * self.jitter + [self.look] * bool(self.look)) or "plain"


def resized(x: np.ndarray, side: int) -> torch.Tensor:
    """Return pictures (N, side, side, 3) as (N, 3, side, side) in [0, 1]."""
    small = [np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BOX)) for each in x]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255


def jittered(x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Change brightness, contrast and saturation, and the order of channels of every second picture."""

    def factor(low: float, high: float) -> torch.Tensor:
        return torch.rand((len(x), 1, 1, 1), generator=rng) * (high - low) + low

    x = x * factor(0.5, 1.5)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * factor(0.5, 1.5) + mean
    grey = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = grey + (x - grey) * factor(0, 1.8)
    order = torch.rand((len(x), 3), generator=rng).argsort(1)
    order[torch.rand(len(x), generator=rng) < 0.5] = torch.arange(3)
    return x[torch.arange(len(x))[:, None], order].clamp(0, 1)


def small_network(widths: tuple[int, ...], classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    before = 3
    for width in widths:
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(before, classes))


class Tuned(nn.Module):
    """EfficientNet-Lite0 with a new last layer; batch normalisation is folded into its convolutions."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = EfficientNetLite0().network.requires_grad_(True)
        self.last = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(nn.functional.dropout(self.body.extract_features(x).mean((2, 3)), 0.2, self.training))


@dataclass(frozen=True)
class Plan:
    """How a network is trained: side of its pictures, epochs, batch, largest learning rates of the body and the end."""

    side: int
    epochs: int
    batch: int
    rates: tuple[float, float]
    widths: tuple[int, ...] = ()


PLANS = {
    "pacs": Plan(40, 50, 32, (4e-3, 4e-3), (24, 48, 96, 128)),
    "fashion": Plan(32, 40, 32, (4e-3, 4e-3), (24, 48, 96)),
    "tuned": Plan(72, 10, 16, (3e-4, 3e-3)),
}


def batches(count: int, size: int, seed: int) -> Iterator[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    while True:
        yield from (part for part in torch.randperm(count, generator=rng).split(size) if len(part) == size)


def train(data: Data, plan: Plan, arm: Arm, seed: int, out: Path, steps: int | None = None) -> nn.Module:
    """Train a network with one arm; the photos, weights and order depend on the seed only."""
    torch.manual_seed(seed)
    rng, draw = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    classes = int(data.labels.max()) + 1
    chosen = np.concatenate([draw.permutation(np.flatnonzero(data.labels == c))[:DRAWN] for c in range(classes)])
    margin = plan.side // 8
    photos, labels = resized(data.photos[chosen], plan.side + margin), torch.from_numpy(data.labels[chosen])
    if arm.look:
        made = copies(data, arm.look, arm.setting, out)[chosen]
        styled = resized(made.reshape(-1, *made.shape[2:]), plan.side + margin).unflatten(0, (-1, data.copies))
    network = small_network(plan.widths, classes) if plan.widths else Tuned(classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = list(network.children())
    groups = [
        {"params": [p for part in parts[:-1] for p in part.parameters()], "lr": plan.rates[0]},
        {"params": list(parts[-1].parameters()), "lr": plan.rates[1]},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    total = steps or plan.epochs * (len(photos) // plan.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, list(plan.rates), total_steps=total)
    network.train()
    for places in islice(batches(len(photos), plan.batch, seed), total):
        x = photos[places]
        which, uses = torch.randint(data.copies, (len(x),), generator=rng), torch.rand(len(x), generator=rng)
        if arm.look:
            x = torch.where((uses < arm.setting.share).view(-1, 1, 1, 1), styled[places, which], x)
        corners = torch.randint(margin + 1, (len(x), 2), generator=rng).tolist()
        x = torch.stack([e[:, t : t + plan.side, u : u + plan.side] for e, (t, u) in zip(x, corners, strict=True)])
        x = torch.where((torch.rand(len(x), generator=rng) < 0.5).view(-1, 1, 1, 1), x.flip(3), x)
        x = jittered(x, rng) if arm.jitter else x
        logits = network(x.mul(4).sub(2).contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(logits, labels[places], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def outcome(network: nn.Module, pictures: np.ndarray, labels: np.ndarray, side: int) -> np.ndarray:
    """Return for each picture whether it is recognised."""
    x = resized(pictures, side).mul(4).sub(2)
    with torch.no_grad():
        answers = torch.cat([network(part).argmax(1) for part in x.split(64)])
    return answers.numpy() == labels


class Runs:
    """The trainings that were done, one line of JSON each."""

    def __init__(self, out: Path) -> None:
        self.out, self.file = out, out / "runs.jsonl"
        out.mkdir(parents=True, exist_ok=True)
        self.rows = [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def run(self, part: str, data: Data, plan: Plan, arm: Arm, seed: int, steps: int | None) -> None:
        """Train and judge, unless it was done before."""
        setting = vars(arm.setting) if arm.look else {}
        key = {"part": part, "arm": arm.name, "setting": setting, "seed": seed}
        if any(all(row[name] == value for name, value in key.items()) for row in self.rows):
            return
        began = time.process_time()
        network = train(data, plan, arm, seed, self.out, steps)
        tests = data.tests
        if part == "choose":
            tests = {target: (data.styles[target], data.style_labels[target]) for target in data.styles}
        hits = {name: outcome(network, *test, plan.side) for name, test in tests.items()}
        row = key | {
            "accuracy": {name: round(float(each.mean()), 4) for name, each in hits.items()},
            "hits": {name: np.packbits(each).tobytes().hex() for name, each in hits.items()},
            "pictures": {name: len(each) for name, each in hits.items()},
            "cpu_s": round(time.process_time() - began, 1),
        }
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)
        print(part, seed, arm.name, setting, row["accuracy"], row["cpu_s"], flush=True)

    def best(self) -> Setting:
        """Return the setting of the part `choose` with the largest mean accuracy on the targets of the copies."""
        found = defaultdict(list)
        for row in self.rows:
            if row["part"] == "choose" and row["setting"]:
                found[tuple(row["setting"].values())].append(row["accuracy"][row["arm"].rpartition(" ")[2]])
        return Setting(*max(found, key=lambda setting: float(np.mean(found[setting])))) if found else Setting()


def arms(part: str, targets: tuple[str, ...], setting: Setting) -> Iterator[Arm]:
    if part == "control":
        yield Arm(True, "sketch", OTHER)
        yield from (Arm(True, f"colours-{target}", setting) for target in targets)
        return
    yield Arm(True)
    yield from (Arm(True, target, setting) for target in reversed(targets))
    yield Arm(True, "built-in", setting)
    if part != "tuned":
        yield from (Arm(False), Arm(False, "built-in", setting))


def measure(runs: Runs, arguments: argparse.Namespace) -> None:
    load = cache(lambda name: pacs(arguments.pacs) if name == "pacs" else fashion())
    for part in arguments.parts:
        if part == "choose":
            for arm in (Arm(True), *(Arm(True, "sketch", setting) for setting in GRID)):
                runs.run(part, load("pacs"), PLANS["pacs"], arm, CHOOSING_SEED, arguments.steps)
            continue
        data = load("fashion" if part == "fashion" else "pacs")
        plan = PLANS["pacs" if part == "control" else part]
        for arm in arms(part, tuple(data.styles), runs.best()):
            for seed in range(arguments.first, arguments.first + arguments.seeds):
                runs.run(part, data, plan, arm, seed, arguments.steps)


def table(runs: Runs) -> None:
    """Print the mean accuracy of each arm, its number of seeds, and its difference from jitter ± half a 95 % interval.

    The interval is for new seeds and new pictures: the differences are crossed, seeds by pictures.
    """
    found: dict[tuple[str, str, str], dict[int, np.ndarray]] = defaultdict(dict)
    for row in runs.rows:
        for domain, packed in row["hits"].items():
            bits = np.unpackbits(np.frombuffer(bytes.fromhex(packed), np.uint8))[: row["pictures"][domain]]
            shown = row["part"] == "choose" or row["setting"] == vars(OTHER)
            name = row["arm"] + (f" {tuple(row['setting'].values())}" if shown else "")
            found["pacs" if row["part"] == "control" else row["part"], name, domain][row["seed"]] = bits.astype(float)
    for part in dict.fromkeys(key[0] for key in found):
        domains = list(dict.fromkeys(key[2] for key in found if key[0] == part))
        print(f"\n| {part} | " + " | ".join(domains) + " |\n|" + "---|" * (len(domains) + 1))
        for name in dict.fromkeys(key[1] for key in found if key[0] == part):
            cells = []
            for domain in domains:
                mine, base = found[part, name, domain], found.get((part, "jitter", domain), {})
                cell = f"{100 * np.mean([each.mean() for each in mine.values()]):.1f}"
                seeds = sorted(mine.keys() & base.keys())
                if name != "jitter" and len(seeds) > 1:
                    interval = crossed_interval(np.stack([mine[s] - base[s] for s in seeds]))
                    cell += f" ({100 * interval.value:+.1f} ± {50 * (interval.high - interval.low):.1f})"
                cells.append(cell)
            print(f"| {name} ({len(found[part, name, domains[0]])}) | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pacs", type=Path)
    parser.add_argument("--parts", nargs="+", default=["choose", "pacs", "fashion", "tuned", "control"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, help="of each training, for a quick try")
    parser.add_argument("--table", action="store_true", help="print the results that OUT has, and train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = Runs(arguments.out)
    if not arguments.table:
        measure(runs, arguments)
    table(runs)


if __name__ == "__main__":
    main()
