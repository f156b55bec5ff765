//! `fieldglow simulate`

use std::path::PathBuf;

use fieldglow::simulate::{self, Compression, Kind, Options, Scene};
use indicatif::ProgressBar;

use super::{Outcome, print, print_json};

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write the delivery, its DEM and its truth to.
    dir: PathBuf,
    /// Lamps at night, seen by a camera of red, green and blue, instead of farmland by day.
    #[arg(long)]
    night: bool,
    /// Another seed makes other land, lamps, relief and noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Columns and rows of the multispectral image, such as 1024 or 2048x1024; the panchromatic one has four times as many.
    #[arg(long, default_value = "1024", value_name = "N|COLSxROWS", value_parser = size)]
    size: (usize, usize),
    /// Multispectral pixel, metres; the panchromatic one is a quarter of it. [default: 3, at night 0.92]
    #[arg(long, value_name = "M")]
    gsd: Option<f64>,
    /// Longitude and latitude of the scene centre, degrees. [default: 125.35 43.88]
    #[arg(long, num_args = 2, value_names = ["LON", "LAT"], allow_negative_numbers = true)]
    center: Option<Vec<f64>>,
    /// Acquisition time. [default: 2026-07-15T02:30:00Z, at night 2026-07-15T14:30:00Z]
    #[arg(long)]
    time: Option<jiff::Timestamp>,
    /// Other crops on the same fields, and other noise, as at another date; 0 for those of the seed. By day only.
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with = "night")]
    season: u64,
    /// Share of the scene under a cloud, 0 to 1. By day only.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", conflicts_with = "night")]
    cloud: f64,
    /// Lines and samples, in multispectral pixels, by which the written RPC are wrong: a pointing error. [default: 0 0]
    #[arg(long, num_args = 2, value_names = ["LINES", "SAMPLES"], allow_negative_numbers = true)]
    rpc_shift: Option<Vec<f64>>,
    /// Tilt of the satellite across its track, degrees.
    #[arg(long, default_value_t = 8.0, value_name = "DEG", allow_negative_numbers = true)]
    roll: f64,
    /// Amplitude of the relief, metres; 0 is flat.
    #[arg(long, default_value_t = 80.0, value_name = "M")]
    relief: f64,
    /// Spacing of the DEM, metres.
    #[arg(long, default_value_t = 30.0, value_name = "M")]
    dem_spacing: f64,
    /// Pixel of the rasters of the truth, metres; that of the panchromatic image shows what sharpening should make.
    /// [default: a multispectral pixel]
    #[arg(long, value_name = "M")]
    truth_pixel: Option<f64>,
    /// Standard deviation of the noise, DN.
    #[arg(long, default_value_t = 3.0, value_name = "DN")]
    noise: f64,
    /// Pixels are the value at their centre, not the integral over a point spread.
    #[arg(long)]
    no_psf: bool,
    /// Multispectral image only.
    #[arg(long, conflicts_with = "night")]
    no_pan: bool,
    /// Product level: `l1` (sensor geometry with RPC; at night `L1A`) or `l3` (`L3C`: orthorectified, UTM).
    #[arg(long, default_value = "l1")]
    level: Level,
    /// DEFLATE strips instead of uncompressed ones.
    #[arg(long)]
    deflate: bool,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    L1,
    L3,
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let number = |t: &str| t.parse::<usize>().map_err(|_| format!("`{text}` is no size: write 1024 or 2048x1024"));
    match text.split_once('x') {
        Some((cols, rows)) => Ok((number(cols)?, number(rows)?)),
        None => Ok((number(text)?, number(text)?)),
    }
}

pub fn run(args: &Args) -> Outcome {
    fieldglow::read::prepare_gdal(64 << 20);
    let mut options = if args.night { Options::night(&args.dir) } else { Options::new(&args.dir) };
    if let Scene::Day { pan } = &mut options.scene {
        *pan = !args.no_pan;
    }
    options.seed = args.seed;
    (options.season, options.cloud) = (args.season, args.cloud);
    if let Some([lines, samples]) = args.rpc_shift.as_deref() {
        options.rpc_shift_px = (*lines, *samples);
    }
    (options.mss_cols, options.mss_rows) = args.size;
    options.gsd_m = args.gsd.unwrap_or(options.gsd_m);
    if let Some([lon, lat]) = args.center.as_deref() {
        (options.center_lon_deg, options.center_lat_deg) = (*lon, *lat);
    }
    options.time = args.time.unwrap_or(options.time);
    options.roll_deg = args.roll;
    options.relief_m = args.relief;
    options.dem_spacing_m = args.dem_spacing;
    options.truth_m = args.truth_pixel;
    options.noise_dn = args.noise;
    options.psf = !args.no_psf;
    options.kind = match args.level {
        Level::L1 => Kind::L1,
        Level::L3 => Kind::L3,
    };
    options.compression = if args.deflate { Compression::Deflate } else { Compression::None };
    let bar = ProgressBar::new(1);
    let summary = simulate::simulate(&options, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if args.json {
        return print_json(&summary);
    }
    let mut out = String::new();
    for image in &summary.images {
        line!(out, "{}", image.display());
    }
    line!(out, "{}", summary.dem.display());
    line!(out, "{}", summary.truth.display());
    print(&out)?;
    for (part, residual) in &summary.rpc {
        eprintln!(
            "{part}: the fitted RPC misses the camera by {:.5} px at most, {:.5} px rms",
            residual.max_px, residual.rms_px
        );
    }
    Ok(())
}
