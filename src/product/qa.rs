//! The bits of the `qa` product, as data: what a table in the documentation, a STAC Item and a reader need.

use fieldglow_kernels::state;

/// One bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Bit {
    /// Position, 0 the lowest.
    pub offset: u8,
    /// Short name.
    pub name: &'static str,
    /// What it says when set.
    pub description: &'static str,
}

/// The bits that may be set, lowest first. Bits 1 to 7 are left to the classes Landsat Collection 2 has there.
pub const BITS: &[Bit] = &[
    Bit {
        offset: state::NODATA.trailing_zeros() as u8,
        name: "nodata",
        description: "no measurement in any band; no other bit is set",
    },
    Bit {
        offset: state::SATURATED.trailing_zeros() as u8,
        name: "saturated",
        description: "at least one band reached the ceiling of its digitisation, or was interpolated from such a sample",
    },
    Bit {
        offset: state::PARTIAL.trailing_zeros() as u8,
        name: "partial",
        description: "at least one band is invalid while another is valid",
    },
    Bit {
        offset: state::CLIPPED.trailing_zeros() as u8,
        name: "clipped",
        description: "at least one product value was clipped to fit its stored type",
    },
    Bit {
        offset: state::EDGE.trailing_zeros() as u8,
        name: "edge",
        description: "interpolated next to invalid samples, with the weights of the valid ones alone",
    },
    Bit {
        offset: state::OCCLUDED.trailing_zeros() as u8,
        name: "occluded",
        description: "terrain hides the ground from the sensor: the values are those of the terrain in front of it",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_bit_in_order() {
        let all = BITS.iter().fold(0u16, |a, b| a | 1 << b.offset);
        let states = [state::NODATA, state::SATURATED, state::PARTIAL, state::CLIPPED, state::EDGE, state::OCCLUDED];
        assert_eq!(all, states.iter().fold(0, |a, s| a | s));
        assert!(BITS.windows(2).all(|w| w[0].offset < w[1].offset));
    }
}
