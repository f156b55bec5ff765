//! From physical values to stored ones: what each product holds, and how it is written down.
//!
//! Invariant: no valid value is ever stored as the nodata value, and a value that had to be clipped is counted and marked
//! in the state plane. Products are therefore evaluated before `qa`, which stores that plane.

pub mod formula;
pub mod indices;
pub mod qa;
pub mod sharpen;
pub mod together;

use fieldglow_kernels::expression::Out;
use fieldglow_kernels::quantize::{self, Rounding, Scale};
use fieldglow_kernels::{expression, resample, state};

use self::together::Together;
use crate::raster::{Block, Linear, RawTile, Samples};
use crate::scene::Role;

/// What a product holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Program {
    /// Band values in this order.
    Bands(Vec<Role>),
    /// A spectral index.
    Index(&'static indices::Row),
    /// Net radiance of lights: above the dark level.
    Night(Vec<NightBand>),
    /// Bands stretched for the eye.
    Preview(Vec<ShownBand>),
    /// Bands with the detail of PAN.
    Pansharpen(Box<sharpen::Sharpening>),
    /// The state plane.
    Qa,
}

/// A band of a night product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NightBand {
    /// The band.
    pub role: Role,
    /// What unlit ground shows, DN; NaN until it is known, and then nothing is valid.
    pub dark_dn: f64,
    /// Net radiance from which on a pixel is lit, W·m⁻²·sr⁻¹·µm⁻¹.
    pub lit: f64,
}

/// A band of a preview.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShownBand {
    /// The band.
    pub role: Role,
    /// DN that become black and white; NaN until they are known, and then nothing is valid.
    pub range_dn: (f64, f64),
}

/// How physical values are written down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    /// int16, scale 0.0001, nodata −32768, clipped at ±3.2767.
    ScaledI16,
    /// float32, nodata NaN.
    F32,
    /// uint16 bits, nodata 1 (bit 0).
    Bits,
    /// uint8 for the eye, 1 black, 255 white, nodata 0.
    Shown,
}

/// How an overview pixel follows from the finer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverviewRule {
    /// Average of the valid ones.
    Average,
    /// AND of the nodata bit, OR of all others.
    Bits,
}

/// Step of [`Encoding::ScaledI16`].
pub const SCALE: f64 = 1e-4;
/// Nodata of [`Encoding::ScaledI16`]: −9999, the field's habit, is a legal index value.
pub const NODATA_I16: i16 = i16::MIN;
/// Nodata of [`Encoding::Shown`].
pub const NODATA_U8: u8 = 0;

const SCALED: Rounding = Rounding::new(Scale { step: SCALE, min: -32767, max: 32767, nodata: NODATA_I16 as i32 });

impl Encoding {
    /// The stored value of invalid pixels.
    pub fn nodata(self) -> f64 {
        match self {
            Self::ScaledI16 => f64::from(NODATA_I16),
            Self::F32 => f64::NAN,
            Self::Bits => f64::from(state::NODATA),
            Self::Shown => f64::from(NODATA_U8),
        }
    }

    /// Physical value of one stored step.
    pub fn scale(self) -> f64 {
        match self {
            Self::ScaledI16 => SCALE,
            Self::F32 | Self::Bits | Self::Shown => 1.0,
        }
    }

    /// Bytes of a sample.
    pub fn sample_bytes(self) -> usize {
        match self {
            Self::Shown => 1,
            Self::ScaledI16 | Self::Bits => 2,
            Self::F32 => 4,
        }
    }

    /// How overviews are made.
    pub fn overview_rule(self) -> OverviewRule {
        match self {
            Self::ScaledI16 | Self::F32 | Self::Shown => OverviewRule::Average,
            Self::Bits => OverviewRule::Bits,
        }
    }

    /// Stored samples, all invalid.
    pub fn invalid_samples(self, n: usize) -> Samples {
        match self {
            Self::ScaledI16 => Samples::I16(vec![NODATA_I16; n]),
            Self::F32 => Samples::F32(vec![f32::NAN; n]),
            Self::Bits => Samples::U16(vec![state::NODATA; n]),
            Self::Shown => Samples::U8(vec![NODATA_U8; n]),
        }
    }
}

/// A product ready to be evaluated on blocks of one lattice.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Name of its file and asset.
    pub name: String,
    /// What it holds.
    pub program: Program,
    /// How it is written down.
    pub encoding: Encoding,
}

