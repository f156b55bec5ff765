//! Colours of values.

/// A run of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ramp {
    /// Brown (bare or water) over yellow to dark green (dense).
    Vegetation,
    /// Brown (dry) over white to blue (water).
    Water,
    /// Black over violet and orange to light yellow, even in lightness.
    Heat,
}

type Stop = (f64, [u8; 3]);

const VEGETATION: [Stop; 5] = [
    (0.0, [110, 75, 45]),
    (0.25, [205, 170, 105]),
    (0.45, [245, 235, 165]),
    (0.7, [110, 175, 75]),
    (1.0, [10, 75, 35]),
];
const WATER: [Stop; 5] = [
    (0.0, [130, 85, 40]),
    (0.35, [225, 200, 150]),
    (0.5, [245, 245, 240]),
    (0.65, [130, 185, 220]),
    (1.0, [15, 60, 130]),
];
const HEAT: [Stop; 5] =
    [(0.0, [5, 5, 20]), (0.25, [85, 20, 105]), (0.5, [185, 55, 80]), (0.75, [245, 140, 45]), (1.0, [250, 245, 170])];

impl Ramp {
    /// The colour at a share of the range; what is outside of 0 to 1 has the colour of that end.
    pub fn color(self, share: f64) -> [u8; 3] {
        let stops: &[Stop] = match self {
            Self::Vegetation => &VEGETATION,
            Self::Water => &WATER,
            Self::Heat => &HEAT,
        };
        let share = share.clamp(0.0, 1.0);
        let upper = stops.iter().position(|(at, _)| *at >= share).unwrap_or(stops.len() - 1).max(1);
        let ((from, a), (to, b)) = (stops[upper - 1], stops[upper]);
        let t = ((share - from) / (to - from)).clamp(0.0, 1.0);
        [0, 1, 2].map(|k| (f64::from(a[k]) + t * (f64::from(b[k]) - f64::from(a[k]))).round() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_have_their_colours_and_between_them_it_is_linear() {
        for (ramp, stops) in [(Ramp::Vegetation, VEGETATION), (Ramp::Water, WATER), (Ramp::Heat, HEAT)] {
            assert!(stops.iter().all(|(at, color)| ramp.color(*at) == *color));
            assert_eq!(ramp.color(-3.0), stops[0].1);
            assert_eq!(ramp.color(f64::INFINITY), stops[4].1);
        }
        assert_eq!(Ramp::Vegetation.color(0.125), [158, 123, 75]);
    }
}
