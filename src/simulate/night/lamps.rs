//! Lamps along the roads and in the towns of the land, each a pool of light on the ground.
//!
//! A lamp is a function of the seed and of where it stands. Pools end: ground beyond all of them gets no light at all.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::land::{Cover, LOT_M, Land, ROAD_HALF_WIDTH_M};
use super::super::random::{fraction, hash, hash_cell};
use super::super::render::{Sampler, Scenery};
use super::lamp::{BANDS, KINDS, Lamp, LampKind, Site};

/// Radius of the largest pool, metres.
const MAX_RADIUS_M: f64 = 36.0;
/// Edge of the squares lamps are looked up by, metres.
const CELL_M: f64 = 32.0;
/// Points this far apart do not miss the light of the smallest pool, metres.
const DETAIL_M: f64 = 1.5;

/// Lamps in a row along a line of the land.
struct Row {
    site: Site,
    cover: Cover,
    /// Mean distance of the lamps, metres.
    spacing_m: f64,
    /// Distance of the lamps from the middle of the line, metres.
    aside_m: f64,
    radius_m: f64,
    /// Radiance in the middle of a pool, mean of the bands, W·m⁻²·sr⁻¹·µm⁻¹.
    radiance: f64,
    /// Percent of the stretches without light, and of the lamps of lit stretches that are broken.
    dark_percent: u64,
    broken_percent: u64,
}

const ROAD: Row = Row {
    site: Site::Road,
    cover: Cover::Road,
    spacing_m: 31.0,
    aside_m: 3.0,
    radius_m: 22.0,
    radiance: 0.35,
    dark_percent: 8,
    broken_percent: 6,
};
const TRACK: Row = Row {
    site: Site::Track,
    cover: Cover::Track,
    spacing_m: 46.0,
    aside_m: 0.7,
    radius_m: 16.0,
    radiance: 0.10,
    dark_percent: 65,
    broken_percent: 10,
};
/// Lamps of a row in one stretch, which share kind and fate.
const STRETCH: i64 = 11;
/// Lamps are moved along the row by up to this share of their distance.
const JITTER: f64 = 0.33;
/// Radiance in the middle of the pools of masts and floodlights, mean of the bands.
const MAST_RADIANCE: f64 = 6.0;
const FLOODLIGHT_RADIANCE: f64 = 5.0;

/// Numbers drawn one after the other from a hash.
struct Draw(u64, u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.1 += 1;
        hash(self.0, self.1)
    }

    /// From `low` up to `high`.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * fraction(self.bits())
    }

    fn is(&mut self, percent: u64) -> bool {
        self.bits() % 100 < percent
    }

    fn kind(&mut self) -> usize {
        let mut ticket = self.bits() % 100;
        KINDS
            .iter()
            .position(|kind| {
                let hit = ticket < kind.percent;
                ticket = ticket.saturating_sub(kind.percent);
                hit
            })
            .unwrap_or(0)
    }
}

/// The lamps of one seed.
#[derive(Debug, Clone)]
pub(super) struct Lamps {
    land: Land,
    seed: u64,
}

impl Lamps {
    pub(super) fn new(seed: u64) -> Self {
        Self { land: Land::new(seed), seed: hash(seed, 0x1A39) }
    }

    /// Calls `each` with every lamp whose pool has its middle in a rectangle of the scene plane, and others near it, in a
    /// fixed order.
    pub(super) fn around(
        &self,
        low: [f64; 2],
        high: [f64; 2],
        mut each: impl FnMut(&Lamp) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let corners = [[low[0], low[1]], [low[0], high[1]], [high[0], low[1]], [high[0], high[1]]];
        let uv = corners.map(|[x, y]| self.land.field_coordinates(x, y));
        let cells = |axis: usize| {
            let at = uv.iter().map(|c| (c[axis] / CELL_M).floor() as i64);
            at.clone().min().unwrap_or(0)..=at.max().unwrap_or(0)
        };
        for j in cells(1) {
            for i in cells(0) {
                let low = [i as f64 * CELL_M, j as f64 * CELL_M];
                self.within(low, low.map(|c| c + CELL_M)).iter().try_for_each(&mut each)?;
            }
        }
        Ok(())
    }

