#!/usr/bin/env bash
# Installs the Debian packages that building Fieldglow needs and this machine lacks. Does nothing when all are there.
set -euo pipefail

missing=()
need() { # need PACKAGE WHAT-FOR CHECK...
    local package=$1 purpose=$2
    shift 2
    if ! "$@" > /dev/null 2>&1; then
        echo "missing: $package ($purpose)"
        missing+=("$package")
    fi
}

need gcc "C compiler and linker" command -v cc
need libc6-dev "C headers" test -e /usr/include/stdio.h
need pkg-config "finds GDAL" command -v pkg-config
need libgdal-dev "GDAL 3.6 or newer: rasters, DEMs, reference systems" pkg-config --atleast-version=3.6 gdal

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get > /dev/null; then
        echo "error: this machine has no apt-get; install what is named above in its own way, then try again" >&2
        exit 1
    fi
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo > /dev/null; then
            echo "error: run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "installing with apt-get: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq < /dev/null
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" < /dev/null > /dev/null
fi

if ! command -v cargo > /dev/null; then
    echo "error: cargo is not on the PATH; install Rust from https://rustup.rs" >&2
    exit 1
fi
