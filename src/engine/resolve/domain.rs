//! Whether an RPC is used where it was made for.

use crate::error::Result;
use crate::geometry::{Sensor, ortho};
use crate::scene::{Code, Warning};

/// Largest coordinate in the scale of a model that nothing is said of. Vendors fit within ±1 and leave a rim of the image
/// outside; a cubic does no harm there yet.
const BOUND: f64 = 1.2;

const NAMES: [&str; 4] = ["column", "row", "longitude", "latitude"];

/// A warning when a part of `image` (rows, cols) over ground between two heights above the ellipsoid reaches out of the image
/// and the map its model was made for. What the heights themselves are is looked at elsewhere.
pub fn check(part: &str, sensor: &Sensor, image: (usize, usize), heights: (f64, f64)) -> Result<Option<Warning>> {
    let mut reach = [0.0_f64; 4];
    let mut extend = |first: usize, values: &[f64]| {
        for (r, v) in reach.iter_mut().skip(first).zip(values) {
            *r = r.max(v.abs());
        }
    };
    let (last_row, last_col) = (image.0 as f64 - 1.0, image.1 as f64 - 1.0);
    for (col, row) in [(0.0, 0.0), (last_col, 0.0), (0.0, last_row), (last_col, last_row)] {
        extend(0, &sensor.normalized_image(col, row));
    }
    for height in [heights.0, heights.1] {
        for (lon, lat) in ortho::outline(sensor, image, height)? {
            extend(2, &sensor.normalized(lon, lat, height)[..2]);
        }
    }
    let beyond: Vec<String> =
        NAMES.iter().zip(reach).filter(|(_, r)| *r > BOUND).map(|(name, r)| format!("{name} {r:.2}")).collect();
    if beyond.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "part {part} reaches out of the range its RPC were made for, which ends at 1: {}; positions there are extrapolated",
        beyond.join(", ")
    );
    Ok(Some(Warning { code: Code::RpcDomain, message }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Rpc;
    use crate::scene::rpc::Correction;

    /// 1000 rows and 2000 columns of a plain model of 0.01 degrees and 100 m each way.
    fn sensor() -> Sensor {
        let mut rpc = Rpc {
            row_off: 499.5,
            col_off: 999.5,
            lat_off: 43.0,
            lon_off: 125.0,
            height_off: 200.0,
            row_scale: 500.0,
            col_scale: 1000.0,
            lat_scale: 0.01,
            lon_scale: 0.01,
            height_scale: 100.0,
            row_num: [0.0; 20],
            row_den: [0.0; 20],
            col_num: [0.0; 20],
            col_den: [0.0; 20],
            correction: Correction::IDENTITY,
        };
        (rpc.row_den[0], rpc.col_den[0], rpc.row_num[2], rpc.col_num[1]) = (1.0, 1.0, -1.0, 1.0);
        Sensor::from(&rpc)
    }

    #[test]
    fn what_lies_in_the_range_needs_no_word() {
        assert_eq!(check("MSS", &sensor(), (1000, 2000), (100.0, 300.0)).unwrap(), None);
        assert_eq!(check("MSS", &sensor(), (1000, 2000), (85.0, 900.0)).unwrap(), None);
    }

    #[test]
    fn each_coordinate_beyond_it_is_named_with_how_far() {
        let message = |image, heights| check("MSS", &sensor(), image, heights).unwrap().unwrap().message;
        let wide = message((1000, 3000), (200.0, 200.0));
        assert!(wide.contains("column 2.00, longitude 2.00;") && !wide.contains("row"), "{wide}");
        let moved = sensor().with_correction(Correction::shift(0.0, 150.0));
        let moved = check("MSS", &moved, (1000, 2000), (200.0, 200.0)).unwrap().unwrap().message;
        assert!(moved.contains("row 1.30, latitude 1.30;"), "{moved}");
    }
}