    /// Lamps whose pools have their middle in a rectangle of field coordinates, its upper edges left out.
    fn within(&self, low: [f64; 2], high: [f64; 2]) -> Vec<Lamp> {
        let mut lamps = Vec::new();
        let [lines_u, lines_v]: [Vec<_>; 2] = std::array::from_fn(|axis| {
            self.land.lines(axis, low[axis] - ROAD_HALF_WIDTH_M, high[axis] + ROAD_HALF_WIDTH_M).collect()
        });
        for (axis, lines) in [(0, &lines_u), (1, &lines_v)] {
            let along = 1 - axis;
            for &(index, at) in lines {
                let row = if Land::is_road(index) { &ROAD } else { &TRACK };
                let station = |v: f64| (v / row.spacing_m).floor() as i64;
                for k in station(low[along]) - 1..=station(high[along]) + 1 {
                    lamps.extend(self.station(row, axis, (index, at), k));
                }
            }
        }
        for &(i, u) in lines_u.iter().filter(|line| Land::is_road(line.0)) {
            for &(j, v) in lines_v.iter().filter(|line| Land::is_road(line.0)) {
                lamps.extend(self.masts((i, u), (j, v)).into_iter().flatten());
            }
        }
        let lots = |axis: usize| (low[axis] / LOT_M[axis]).floor() as i64..=(high[axis] / LOT_M[axis]).floor() as i64;
        for j in lots(1) {
            for i in lots(0) {
                lamps.extend(self.lot(i, j).into_iter().flatten());
            }
        }
        lamps.retain(|lamp| (0..2).all(|axis| lamp.uv[axis] >= low[axis] && lamp.uv[axis] < high[axis]));
        lamps
    }

    /// A lamp, if the land there is what it stands on.
    fn lamp(&self, uv: [f64; 2], radius_m: f64, site: Site, kind: usize, mean: f64, cover: Cover) -> Option<Lamp> {
        let (x, y) = self.land.plane_coordinates(uv);
        let LampKind { green_red, blue_green, .. } = KINDS[kind];
        let share = [1.0, green_red, green_red * blue_green];
        let scale = mean * BANDS as f64 / share.iter().sum::<f64>();
        let stands = self.land.at(x, y).0 == cover;
        stands.then_some(Lamp { uv, x, y, radius_m, site, kind, peak: share.map(|s| s * scale) })
    }

    /// The lamp at a station of a row, if there is one and it works.
    fn station(&self, row: &Row, axis: usize, (index, at): (i64, f64), k: i64) -> Option<Lamp> {
        let seed = self.seed ^ axis as u64;
        let mut stretch = Draw(hash_cell(seed ^ 0x57E0, index, k.div_euclid(STRETCH)), 0);
        let mut own = Draw(hash_cell(seed ^ 0x1A30, index, k), 0);
        if stretch.is(row.dark_percent) || own.is(row.broken_percent) {
            return None;
        }
        let kind = stretch.kind();
        let radiance = row.radiance * stretch.between(0.5, 1.6) * own.between(0.7, 1.3);
        let mut uv = [0.0; 2];
        uv[1 - axis] = (k as f64 + 0.5 + own.between(-JITTER, JITTER)) * row.spacing_m;
        let side = if own.is(50) { 1.0 } else { -1.0 };
        uv[axis] = at + side * row.aside_m;
        self.lamp(uv, row.radius_m * own.between(0.8, 1.2), row.site, kind, radiance, row.cover)
    }

