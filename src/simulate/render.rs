//! Integrates what the ground sends over the footprints of pixels.
//!
//! A pixel's value depends on its position alone, never on the block or thread that computes it.

use std::ops::Range;

use super::camera::Camera;
use super::ellipsoid::{Geodetic, Plane};
use super::utm::Utm;
use crate::grid::GeoTransform;

/// Fewest points per pixel and axis the scenery is sampled at when the point spread is on.
const OVERSAMPLING: usize = 3;
/// Standard deviation of the point spread, pixels: modulation 0.29 at the Nyquist frequency.
const PSF_SIGMA_PX: f64 = 0.5;
/// Reach of the point spread to both sides, in thirds of a pixel.
const PSF_REACH: usize = 4;
/// Distance of exactly traced points, metres, between which positions are interpolated.
const NODE_SPACING_M: f64 = 24.0;

/// Where pixels of the multispectral grid are on the scene plane, (0, 0) the centre of the first.
pub(super) trait Ground: Sync {
    /// Position on the plane a pixel sees.
    ///
    /// # Units
    /// Lines and samples; metres.
    fn plane_xy(&self, line: f64, sample: f64) -> (f64, f64);

    /// Line and sample of a position on the plane.
    ///
    /// # Units
    /// Metres; lines and samples.
    fn pixel(&self, x: f64, y: f64) -> (f64, f64);
}

impl Ground for Camera {
    fn plane_xy(&self, line: f64, sample: f64) -> (f64, f64) {
        let place = self.ground(line, sample);
        self.plane.xy(place.lon_deg, place.lat_deg)
    }

    fn pixel(&self, x: f64, y: f64) -> (f64, f64) {
        let (lon_deg, lat_deg) = self.plane.lon_lat(x, y);
        self.image(Geodetic { lon_deg, lat_deg, height_m: self.relief.height(x, y) })
    }
}

/// Gives the values at a position of the scene plane, metres, one for each band.
pub(super) type Sampler<'a> = Box<dyn FnMut(f64, f64, &mut [f32]) + 'a>;

/// What the ground sends to an instrument: a function of the place alone.
pub(super) trait Scenery: Sync {
    /// Number of bands it is known in.
    fn bands(&self) -> usize;

    /// Largest distance of points that do not miss anything between them, metres. Edges are no detail: they are cut
    /// through anyway.
    fn detail_m(&self) -> f64 {
        f64::INFINITY
    }

    /// A sampler. It may remember what it meets, so it is for one task and not for long.
    fn sampler(&self) -> Sampler<'_>;
}

impl<T: Scenery> Scenery for &T {
    fn bands(&self) -> usize {
        T::bands(self)
    }

    fn detail_m(&self) -> f64 {
        T::detail_m(self)
    }

    fn sampler(&self) -> Sampler<'_> {
        T::sampler(self)
    }
}

/// A grid of the map projection.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapGrid {
    pub utm: Utm,
    pub transform: GeoTransform,
    pub plane: Plane,
}

impl Ground for MapGrid {
    fn plane_xy(&self, line: f64, sample: f64) -> (f64, f64) {
        let (easting, northing) = self.transform.world_from_pixel(sample + 0.5, line + 0.5);
        let (lon, lat) = self.utm.inverse(easting, northing);
        self.plane.xy(lon, lat)
    }

    fn pixel(&self, x: f64, y: f64) -> (f64, f64) {
        let (lon, lat) = self.plane.lon_lat(x, y);
        let (easting, northing) = self.utm.forward(lon, lat);
        let (col, row) = self.transform.pixel_from_world(easting, northing);
        (row - 0.5, col - 0.5)
    }
}

/// An image to be made of some scenery.
pub(super) struct Canvas<'a> {
    pub ground: &'a dyn Ground,
    pub scenery: &'a dyn Scenery,
    pub rows: usize,
    pub cols: usize,
    /// Pixels per multispectral pixel along each axis.
    pub ratio: usize,
    /// Edge of a multispectral pixel, metres.
    pub gsd_m: f64,
    /// Point spread over the footprint, or the value at the pixel centre.
    pub psf: bool,
}

