//! What grows and stands on the scene plane: top-of-atmosphere reflectance at any point, from a hash of the seed.
//!
//! A [`Cover`] that is a field has *one* reflectance everywhere: patches of truth rest on that. Anything with texture
//! must not claim to be a field.

use super::random::{fraction, hash, hash_cell};

/// Number of bands a point of the ground is known in.
pub(super) const BANDS: usize = 5;

/// Top-of-atmosphere reflectance per band: pan, blue, green, red, near infrared.
pub(super) type Reflectance = [f32; BANDS];

/// Share of blue, green, red and near infrared reflectance in the panchromatic one.
pub(super) const PAN_MIX: [f32; 4] = [0.20, 0.30, 0.25, 0.25];

/// Mean distance of the lines that divide the land into blocks, along and across the field direction, metres.
const BLOCK_M: [f64; 2] = [640.0, 430.0];
/// Lines are moved by up to this share of their distance.
const JITTER: f64 = 0.16;
/// Direction of the fields against east, radians: edges must not follow the pixels.
const FIELD_ANGLE: f64 = 0.30;
/// Narrowest and widest field, metres.
const FIELD_WIDTH_M: (f64, f64) = (60.0, 400.0);
/// Every so many lines one carries a road.
const ROAD_EVERY: i64 = 3;
pub(super) const ROAD_HALF_WIDTH_M: f64 = 4.0;
const TRACK_HALF_WIDTH_M: f64 = 1.2;
const RIVER_HALF_WIDTH_M: f64 = 45.0;
/// Distance of the river from the scene centre, across the field direction, metres.
const RIVER_OFFSET_M: f64 = 850.0;
/// Amplitude and wavelength of the river's two bends, metres.
const RIVER_BENDS: [(f64, f64); 2] = [(220.0, 3700.0), (90.0, 1300.0)];

/// Blue, green, red and near infrared.
type FourBands = [f32; 4];

/// Crops and other uniform covers: name, weight, reflectance. Values are those of a clear July day seen from orbit, so
/// they contain the haze.
const FIELDS: [(&str, u64, FourBands); 8] = [
    ("maize", 34, [0.100, 0.104, 0.072, 0.420]),
    ("rice", 18, [0.093, 0.092, 0.066, 0.330]),
    ("soybean", 16, [0.101, 0.110, 0.076, 0.490]),
    ("bare-soil", 12, [0.130, 0.150, 0.180, 0.250]),
    ("fallow", 9, [0.118, 0.128, 0.136, 0.235]),
    ("stubble", 5, [0.140, 0.165, 0.200, 0.290]),
    ("greenhouse", 3, [0.350, 0.360, 0.365, 0.400]),
    ("pond", 3, [0.090, 0.078, 0.050, 0.030]),
];
const ROAD: FourBands = [0.215, 0.230, 0.245, 0.280];
const TRACK: FourBands = [0.140, 0.155, 0.175, 0.230];
const RIVER: FourBands = [0.095, 0.088, 0.060, 0.035];
const FOREST: FourBands = [0.086, 0.078, 0.052, 0.350];
const ROOF: FourBands = [0.210, 0.215, 0.225, 0.265];
const STREET: FourBands = [0.135, 0.135, 0.140, 0.190];
/// Lots of a town along and across the field direction, metres.
pub(super) const LOT_M: [f64; 2] = [24.0, 18.0];
/// Percent of the blocks that are forest and town.
const FOREST_PERCENT: u64 = 9;
const TOWN_PERCENT: u64 = 8;

/// Reflectance of a cloud in all bands, the width of its rim, through which the ground shines, and of its billows, metres.
const CLOUD: f32 = 0.5;
const CLOUD_RIM_M: f64 = 150.0;
const CLOUD_BILLOW_M: f64 = 90.0;

/// What a point of the ground is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    /// Uniform: `key` tells fields apart, `kind` is its position in the list of kinds.
    Field {
        key: u64,
        kind: usize,
    },
    Forest,
    Town,
    Road,
    Track,
    River,
    Cloud,
}