    /// Two masts at opposite corners of a crossing.
    fn masts(&self, (i, u): (i64, f64), (j, v): (i64, f64)) -> [Option<Lamp>; 2] {
        [-1.0, 1.0].map(|side| {
            let mut own = Draw(hash_cell(self.seed ^ 0x3A57, i, j) ^ (side > 0.0) as u64, 0);
            let kind = if own.is(50) { 2 } else { 3 };
            let uv = [u + side * own.between(1.5, 3.5), v + side * own.between(1.5, 3.5)];
            let radiance = MAST_RADIANCE * own.between(0.8, 1.2);
            self.lamp(uv, MAX_RADIUS_M * own.between(0.8, 1.0), Site::Mast, kind, radiance, Cover::Road)
        })
    }

    /// The lamp in the street and the light of the building of a lot, if it lies in a town.
    fn lot(&self, i: i64, j: i64) -> [Option<Lamp>; 2] {
        let mut own = Draw(hash_cell(self.seed ^ 0x107, i, j), 0);
        let mut at = |low: f64, high: f64| {
            let along = [i as f64, j as f64].map(|c| c + own.between(low, high));
            [along[0] * LOT_M[0], along[1] * LOT_M[1]]
        };
        let (in_street, on_building) = (at(0.02, 0.2), at(0.35, 0.9));
        // A quarter of a town has the same lamps: about ten lots.
        let mut quarter = Draw(hash_cell(self.seed ^ 0x9A, i.div_euclid(4), j.div_euclid(3)), 0);
        let kind = quarter.kind();
        let radiance = 0.25 * quarter.between(0.5, 1.5) * own.between(0.7, 1.3);
        let street = own
            .is(45)
            .then(|| self.lamp(in_street, own.between(12.0, 17.0), Site::Street, kind, radiance, Cover::Town));
        let is_flood = own.is(2);
        let building = (self.land.has_building(i, j) && own.is(30)).then(|| {
            let kind = own.kind();
            if is_flood {
                let radiance = FLOODLIGHT_RADIANCE * own.between(0.8, 1.3);
                self.lamp(on_building, own.between(20.0, 28.0), Site::Floodlight, kind, radiance, Cover::Town)
            } else {
                let radiance = 0.03 + 0.7 * own.between(0.0, 1.0).powi(3);
                self.lamp(on_building, own.between(7.0, 12.0), Site::Building, kind, radiance, Cover::Town)
            }
        });
        [street.flatten(), building.flatten()]
    }
}

impl Scenery for Lamps {
    fn bands(&self) -> usize {
        BANDS
    }

    fn detail_m(&self) -> f64 {
        DETAIL_M
    }