/// Traced positions at whole multiples of a step, so that they do not depend on the block.
struct Lattice {
    step: usize,
    row: i64,
    col: i64,
    cols: usize,
    /// Position on the plane, row by row.
    nodes: Vec<(f64, f64)>,
}

impl Lattice {
    fn trace(ground: &dyn Ground, step: usize, lines: (f64, f64), samples: (f64, f64)) -> Self {
        let span = |(low, high): (f64, f64)| {
            let first = (low / step as f64).floor() as i64 - 1;
            let last = (high / step as f64).floor() as i64 + 2;
            (first, (last - first + 1) as usize)
        };
        let ((row, rows), (col, cols)) = (span(lines), span(samples));
        let mut nodes = Vec::with_capacity(rows * cols);
        for r in row..row + rows as i64 {
            for c in col..col + cols as i64 {
                nodes.push(ground.plane_xy((r * step as i64) as f64, (c * step as i64) as f64));
            }
        }
        Self { step, row, col, cols, nodes }
    }

    /// Interpolated nodes along one line.
    fn line(&self, line: f64, out: &mut Vec<(f64, f64)>) {
        let at = line / self.step as f64;
        let t = at - at.floor();
        let weights = [
            t * (-1.0 / 3.0 + t * (0.5 - t / 6.0)),
            1.0 + t * (-0.5 + t * (-1.0 + t * 0.5)),
            t * (1.0 + t * (0.5 - t * 0.5)),
            t * (-1.0 / 6.0 + t * t / 6.0),
        ];
        let first = (at.floor() as i64 - 1 - self.row) as usize * self.cols;
        out.clear();
        out.extend((first..first + self.cols).map(|start| {
            let mut sum = (0.0, 0.0);
            for (k, w) in weights.iter().enumerate() {
                let (x, y) = self.nodes[start + k * self.cols];
                sum = (sum.0 + w * x, sum.1 + w * y);
            }
            sum
        }));
    }
}

/// Coefficients of the cubic through four values at −1, 0, 1, 2.
fn cubic(p: [f64; 4]) -> [f64; 4] {
    [
        p[1],
        -p[0] / 3.0 - 0.5 * p[1] + p[2] - p[3] / 6.0,
        0.5 * p[0] - p[1] + 0.5 * p[2],
        -p[0] / 6.0 + 0.5 * (p[1] - p[2]) + p[3] / 6.0,
    ]
}

