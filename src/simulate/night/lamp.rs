//! One lamp: its colour, where it stands, and the pool of light on the ground.

use std::f64::consts::PI;

/// Bands lamps are known in: red, green, blue.
pub(super) const BANDS: usize = 3;

/// A kind of lamp by the colour of its light.
#[derive(Debug, Clone, Copy)]
pub(super) struct LampKind {
    pub name: &'static str,
    /// Percent of the stretches and buildings that have it.
    pub percent: u64,
    /// Green over red and blue over green radiance.
    pub green_red: f64,
    pub blue_green: f64,
}

/// Kinds of lamps.
///
/// # Reference
/// CIE illuminants HP1, LED-B2, LED-B3 and LED-B5 (`colour-science` 0.4.7), means over red 580–720, green 489–585 and
/// blue 430–512 nm.
pub(super) const KINDS: [LampKind; 4] = [
    LampKind { name: "high-pressure-sodium", percent: 40, green_red: 0.69, blue_green: 0.25 },
    LampKind { name: "warm-led", percent: 25, green_red: 0.90, blue_green: 0.53 },
    LampKind { name: "neutral-led", percent: 20, green_red: 1.30, blue_green: 0.74 },
    LampKind { name: "cool-led", percent: 15, green_red: 1.91, blue_green: 1.05 },
];

/// Where a lamp stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Site {
    /// Beside a road.
    Road,
    /// High over a crossing of roads: bright enough to saturate the detector.
    Mast,
    /// Beside a track.
    Track,
    /// In a street of a town.
    Street,
    /// On a building.
    Building,
    /// Over a yard of a town: bright enough to saturate the detector.
    Floodlight,
}

impl Site {
    pub(super) const ALL: [Self; 6] =
        [Self::Road, Self::Mast, Self::Track, Self::Street, Self::Building, Self::Floodlight];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Road => "road",
            Self::Mast => "mast",
            Self::Track => "track",
            Self::Street => "street",
            Self::Building => "building",
            Self::Floodlight => "floodlight",
        }
    }
}

/// A lamp. Its pool falls from the middle to the rim as (1 − (r / radius)²)⁴: half of it at 0.4 of the radius.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lamp {
    /// Middle of the pool, field coordinates, metres.
    pub uv: [f64; 2],
    /// Middle of the pool on the scene plane, metres.
    pub x: f64,
    pub y: f64,
    pub radius_m: f64,
    pub site: Site,
    /// Its place in [`KINDS`].
    pub kind: usize,
    /// Radiance in the middle of the pool: red, green, blue, W·m⁻²·sr⁻¹·µm⁻¹.
    pub peak: [f64; BANDS],
}

impl Lamp {
    /// Radiance integrated over the pool, per unit of the peak.
    ///
    /// # Units
    /// Square metres.
    pub(super) fn area_m2(&self) -> f64 {
        PI * self.radius_m * self.radius_m / 5.0
    }

    /// Radiance at a place of the scene plane, per unit of the peak.
    pub(super) fn share_at(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.x, y - self.y);
        let inside = 1.0 - (dx * dx + dy * dy) / (self.radius_m * self.radius_m);
        inside.max(0.0).powi(4)
    }
}
