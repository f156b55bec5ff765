#!/usr/bin/env bash
# What `make demo` does: a simulated delivery, its products, and a check of all that was written.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_TARGET_DIR:-target}/release:$PATH"

say() { printf '\n$ %s\n' "$*"; "$@"; }

if [ -e out/delivery/truth/truth.json ]; then
    printf '\nout/delivery is there already; remove it to simulate it again\n'
else
    say fieldglow simulate out/delivery --size 1024
fi
say fieldglow run pipelines/agriculture.toml out/delivery --output out/products
printf '\n$ fieldglow validate out/products\n'
if ! fieldglow validate out/products > out/validate.txt; then
    cat out/validate.txt
    exit 1
fi

# The cell that holds most of the scene, and the products its Item names: others, of older keys, may stand beside them.
cell=$(dirname "$(dirname "$(ls -S out/products/agriculture/*/*/*/reflectance.tif | head -n 1)")")
product() {
    echo "$cell/$(grep -o "\"\./[0-9a-f]*/$1\.tif\"" "$cell/item.json" | head -n 1 | tr -d '"' | cut -c3-)"
}
cat <<T

Done. Look at one cell of the scene:
  reflectance  $(product reflectance)
  NDVI         $(product ndvi)
  STAC Item    $cell/item.json
and at all of it:
  STAC Collection  out/products/agriculture/collection.json
T
