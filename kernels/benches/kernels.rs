//! Kernels on one strip of pixels, as the engine calls them: `cargo bench -p fieldglow-kernels`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fieldglow_kernels::expression::{self, Function, Input, Operand, Out, Outcome, Step};
use fieldglow_kernels::linear::Linear;
use fieldglow_kernels::quantize::{self, Rounding, Scale};
use fieldglow_kernels::resample::{self, Kernel, Places, Row, Source, Taps};
use fieldglow_kernels::stats::IntegerStats;
use fieldglow_kernels::{height, pyramid, rpc, state, stats};

const ROWS: usize = 64;
const COLS: usize = 1024;
const PIXELS: usize = ROWS * COLS;

fn samples(n: usize) -> Vec<f32> {
    (0..n).map(|i| (200 + (i * 7919) % 3000) as f32).collect()
}

fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("strip");
    group.throughput(Throughput::Elements(PIXELS as u64));

    let planes = samples(4 * PIXELS);
    let linear = Linear { gain: 2.4e-4, bias: 0.01 };
    let steps = Rounding::new(Scale { step: 1e-4, min: -32767, max: 32767, nodata: -32768 });
    let (mut stored, mut marked) = (vec![0i16; PIXELS], vec![0u16; PIXELS]);
    group.bench_function("quantize_i16", |b| {
        b.iter(|| quantize::quantize_i16(black_box(&planes[..PIXELS]), linear, steps, &mut stored, &mut marked));
    });

    let ndvi = [
        Step { function: Function::Sub, a: Operand::Input(0), b: Operand::Input(1), to: 0 },
        Step { function: Function::Add, a: Operand::Input(0), b: Operand::Input(1), to: 1 },
        Step { function: Function::Div, a: Operand::Register(0), b: Operand::Register(1), to: 0 },
    ];
    let inputs = [&planes[..PIXELS], &planes[PIXELS..2 * PIXELS]].map(|samples| Input { samples, linear });
    let outcomes = [Outcome { after: ndvi.len(), value: Operand::Register(0) }];
    let mut scratch = expression::Scratch::default();
    group.bench_function("expression_ndvi", |b| {
        b.iter(|| {
            let outs = &mut [Out::Steps(steps, &mut stored)];
            expression::evaluate((&ndvi, &outcomes), black_box(&inputs), &mut scratch, outs, &mut marked)
        });
    });

    for bands in [1, 4] {
        let tile: Vec<i16> = (0..bands * PIXELS).map(|i| ((i * 7919) % 9000) as i16).collect();
        let shape = pyramid::Shape { rows: ROWS, cols: COLS, stride: bands };
        let mut half = vec![0i16; shape.halved().samples()];
        group.bench_function(format!("average_i16_{bands}"), |b| {
            b.iter(|| pyramid::average_i16(black_box(&tile), shape, -32768, &mut half));
        });
        group.bench_function(format!("statistics_{bands}"), |b| {
            let mut sums = vec![IntegerStats::default(); bands];
            b.iter(|| stats::add_interleaved(&mut sums, black_box(&tile), -32768));
        });
    }

    let mut states = vec![0u16; PIXELS];
    let shape = pyramid::Shape { rows: ROWS, cols: COLS, stride: 1 };
    let mut half = vec![0u16; shape.halved().samples()];
    group.bench_function("bits_u16", |b| b.iter(|| pyramid::bits_u16(black_box(&states), shape, 1, &mut half)));
    let mut side_by_side = planes.clone();
    group.bench_function("mark_pixels", |b| {
        b.iter(|| state::mark_pixels(black_box(&mut side_by_side), 4, 0.0, 4095.0, &mut states));
    });
    group.bench_function("mark_invalid", |b| b.iter(|| state::mark_invalid(black_box(&planes), &mut states)));

    let (rows, cols) = (ROWS + 20, COLS + 40);
    let source = samples(4 * rows * cols);
    let source_state = vec![0u16; rows * cols];
    // A saturated pixel here and there: states are looked up.
    let spotted: Vec<u16> = (0..rows * cols).map(|i| if i % 10_007 == 0 { state::SATURATED } else { 0 }).collect();
    let col: Vec<f64> = (0..COLS).map(|i| 3.3 + i as f64 * 1.01).collect();
    let row: Vec<f64> = (0..COLS).map(|i| 2.1 + i as f64 * 0.013).collect();
    let (mut out, mut out_state, mut taps) = (vec![0f32; 4 * PIXELS], vec![0u16; COLS], Taps::with_capacity(COLS));
    let size = vec![1.01; COLS];
    for (name, kernel) in [
        ("bilinear", Kernel::Bilinear),
        ("cubic", Kernel::Cubic),
        ("lanczos", Kernel::Lanczos),
        ("average", Kernel::Average),
    ] {
        for (bands, states, clean) in [(4, &source_state, true), (4, &spotted, false), (1, &source_state, true)] {
            let samples = &source[..bands * rows * cols];
            group.bench_function(format!("{name}_{bands}{}", if clean { "" } else { "_spotted" }), |b| {
                b.iter(|| {
                    for r in 0..ROWS {
                        let src = Source { samples, bands, state: states, clean, rows, cols };
                        let places = Places { col: &col, row: &row, width: &size, height: &size };
                        let planes = &mut out[..bands * PIXELS];
                        let mut to = Row { planes, plane_len: PIXELS, offset: r * COLS, state: &mut out_state };
                        resample::row(kernel, black_box(src), places, &mut taps, &mut to);
                    }
                });
            });
        }
    }

    let coefficients = |k: usize| std::array::from_fn(|i| if i == k { 1.0 } else { 1e-4 / (1.0 + i as f64) });
    let model = rpc::Model {
        ground_off: [125.3, 43.9, 220.0],
        ground_scale: [0.2, 0.15, 500.0],
        image_off: [4000.0, 3000.0],
        image_scale: [4100.0, 3100.0],
        col: [coefficients(1), coefficients(0)],
        row: [coefficients(2), coefficients(0)],
    };
    let lon: Vec<f64> = (0..PIXELS).map(|i| 125.2 + (i % COLS) as f64 * 2e-6).collect();
    let lat: Vec<f64> = (0..PIXELS).map(|i| 43.8 + (i / COLS) as f64 * 2e-6).collect();
    let metres = vec![215.0; PIXELS];
    let (mut x, mut y) = (vec![0.0; PIXELS], vec![0.0; PIXELS]);
    group.bench_function("rpc", |b| {
        b.iter(|| model.image_from_ground(black_box(&lon), &lat, &metres, &mut x, &mut y));
    });

    let terrain: Vec<f32> = samples(120 * 120);
    let surface = height::Surface { heights: &terrain, rows: 120, cols: 120 };
    let dem_col: Vec<f64> = (0..PIXELS).map(|i| 2.0 + (i % COLS) as f64 * 0.1).collect();
    let dem_row: Vec<f64> = (0..PIXELS).map(|i| 2.0 + (i / COLS) as f64 * 0.1).collect();
    let mut heights = vec![0.0; PIXELS];
    group.bench_function("height", |b| {
        b.iter(|| height::sample(black_box(surface), &dem_col, &dem_row, &mut heights));
    });
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
