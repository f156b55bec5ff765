//! Scenes whose place is wrong by a known correction.

use super::phase::tests::{Draw, Ground};
use super::*;

/// An image of ground known everywhere, whose sensor model is the lattice, turned and off by a correction.
struct Fake {
    ground: Ground,
    truth: Correction,
    /// Share of columns, from the left, under a cloud.
    cloud: f64,
    contrast: f64,
    noise: f64,
    size: usize,
}

impl Fake {
    fn new(truth: Correction) -> Self {
        Self { ground: Ground::new(8), truth, cloud: 0.0, contrast: 1.0, noise: 0.2, size: 640 }
    }

    /// The lattice's column and row in the image, by the sensor model.
    fn model(col: f64, row: f64) -> (f64, f64) {
        (1.25 * col + 0.2 * row - 30.0, 1.25 * row - 0.2 * col + 90.0)
    }

    fn undo((c, r): (f64, f64)) -> (f64, f64) {
        let (c, r, d) = (c + 30.0, r - 90.0, 1.25 * 1.25 + 0.04);
        ((1.25 * c - 0.2 * r) / d, (1.25 * r + 0.2 * c) / d)
    }
}

impl View for Fake {
    type Error = std::convert::Infallible;

    fn ground(&self) -> Window {
        Window::new(0, 0, self.size, self.size)
    }

    fn covers(&self, _: f64, _: f64) -> bool {
        true
    }

    fn size_m(&self) -> [f64; 2] {
        [2.0, 2.0]
    }

    fn image_pixel_m(&self) -> f64 {
        2.0 / (1.25f64 * 1.25 + 0.04).sqrt()
    }

    fn cut(&self, window: Window, step: usize, correction: Correction) -> Result<(Vec<f32>, Vec<f32>), Self::Error> {
        let mut draw = Draw((window.row * 7919 + window.col) as u64 ^ 5);
        let (mut reference, mut scene) = (Vec::new(), Vec::new());
        let inside = |v: f64| (0.0..self.size as f64).contains(&v);
        for k in 0..window.pixels() {
            let (top, left) = (window.row + (k / window.cols) as i64, window.col + (k % window.cols) as i64);
            let middle = |first: i64| (first as f64 + 0.5) * step as f64;
            let (col, row) = (middle(left), middle(top));
            // The image shows at A(model(g)) what is at g.
            let (c, r) = Self::model(col, row);
            let (c, r) = correction.apply(c, r);
            let (gc, gr) = Self::undo(self.truth.undo(c, r));
            let shown =
                if gc < self.cloud * self.size as f64 { 900.0 } else { self.contrast * self.ground.at(gc, gr, step) };
            let noise = self.noise * draw.normal() / step as f64;
            reference.push(if inside(col) && inside(row) { self.ground.at(col, row, step) as f32 } else { f32::NAN });
            scene.push(if inside(gc) && inside(gr) { (shown + noise) as f32 } else { f32::NAN });
        }
        Ok((reference, scene))
    }

    fn image(&self, col: f64, row: f64) -> Result<Option<(f64, f64)>, Self::Error> {
        Ok(Some(Self::model(col, row)))
    }
}

const OPTIONS: Options = Options { model: Model::Shift, max_shift_m: 80.0, windows: 16, side: 64, min_windows: 6 };

fn error(found: &Correction, truth: &Correction) -> f64 {
    let corners = [(0.0, 0.0), (800.0, 0.0), (0.0, 800.0), (800.0, 800.0)];
    let miss = |(c, r): (f64, f64)| {
        let ((a, b), (x, y)) = (found.apply(c, r), truth.apply(c, r));
        (a - x).hypot(b - y)
    };
    corners.into_iter().map(miss).fold(0.0, f64::max)
}

#[test]
fn a_shift_of_many_pixels_is_found_to_a_fiftieth_in_part_under_a_cloud() {
    let truth = Correction::shift(27.37, -19.81);
    let fake = Fake { cloud: 0.4, ..Fake::new(truth) };
    let found = measure(&fake, &OPTIONS).unwrap();
    assert!(error(&found.correction, &truth) < 0.02, "{found:?}");
    assert!(found.rmse_px < 0.1 && found.used >= 6, "{found:?}");
    assert!(found.featureless + found.unclear + found.inconsistent > 0, "{found:?}");
    // 27 columns and −20 rows of a turned image.
    let (east, down) = {
        let (c, r) = Fake::undo((27.37 - 30.0, -19.81 + 90.0));
        (2.0 * c, 2.0 * r)
    };
    assert!(
        (found.shift_m[0] - east).abs() < 0.1 && (found.shift_m[1] + down).abs() < 0.1,
        "{:?} {east} {down}",
        found.shift_m
    );
}

#[test]
fn an_affine_is_found_where_it_is_asked_for_and_a_shift_does_not_do() {
    let truth = Correction { col: [9.0, 1.009, -0.008], row: [-6.0, 0.007, 0.992] };
    let fake = Fake::new(truth);
    let found = measure(&fake, &Options { model: Model::Affine, ..OPTIONS }).unwrap();
    assert!(error(&found.correction, &truth) < 0.06, "{found:?}");
    assert!(matches!(measure(&fake, &OPTIONS), Err(Failure::Weak(SurveyError::Unregistered { .. }))));
}

#[test]
fn what_is_no_evidence_is_refused_with_numbers() {
    let refused = |fake: Fake, options: &Options| match measure(&fake, options) {
        Err(Failure::Weak(e)) => e,
        other => panic!("{other:?}"),
    };
    let flat = refused(Fake { cloud: 1.0, noise: 0.0, ..Fake::new(Correction::IDENTITY) }, &OPTIONS);
    assert!(flat.to_string().contains("show the same everywhere"), "{flat}");
    let noise = refused(Fake { contrast: 0.0, noise: 5.0, ..Fake::new(Correction::IDENTITY) }, &OPTIONS);
    assert!(matches!(noise, SurveyError::Unregistered { windows } if windows.unclear > 2), "{noise:?}");
    let far = refused(Fake::new(Correction::shift(60.0, 0.0)), &Options { max_shift_m: 90.0, ..OPTIONS });
    assert!(matches!(far, SurveyError::ShiftTooLarge { found_m, .. } if (found_m - 94.8).abs() < 1.0), "{far:?}");
}
