//! A rational polynomial model fitted to the camera, and its text form.
//!
//! Terms are in RPC00B order, positions relative to the centre of the first pixel, heights ellipsoidal. Whatever is
//! written is what was fitted and checked: offsets are rounded *before* the fit and coefficients keep all their digits.

use std::fmt::Write as _;

use super::ellipsoid::Geodetic;
use super::random::{fraction, hash};

const TERMS: usize = 20;
/// Numerator and denominator without its constant term.
const UNKNOWNS: usize = 2 * TERMS - 1;
/// Grid of the fit: along lines, samples and heights.
const GRID: [usize; 3] = [17, 17, 7];
/// Pulls coefficients the data does not determine to zero, relative to the length of their column.
const RIDGE: f64 = 1e-7;
/// Independent points the fit is checked on.
const CHECKS: u64 = 2000;

/// An offset and a scale.
#[derive(Debug, Clone, Copy)]
struct Range {
    offset: f64,
    scale: f64,
}

impl Range {
    /// The range of some values, offset and scale rounded to `decimals`.
    fn of(values: impl Iterator<Item = f64>, decimals: i32) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let unit = 10f64.powi(decimals);
        Self {
            offset: (0.5 * (low + high) * unit).round() / unit,
            scale: (0.5 * (high - low) * unit).ceil().max(1.0) / unit,
        }
    }

    fn normalize(self, value: f64) -> f64 {
        (value - self.offset) / self.scale
    }
}

/// The fitted model of one image.
#[derive(Debug, Clone)]
pub(super) struct RpcModel {
    line: Range,
    sample: Range,
    lat: Range,
    lon: Range,
    height: Range,
    line_num: [f64; TERMS],
    line_den: [f64; TERMS],
    sample_num: [f64; TERMS],
    sample_den: [f64; TERMS],
}

/// How far the model is from the camera, over independent points.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct RpcResidual {
    /// Largest distance, pixels of the image.
    pub max_px: f64,
    /// Root mean square distance, pixels of the image.
    pub rms_px: f64,
}

/// The camera as an image sees it: what a pixel sees at a height, and which pixel sees a point.
pub(super) struct View<'a> {
    pub rows: usize,
    pub cols: usize,
    pub height_range_m: (f64, f64),
    pub ground: &'a dyn Fn(f64, f64, f64) -> Geodetic,
    pub image: &'a dyn Fn(Geodetic) -> (f64, f64),
}

struct Sight {
    line: f64,
    sample: f64,
    place: Geodetic,
}

impl RpcModel {
    /// The model of a view, by least squares over a grid of lines, samples and heights.
    pub(super) fn fit(view: &View) -> Self {
        let at = |i: usize, n: usize| i as f64 / (n - 1) as f64;
        let (low, high) = view.height_range_m;
        let mut sights = Vec::with_capacity(GRID.iter().product());
        for k in 0..GRID[2] {
            let height = low + (high - low) * at(k, GRID[2]);
            for i in 0..GRID[0] {
                for j in 0..GRID[1] {
                    // A little beyond the edges, where a neighbour's resampling still asks.
                    let line = (at(i, GRID[0]) * 1.04 - 0.02) * view.rows as f64 - 0.5;
                    let sample = (at(j, GRID[1]) * 1.04 - 0.02) * view.cols as f64 - 0.5;
                    sights.push(Sight { line, sample, place: (view.ground)(line, sample, height) });
                }
            }
        }
        let mut model = Self {
            line: Range::of([0.0, view.rows as f64 - 1.0].into_iter(), 1),
            sample: Range::of([0.0, view.cols as f64 - 1.0].into_iter(), 1),
            lat: Range::of(sights.iter().map(|s| s.place.lat_deg), 8),
            lon: Range::of(sights.iter().map(|s| s.place.lon_deg), 8),
            height: Range::of([low, high].into_iter(), 0),
            line_num: [0.0; TERMS],
            line_den: [0.0; TERMS],
            sample_num: [0.0; TERMS],
            sample_den: [0.0; TERMS],
        };
        let terms: Vec<_> = sights.iter().map(|s| model.terms(s.place)).collect();
        let lines: Vec<_> = sights.iter().map(|s| model.line.normalize(s.line)).collect();
        let samples: Vec<_> = sights.iter().map(|s| model.sample.normalize(s.sample)).collect();
        (model.line_num, model.line_den) = fit_ratio(&terms, &lines);
        (model.sample_num, model.sample_den) = fit_ratio(&terms, &samples);
        model
    }

