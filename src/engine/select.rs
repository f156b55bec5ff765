//! Which scenes, and which of their cells, a run takes.

use std::str::FromStr;

use geo::{Intersects, Polygon};
use sha2::{Digest, Sha256};

use super::plan::{Cell, ScenePlan};
use crate::error::Result;
use crate::grid::{PointTransform, nearest_period};
use crate::read::Shapes;

/// One of several runs that share the scenes of a list: scene by scene, after their parts are paired, so that every run
/// takes whole scenes and together they take each once, whatever list each of them was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(k, n)| Some((k.trim().parse().ok()?, n.trim().parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("expected K/N with K from 1 to N, such as 1/4, found `{text}`")),
        }
    }
}

impl Shard {
    /// Whether this run takes the scene with this id: SHA-256 of the id, its first eight bytes as a big-endian number,
    /// modulo N, is K − 1.
    pub fn takes(self, id: &str) -> bool {
        let digest = Sha256::digest(id.as_bytes());
        let first = digest.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        first % self.of == self.number - 1
    }
}

/// An area of interest: cells that it does not touch are not made. Pixels are never cut at its edge, so the cells are
/// the same as those of a run without it.
#[derive(Debug)]
pub struct Area {
    shapes: Shapes,
}

impl Area {
    /// An area from the shapes of a vector file.
    pub fn new(shapes: Shapes) -> Self {
        Self { shapes }
    }

    /// Whether it touches each of the cells of a plan, in their order.
    ///
    /// # Errors
    /// A cell that has no place in the reference system of the area.
    pub fn touches(&self, plan: &ScenePlan) -> Result<Vec<bool>> {
        let mut touched = vec![false; plan.cells.len()];
        for (crs, shapes) in self.shapes.layers() {
            // Cells are small, so they go to the area's system and not the other way: it may span the world.
            let transform = PointTransform::new(&plan.crs, crs)?;
            for (touched, cell) in touched.iter_mut().zip(&plan.cells) {
                let turns = outline(cell, &transform, crs.turn())?;
                *touched |= turns.iter().any(|ring| shapes.iter().any(|s| s.intersects(ring)));
            }
        }
        Ok(touched)
    }
}

/// Points along each edge of a cell, as a straight edge is a curve in another system.
const EDGE_POINTS: usize = 8;

/// The outline of a cell in another system; where that goes round the earth, also a full turn to either side, for cells and
/// areas near the antimeridian.
fn outline(cell: &Cell, transform: &PointTransform, turn: Option<f64>) -> Result<Vec<Polygon<f64>>> {
    let Some(lattice) = cell.lattices.first() else { return Ok(Vec::new()) };
    let (cols, rows) = (lattice.cols as f64, lattice.rows as f64);
    let corners = [(0.0, 0.0), (cols, 0.0), (cols, rows), (0.0, rows), (0.0, 0.0)];
    let along = |k: usize, a: f64, b: f64| a + (b - a) * k as f64 / EDGE_POINTS as f64;
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = corners
        .windows(2)
        .flat_map(|e| (0..EDGE_POINTS).map(move |k| (along(k, e[0].0, e[1].0), along(k, e[0].1, e[1].1))))
        .map(|(col, row)| lattice.transform.world_from_pixel(col, row))
        .unzip();
    transform.apply(&mut x, &mut y)?;
    if let Some(period) = turn {
        let first = x.first().copied().unwrap_or(0.0);
        x.iter_mut().for_each(|x| *x = nearest_period(*x, first, period));
    }
    let ring = |turn: f64| {
        let points: Vec<(f64, f64)> = x.iter().map(|x| x + turn).zip(y.iter().copied()).collect();
        Polygon::new(points.into(), Vec::new())
    };
    let turns = turn.map_or(vec![0.0], |period| vec![-period, 0.0, period]);
    Ok(turns.into_iter().map(ring).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_scenes_without_overlap() {
        let shards: Vec<Shard> = (1..=4).map(|k| format!("{k}/4").parse().unwrap()).collect();
        let ids: Vec<String> = (0..400).map(|k| format!("JL1KF01A_PMS06_20200618084356_{k}_101_0003_001_L1")).collect();
        let counts: Vec<usize> = shards.iter().map(|s| ids.iter().filter(|id| s.takes(id)).count()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 400);
        assert!(counts.iter().all(|n| (70..130).contains(n)), "{counts:?}");
        assert!(ids.iter().all(|id| shards.iter().filter(|s| s.takes(id)).count() == 1));
        let all: Shard = "1/1".parse().unwrap();
        assert!(ids.iter().all(|id| all.takes(id)));
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/2"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("1/4"), "{text}");
        }
    }
}
