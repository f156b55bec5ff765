"""What the oracles share: running Fieldglow, reading its products, comparing images. Knows no physics.

Pixel positions are (row, col); shifts are (rows, cols) in pixels of the images compared.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal

gdal.UseExceptions()
gdal.SetConfigOption("GDAL_PAM_ENABLED", "NO")  # never leave .aux.xml files beside somebody's data


def fieldglow(binary, *arguments):
    """Runs Fieldglow; ends the script with its message if it fails."""
    command = [str(Path(binary).absolute()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")
    return done.stdout


def simulate(binary, folder, *flags, **options):
    """Simulates a delivery into a folder unless it stands there; returns its truth.

    The options are kept beside the delivery, so a folder is never taken for another simulation.
    """
    folder = Path(folder)
    values = [w for key, v in options.items() for w in (f"--{key}", f"{v:g}" if isinstance(v, float) else str(v))]
    arguments = [*flags, *values]
    note = folder / "simulated_with.json"
    if not (note.is_file() and json.loads(note.read_text()) == arguments):
        fieldglow(binary, "simulate", folder, *arguments)
        note.write_text(json.dumps(arguments))
    return json.loads((folder / "truth" / "truth.json").read_text())


def run(binary, work, name, pipeline, scene, *arguments):
    """Runs a pipeline given as text; returns the folder of its outputs."""
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"{name}.toml"
    file.write_text(pipeline)
    output = work / f"{name}_out"
    fieldglow(binary, "run", file, scene, "--output", output, "--progress", "off", "--force", *arguments)
    return output


def items(output):
    """The cell Items of an output folder."""
    found = [p for p in sorted(Path(output).glob("*/*/*/item.json")) if p.parent.parent.name != "scenes"]
    if not found:
        sys.exit(f"no Items below {output}")
    return found


def product_files(output, name):
    """The files of one product, a cell each, as the Items name them."""
    assets = ((p, json.loads(p.read_text())["assets"]) for p in items(output))
    return [str(p.parent / a[name]["href"]) for p, a in assets if name in a]


class Product:
    """One product over all cells, read by window."""

    def __init__(self, output, name):
        self.files = product_files(output, name)
        self.dataset = gdal.BuildVRT("", self.files)
        self.x0, self.pixel, _, self.y0, _, minus = self.dataset.GetGeoTransform()
        self.pixel_y = -minus
        self.bands = self.dataset.RasterCount

    def position(self, x, y):
        """Row and column, 0 at the outer edge of the first pixel."""
        return (self.y0 - y) / self.pixel_y, (x - self.x0) / self.pixel

    def stored(self, row=0, col=0, rows=None, cols=None):
        """Stored samples (band, row, col) and which are valid."""
        d = self.dataset
        rows, cols = rows or d.RasterYSize, cols or d.RasterXSize
        samples = d.ReadAsArray(col, row, cols, rows).reshape(self.bands, rows, cols)
        return samples, valid(samples, d.GetRasterBand(1).GetNoDataValue())

    def values(self, *window):
        """Physical values (band, row, col), f64, NaN where invalid."""
        samples, is_valid = self.stored(*window)
        scale = self.dataset.GetRasterBand(1).GetScale() or 1.0
        offset = self.dataset.GetRasterBand(1).GetOffset() or 0.0
        return np.where(is_valid, samples.astype(float) * scale + offset, np.nan)


def valid(samples, nodata):
    """Which samples are neither nodata nor NaN."""
    return ~np.isnan(samples) if nodata is None or np.isnan(nodata) else samples != nodata


def erode(mask, by):
    """A mask without the pixels that have an unset one, or the border, within a square of half-width `by`."""
    padded = np.pad(mask, by)
    for axis in (0, 1):
        n = mask.shape[axis]
        parts = [np.take(padded, range(k, k + n), axis=axis) for k in range(2 * by + 1)]
        padded = np.logical_and.reduce(parts)
    return padded


# --- image shift ---------------------------------------------------------------------------------------------------


def _correlation_at(spectrum, rows, cols):
    """Values of the inverse DFT of a spectrum at fractional positions."""
    n, m = spectrum.shape
    left = np.exp(2j * np.pi * np.outer(rows, np.fft.fftfreq(n)))
    right = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(m), cols))
    return (left @ spectrum @ right).real


def _peak(spectrum, centre, reach, step):
    rows = centre[0] + np.arange(-reach, reach + step / 2, step)
    cols = centre[1] + np.arange(-reach, reach + step / 2, step)
    c = _correlation_at(spectrum, rows, cols)
    i, j = np.unravel_index(np.argmax(c), c.shape)
    return rows[i], cols[j]


def _taper(n):
    """A flat top with cosine flanks of a quarter each."""
    flank = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n // 4) + 0.5) / (n // 4))
    line = np.concatenate([flank, np.ones(n - 2 * len(flank)), flank[::-1]])
    return line[:, None] * line[None, :]


def _has_corners(cut):
    """Whether an image shows edges in two directions: along a single edge no shift can be told."""
    gy, gx = np.gradient(cut)
    weak, strong = np.linalg.eigvalsh([[np.sum(gy * gy), np.sum(gy * gx)], [np.sum(gy * gx), np.sum(gx * gx)]])
    return weak > 0.2 * strong


def _window_shift(a, b, r, c, n, reach):
    """Shift of `b` against `a` in the window of side `n` at (r, c); None where it cannot be told."""
    taper = _taper(n)
    rim = n // 4  # of `b` around the window, so that moving it by a fraction brings in nothing from beyond

    def spectrum(cut):
        return np.fft.fft2((cut - cut.mean()) * taper)

    reference = a[r : r + n, c : c + n]
    if not _has_corners(reference):
        return None
    fa = spectrum(reference)
    # Phase correlation finds the whole pixel.
    product = spectrum(b[r : r + n, c : c + n]) * fa.conj()
    phase = np.fft.ifft2(product / np.maximum(np.abs(product), 1e-12)).real
    far = np.abs(np.fft.fftfreq(n, 1 / n)) > reach
    phase[far, :] = phase[:, far] = -np.inf
    whole = [int(k) - n if k > n // 2 else int(k) for k in np.unravel_index(np.argmax(phase), phase.shape)]
    top, left = r + whole[0] - rim, c + whole[1] - rim
    wide = b[max(top, 0) : top + n + 2 * rim, max(left, 0) : left + n + 2 * rim]
    if wide.shape != (n + 2 * rim, n + 2 * rim) or np.isnan(wide).any():
        return None
    wide = (wide - wide.mean()) * np.pad(np.ones((n, n)), rim, mode="linear_ramp")
    # The fraction is the peak of the correlation. `b` is moved back by it and correlated again, until nothing is left:
    # a taper draws estimates towards 0, and 0 is where it then does no harm.
    shift = np.zeros(2)
    for half, step in ((1.5, 0.1), (0.15, 0.01), (0.02, 0.001), (0.005, 0.0005)):
        moved = fourier_shift(wide, *-shift)[rim:-rim, rim:-rim]
        left_over = _peak(spectrum(moved) * fa.conj(), (0.0, 0.0), half, step)
        shift += left_over
    return shift + whole if np.abs(shift).max() < 1.5 else None


def shifts(a, b, window=128, reach=32, most=64):
    """Shifts of `b` against `a`, (rows, cols), as `placed_shifts` finds them."""
    return placed_shifts(a, b, window, reach, most)[:, 2:]


def placed_shifts(a, b, window=128, reach=32, most=64):
    """Windows of side `window` and the shifts of `b` against `a` in them, (first row, first column, rows, cols): side by side
    over what is valid in both, `most` at the most.

    Both are 2-D with NaN where invalid. Each window with edges in two directions: phase correlation for the whole pixel,
    within `reach`, then the peak of the cross-correlation, evaluated by DFT at 0.0005 pixel.
    """
    both = ~(np.isnan(a) | np.isnan(b))
    starts = [range(0, side - window + 1, window) for side in a.shape]
    places = [(r, c) for r in starts[0] for c in starts[1] if both[r : r + window, c : c + window].all()]
    places = places[:: max(1, -(-len(places) // most))]  # evenly spread
    found = [(r, c, _window_shift(a, b, r, c, window, reach)) for r, c in places]
    return np.array([[r, c, *s] for r, c, s in found if s is not None]).reshape(-1, 4)


def fourier_shift(image, rows, cols):
    """An image moved by fractions of a pixel, as if periodic."""
    n, m = image.shape
    ramp = np.exp(-2j * np.pi * (np.fft.fftfreq(n)[:, None] * rows + np.fft.fftfreq(m)[None, :] * cols))
    return np.fft.ifft2(np.fft.fft2(image) * ramp).real


def estimator_error(image, amount=(0.3, -0.2)):
    """Largest error of `shifts` for a known shift of a real image without NaN, pixels: what the estimates are worth."""
    side = 32  # what the periodic shift wraps around
    moved = fourier_shift(image, *amount)[side:-side, side:-side]
    error = shifts(image[side:-side, side:-side], moved) - amount
    return float(np.hypot(*np.median(error, axis=0)))


def shift_summary(found):
    """Median shift (rows, cols), median and 95 % length, number of windows."""
    if not len(found):
        return {"rows": np.nan, "cols": np.nan, "median": np.nan, "p95": np.nan, "windows": 0}
    length = np.hypot(found[:, 0], found[:, 1])
    rows, cols = np.median(found, axis=0)
    return {
        "rows": rows,
        "cols": cols,
        "median": np.median(length),
        "p95": np.percentile(length, 95),
        "windows": len(found),
    }


# --- report --------------------------------------------------------------------------------------------------------


class Report:
    """Lines of figures and the limits they must keep."""

    def __init__(self):
        self.missed = []

    def limit(self, what, value, limit, at_least=False):
        """Notes a figure against its limit; a figure that is no number misses it."""
        kept = value >= limit if at_least else value <= limit
        if not kept:
            self.missed.append(f"{what}: {value:.6g}, limit {'at least' if at_least else 'at most'} {limit:g}")

    def close(self):
        """Says what missed its limit; the exit code of the script."""
        for line in self.missed:
            print(f"MISSED {line}")
        print("all limits kept" if not self.missed else f"{len(self.missed)} limits missed")
        return int(bool(self.missed))


def integers(text):
    """`1-3,7` as [1, 2, 3, 7]."""
    parts = [p.split("-") for p in text.split(",")]
    return [n for p in parts for n in range(int(p[0]), int(p[-1]) + 1)]