/// A rectangle in the field direction that one field fills, roads and river aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel {
    /// Centre on the scene plane, metres.
    pub x: f64,
    /// Centre on the scene plane, metres.
    pub y: f64,
    /// Half of its shorter side, metres.
    pub half_width_m: f64,
}

/// One block: a mesh of the jittered grid, in field coordinates.
struct Block {
    hash: u64,
    /// Lower and upper edge along both axes, metres.
    edges: [[f64; 2]; 2],
}

/// The land of one seed.
#[derive(Debug, Clone)]
pub(super) struct Land {
    seed: u64,
    season: u64,
    cloud_radius_m: f64,
    cos: f64,
    sin: f64,
}

impl Land {
    /// The land of a seed, anchored to the scene centre.
    pub(super) fn new(seed: u64) -> Self {
        let (sin, cos) = FIELD_ANGLE.sin_cos();
        Self { seed: hash(seed, 0x1A4D), season: 0, cloud_radius_m: 0.0, cos, sin }
    }

    /// The same land at another date: other crops on the same fields; at 0 those of the seed.
    pub(super) fn at_season(self, season: u64) -> Self {
        Self { season, ..self }
    }

    /// The same land with a round cloud of this area over it, opaque but for its rim; it lies on the ground, so it has no
    /// shadow and no parallax.
    pub(super) fn under_cloud(self, area_m2: f64) -> Self {
        Self { cloud_radius_m: (area_m2 / std::f64::consts::PI).sqrt(), ..self }
    }