impl Canvas<'_> {
    fn node_step(&self) -> usize {
        ((NODE_SPACING_M / self.gsd_m) as usize).clamp(1, 32)
    }

    /// Position in multispectral pixels of one in pixels of this image.
    fn coarse(&self, at: f64) -> f64 {
        (at - 0.5 * (self.ratio as f64 - 1.0)) / self.ratio as f64
    }

    /// Points per pixel and axis.
    fn density(&self) -> usize {
        let for_detail = self.gsd_m / self.ratio as f64 / self.scenery.detail_m();
        if self.psf { OVERSAMPLING.max(for_detail.ceil() as usize) } else { 1 }
    }

    /// Weights of the points around a pixel's centre along one axis.
    fn taps(&self, density: usize) -> Vec<f32> {
        if !self.psf {
            return vec![1.0];
        }
        let reach = PSF_REACH * density / 3;
        let weight = |k: usize| {
            let distance = (k as f64 - reach as f64) / density as f64 / PSF_SIGMA_PX;
            (-0.5 * distance * distance).exp()
        };
        let sum: f64 = (0..=2 * reach).map(weight).sum();
        (0..=2 * reach).map(|k| (weight(k) / sum) as f32).collect()
    }

    /// Values of some rows.
    ///
    /// # Shape
    /// (band, row, col).
    pub(super) fn values(&self, rows: Range<usize>) -> Vec<f32> {
        let density = self.density();
        let taps = self.taps(density);
        let reach = taps.len() / 2;
        let bands = self.scenery.bands();
        let mut sampler = self.scenery.sampler();
        let middle = density / 2;
        // Sample k of a line stands at ((k − reach − middle) / density) pixels.
        let position = |k: i64| self.coarse((k - (reach + middle) as i64) as f64 / density as f64);
        let samples = (self.cols - 1) * density + 1 + 2 * reach;
        let first_sample = middle as i64;
        let line_of = |k: usize| k as i64 + (rows.start * density + middle) as i64;
        let lines = (rows.len() - 1) * density + 1 + 2 * reach;

        let lattice = Lattice::trace(
            self.ground,
            self.node_step(),
            (position(line_of(0)), position(line_of(lines - 1))),
            (position(first_sample), position(first_sample + samples as i64 - 1)),
        );
        let mut nodes = Vec::new();
        let mut fine = vec![0.0f32; bands * samples];
        let mut smooth = vec![0.0f32; self.cols];
        let mut out = vec![0.0f32; bands * rows.len() * self.cols];
        for k in 0..lines {
            lattice.line(position(line_of(k)), &mut nodes);
            sample_line(&lattice, &nodes, |i| position(first_sample + i as i64), &mut sampler, bands, &mut fine);
            for (b, fine) in fine.chunks_exact(samples).enumerate() {
                for (c, v) in smooth.iter_mut().enumerate() {
                    let window = &fine[c * density..c * density + taps.len()];
                    *v = window.iter().zip(&taps).map(|(s, t)| s * t).sum();
                }
                // The rows this line belongs to: those with 0 ≤ k − row · density < number of taps.
                let first = (k + 1).saturating_sub(taps.len()).div_ceil(density);
                let last = (k / density).min(rows.len() - 1);
                for row in first..=last {
                    let tap = taps[k - row * density];
                    let start = (b * rows.len() + row) * self.cols;
                    for (o, v) in out[start..start + self.cols].iter_mut().zip(&smooth) {
                        *o += tap * v;
                    }
                }
            }
        }
        out
    }
}