    fn terms(&self, place: Geodetic) -> [f64; TERMS] {
        let p = self.lat.normalize(place.lat_deg);
        let l = self.lon.normalize(place.lon_deg);
        let h = self.height.normalize(place.height_m);
        [
            1.0,
            l,
            p,
            h,
            l * p,
            l * h,
            p * h,
            l * l,
            p * p,
            h * h,
            p * l * h,
            l * l * l,
            l * p * p,
            l * h * h,
            l * l * p,
            p * p * p,
            p * h * h,
            l * l * h,
            p * p * h,
            h * h * h,
        ]
    }

    /// Line and sample of a point.
    pub(super) fn image(&self, place: Geodetic) -> (f64, f64) {
        let terms = self.terms(place);
        let ratio = |num, den| sum(num, &terms) / sum(den, &terms);
        (
            self.line.offset + self.line.scale * ratio(&self.line_num, &self.line_den),
            self.sample.offset + self.sample.scale * ratio(&self.sample_num, &self.sample_den),
        )
    }

    /// How far the model is from the camera, over points drawn in longitude, latitude and height and put through the
    /// camera the other way round than for the fit.
    pub(super) fn residual(&self, view: &View, seed: u64) -> RpcResidual {
        let (low, high) = view.height_range_m;
        let within = |range: Range, h: u64| range.offset + range.scale * (2.0 * fraction(h) - 1.0);
        let (mut max, mut sum, mut count) = (0.0f64, 0.0, 0u64);
        for i in 0..CHECKS {
            let place = Geodetic {
                lon_deg: within(self.lon, hash(seed, 3 * i)),
                lat_deg: within(self.lat, hash(seed, 3 * i + 1)),
                height_m: low + (high - low) * fraction(hash(seed, 3 * i + 2)),
            };
            let (line, sample) = (view.image)(place);
            let inside = |v: f64, n: usize| (-0.5..=n as f64 - 0.5).contains(&v);
            if inside(line, view.rows) && inside(sample, view.cols) {
                let (l, s) = self.image(place);
                let distance = (l - line).hypot(s - sample);
                max = max.max(distance);
                sum += distance * distance;
                count += 1;
            }
        }
        RpcResidual { max_px: max, rms_px: (sum / count.max(1) as f64).sqrt() }
    }

    /// The same model with everything seen that many lines and samples later: what a pointing error looks like.
    #[must_use]
    pub(super) fn shifted(mut self, lines: f64, samples: f64) -> Self {
        self.line.offset += lines;
        self.sample.offset += samples;
        self
    }

    /// The text of a `_rpc.txt` file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut put = |key: &str, value: f64, decimals: usize, unit: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key}: {value:+.decimals$} {unit}");
        };
        put("LINE_OFF", self.line.offset, 6, "pixels");
        put("SAMP_OFF", self.sample.offset, 6, "pixels");
        put("LAT_OFF", self.lat.offset, 8, "degrees");
        put("LONG_OFF", self.lon.offset, 8, "degrees");
        put("HEIGHT_OFF", self.height.offset, 3, "meters");
        put("LINE_SCALE", self.line.scale, 2, "pixels");
        put("SAMP_SCALE", self.sample.scale, 2, "pixels");
        put("LAT_SCALE", self.lat.scale, 8, "degrees");
        put("LONG_SCALE", self.lon.scale, 8, "degrees");
        put("HEIGHT_SCALE", self.height.scale, 3, "meters");
        let blocks = [
            ("LINE_NUM_COEFF", &self.line_num),
            ("LINE_DEN_COEFF", &self.line_den),
            ("SAMP_NUM_COEFF", &self.sample_num),
            ("SAMP_DEN_COEFF", &self.sample_den),
        ];
        for (key, coefficients) in blocks {
            for (i, c) in (1..).zip(coefficients) {
                let _ = writeln!(text, "{key}_{i}: {}", scientific(*c));
            }
        }
        text
    }
}

/// A number with 17 significant digits and an exponent of a sign and two digits or more, as vendors write it.
fn scientific(value: f64) -> String {
    let text = format!("{value:+.16E}");
    match text.split_once('E') {
        Some((digits, exponent)) => {
            let (sign, number) = exponent.strip_prefix('-').map_or(('+', exponent), |n| ('-', n));
            format!("{digits}E{sign}{number:0>2}")
        }
        None => text,
    }
}

fn sum(coefficients: &[f64; TERMS], terms: &[f64; TERMS]) -> f64 {
    coefficients.iter().zip(terms).map(|(c, t)| c * t).sum()
}