    /// Name of a kind of field.
    pub(super) fn kind_name(kind: usize) -> &'static str {
        FIELDS.get(kind).map_or("unknown", |f| f.0)
    }

    /// A position of the scene plane along and across the field direction.
    ///
    /// # Units
    /// Metres.
    pub(super) fn field_coordinates(&self, x: f64, y: f64) -> [f64; 2] {
        [x * self.cos + y * self.sin, y * self.cos - x * self.sin]
    }

    /// The position of the scene plane at field coordinates.
    ///
    /// # Units
    /// Metres.
    pub(super) fn plane_coordinates(&self, uv: [f64; 2]) -> (f64, f64) {
        (uv[0] * self.cos - uv[1] * self.sin, uv[1] * self.cos + uv[0] * self.sin)
    }

    /// Lines that divide the land into blocks, those from `low` to `high` along an axis: index and position. They run
    /// along the other axis.
    ///
    /// # Units
    /// Metres.
    pub(super) fn lines(&self, axis: usize, low: f64, high: f64) -> impl Iterator<Item = (i64, f64)> {
        let index = |at: f64| (at / BLOCK_M[axis]).floor() as i64;
        (index(low) - 1..=index(high) + 2)
            .map(move |line| (line, self.line(axis, line)))
            .filter(move |(_, at)| (low..=high).contains(at))
    }

    /// True if the line with this index carries a road, false if it carries a track.
    pub(super) fn is_road(line: i64) -> bool {
        line.rem_euclid(ROAD_EVERY) == 0
    }

    fn line(&self, axis: usize, index: i64) -> f64 {
        let shift = fraction(hash_cell(self.seed, axis as i64 - 7, index)) * 2.0 - 1.0;
        (index as f64 + JITTER * shift) * BLOCK_M[axis]
    }

    /// Index of the block along an axis and its two edges.
    fn interval(&self, axis: usize, at: f64) -> (i64, [f64; 2]) {
        let index = (at / BLOCK_M[axis]).floor() as i64;
        let [low, high] = [self.line(axis, index), self.line(axis, index + 1)];
        if at < low {
            (index - 1, [self.line(axis, index - 1), low])
        } else if at >= high {
            (index + 1, [high, self.line(axis, index + 2)])
        } else {
            (index, [low, high])
        }
    }

    fn block(&self, i: i64, j: i64, edges: [[f64; 2]; 2]) -> Block {
        Block { hash: hash_cell(self.seed, i, j), edges }
    }

    /// What stands at a position of the scene plane, and its reflectance.
    ///
    /// # Units
    /// Metres; reflectance 0 to 1.
    pub(super) fn at(&self, x: f64, y: f64) -> (Cover, Reflectance) {
        let (cover, reflectance) = self.below_cloud(x, y);
        if self.cloud_radius_m == 0.0 {
            return (cover, reflectance);
        }
        // Off the centre, so that what is left to see is not the same on all sides.
        let from_centre = (x - 0.3 * self.cloud_radius_m).hypot(y + 0.2 * self.cloud_radius_m);
        let rim = CLOUD_RIM_M.min(self.cloud_radius_m);
        let cover_share = ((self.cloud_radius_m - from_centre) / rim).clamp(0.0, 1.0) as f32;
        if cover_share == 0.0 {
            return (cover, reflectance);
        }
        let billows = self.smooth_noise([x, y], CLOUD_BILLOW_M, hash(0xC1, self.season)) as f32;
        let white = CLOUD * (0.85 + 0.3 * billows);
        (Cover::Cloud, reflectance.map(|v| v + cover_share * (white - v)))
    }

    fn below_cloud(&self, x: f64, y: f64) -> (Cover, Reflectance) {
        let uv = self.field_coordinates(x, y);
        if is_river(uv) {
            return (Cover::River, with_pan(RIVER));
        }
        let (i, edges_u) = self.interval(0, uv[0]);
        let (j, edges_v) = self.interval(1, uv[1]);
        for (axis, index, edges) in [(0, i, edges_u), (1, j, edges_v)] {
            for (line, distance) in [(index, uv[axis] - edges[0]), (index + 1, edges[1] - uv[axis])] {
                if Self::is_road(line) && distance < ROAD_HALF_WIDTH_M {
                    return (Cover::Road, with_pan(ROAD));
                }
                if distance < TRACK_HALF_WIDTH_M {
                    return (Cover::Track, with_pan(TRACK));
                }
            }
        }
        let block = self.block(i, j, [edges_u, edges_v]);
        let percent = block.hash % 100;
        if percent < FOREST_PERCENT {
            return (Cover::Forest, self.forest(uv));
        }
        if percent < FOREST_PERCENT + TOWN_PERCENT {
            return (Cover::Town, self.town(uv));
        }
        let (axis, strips) = block.strips();
        let [low, high] = block.edges[axis];
        let strip = ((uv[axis] - low) / (high - low) * strips as f64) as u64;
        let key = hash(block.hash, strip.min(strips - 1));
        let (kind, reflectance) = field(if self.season == 0 { key } else { hash(key, self.season) });
        (Cover::Field { key, kind }, reflectance)
    }

    /// Crowns about 6 m wide in stands of 40 m.
    fn forest(&self, uv: [f64; 2]) -> Reflectance {
        let crowns = self.smooth_noise(uv, 6.0, 0xF0) - 0.5;
        let stands = self.smooth_noise(uv, 40.0, 0xF1) - 0.5;
        let factor = (1.0 + 0.30 * crowns + 0.25 * stands) as f32;
        with_pan(FOREST.map(|v| v * factor))
    }

    /// Buildings on lots of 24 by 18 m with streets between.
    fn town(&self, uv: [f64; 2]) -> Reflectance {
        let lot = [uv[0] / LOT_M[0], uv[1] / LOT_M[1]];
        let (i, j) = (lot[0].floor(), lot[1].floor());
        let inside = lot[0] - i > 0.22 && lot[1] - j > 0.28;
        let (i, j) = (i as i64, j as i64);
        if inside && self.has_building(i, j) {
            let brightness = (0.6 + 0.9 * fraction(self.lot_hash(i, j))) as f32;
            with_pan(ROOF.map(|v| v * brightness))
        } else {
            with_pan(STREET)
        }
    }

    fn lot_hash(&self, i: i64, j: i64) -> u64 {
        hash_cell(self.seed ^ 0x70, i, j)
    }

    /// True if a building stands on a lot of a town.
    pub(super) fn has_building(&self, i: i64, j: i64) -> bool {
        !self.lot_hash(i, j).is_multiple_of(4)
    }

    /// Values 0 to 1 at the corners of square meshes, joined without kinks.
    fn smooth_noise(&self, uv: [f64; 2], mesh_m: f64, salt: u64) -> f64 {
        let [u, v] = uv.map(|c| c / mesh_m);
        let (i, j) = (u.floor(), v.floor());
        let ease = |t: f64| t * t * (3.0 - 2.0 * t);
        let (s, t) = (ease(u - i), ease(v - j));
        let corner = |di, dj| fraction(hash_cell(self.seed ^ salt, i as i64 + di, j as i64 + dj));
        let lower = corner(0, 0) * (1.0 - s) + corner(1, 0) * s;
        let upper = corner(0, 1) * (1.0 - s) + corner(1, 1) * s;
        lower * (1.0 - t) + upper * t
    }

    /// Up to about `count` parcels spread over the square of half-width `half_m` around the origin, in a fixed order.
    pub(super) fn parcels(&self, half_m: f64, count: usize) -> Vec<Parcel> {
        let reach = half_m * std::f64::consts::SQRT_2;
        let [blocks_u, blocks_v] = BLOCK_M.map(|m| (reach / m).ceil() as i64 + 1);
        let total = (2 * blocks_u + 1) * (2 * blocks_v + 1);
        let mut blocks: Vec<(i64, i64)> =
            (-blocks_v..=blocks_v).flat_map(|j| (-blocks_u..=blocks_u).map(move |i| (i, j))).collect();
        // Hash order spreads the first few evenly over the whole; it is cut before the dear work.
        blocks.sort_by_key(|&(i, j)| hash_cell(self.seed ^ 0xA7C, i, j));
        let per_block = 3;
        blocks.truncate(count.div_ceil(per_block).min(total as usize));
        let mut parcels = Vec::new();
        for (i, j) in blocks {
            let edges = [[self.line(0, i), self.line(0, i + 1)], [self.line(1, j), self.line(1, j + 1)]];
            let block = self.block(i, j, edges);
            let (axis, strips) = block.strips();
            let [low, high] = block.edges[axis];
            let [other_low, other_high] = block.edges[1 - axis];
            let width = (high - low) / strips as f64;
            let first = block.hash >> 40;
            for k in 0..strips.min(per_block as u64) {
                let strip = (first + k) % strips;
                let mut uv = [0.0; 2];
                uv[axis] = low + (strip as f64 + 0.5) * width;
                uv[1 - axis] = 0.5 * (other_low + other_high);
                let (x, y) = self.plane_coordinates(uv);
                parcels.push(Parcel { x, y, half_width_m: 0.5 * width.min(other_high - other_low) });
            }
        }
        parcels
    }
}

