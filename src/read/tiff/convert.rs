//! Samples of a block, low byte first, to f32, in one pass. The values are GDAL's: integers become the nearest float.

use super::layout::Sample;

/// Which samples of a block's pixels go where in those of a window.
#[derive(Debug, Clone, Copy)]
pub enum Spread<'a> {
    /// All, as they stand.
    All,
    /// These of pixels of `of` samples.
    Chosen {
        /// Their places.
        bands: &'a [usize],
        /// Samples of a pixel in the block.
        of: usize,
    },
    /// The only one, to place `at` in pixels of `of` samples.
    Plane {
        /// Its place.
        at: usize,
        /// Samples of a pixel in the window.
        of: usize,
    },
}

impl Spread<'_> {
    /// Converts a run of pixels.
    pub fn convert(self, sample: Sample, bytes: &[u8], to: &mut [f32]) {
        match sample {
            Sample::U8 => self.run(bytes, to, |[b]| f32::from(b)),
            Sample::U16 => self.run(bytes, to, |b| f32::from(u16::from_le_bytes(b))),
            Sample::I16 => self.run(bytes, to, |b| f32::from(i16::from_le_bytes(b))),
            Sample::U32 => self.run(bytes, to, |b| u32::from_le_bytes(b) as f32),
            Sample::I32 => self.run(bytes, to, |b| i32::from_le_bytes(b) as f32),
            Sample::F32 => self.run(bytes, to, f32::from_le_bytes),
        }
    }

    #[inline(always)]
    fn run<const N: usize>(self, bytes: &[u8], to: &mut [f32], value: impl Fn([u8; N]) -> f32) {
        let (samples, _) = bytes.as_chunks::<N>();
        match self {
            Self::All | Self::Plane { of: 1, .. } => to.iter_mut().zip(samples).for_each(|(t, s)| *t = value(*s)),
            Self::Plane { at, of } => {
                to.iter_mut().skip(at).step_by(of).zip(samples).for_each(|(t, s)| *t = value(*s));
            }
            Self::Chosen { bands: [band], of } => {
                to.iter_mut().zip(samples.iter().skip(*band).step_by(of)).for_each(|(t, s)| *t = value(*s));
            }
            Self::Chosen { bands, of } => {
                for (to, pixel) in to.chunks_exact_mut(bands.len()).zip(samples.chunks_exact(of)) {
                    for (t, band) in to.iter_mut().zip(bands) {
                        *t = value(pixel[*band]);
                    }
                }
            }
        }
    }
}