/// Numerator and denominator whose ratio is nearest to `values`: the linearised problem, weighted by the denominator of
/// the round before.
///
/// # Reference
/// Tao, Hu, "A comprehensive study of the rational function model for photogrammetric processing", PE&RS 67 (2001).
fn fit_ratio(terms: &[[f64; TERMS]], values: &[f64]) -> ([f64; TERMS], [f64; TERMS]) {
    let mut num = [0.0; TERMS];
    let mut den = [0.0; TERMS];
    den[0] = 1.0;
    for _ in 0..3 {
        let rows = terms.iter().zip(values).map(|(t, v)| {
            let weight = 1.0 / sum(&den, t);
            let mut row = [0.0; UNKNOWNS + 1];
            for i in 0..TERMS {
                row[i] = weight * t[i];
            }
            for i in 1..TERMS {
                row[TERMS + i - 1] = -weight * v * t[i];
            }
            row[UNKNOWNS] = weight * v;
            row
        });
        let solution = least_squares(rows.collect());
        num.copy_from_slice(&solution[..TERMS]);
        den[1..].copy_from_slice(&solution[TERMS..]);
    }
    (num, den)
}

/// The ridge-regularised solution of `rows[.. UNKNOWNS] · x = rows[UNKNOWNS]`, by Householder reflections.
///
/// # Reference
/// Golub, Van Loan, Matrix Computations, 4th edition, algorithm 5.2.1.
fn least_squares(mut rows: Vec<[f64; UNKNOWNS + 1]>) -> [f64; UNKNOWNS] {
    let mut lengths = [0.0; UNKNOWNS];
    for (j, length) in lengths.iter_mut().enumerate() {
        *length = rows.iter().map(|r| r[j] * r[j]).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    }
    for row in &mut rows {
        for (v, length) in row.iter_mut().zip(lengths) {
            *v /= length;
        }
    }
    rows.extend((0..UNKNOWNS).map(|j| {
        let mut row = [0.0; UNKNOWNS + 1];
        row[j] = RIDGE;
        row
    }));
    for j in 0..UNKNOWNS {
        let length = rows[j..].iter().map(|r| r[j] * r[j]).sum::<f64>().sqrt();
        let diagonal = if rows[j][j] > 0.0 { -length } else { length };
        // The reflector stays in column j below the diagonal, its head apart.
        let head = rows[j][j] - diagonal;
        let squared = head * head + rows[j + 1..].iter().map(|r| r[j] * r[j]).sum::<f64>();
        for k in j + 1..=UNKNOWNS {
            let projection = head * rows[j][k] + rows[j + 1..].iter().map(|r| r[j] * r[k]).sum::<f64>();
            let factor = 2.0 * projection / squared;
            rows[j][k] -= factor * head;
            for row in &mut rows[j + 1..] {
                row[k] -= factor * row[j];
            }
        }
        rows[j][j] = diagonal;
    }
    let mut x = [0.0; UNKNOWNS];
    for j in (0..UNKNOWNS).rev() {
        let known: f64 = (j + 1..UNKNOWNS).map(|k| rows[j][k] * x[k]).sum();
        x[j] = (rows[j][UNKNOWNS] - known) / rows[j][j];
    }
    for (v, length) in x.iter_mut().zip(lengths) {
        *v /= length;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::camera::Camera;
    use super::*;

    fn fitted(side: usize, roll_deg: f64) -> RpcResidual {
        let mut options = Options::new("unused");
        (options.mss_cols, options.mss_rows, options.roll_deg) = (side, side, roll_deg);
        let camera = Camera::new(&options);
        let view = View {
            rows: side,
            cols: side,
            height_range_m: (0.0, 500.0),
            ground: &|l, s, h| camera.ground_at_height(l, s, h),
            image: &|p| camera.image(p),
        };
        RpcModel::fit(&view).residual(&view, 1)
    }

    #[test]
    fn model_follows_the_camera() {
        for (side, roll) in [(96, 0.0), (8192, 12.0), (8192, -30.0)] {
            let residual = fitted(side, roll);
            assert!(residual.max_px < 0.002 && residual.max_px > 0.0, "{side} {roll}: {residual:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_vendors_do_and_read_back_exactly() {
        assert_eq!(scientific(-0.001), "-1.0000000000000000E-03");
        assert_eq!(scientific(0.0), "+0.0000000000000000E+00");
        for v in [std::f64::consts::PI * 1e-7, -1.0 / 3.0, 5e-120] {
            assert_eq!(scientific(v).parse(), Ok(v));
        }
    }

    #[test]
    fn least_squares_finds_a_known_solution() {
        let truth: Vec<f64> = (0..UNKNOWNS).map(|i| 0.1 * i as f64 - 1.0).collect();
        let rows: Vec<_> = (0..200)
            .map(|i| {
                let mut row = [0.0; UNKNOWNS + 1];
                for j in 0..UNKNOWNS {
                    row[j] = fraction(hash(i, j as u64)) - 0.5;
                    row[UNKNOWNS] += row[j] * truth[j];
                }
                row
            })
            .collect();
        for (x, t) in least_squares(rows).iter().zip(&truth) {
            assert!((x - t).abs() < 1e-9, "{x} {t}");
        }
    }
}