impl Block {
    /// Axis along which the block is cut into fields, and into how many.
    fn strips(&self) -> (usize, u64) {
        let axis = usize::from(self.hash & (1 << 20) != 0);
        let length = self.edges[axis][1] - self.edges[axis][0];
        let fewest = (length / FIELD_WIDTH_M.1).ceil() as u64;
        let most = (length / FIELD_WIDTH_M.0).floor() as u64;
        (axis, fewest + (self.hash >> 24) % (most - fewest + 1))
    }
}

fn is_river(uv: [f64; 2]) -> bool {
    let from_axis = uv[1] - RIVER_OFFSET_M;
    let reach: f64 = RIVER_BENDS.iter().map(|b| b.0).sum::<f64>() + RIVER_HALF_WIDTH_M;
    from_axis.abs() < reach && {
        let bend =
            |&(amplitude, wavelength): &(f64, f64)| amplitude * (uv[0] * std::f64::consts::TAU / wavelength).sin();
        (from_axis - RIVER_BENDS.iter().map(bend).sum::<f64>()).abs() < RIVER_HALF_WIDTH_M
    }
}

/// Kind and reflectance of the field with this key: its kind's, each band varied by up to 12 %.
fn field(key: u64) -> (usize, Reflectance) {
    let total: u64 = FIELDS.iter().map(|f| f.1).sum();
    let mut ticket = (key >> 32) % total;
    let mut kind = 0;
    while ticket >= FIELDS[kind].1 {
        ticket -= FIELDS[kind].1;
        kind += 1;
    }
    let mut bands = FIELDS[kind].2;
    for (b, v) in bands.iter_mut().enumerate() {
        let byte = (key >> (8 * b)) & 0xFF;
        *v *= 0.88 + 0.24 * (byte as f32 / 255.0);
    }
    (kind, with_pan(bands))
}

