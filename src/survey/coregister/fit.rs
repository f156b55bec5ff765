//! One correction for a whole image, from many windows of which some are wrong.

use super::Model;
use crate::scene::rpc::Correction;

/// One window's evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tie {
    /// Where the sensor model has the ground of the window, uncorrected: col, row.
    pub model: (f64, f64),
    /// Where the image shows it.
    pub image: (f64, f64),
}

impl Tie {
    /// What a correction leaves of it: image minus corrected model, pixels.
    pub fn residual(&self, fit: &Correction) -> (f64, f64) {
        let (c, r) = fit.apply(self.model.0, self.model.1);
        (self.image.0 - c, self.image.1 - r)
    }
}

/// Draws of three windows for an affine.
const DRAWS: usize = 500;

/// Rounds of least squares over what is within the tolerance of the round before.
const REFINEMENTS: usize = 5;

/// The correction that most ties agree with to `tolerance` pixels, refined by least squares over those, and which they are.
/// `None` without ties, or where they do not determine the model.
///
/// # Reference
/// Fischler and Bolles 1981, 10.1145/358669.358692 (RANSAC). A shift needs one window, so every one is tried; triples for an
/// affine are drawn from a fixed sequence, so the same ties always give the same correction.
pub fn consensus(ties: &[Tie], model: Model, tolerance: f64) -> Option<(Correction, Vec<bool>)> {
    let near = |fit: &Correction| -> Vec<bool> {
        let close = |t: &Tie| {
            let (c, r) = t.residual(fit);
            c.hypot(r) <= tolerance
        };
        ties.iter().map(close).collect()
    };
    let score = |fit: &Correction, inliers: &[bool]| {
        let squares: f64 = chosen(ties, inliers).map(|t| t.residual(fit)).map(|(c, r)| c * c + r * r).sum();
        (inliers.iter().filter(|i| **i).count(), -squares)
    };
    let candidates: Vec<Correction> = match model {
        Model::Shift => ties.iter().filter_map(|t| least_squares(&[*t], Model::Shift)).collect(),
        Model::Affine => draws(ties).filter_map(|three| least_squares(&three, Model::Affine)).collect(),
    };
    let mut best: Option<((usize, f64), Correction, Vec<bool>)> = None;
    for fit in candidates {
        let inliers = near(&fit);
        let own = score(&fit, &inliers);
        if best.as_ref().is_none_or(|(other, ..)| own.0 > other.0 || own.0 == other.0 && own.1 > other.1) {
            best = Some((own, fit, inliers));
        }
    }
    let (_, mut fit, mut inliers) = best?;
    for _ in 0..REFINEMENTS {
        let of: Vec<Tie> = chosen(ties, &inliers).copied().collect();
        let Some(refined) = least_squares(&of, model) else { break };
        fit = refined;
        let again = near(&fit);
        if again == inliers {
            break;
        }
        inliers = again;
    }
    Some((fit, inliers))
}

/// The ties of a list of marks.
pub fn chosen<'a>(ties: &'a [Tie], marks: &'a [bool]) -> impl Iterator<Item = &'a Tie> {
    ties.iter().zip(marks).filter(|(_, m)| **m).map(|(t, _)| t)
}