    fn sampler(&self) -> Sampler<'_> {
        // Lamps that reach a cell, for the cells met so far.
        let mut known: HashMap<[i64; 2], Rc<[Lamp]>> = HashMap::new();
        let mut here = ([i64::MAX; 2], Rc::from([]));
        Box::new(move |x, y, out| {
            let cell = self.land.field_coordinates(x, y).map(|c| (c / CELL_M).floor() as i64);
            if cell != here.0 {
                let reach = || {
                    let low = cell.map(|c| c as f64 * CELL_M - MAX_RADIUS_M);
                    self.within(low, low.map(|c| c + CELL_M + 2.0 * MAX_RADIUS_M)).into()
                };
                here = (cell, known.entry(cell).or_insert_with(reach).clone());
            }
            let mut sum = [0.0; BANDS];
            for lamp in here.1.iter() {
                let share = lamp.share_at(x, y);
                if share > 0.0 {
                    for (sum, peak) in sum.iter_mut().zip(lamp.peak) {
                        *sum += peak * share;
                    }
                }
            }
            for (out, sum) in out.iter_mut().zip(sum) {
                *out = sum as f32;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(seed: u64, half_m: f64) -> Vec<Lamp> {
        let mut lamps = Vec::new();
        let mut push = |lamp: &Lamp| {
            lamps.push(*lamp);
            Ok(())
        };
        Lamps::new(seed).around([-half_m; 2], [half_m; 2], &mut push).unwrap();
        lamps
    }

    #[test]
    fn lamps_stand_on_what_the_day_shows_there() {
        let land = Land::new(3);
        let lamps = all(3, 4000.0);
        for lamp in &lamps {
            let expected = match lamp.site {
                Site::Road | Site::Mast => Cover::Road,
                Site::Track => Cover::Track,
                Site::Street | Site::Building | Site::Floodlight => Cover::Town,
            };
            assert_eq!(land.at(lamp.x, lamp.y).0, expected, "{lamp:?}");
        }
        let count = |site| lamps.iter().filter(|l| l.site == site).count();
        let counts = Site::ALL.map(count);
        assert!(counts.iter().all(|n| *n >= 5), "{counts:?}");
    }

    #[test]
    fn rows_are_aperiodic_and_have_gaps() {
        // Positions along one road, from the rows themselves.
        let lamps = Lamps::new(1);
        let line = lamps.land.lines(0, -400.0, 400.0).find(|line| Land::is_road(line.0)).unwrap();
        let mut at: Vec<f64> = (-400..400).filter_map(|k| lamps.station(&ROAD, 0, line, k)).map(|l| l.uv[1]).collect();
        at.sort_by(f64::total_cmp);
        let gaps: Vec<f64> = at.windows(2).map(|w| w[1] - w[0]).collect();
        let (short, long) = gaps.iter().fold((f64::MAX, 0f64), |(s, l), g| (s.min(*g), l.max(*g)));
        assert!(short < 15.0 && short > 5.0, "{short}");
        assert!(long > 11.0 * 31.0, "a dark stretch: {long}");
    }

    #[test]
    fn radiances_have_the_ratios_of_their_kind() {
        let lamps = all(2, 3000.0);
        let mut seen = [0; KINDS.len()];
        for lamp in &lamps {
            let [r, g, b] = lamp.peak;
            assert!((g / r - KINDS[lamp.kind].green_red).abs() < 1e-12);
            assert!((b / g - KINDS[lamp.kind].blue_green).abs() < 1e-12);
            assert!(r > 0.0 && lamp.radius_m <= MAX_RADIUS_M);
            seen[lamp.kind] += 1;
        }
        assert!(seen.iter().all(|n| *n > 20), "{seen:?}");
        assert_eq!(KINDS.iter().map(|k| k.percent).sum::<u64>(), 100);
    }

    #[test]
    fn light_is_the_sum_of_the_pools_and_nothing_beyond_them() {
        let lamps = Lamps::new(5);
        let list = all(5, 800.0);
        let mut sample = lamps.sampler();
        let mut dark = 0;
        for k in 0..40_000u64 {
            // Half of the points near a lamp, half anywhere.
            let (a, b) = (fraction(hash(1, k)) * 2.0 - 1.0, fraction(hash(2, k)) * 2.0 - 1.0);
            let near = &list[k as usize % list.len()];
            let (x, y) = if k % 2 == 0 { (near.x + 40.0 * a, near.y + 40.0 * b) } else { (700.0 * a, 700.0 * b) };
            if x.abs().max(y.abs()) > 760.0 {
                continue;
            }
            let mut found = [0.0; BANDS];
            sample(x, y, &mut found);
            let mut expected = [0.0; BANDS];
            for lamp in &list {
                let r = (x - lamp.x).hypot(y - lamp.y) / lamp.radius_m;
                if r < 1.0 {
                    for (e, peak) in expected.iter_mut().zip(lamp.peak) {
                        *e += peak * (1.0 - r * r).powi(4);
                    }
                }
            }
            for (f, e) in found.iter().zip(expected) {
                assert!((f64::from(*f) - e).abs() <= 1e-6 * (1.0 + e), "{x} {y} {f} {e}");
                assert_eq!(*f == 0.0, e == 0.0);
            }
            dark += usize::from(found == [0.0; BANDS]);
        }
        assert!(dark > 10_000, "{dark}");
    }
}