fn with_pan(bands: FourBands) -> Reflectance {
    let [b, g, r, n] = bands;
    let pan = PAN_MIX[0] * b + PAN_MIX[1] * g + PAN_MIX[2] * r + PAN_MIX[3] * n;
    [pan, b, g, r, n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_cover_occurs_and_reflectance_is_physical() {
        let land = Land::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..200_000u64 {
            let (x, y) = (fraction(hash(1, i)) * 8000.0 - 4000.0, fraction(hash(2, i)) * 8000.0 - 4000.0);
            let (cover, reflectance) = land.at(x, y);
            assert!(reflectance.iter().all(|v| (0.01..0.6).contains(v)), "{cover:?} {reflectance:?}");
            seen.insert(match cover {
                Cover::Field { kind, .. } => Land::kind_name(kind),
                Cover::Forest => "forest",
                Cover::Town => "town",
                Cover::Road => "road",
                Cover::Track => "track",
                Cover::River => "river",
                Cover::Cloud => "cloud",
            });
        }
        assert_eq!(seen.len(), FIELDS.len() + 5, "{seen:?}");
    }

    #[test]
    fn a_field_has_one_reflectance() {
        let land = Land::new(9);
        let mut known = std::collections::BTreeMap::new();
        for i in 0..50_000u64 {
            let (x, y) = (fraction(hash(3, i)) * 3000.0, fraction(hash(4, i)) * 3000.0);
            if let (Cover::Field { key, .. }, r) = land.at(x, y) {
                assert_eq!(*known.entry(key).or_insert(r), r);
            }
        }
        assert!(known.len() > 40, "{}", known.len());
    }

    #[test]
    fn another_date_has_other_crops_on_the_same_fields_and_a_cloud_hides_what_it_covers() {
        let (land, later) = (Land::new(4), Land::new(4).at_season(7));
        let cloudy = Land::new(4).under_cloud(std::f64::consts::PI * 500.0 * 500.0);
        let (mut same, mut changed, mut hidden) = (0, 0, 0);
        for i in 0..20_000u64 {
            let (x, y) = (fraction(hash(5, i)) * 4000.0 - 2000.0, fraction(hash(6, i)) * 4000.0 - 2000.0);
            let ((a, before), (b, after)) = (land.at(x, y), later.at(x, y));
            match (a, b) {
                (Cover::Field { key: k, .. }, Cover::Field { key: l, .. }) => {
                    assert_eq!(k, l);
                    changed += usize::from(before != after);
                }
                _ => {
                    assert_eq!((a, before), (b, after));
                    same += 1;
                }
            }
            let (cover, bright) = cloudy.at(x, y);
            let inside = (x - 150.0).hypot(y + 100.0) < 500.0;
            assert_eq!(cover == Cover::Cloud, inside);
            hidden += usize::from(inside && bright.iter().all(|v| *v > 0.4));
            assert!(inside || bright == before);
        }
        assert!(same > 1000 && changed > 10_000 && hidden > 300, "{same} {changed} {hidden}");
    }

    #[test]
    fn water_has_negative_ndvi_and_crops_positive() {
        let ndvi = |v: FourBands| (v[3] - v[2]) / (v[3] + v[2]);
        assert!(ndvi(RIVER) < -0.2);
        assert!(ndvi(FIELDS[0].2) > 0.6);
    }

    #[test]
    fn parcels_lie_in_fields() {
        let land = Land::new(5);
        let parcels = land.parcels(3000.0, 200);
        assert!(parcels.len() > 100);
        let in_fields = parcels.iter().filter(|p| matches!(land.at(p.x, p.y).0, Cover::Field { .. })).count();
        assert!(in_fields * 10 > parcels.len() * 7, "{in_fields} of {}", parcels.len());
        assert!(parcels.iter().all(|p| p.half_width_m >= 29.9));
    }
}