/// Buffers reused from strip to strip.
#[derive(Debug, Default)]
pub struct Scratch {
    values: Vec<f64>,
    machine: expression::Scratch,
    stored: Stored,
    shown: Vec<u8>,
    planes: Vec<usize>,
    sharpen: sharpen::Scratch,
}

/// What happened to values on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clipped to fit their stored type.
    pub clipped: u64,
    /// Pansharpened with less detail than their ratio asks for.
    pub held: u64,
}

/// Stored samples, band after band, before they stand side by side.
#[derive(Debug, Default)]
struct Stored {
    integers: Vec<i16>,
    floats: Vec<f32>,
}

/// Computes the pixels of a block for all products of a layer, of which `together` are the indices, and writes them to the
/// one of `outs` in the place of each; returns what happened to their values.
///
/// # Shape
/// Each of `outs` has the pixels of the block, and the type and bands of its product's [`Product::raw_tile`].
///
/// # Invalid pixels
/// NaN in any band an index reads gives no data, and so does a role that the block does not have: the engine asks for blocks
/// that have all of them. Clipped pixels get [`state::CLIPPED`] in the block.
pub fn evaluate<'a>(
    products: &[Product],
    together: &Together,
    block: &mut Block,
    outs: impl Iterator<Item = &'a mut RawTile>,
    scratch: &mut Scratch,
) -> Counts {
    let (mut indices, mut others) = (Vec::with_capacity(products.len()), Vec::with_capacity(products.len()));
    for (product, out) in products.iter().zip(outs) {
        match &product.program {
            Program::Index(_) => indices.push((product.encoding, &mut out.samples)),
            _ => others.push((product, out)),
        }
    }
    let mut counts = Counts { clipped: compute(together, block, indices, &mut scratch.machine), held: 0 };
    for (product, out) in others {
        let of_product = product.evaluate(block, out, scratch);
        counts.clipped += of_product.clipped;
        counts.held += of_product.held;
    }
    counts
}

/// Computes indices into samples of these encodings; returns how many values were clipped.
fn compute(
    together: &Together,
    block: &mut Block,
    outs: Vec<(Encoding, &mut Samples)>,
    machine: &mut expression::Scratch,
) -> u64 {
    let pixels = block.window.pixels();
    let plane_of = |role: &Role| block.roles.iter().position(|r| r == role);
    let planes: Option<Vec<usize>> = together.roles.iter().map(plane_of).collect();
    let (Some(planes), Some(all), Some(states)) = (planes, block.planes.as_slice(), block.state.as_slice_mut()) else {
        outs.into_iter().for_each(|(encoding, samples)| samples.fill(&encoding.invalid_samples(1)));
        return 0;
    };
    let input = |p: &usize| expression::Input { samples: &all[p * pixels..][..pixels], linear: block.linear[*p] };
    let inputs: Vec<_> = planes.iter().map(input).collect();
    // No index has samples of another type.
    let mut outs: Vec<_> = outs
        .into_iter()
        .filter_map(|(_, samples)| match samples {
            Samples::I16(to) => Some(Out::Steps(SCALED, to)),
            Samples::F32(to) => Some(Out::Singles(to)),
            Samples::U8(_) | Samples::U16(_) => None,
        })
        .collect();
    expression::evaluate((&together.steps, &together.outcomes), &inputs, machine, &mut outs, states)
}

impl Product {
    /// Samples per pixel.
    pub fn bands(&self) -> usize {
        match &self.program {
            Program::Bands(roles) => roles.len(),
            Program::Night(bands) => bands.len(),
            Program::Preview(bands) => bands.len(),
            Program::Pansharpen(s) => s.bands.len(),
            Program::Index(_) | Program::Qa => 1,
        }
    }

    /// The roles whose values it reads; those of its bands come first, in their order.
    pub fn roles(&self) -> Vec<Role> {
        match &self.program {
            Program::Bands(roles) => roles.clone(),
            Program::Index(row) => row.bands.clone(),
            Program::Night(bands) => bands.iter().map(|b| b.role).collect(),
            Program::Preview(bands) => bands.iter().map(|b| b.role).collect(),
            Program::Pansharpen(s) => s.bands.iter().map(|b| b.role).chain([Role::Pan]).collect(),
            Program::Qa => Vec::new(),
        }
    }

    /// An empty tile of this product.
    pub fn raw_tile(&self, rows: usize, cols: usize) -> RawTile {
        let bands = self.bands();
        RawTile { rows, cols, bands, samples: self.encoding.invalid_samples(rows * cols * bands) }
    }

