"""Measure look-alikes of medical pictures on phantoms: what is kept of planted lesions, and what is added.

    python benchmarks/medical.py OUT [--styles great-wave monet] [--quality draft standard]

Phantoms are made here, so everything in them is known: a head after Shepp and Logan with discs of known contrast, line
pairs, and noise as in CT; and a chest as a CT volume, projected. For the X-ray look, and for styles at several
strengths, above the bound of `sfumato medical` too, this prints the gates and what they are to protect:

* detection: share of discs that a matched filter finds with 5 % of false alarms, relative to that in the source. The
  template is a disc less a ring; false alarms are from 400 places without a disc.
* contrast: mean and worst ratio of a disc's contrast to that in the source in the same tone. Within 0.9 to 1.1 is kept.
* edges: share of edges (largest tenth of gradients) that are still edges, at half their height or more, within a pixel.
* lines: ratio of the modulation of line pairs of 2, 3, 4 and 6 pixels, the worst.
* false: blobs and edges where the phantom, which has no noise then, is flat.

Real CT and MR pictures, which are in pydicom's wheel, are painted as drafts too. Pictures lie in OUT, at full size.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from sfumato.errors import QualityError
from sfumato.inference.options import PaintOptions
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.medical import Look, gates, look_alike, tone
from sfumato.quality.filters import box, dilate

STRENGTHS = (0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
SIDE = 384
#: Centre (of 1), semi-axes and angle of the ellipses of Shepp and Logan, and the contrasts of Toft, as greys are added.
HEAD = (
    (0.0, 0.0, 0.69, 0.92, 0, 1.0),
    (0.0, -0.0184, 0.6624, 0.874, 0, -0.6),
    (0.22, 0.12, 0.1, 0.2, -18, -0.2),
    (-0.22, 0.12, 0.12, 0.24, 18, -0.2),
    (0.0, 0.35, 0.21, 0.25, 0, 0.12),
)
#: Discs: radius in pixels and contrast, as a share of white.
RADII, CONTRASTS = (3, 4, 6, 9), (0.04, 0.08, 0.16, -0.08)
LINES = (2, 3, 4, 6)
#: CT and MR pictures in pydicom's wheel.
SCANS = ("examples_overlay.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "693_J2KI.dcm")


def ellipse(side: int, x0: float, y0: float, a: float, b: float, angle: float) -> np.ndarray:
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1
    t = np.deg2rad(angle)
    u = (x - x0) * np.cos(t) + (-y - y0) * np.sin(t)
    v = -(x - x0) * np.sin(t) + (-y - y0) * np.cos(t)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def soft(x: np.ndarray) -> np.ndarray:
    """A scanner's blur: box means of 3 pixels, twice."""
    return box(box(x.astype(np.float32), 1), 1)


def head(noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, list[tuple[int, int, int, float]], dict]:
    """The phantom in [0, 1], the discs in it (row, column, radius, contrast), and the blocks of lines."""
    x = np.zeros((SIDE, SIDE), np.float32)
    for *shape, grey in HEAD:
        x += grey * ellipse(SIDE, *shape)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    discs, lines = [], {}
    places = [(r, c) for r in (238, 262, 288, 322) for c in (140, 175, 210, 245)]
    for (r, c), (radius, contrast) in zip(places, [(a, b) for a in RADII for b in CONTRASTS], strict=True):
        x += contrast * ((rows - r) ** 2 + (columns - c) ** 2 <= radius**2)
        discs.append((r, c, radius, contrast))
    for i, period in enumerate(LINES):
        top, left = 50, 130 + 34 * i
        block = np.s_[top : top + 24, left : left + 24]
        x[block] += 0.2 * ((columns[block] // period) % 2)
        lines[period] = (top, left)
    x = soft(x) * 0.85
    if noise:
        grain = np.random.default_rng(seed).normal(size=x.shape).astype(np.float32)
        x = x + noise * (grain + 2 * soft(grain)) / 1.3
    return np.clip(x, 0, 1), discs, lines


def filtered(x: np.ndarray, radius: int) -> np.ndarray:
    """At each place the mean of a disc of this radius less that of a ring around it."""
    size = 2 * radius + 3
    y, z = np.mgrid[-size : size + 1, -size : size + 1]
    far = np.hypot(y, z)
    disc, ring = far <= radius - 0.5, (far >= radius + 2) & (far <= 2 * radius + 3)
    kernel = disc / disc.sum() - ring / ring.sum()
    pad = np.pad(x, size, mode="edge")
    spectrum = np.fft.rfft2(pad) * np.conj(np.fft.rfft2(kernel, pad.shape))
    return np.fft.irfft2(spectrum, pad.shape)[: x.shape[0], : x.shape[1]]


def bare(x: np.ndarray, discs: list) -> np.ndarray:
    """Places within the head that are far from discs and edges."""
    clean = head()[0]
    far = np.ones(x.shape, bool)
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]]
    for r, c, radius, _ in discs:
        far &= np.hypot(rows - r, columns - c) > 3 * radius + 6
    step = dilate(np.abs(gates._blobs(clean, 2)), 24)
    return far & (step < 0.01) & (clean > 0.1)


