#!/usr/bin/env bash
# What `make demo` does: a simulated delivery, its products, and a check of all that was written.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_TARGET_DIR:-target}/release:$PATH"

say() { printf '\n$ %s\n' "$*"; "$@"; }

simulated() { # FOLDER OPTION…
    if [ -e "$1/truth/truth.json" ]; then
        printf '\n%s is there already; remove it to simulate it again\n' "$1"
    else
        say fieldglow simulate "$@"
    fi
}

simulated out/delivery --size 1024
say fieldglow run pipelines/agriculture.toml out/delivery --output out/products
simulated out/night --night --size 2048
say fieldglow run pipelines/night-light.toml out/night --output out/products
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
scene() { echo out/products/"$1"/scenes/*; }
cat <<T

Done. Look at the pictures:
  the day    $(scene agriculture)/thumbnail.png
  the night  $(scene night-light)/thumbnail.png
at one cell of the day:
  reflectance  $(product reflectance)
  NDVI         $(product ndvi)
  STAC Item    $cell/item.json
at the lights of the night, summed:
  table  $(scene night-light)/night.csv
and at all of it:
  STAC Collections  out/products/agriculture/collection.json
                    out/products/night-light/collection.json
T