    /// Computes the pixels of a block for a product that is no index; see [`evaluate`].
    fn evaluate(&self, block: &mut Block, out: &mut RawTile, scratch: &mut Scratch) -> Counts {
        let (pixels, bands) = (block.window.pixels(), out.bands);
        scratch.planes.clear();
        let plane_of = |role: &Role| block.roles.iter().position(|r| r == role);
        let roles = self.each_role(|role| scratch.planes.extend(plane_of(role)));
        if scratch.planes.len() != roles {
            out.samples.fill(&self.encoding.invalid_samples(1));
            return Counts::default();
        }
        let Scratch { values, stored, shown, planes, sharpen, .. } = scratch;
        let mut counts = Counts::default();
        match &self.program {
            Program::Qa => {
                if let Samples::U16(to) = &mut out.samples {
                    to.copy_from_slice(block.parts().1);
                }
            }
            Program::Bands(_) | Program::Night(_) => {
                for (b, plane) in planes.iter().enumerate() {
                    let linear = match &self.program {
                        Program::Night(bands) => above(bands[b].dark_dn, block.linear[*plane]),
                        _ => block.linear[*plane],
                    };
                    let (all, states) = block.parts_mut();
                    let plane = &all[plane * pixels..(plane + 1) * pixels];
                    counts.clipped += store(plane, linear, states, self.encoding, (b, bands), stored);
                }
                side_by_side(stored, bands, &mut out.samples);
            }
            Program::Pansharpen(sharpening) => {
                let Some((pan, planes)) = planes.split_last() else { return counts };
                values.resize(pixels, f64::NAN);
                sharpening.prepare(block, planes, sharpen);
                for (b, plane) in planes.iter().enumerate() {
                    counts.held += sharpening.values(block, (b, *plane, *pan), sharpen, values);
                    let states = block.parts_mut().1;
                    counts.clipped += store(values, Linear::IDENTITY, states, self.encoding, (b, bands), stored);
                }
                side_by_side(stored, bands, &mut out.samples);
            }
            Program::Preview(shown_bands) => {
                let Samples::U8(to) = &mut out.samples else { return counts };
                shown.resize(pixels * bands, NODATA_U8);
                for ((band, plane), shown) in
                    shown_bands.iter().zip(&*planes).zip(shown.chunks_exact_mut(pixels.max(1)))
                {
                    quantize::display(block.plane(*plane), Linear::IDENTITY, band.range_dn, 1.0, shown);
                }
                resample::interleave(shown, bands, to);
            }
            // Computed together with the others of its layer.
            Program::Index(_) => {}
        }
        counts
    }

    /// Calls `f` with each role whose values it reads; returns how many there are.
    fn each_role(&self, mut f: impl FnMut(&Role)) -> usize {
        match &self.program {
            Program::Bands(roles) => roles.iter().map(f).count(),
            Program::Index(row) => row.bands.iter().map(f).count(),
            Program::Night(bands) => bands.iter().map(|b| f(&b.role)).count(),
            Program::Preview(bands) => bands.iter().map(|b| f(&b.role)).count(),
            Program::Pansharpen(s) => s.bands.iter().map(|b| &b.role).chain([&Role::Pan]).map(f).count(),
            Program::Qa => 0,
        }
    }
}

/// The radiance above that of a dark level: `gain · (DN − dark)`.
pub fn above(dark_dn: f64, radiance: Linear) -> Linear {
    Linear { gain: radiance.gain, bias: -radiance.gain * dark_dn }
}

/// Writes the values of `samples` down as band `band` of `bands`; returns how many were clipped.
fn store<S: Copy + Into<f64>>(
    samples: &[S],
    linear: Linear,
    states: &mut [u16],
    encoding: Encoding,
    (band, bands): (usize, usize),
    stored: &mut Stored,
) -> u64 {
    let n = samples.len();
    match encoding {
        Encoding::ScaledI16 => {
            stored.integers.resize(n * bands, 0);
            let to = &mut stored.integers[band * n..(band + 1) * n];
            quantize::quantize_i16(samples, linear, SCALED, to, states)
        }
        Encoding::F32 => {
            stored.floats.resize(n * bands, 0.0);
            quantize::float(samples, linear, &mut stored.floats[band * n..(band + 1) * n]);
            0
        }
        Encoding::Bits | Encoding::Shown => 0,
    }
}