/// Triples of different ties, from a fixed sequence.
fn draws(ties: &[Tie]) -> impl Iterator<Item = [Tie; 3]> {
    let mut state = 0x5eed_u64;
    let mut next = move |n: usize| {
        // SplitMix64: Steele, Lea, Flood 2014, 10.1145/2714064.2660195.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    };
    let count = if ties.len() < 3 { 0 } else { DRAWS };
    (0..count).filter_map(move |_| {
        let (i, j, k) = (next(ties.len()), next(ties.len()), next(ties.len()));
        (i != j && j != k && i != k).then(|| [ties[i], ties[j], ties[k]])
    })
}

/// Rounds of reweighting, and the residual below which nothing weighs more, pixels.
const ROUNDS: usize = 50;
const SMALLEST: f64 = 0.01;

/// The correction with the smallest sum of residual lengths over ties, from `start` on: a median where least squares are a
/// mean. Windows over ground that changed in part are off by fractions of a pixel, in all directions; those over ground that
/// did not agree to hundredths, and have their way.
///
/// # Reference
/// Weiszfeld 1937, Sur le point pour lequel la somme des distances de n points donnés est minimum: least squares, each residual
/// weighted by the inverse of its length, again and again.
pub fn least_absolute(ties: &[Tie], model: Model, start: Correction) -> Correction {
    let mut fit = start;
    for _ in 0..ROUNDS {
        let weight = |t: &Tie| {
            let (c, r) = t.residual(&fit);
            1.0 / c.hypot(r).max(SMALLEST)
        };
        let weights: Vec<f64> = ties.iter().map(weight).collect();
        match weighted(ties, &weights, model) {
            Some(next) => fit = next,
            None => break,
        }
    }
    fit
}

/// Least squares over all of some ties; `None` where they do not determine the model.
pub fn least_squares(ties: &[Tie], model: Model) -> Option<Correction> {
    weighted(ties, &vec![1.0; ties.len()], model)
}

fn weighted(ties: &[Tie], weights: &[f64], model: Model) -> Option<Correction> {
    let n: f64 = weights.iter().sum();
    if ties.is_empty() {
        return None;
    }
    let mean = |f: &dyn Fn(&Tie) -> f64| ties.iter().zip(weights).map(|(t, w)| w * f(t)).sum::<f64>() / n;
    let (mc, mr) = (mean(&|t| t.model.0), mean(&|t| t.model.1));
    let (dc, dr) = (mean(&|t| t.image.0 - t.model.0), mean(&|t| t.image.1 - t.model.1));
    if model == Model::Shift {
        return Some(Correction::shift(dc, dr));
    }
    // About the means, what is left is two equations for the two factors of each coordinate.
    let (mut cc, mut cr, mut rr) = (0.0, 0.0, 0.0);
    let (mut col, mut row) = ([0.0; 2], [0.0; 2]);
    for (t, w) in ties.iter().zip(weights) {
        let (c, r) = (t.model.0 - mc, t.model.1 - mr);
        let (ec, er) = (w * (t.image.0 - t.model.0 - dc), w * (t.image.1 - t.model.1 - dr));
        cc += w * c * c;
        cr += w * c * r;
        rr += w * r * r;
        col = [col[0] + c * ec, col[1] + r * ec];
        row = [row[0] + c * er, row[1] + r * er];
    }
    let determinant = cc * rr - cr * cr;
    // Windows on one line say nothing of what lies beside it.
    if determinant <= 1e-3 * (cc + rr).powi(2) / 4.0 {
        return None;
    }
    let solve = |v: [f64; 2]| ((v[0] * rr - v[1] * cr) / determinant, (v[1] * cc - v[0] * cr) / determinant);
    let ((a, b), (c, d)) = (solve(col), solve(row));
    Some(Correction { col: [dc - a * mc - b * mr, 1.0 + a, b], row: [dr - c * mc - d * mr, c, 1.0 + d] })
}

#[cfg(test)]
mod tests {
    use super::super::phase::tests::Draw;
    use super::*;

    const TRUE: Correction = Correction { col: [12.0, 1.0004, -0.0002], row: [-7.0, 0.0003, 0.9995] };

    fn ties(true_ones: usize, false_ones: usize, noise: f64, fit: &Correction) -> Vec<Tie> {
        let mut draw = Draw(11);
        (0..true_ones + false_ones)
            .map(|k| {
                let model = (4000.0 * draw.uniform(), 3000.0 * draw.uniform());
                let (c, r) = fit.apply(model.0, model.1);
                let image = if k < true_ones {
                    (c + noise * draw.normal(), r + noise * draw.normal())
                } else {
                    (c + 60.0 * draw.uniform() - 30.0, r + 60.0 * draw.uniform() - 30.0)
                };
                Tie { model, image }
            })
            .collect()
    }

    #[test]
    fn an_affine_is_found_among_as_many_wrong_windows() {
        let all = ties(30, 30, 0.1, &TRUE);
        let (fit, inliers) = consensus(&all, Model::Affine, 0.6).unwrap();
        assert!(inliers[..30].iter().all(|i| *i), "{inliers:?}");
        assert!(inliers[30..].iter().filter(|i| **i).count() <= 2);
        for corner in [(0.0, 0.0), (4000.0, 0.0), (4000.0, 3000.0)] {
            let ((a, b), (c, d)) = (fit.apply(corner.0, corner.1), TRUE.apply(corner.0, corner.1));
            assert!((a - c).hypot(b - d) < 0.12, "{fit:?}");
        }
        assert_eq!(consensus(&all, Model::Affine, 0.6).unwrap().0, fit);
    }

    #[test]
    fn a_shift_is_the_mean_of_those_that_agree() {
        let shift = Correction::shift(3.25, -8.5);
        let (fit, inliers) = consensus(&ties(25, 15, 0.05, &shift), Model::Shift, 0.5).unwrap();
        assert!((fit.col[0] - 3.25).abs() < 0.03 && (fit.row[0] + 8.5).abs() < 0.03, "{fit:?}");
        assert!(inliers.iter().filter(|i| **i).count() >= 25);
    }

    #[test]
    fn windows_that_agree_to_hundredths_outvote_those_that_are_off_by_tenths() {
        let shift = Correction::shift(2.0, -1.0);
        let mut all = ties(30, 0, 0.01, &shift);
        // A third of them are off, by up to half a pixel and mostly to one side.
        let mut draw = Draw(5);
        for t in &mut all[..10] {
            t.image = (t.image.0 + 0.1 + 0.4 * draw.uniform(), t.image.1 - 0.5 * draw.uniform());
        }
        let mean = least_squares(&all, Model::Shift).unwrap();
        let middle = least_absolute(&all, Model::Shift, mean);
        assert!((mean.col[0] - 2.0).abs() > 0.07, "{mean:?}");
        assert!((middle.col[0] - 2.0).hypot(middle.row[0] + 1.0) < 0.02, "{middle:?}");
        let affine = ties(30, 0, 0.01, &TRUE);
        let fit = least_absolute(&affine, Model::Affine, least_squares(&affine, Model::Affine).unwrap());
        let ((a, b), (c, d)) = (fit.apply(4000.0, 3000.0), TRUE.apply(4000.0, 3000.0));
        assert!((a - c).hypot(b - d) < 0.02, "{fit:?}");
    }

    #[test]
    fn windows_on_a_line_do_not_determine_an_affine() {
        let line: Vec<Tie> =
            (0..20).map(|k| (10.0 * f64::from(k), 5.0 * f64::from(k))).map(|p| Tie { model: p, image: p }).collect();
        assert_eq!(least_squares(&line, Model::Affine), None);
        assert_eq!(least_squares(&line, Model::Shift), Some(Correction::IDENTITY));
        assert!(consensus(&[], Model::Shift, 1.0).is_none());
    }
}