def detection(x: np.ndarray, discs: list, places: np.ndarray) -> float:
    found = 0
    for r, c, radius, contrast in discs:
        answer = filtered(x, radius) * np.sign(contrast)
        false = answer[places]
        false = false[:: max(1, false.size // 400)]
        found += answer[r, c] > max(np.quantile(false, 0.95), 1e-4)
    return found / len(discs)


def contrasts(expected: np.ndarray, x: np.ndarray, discs: list) -> np.ndarray:
    return np.array([filtered(x, radius)[r, c] / filtered(expected, radius)[r, c] for r, c, radius, _ in discs])


def edges(expected: np.ndarray, x: np.ndarray) -> float:
    steep = [np.hypot(*np.gradient(each)) for each in (expected, x)]
    limit = max(np.quantile(steep[0], 0.9), 0.01)
    return float((dilate(steep[1].astype(np.float32), 1)[steep[0] > limit] > limit / 2).mean())


def modulation(expected: np.ndarray, x: np.ndarray, lines: dict) -> float:
    ratios = []
    for top, left in lines.values():
        block = np.s_[top + 4 : top + 20, left + 4 : left + 20]
        swing = [np.ptp(each[block].mean(0)) for each in (expected, x)]
        ratios.append(swing[1] / swing[0])
    return min(ratios, key=lambda ratio: -abs(ratio - 1))


def row(name: str, make) -> str:
    """A line of the table; ``make`` turns a grey picture into (toned picture, result)."""
    clean, discs, lines = head()
    noisy, _, _ = head(0.02)
    toned, result = make(clean)
    noisy_toned, noisy_result = make(noisy)
    places = bare(clean, discs)
    had, has = detection(noisy, discs, places), detection(noisy_result, discs, places)
    kept = contrasts(toned, result, discs)
    kept_noisy = contrasts(noisy_toned, noisy_result, discs)
    found, found_noisy = gates.measure(clean, result), gates.measure(noisy, noisy_result)
    passed = "passes"
    for each in (found, found_noisy):
        try:
            each.check("x")
        except QualityError:
            passed = "refused"
    every = [*kept, *kept_noisy]
    worst = max(every, key=lambda ratio: abs(ratio - 1))
    pair = (found, found_noisy)
    cells = [
        name,
        f"{has / had:.2f}",
        f"{np.mean(every):.2f} ({worst:.2f})",
        f"{edges(toned, result):.3f}",
        f"{modulation(toned, result, lines):.2f}",
        ", ".join(str(each.added) for each in pair),
        ", ".join(f"{each.order:.3f}" for each in pair),
        ", ".join(f"{each.structure:.3f}" for each in pair),
        ", ".join(f"{each.contrast:.2f}" for each in pair),
        passed,
    ]
    return f"| {' | '.join(cells)} |"


def chest(slices: int = 200, side: int = 256, seed: int = 0) -> np.ndarray:
    """A chest in Hounsfield units (slices from the head down, H, W), of 1.4 mm in all directions."""
    z, y, x = np.mgrid[:slices, :side, :side].astype(np.float32)
    z = z / slices
    x, y = (x - side / 2) / (side / 2), (y - side / 2) / (side / 2)
    volume = np.full((slices, side, side), -1000, np.float32)
    wide = 0.62 + 0.3 * np.clip(z * 4, 0, 1) ** 0.7
    body = (x / wide) ** 2 + (y / 0.62) ** 2 <= 1
    volume[body] = -80
    volume[(x / (wide - 0.06)) ** 2 + (y / 0.55) ** 2 <= 1] = 45
    for sign in (-1, 1):
        size = np.sqrt(np.clip(1 - ((z - 0.62) / (0.53 if sign < 0 else 0.58)) ** 2, 0, 1))
        lung = ((x - sign * 0.38) / (0.30 * size + 1e-3)) ** 2 + ((y + 0.02) / (0.42 * size + 1e-3)) ** 2 <= 1
        dome = z < 0.80 + 0.10 * ((x - sign * 0.38) / 0.3) ** 2
        volume[lung & dome] = -830
    heart = ((x - 0.14) / 0.27) ** 2 + ((y + 0.12) / 0.24) ** 2 + ((z - 0.66) / 0.2) ** 2 <= 1
    volume[heart] = 45
    volume[(np.hypot(x / 0.12, (y + 0.05) / 0.2) <= 1) & (z < 0.85)] = 45
    volume[(np.hypot(x, y - 0.1) < 0.045) & (z < 0.45)] = -950
    spine = np.hypot(x / 0.12, (y - 0.38) / 0.11) <= 1
    volume[spine] = 250
    volume[spine & (np.abs((z * 12) % 1 - 0.5) > 0.42)] = 60
    volume[(np.hypot(x / 0.035, (y - 0.52) / 0.08) <= 1) & (np.abs((z * 12) % 1 - 0.5) < 0.3)] = 350
    rim = np.hypot(x / (wide - 0.09), y / 0.52)
    for i in range(9):
        level = 0.06 + i * 0.1 + 0.10 * (0.4 - y)  # ribs fall towards the front
        bone = (np.abs(z - level) < 0.016) & (np.abs(rim - 0.98) < 0.035) & (y > -0.45)
        volume[bone] = 500
    for sign in (-1, 1):
        clavicle = (np.abs(z - 0.1 - 0.12 * (0.5 - np.abs(x))) < 0.02) & (np.abs(y + 0.33) < 0.05)
        volume[clavicle & (sign * x > 0.06) & (sign * x < 0.62)] = 450
    rng = np.random.default_rng(seed)
    for _ in range(240):  # vessels of the lungs, from the hilum outwards
        sign = rng.choice((-1, 1))
        start = np.array([0.55, -0.02, sign * 0.17])
        goal = start + rng.normal(size=3) * (0.16, 0.2, 0.12) + (0, 0, sign * 0.16)
        for t in np.linspace(0, 1, 60):
            c = start + (goal - start) * t
            k, j, i = int(c[0] * slices), int((c[1] + 1) * side / 2), int((c[2] + 1) * side / 2)
            r = 2 if t < 0.35 else 1
            block = np.s_[max(k - r, 0) : k + r, max(j - r, 0) : j + r, max(i - r, 0) : i + r]
            volume[block] = np.where(volume[block] < -700, -150 - 350 * t, volume[block])
    return volume + rng.normal(0, 12, volume.shape).astype(np.float32)


def write_chest(folder: Path, volume: np.ndarray, spacing: float = 1.4) -> None:
    """The volume as a CT series of DICOM files."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    study, series = generate_uid(), generate_uid()
    for number, values in enumerate(volume):
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID = study, series
        made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.PatientName, made.PatientID = "Phantom^Chest", "0"
        made.InstanceNumber = number + 1
        made.ImagePositionPatient = [0, 0, -number * spacing]
        made.ImageOrientationPatient, made.PixelSpacing = [1, 0, 0, 0, 1, 0], [spacing, spacing]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.Rows, made.Columns = values.shape
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.RescaleSlope, made.RescaleIntercept = 1, -1024
        made.WindowCenter, made.WindowWidth = 40, 400
        made.PixelData = np.rint(values + 1024).astype("<i2").tobytes()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)


def save(x: np.ndarray, path: Path) -> None:
    Image.fromarray(np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)).save(path)


def chests(out: Path) -> None:
    """The chest from the front and the side, with the notice."""
    write_chest(out / "chest", chest())
    for view in ("front", "side"):
        for ray in ("mean", "max"):
            made = look_alike(sorted((out / "chest").iterdir()), Look(view=view, ray=ray))
            save(made.dataset.pixel_array / 255, out / f"chest-{view}-{ray}.png")
            print(f"chest, {view}, {ray}: {made.worst()}")


def scans(stylizer: Stylizer, styles: list[str]) -> None:
    """How many drafts of real pictures, which are in pydicom's wheel, are refused."""
    from pydicom.data import get_testdata_file

    for strength in (0.1, 0.15, 0.2):
        refused = []
        for file in SCANS:
            for name in styles:
                look = Look(True, Style.named(name), strength, paint=PaintOptions(quality="draft"))
                try:
                    look_alike(get_testdata_file(file), look, stylizer=stylizer)
                except QualityError as problem:
                    refused.append(f"{file} in {name}: {problem}".partition("refused: ")[2])
        print(f"real pictures, strength {strength:g}: {len(refused)} of {len(SCANS) * len(styles)} refused", *refused)


def sheet(folder: Path) -> Image.Image:
    """The chest from the front and the side above the head before and after."""
    names = ("chest-front-mean", "chest-side-mean", "head", "head-xray")
    pictures = [Image.open(folder / f"{name}.png").convert("L") for name in names]
    scaled = [
        each.resize((SIDE, round(each.height * SIDE / each.width)), Image.Resampling.BICUBIC) for each in pictures
    ]
    made = Image.new("L", (2 * SIDE + 6, scaled[0].height + SIDE + 6))
    for number, each in enumerate(scaled):
        made.paste(each, (number % 2 * (SIDE + 6), number // 2 * (scaled[0].height + 6)))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--styles", nargs="*", default=["great-wave", "monet"])
    parser.add_argument("--quality", nargs="*", default=["standard"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    save(head(0.02)[0], arguments.out / "head.png")

    print(
        "| look | detection | contrast (worst) | edges | lines | false | order | structure | kept contrasts | gates |"
    )
    print("|" + 10 * "---|")

    def xray(grey):
        toned = tone.radiograph_tone(grey)
        return toned, toned

    print(row("X-ray", xray))
    save(xray(head(0.02)[0])[1], arguments.out / "head-xray.png")
    stylizer, bound = Stylizer(), tone.MAX_STRENGTH
    tone.MAX_STRENGTH = 1.0
    for name in arguments.styles:
        for quality in arguments.quality:
            kept: dict[bytes, np.ndarray] = {}
            style, options = Style.named(name), PaintOptions(quality=quality)

            def painted(grey, strength, kept=kept, style=style, options=options):
                toned = tone.radiograph_tone(grey)
                if (key := toned.tobytes()) not in kept:
                    kept[key] = stylizer.paint(tone.as_photo(toned), style, options).picture()[0]
                return toned, tone.with_texture(toned, kept[key], strength, False)[0, 0]

            for strength in STRENGTHS:
                mark = "" if strength <= bound else " (above the bound)"
                print(
                    row(f"{name}, {quality}, {strength:g}{mark}", lambda grey, s=strength: painted(grey, s)), flush=True
                )
            for strength in (0.3, 0.5, 1.0):
                save(painted(head(0.02)[0], strength)[1], arguments.out / f"head-{name}-{quality}-{strength:g}.png")
    tone.MAX_STRENGTH = bound
    chests(arguments.out)
    sheet(arguments.out).save(arguments.out / "medical.webp", quality=88)
    scans(stylizer, arguments.styles)


if __name__ == "__main__":
    main()
