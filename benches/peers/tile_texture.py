"""Tiles the first four bands of an image to a projected 12-bit scene: tile_texture.py IMAGE OUT.tif SIZE.

Each copy is mirrored so that edges meet; values are scaled so that the image's 99.9th percentile becomes DN 3500, and are
at least 1, as 0 means no measurement. UTM 51N, 3 m, uncompressed strips.
"""

import sys

import numpy as np
import rasterio
from rasterio.transform import from_origin

source, out, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
with rasterio.open(source) as d:
    image = d.read(list(range(1, min(d.count, 4) + 1))).astype(float)
if len(image) < 4:
    image = np.concatenate([image, image[: 4 - len(image)]])
top = np.percentile(image, 99.9, axis=(1, 2), keepdims=True)
image = np.clip(np.rint(image / top * 3500), 1, 4095).astype(np.uint16)
image = np.concatenate([image, image[:, ::-1]], axis=1)
image = np.concatenate([image, image[:, :, ::-1]], axis=2)
repeat = [-(-size // n) for n in image.shape[1:]]
image = np.tile(image, (1, *repeat))[:, :size, :size]
profile = dict(driver="GTiff", width=size, height=size, count=4, dtype="uint16", crs="EPSG:32651", interleave="pixel")
with rasterio.open(out, "w", transform=from_origin(600000, 4900000, 3, 3), **profile) as d:
    d.write(image)