/// Samples along a line, band by band into `out`.
fn sample_line(
    lattice: &Lattice,
    nodes: &[(f64, f64)],
    position: impl Fn(usize) -> f64,
    sampler: &mut Sampler,
    bands: usize,
    out: &mut [f32],
) {
    let step = lattice.step as f64;
    let samples = out.len() / bands;
    let mut interval = i64::MIN;
    let (mut cx, mut cy) = ([0.0; 4], [0.0; 4]);
    let mut point = vec![0.0f32; bands];
    for i in 0..samples {
        let at = position(i) / step;
        let cell = at.floor();
        if cell as i64 != interval {
            interval = cell as i64;
            let first = (interval - 1 - lattice.col) as usize;
            let four: [(f64, f64); 4] = std::array::from_fn(|k| nodes[first + k]);
            (cx, cy) = (cubic(four.map(|p| p.0)), cubic(four.map(|p| p.1)));
        }
        let t = at - cell;
        let value = |c: &[f64; 4]| c[0] + t * (c[1] + t * (c[2] + t * c[3]));
        sampler(value(&cx), value(&cy), &mut point);
        for (b, v) in point.iter().enumerate() {
            out[b * samples + i] = *v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::day::Reflection;
    use super::super::land::Land;
    use super::*;

    fn camera(relief_m: f64, roll_deg: f64) -> Camera {
        let mut options = Options::new("unused");
        (options.relief_m, options.roll_deg) = (relief_m, roll_deg);
        (options.mss_cols, options.mss_rows) = (2000, 2000);
        Camera::new(&options)
    }

    #[test]
    fn interpolated_positions_are_within_a_hundredth_of_a_pan_pixel() {
        let camera = camera(100.0, 25.0);
        let lattice = Lattice::trace(&camera, 8, (0.0, 200.0), (0.0, 300.0));
        let mut nodes = Vec::new();
        let mut worst: f64 = 0.0;
        for i in 0..400 {
            let (line, sample) = (f64::from(i) * 0.49, f64::from((i * 37) % 300) + 0.13);
            lattice.line(line, &mut nodes);
            let at = sample / 8.0;
            let first = (at.floor() as i64 - 1 - lattice.col) as usize;
            let t = at - at.floor();
            let value = |pick: fn(&(f64, f64)) -> f64| {
                let c = cubic(std::array::from_fn(|k| pick(&nodes[first + k])));
                c[0] + t * (c[1] + t * (c[2] + t * c[3]))
            };
            let (x, y) = camera.plane_xy(line, sample);
            worst = worst.max((value(|p| p.0) - x).hypot(value(|p| p.1) - y));
        }
        assert!(worst < 0.0075, "{worst} m");
        assert!(worst > 0.0);
    }

    #[test]
    fn rows_do_not_depend_on_the_block_they_are_made_in() {
        let camera = camera(80.0, 10.0);
        let land = Land::new(4);
        for (ratio, psf) in [(1, true), (4, true), (1, false)] {
            let scenery = Reflection { land: &land, bands: 1..3 };
            let canvas = Canvas { ground: &camera, scenery: &scenery, rows: 40, cols: 31, ratio, gsd_m: 3.0, psf };
            let whole = canvas.values(0..40);
            let part = canvas.values(17..29);
            assert_eq!(whole[17 * 31..29 * 31], part[..12 * 31]);
            assert_eq!(whole[(40 + 17) * 31..(40 + 29) * 31], part[12 * 31..]);
        }
    }

    #[test]
    fn without_point_spread_a_pixel_is_the_land_at_its_center() {
        let camera = camera(80.0, 10.0);
        let land = Land::new(4);
        let scenery = Reflection { land: &land, bands: 4..5 };
        let canvas =
            Canvas { ground: &camera, scenery: &scenery, rows: 30, cols: 30, ratio: 1, gsd_m: 3.0, psf: false };
        let values = canvas.values(0..30);
        let same = (0..900).filter(|i| {
            let (x, y) = camera.plane_xy((i / 30) as f64, (i % 30) as f64);
            values[*i] == land.at(x, y).1[4]
        });
        // A few pixel centres may fall within the interpolation error of an edge.
        assert!(same.count() >= 895);
    }

    #[test]
    fn the_point_spread_keeps_the_mean_and_the_center() {
        struct Unit;
        impl Ground for Unit {
            fn plane_xy(&self, line: f64, sample: f64) -> (f64, f64) {
                (3.0 * sample, -3.0 * line)
            }
            fn pixel(&self, x: f64, y: f64) -> (f64, f64) {
                (-y / 3.0, x / 3.0)
            }
        }
        let land = Land::new(2);
        let scenery = Reflection { land: &land, bands: 4..5 };
        let canvas =
            |psf, ratio| Canvas { ground: &Unit, scenery: &scenery, rows: 160, cols: 160, ratio, gsd_m: 3.0, psf };
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        let sharp = canvas(false, 1).values(0..160);
        let soft = canvas(true, 1).values(0..160);
        assert!((mean(&sharp) - mean(&soft)).abs() < 0.002);
        assert_ne!(sharp, soft);
        // Pan pixels of one multispectral pixel, averaged, are the multispectral pixel: the grids are aligned.
        let fine = canvas(true, 4).values(0..160);
        let (mut aligned, mut shifted) = (0.0f64, 0.0f64);
        for r in 0..39 {
            for c in 0..39 {
                let block: f32 = (0..16).map(|k| fine[(4 * r + k / 4) * 160 + 4 * c + k % 4]).sum::<f32>() / 16.0;
                aligned += f64::from(block - soft[r * 160 + c]).powi(2);
                shifted += f64::from(block - soft[(r + 1) * 160 + c + 1]).powi(2);
            }
        }
        assert!(aligned * 4.0 < shifted, "{aligned} {shifted}");
    }
}