/// Puts the bands that were written down side by side.
fn side_by_side(stored: &Stored, bands: usize, out: &mut Samples) {
    match out {
        Samples::I16(out) => resample::interleave(&stored.integers, bands, out),
        Samples::F32(out) => resample::interleave(&stored.floats, bands, out),
        Samples::U16(_) | Samples::U8(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Window;

    fn block() -> Block {
        let mut b = Block::invalid(Window::new(0, 0, 1, 3), vec![Role::R, Role::N], vec![Linear::IDENTITY; 2]);
        let (planes, states) = b.parts_mut();
        planes.copy_from_slice(&[0.1, 5.0, f32::NAN, 0.3, 0.2, 0.4]);
        states.copy_from_slice(&[0, state::SATURATED, state::PARTIAL]);
        b
    }

    /// The samples of one product, and how many were clipped.
    fn evaluated(p: &Product, b: &mut Block) -> (Samples, u64) {
        let mut out = p.raw_tile(b.window.rows, b.window.cols);
        let products = std::slice::from_ref(p);
        let counts = evaluate(products, &Together::of(products), b, [&mut out].into_iter(), &mut Scratch::default());
        (out.samples, counts.clipped)
    }

    #[test]
    fn bands_are_interleaved_quantised_and_clips_are_marked() {
        let p = Product {
            name: "r".into(),
            program: Program::Bands(vec![Role::N, Role::R]),
            encoding: Encoding::ScaledI16,
        };
        let mut b = block();
        let n = NODATA_I16;
        assert_eq!(evaluated(&p, &mut b), (Samples::I16(vec![3000, 1000, 2000, 32767, 4000, n]), 1));
        assert_eq!(b.parts().1, [0, state::SATURATED | state::CLIPPED, state::PARTIAL]);
        let qa = Product { name: "qa".into(), program: Program::Qa, encoding: Encoding::Bits };
        assert_eq!(evaluated(&qa, &mut b).0, Samples::U16(vec![0, state::SATURATED | state::CLIPPED, state::PARTIAL]));
    }

    #[test]
    fn an_index_needs_all_its_bands() {
        let p = Product {
            name: "ndvi".into(),
            program: Program::Index(indices::find("NDVI").unwrap()),
            encoding: Encoding::ScaledI16,
        };
        assert_eq!(evaluated(&p, &mut block()), (Samples::I16(vec![5000, -9231, NODATA_I16]), 0));
        let f = Product { encoding: Encoding::F32, ..p.clone() };
        let Samples::F32(v) = evaluated(&f, &mut block()).0 else { unreachable!() };
        assert!((v[0] - 0.5).abs() < 1e-6 && v[2].is_nan());
        let green = Product { program: Program::Index(indices::find("GNDVI").unwrap()), ..p };
        assert_eq!(evaluated(&green, &mut block()).0, Samples::I16(vec![NODATA_I16; 3]));
    }

    #[test]
    fn products_come_in_their_places_and_clips_of_all_are_marked() {
        let product = |program, encoding| Product { name: String::new(), program, encoding };
        let index = |key| Program::Index(indices::find(key).unwrap());
        let products = [
            product(Program::Bands(vec![Role::R]), Encoding::ScaledI16),
            product(index("NDVI"), Encoding::F32),
            product(index("DVI"), Encoding::ScaledI16),
            product(Program::Qa, Encoding::Bits),
        ];
        let mut b = block();
        b.parts_mut().0[0] = -4.0;
        let mut outs: Vec<_> = products.iter().map(|p| p.raw_tile(1, 3)).collect();
        let together = Together::of(&products);
        let counts = evaluate(&products, &together, &mut b, outs.iter_mut(), &mut Scratch::default());
        assert_eq!(counts, Counts { clipped: 4, held: 0 });
        assert_eq!(outs[0].samples, Samples::I16(vec![-32767, 32767, NODATA_I16]));
        let Samples::F32(ndvi) = &outs[1].samples else { unreachable!() };
        assert!((f64::from(ndvi[0]) - 4.3 / -3.7).abs() < 1e-6, "{ndvi:?}");
        assert_eq!(outs[2].samples, Samples::I16(vec![32767, -32767, NODATA_I16]));
        let marked = [state::CLIPPED, state::CLIPPED | state::SATURATED, state::PARTIAL];
        assert_eq!(outs[3].samples, Samples::U16(marked.to_vec()));
    }
}
