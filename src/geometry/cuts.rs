//! However a lattice is cut into windows, every pixel gets the same bits, from whatever window of the source is read for it.

use fieldglow_kernels::resample::{self, Kernel, Places, Source, Taps};

use super::ortho::{Ground, RowScratch, UnitHeights};
use super::projected::ToPixels;
use super::sensor::tests::rpc;
use super::{Footprints, Ortho, Projected, Sensor};
use crate::grid::cell::Lattice;
use crate::grid::{Crs, GeoTransform, PointTransform, Window};

const KERNELS: [Kernel; 4] = [Kernel::Bilinear, Kernel::Cubic, Kernel::Lanczos, Kernel::Average];
/// Rows and columns of the lattices.
const SIDES: (usize, usize) = (150, 170);
/// Bits of an invalid pixel.
const INVALID: u16 = fieldglow_kernels::state::NODATA;

/// Value and state of pixel (row, col) of an image without end: some are invalid, some saturated.
fn pixel(row: i64, col: i64) -> (f32, u16) {
    let k = (row * 7919 + col * 104_729).rem_euclid(4001);
    match k {
        0..=20 => (f32::NAN, INVALID),
        21..=60 => (4095.0, fieldglow_kernels::state::SATURATED),
        _ => (k as f32, 0),
    }
}

/// One row of results, as bits and states.
fn resampled(
    kernel: Kernel,
    source: Window,
    (col, row): (&[f64], &[f64]),
    footprints: &Footprints,
    at: usize,
) -> Vec<(u32, u16)> {
    let places = (0..source.rows as i64).flat_map(|r| (0..source.cols as i64).map(move |c| (r, c)));
    let (samples, state): (Vec<f32>, Vec<u16>) = places.map(|(r, c)| pixel(source.row + r, source.col + c)).unzip();
    let (mut width, mut height) = (Vec::new(), Vec::new());
    footprints.row(at, col.len(), &mut width, &mut height);
    let (mut values, mut states) = (vec![0.0; col.len()], vec![0; col.len()]);
    let mut out = resample::Row { planes: &mut values, plane_len: col.len(), offset: 0, state: &mut states };
    let src = Source { samples: &samples, bands: 1, state: &state, clean: false, rows: source.rows, cols: source.cols };
    let places = Places { col, row, width: &width, height: &height };
    resample::row(kernel, src, places, &mut Taps::default(), &mut out);
    values.iter().map(|v| v.to_bits()).zip(states).collect()
}

/// Compares windows of the lattice with the whole of it. `rows_of` makes some rows of a window.
fn compare(kernel: Kernel, rows_of: impl Fn(Window, &[usize]) -> Vec<Vec<(u32, u16)>>) {
    let (rows, cols) = SIDES;
    let wanted = [0, 1, 63, 64, 65, 100, 127, 128, 149];
    let whole = rows_of(Window::new(0, 0, rows, cols), &wanted);
    let valid = whole.iter().flatten().filter(|(_, s)| s & INVALID == 0).count();
    assert!(valid > cols && valid < wanted.len() * cols, "{kernel:?}: {valid} valid pixels, the test shows nothing");
    for (top, left, height, width) in
        [(0, 0, 64, 64), (64, 0, 64, 170), (64, 64, 86, 64), (128, 128, 22, 42), (0, 128, 150, 42)]
    {
        let inside: Vec<usize> = wanted.into_iter().filter(|r| (top..top + height).contains(r)).collect();
        let local: Vec<usize> = inside.iter().map(|r| r - top).collect();
        let window = Window::new(top as i64, left as i64, height, width);
        for (r, found) in inside.iter().zip(rows_of(window, &local)) {
            let k = wanted.iter().position(|w| w == r).unwrap();
            assert!(found == whole[k][left..left + width], "{kernel:?}: row {r} of window {window}");
        }
    }
}

/// The image lies over the middle of the lattice, 7 m pixels on 3 m ones and turned.
#[test]
fn between_maps() {
    let to_map = PointTransform::new(&Crs::from_epsg(32651).unwrap(), &Crs::from_epsg(32652).unwrap()).unwrap();
    let lattice =
        Lattice { transform: GeoTransform::north_up(700_000.0, 4_860_000.0, 7.0), rows: SIDES.0, cols: SIDES.1 };
    let (mut x, mut y) = ([700_000.0], [4_860_000.0]);
    to_map.apply(&mut x, &mut y).unwrap();
    let source = GeoTransform { x0: x[0] + 40.0, dx_col: 2.9, dx_row: 0.8, y0: y[0] - 30.0, dy_col: 0.8, dy_row: -2.9 };
    let to_pixels = ToPixels { transform: &to_map, source, turn: None, whole: false };
    for kernel in KERNELS {
        let projected = Projected::new((300, 340), lattice, kernel, &to_pixels).unwrap();
        compare(kernel, |window, rows| {
            let unit = projected.unit(window, &to_pixels).unwrap();
            let Some(source) = unit.source_window() else {
                return vec![vec![(f32::NAN.to_bits(), INVALID); window.cols]; rows.len()];
            };
            let (mut col, mut row) = (vec![0.0; window.cols], vec![0.0; window.cols]);
            rows.iter()
                .map(|r| {
                    unit.locate(*r, source, &mut col, &mut row).unwrap();
                    resampled(kernel, source, (&col, &row), unit.footprints(), *r)
                })
                .collect()
        });
    }
}

#[test]
fn through_a_sensor_model() {
    let sensor = Sensor::from(&rpc());
    let utm = Crs::from_epsg(32651).unwrap();
    let to_geographic = PointTransform::new(&utm, &Crs::wgs84()).unwrap();
    let from_geographic = PointTransform::new(&Crs::wgs84(), &utm).unwrap();
    let pixel = 2.3 * sensor.pixel_area_m2((6000, 8000)).unwrap().sqrt();
    // The image's upper left corner lies in the lattice.
    let (lon, lat) = sensor.ground_from_image(0.0, 0.0, 200.0).unwrap();
    let (mut x, mut y) = ([lon], [lat]);
    from_geographic.apply(&mut x, &mut y).unwrap();
    let transform = GeoTransform::north_up(x[0] - 40.0 * pixel, y[0] + 40.0 * pixel, pixel);
    let lattice = Lattice { transform, rows: SIDES.0, cols: SIDES.1 };
    let ground = Ground {
        to_geographic: &to_geographic,
        dem: None,
        undulation: None,
        middle_lon: sensor.middle_lon(),
        pixel_m: pixel,
    };
    let heights = UnitHeights::Constant(200.0);
    for kernel in KERNELS {
        let ortho = Ortho::new(sensor.clone(), (6000, 8000), lattice, kernel, &ground).unwrap();
        compare(kernel, |window, rows| {
            let unit = ortho.unit(window, &ground).unwrap();
            let Some(source) = unit.source_window((200.0, 200.0)) else {
                return vec![vec![(f32::NAN.to_bits(), INVALID); window.cols]; rows.len()];
            };
            let (mut col, mut row) = (vec![0.0; window.cols], vec![0.0; window.cols]);
            rows.iter()
                .map(|r| {
                    unit.locate(*r, &heights, source, &mut RowScratch::default(), &mut col, &mut row).unwrap();
                    resampled(kernel, source, (&col, &row), unit.footprints(), *r)
                })
                .collect()
        });
    }
}
