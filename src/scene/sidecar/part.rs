//! The parts of a sidecar: images, bands, coefficients, and where the pixels are.
//!
//! All files of a part have the same pixels: they are read with one set of windows.

use std::path::{Path, PathBuf};

use super::{BAND_LIMIT, BandTable, CorrectionTable, PartTable, RadianceTable, Reader, ReflectanceTable, is_id};
use crate::grid::{Crs, GeoTransform};
use crate::scene::image::{self, Facts};
use crate::scene::rpc::Correction;
use crate::scene::{
    Band, Calibration, Fields, Part, Processing, Rpc, SceneError, SensorModel, companion, files, place, rpc_file,
};
use crate::units::RangeNm;

/// An image of a part with its facts.
struct Image {
    path: PathBuf,
    facts: Facts,
}

impl Reader<'_> {
    pub(super) fn part(&mut self, at: usize, table: PartTable) -> Result<Part, SceneError> {
        let field = |name: &str| format!("part[{at}].{name}");
        if !is_id(&table.name) {
            let remedy = "name the part `PAN`, `MSS` or the like";
            return Err(self.wrong(
                field("name"),
                "letters, digits, `_`, `-`, `.`",
                format!("`{}`", table.name),
                remedy,
            ));
        }
        if !(1..=BAND_LIMIT).contains(&table.band.len()) {
            let remedy = "write one `[[part.band]]` for each band to be used";
            let found = table.band.len().to_string();
            return Err(self.wrong(field("band"), &format!("1 to {BAND_LIMIT} bands"), found, remedy));
        }
        let mut images: Vec<Image> = Vec::new();
        let mut bands = Vec::new();
        for (number, band) in table.band.iter().enumerate() {
            bands.push(self.band(&format!("part[{at}].band[{number}]"), table.image.as_deref(), band, &mut images)?);
        }
        for (number, band) in bands.iter().enumerate() {
            if bands.iter().take(number).any(|b: &Band| b.file == band.file && b.index == band.index) {
                let remedy = "each band of a file is used once: correct `index`";
                let found = format!("band {} of `{}` twice", band.index + 1, files::file_name(&band.file));
                return Err(self.wrong(field("band"), "bands that differ", found, remedy));
            }
        }
        let Some((first, others)) = images.split_first_mut() else {
            return Err(self.wrong(field("image"), "an image", "none", "name the image of the part or of each band"));
        };
        for other in others {
            self.same_lattice(&field("band"), first, other)?;
            if table.fill.is_none() && other.facts.nodata != first.facts.nodata {
                let found = format!("{:?} and {:?}", first.facts.nodata, other.facts.nodata);
                let remedy = "state `fill`";
                return Err(self.wrong(field("fill"), "one nodata value in all files of the part", found, remedy));
            }
        }
        let fill = self.fill(&field("fill"), table.fill.as_ref(), first.facts.nodata)?;
        let sample = first.facts.sample;
        if let Some(bits) = table.data_bits.filter(|bits| *bits == 0 || *bits > sample.bits()) {
            let expected = format!("1 to {}, as the image holds {sample}", sample.bits());
            return Err(self.wrong(field("data_bits"), &expected, bits.to_string(), "correct it or leave it out"));
        }
        if let Some(gsd) = table.gsd_m {
            for metres in gsd {
                self.within(&field("gsd_m"), Some(metres), 1e-3, 1e5)?;
            }
        }
        let file = files::file_name(self.path);
        let mut processed: Vec<Processing> = Vec::new();
        for what in table.processed.iter().copied() {
            if processed.iter().all(|p| p.what != what) {
                processed.push(Processing { what, said_by: format!("`{file}`, field `{}`", field("processed")) });
            }
        }
        let sensor_model = self.sensor_model(at, &table, first)?;
        let sensor_model = self.corrected(&field("rpc_correction"), table.rpc_correction, sensor_model)?;
        Ok(Part {
            name: table.name,
            rows: first.facts.rows,
            cols: first.facts.cols,
            sample,
            bands,
            gsd_m: table.gsd_m.map(|[col, row]| (col, row)),
            data_bits: table.data_bits,
            fill,
            mtf_compensated: None,
            processed,
            sensor_model,
            fields: Fields::new(),
        })
    }

    fn fill(&self, field: &str, value: Option<&toml::Value>, nodata: Option<f64>) -> Result<Option<f64>, SceneError> {
        match value {
            None => Ok(nodata),
            Some(toml::Value::String(text)) if text == "none" => Ok(None),
            Some(toml::Value::Integer(dn)) => Ok(Some(*dn as f64)),
            Some(toml::Value::Float(dn)) if dn.is_finite() => Ok(Some(*dn)),
            Some(other) => {
                let remedy = "leave it out to use the image's own nodata value";
                Err(self.wrong(field, "a finite number or \"none\"", format!("`{other}`"), remedy))
            }
        }
    }

    fn band(
        &self,
        field: &str,
        part_image: Option<&str>,
        table: &BandTable,
        images: &mut Vec<Image>,
    ) -> Result<Band, SceneError> {
        let Some(name) = table.image.as_deref().or(part_image) else {
            let remedy = "write `image` in the part, or in each of its bands";
            return Err(self.wrong(format!("{field}.image"), "an image", "none, neither here nor in the part", remedy));
        };
        let file = files::inside(self.root, name, self.path, &format!("{field}.image"))?;
        let known = images.iter().position(|image| image.path == file);
        let at = match known {
            Some(at) => at,
            None => {
                images.push(Image { facts: image::facts(&file)?, path: file.clone() });
                images.len() - 1
            }
        };
        let count = images.get(at).map_or(0, |image| image.facts.bands);
        let index = match table.index {
            Some(index) if (1..=count).contains(&index) => index,
            None if count == 1 => 1,
            other => {
                let found = other.map_or("nothing".into(), |i| i.to_string());
                let expected = format!("1 to {count}, the bands of `{name}`");
                return Err(self.wrong(format!("{field}.index"), &expected, found, "number the bands from 1"));
            }
        };
        let range_nm = match table.range_nm {
            None => None,
            Some([min, max]) if 100.0 <= min && min < max && max <= 1e5 => Some(RangeNm { min, max }),
            Some(found) => {
                let remedy = "write the band's limits in nanometres, the shorter first";
                return Err(self.wrong(
                    format!("{field}.range_nm"),
                    "[a, b] with 100 ≤ a < b",
                    format!("{found:?}"),
                    remedy,
                ));
            }
        };
        Ok(Band {
            role: table.role,
            file,
            index: index - 1,
            name: table.name.clone().unwrap_or_else(|| table.role.code().into()),
            range_nm,
            calibration: self.calibration(field, table)?,
        })
    }

    fn calibration(&self, field: &str, table: &BandTable) -> Result<Calibration, SceneError> {
        let file = files::file_name(self.path);
        let check = |key: &str, gain: f64, bias: f64| {
            if gain.is_finite() && gain > 0.0 && bias.is_finite() {
                return Ok(());
            }
            let found = format!("gain {gain}, bias {bias}");
            Err(self.wrong(format!("{field}.{key}"), "a finite gain above 0 and a finite bias", found, "correct it"))
        };
        match (&table.radiance, &table.reflectance) {
            (Some(_), Some(_)) => {
                let remedy = "keep the one the vendor states, the other follows from it";
                Err(self.wrong(field, "`radiance` or `reflectance`", "both", remedy))
            }
            (Some(radiance), None) => {
                let RadianceTable { gain, bias } = *radiance;
                check("radiance", gain, bias)?;
                Ok(Calibration::Radiance { gain, bias, source: format!("{file}: {field}.radiance") })
            }
            (None, Some(reflectance)) => {
                let ReflectanceTable { gain, bias, sun_corrected } = *reflectance;
                check("reflectance", gain, bias)?;
                Ok(Calibration::Reflectance {
                    gain,
                    bias,
                    sun_corrected,
                    source: format!("{file}: {field}.reflectance"),
                })
            }
            (None, None) => {
                let reason = format!("`{file}` states neither `radiance` nor `reflectance` for {field}");
                Ok(Calibration::Missing { reason })
            }
        }
    }

    /// Bands of one part are read with one set of windows: their files must have the same pixels.
    fn same_lattice(&self, field: &str, first: &Image, other: &Image) -> Result<(), SceneError> {
        let (a, b) = (&first.facts, &other.facts);
        let what = |f: &Facts| {
            let place =
                f.projected.as_ref().map_or("no map projection".into(), |(crs, t)| format!("{crs}, {:?}", t.to_gdal()));
            format!("{}×{} pixels of {}, {place}", f.cols, f.rows, f.sample)
        };
        if (a.cols, a.rows, a.sample, &a.projected) == (b.cols, b.rows, b.sample, &b.projected) {
            return Ok(());
        }
        let expected = format!("{}, as `{}` has", what(a), files::file_name(&first.path));
        let found = format!("{} in `{}`", what(b), files::file_name(&other.path));
        Err(self.wrong(field, &expected, found, "put bands of different lattices into parts of their own"))
    }

    fn sensor_model(&mut self, at: usize, table: &PartTable, image: &mut Image) -> Result<SensorModel, SceneError> {
        let field = |name: &str| format!("part[{at}].{name}");
        match (&table.crs, table.transform) {
            (None, None) => {}
            (Some(definition), Some(numbers)) => {
                let source =
                    |source| SceneError::Crs { path: self.path.into(), field: field("crs"), source: Box::new(source) };
                let crs = Crs::from_definition(definition).map_err(source)?;
                let transform = GeoTransform::from_gdal(numbers);
                if !transform.is_usable() {
                    let expected = "six finite numbers that give a pixel an area";
                    let remedy = "write [x0, dx_col, dx_row, y0, dy_col, dy_row]";
                    return Err(self.wrong(field("transform"), expected, format!("{numbers:?}"), remedy));
                }
                return Ok(SensorModel::Projected { crs, transform });
            }
            (crs, _) => {
                let (there, missing) = if crs.is_some() { ("crs", "transform") } else { ("transform", "crs") };
                let found = format!("`{there}` without `{missing}`");
                return Err(self.wrong(
                    field(missing),
                    "`crs` and `transform` together",
                    found,
                    "write both or neither",
                ));
            }
        }
        let named = match table.rpc.as_deref() {
            Some("none") => None,
            None | Some("auto") => match (&image.facts.projected, self.rpc_beside(&image.path)?) {
                (Some(_), _) => None,
                (None, Some(path)) => Some(path),
                (None, None) => return self.checked_rpc(image, None),
            },
            Some(name) => Some(files::inside(self.root, name, self.path, &field("rpc"))?),
        };
        if let Some(path) = named {
            let rpc = rpc_file::read(&path)?;
            self.metadata_files.push(path);
            return self.checked_rpc(image, Some(rpc));
        }
        Ok(match image.facts.projected.clone() {
            Some((crs, transform)) => SensorModel::Projected { crs, transform },
            None => SensorModel::Unknown {
                reason: format!(
                    "`{}` has no map projection, and its sidecar says `rpc = \"none\"`",
                    files::file_name(&image.path)
                ),
            },
        })
    }

    /// The model with the correction that the sidecar states.
    fn corrected(
        &self,
        field: &str,
        table: Option<CorrectionTable>,
        model: SensorModel,
    ) -> Result<SensorModel, SceneError> {
        let Some(CorrectionTable { col, row }) = table else { return Ok(model) };
        let same = Correction::IDENTITY;
        let correction = Correction { col: col.unwrap_or(same.col), row: row.unwrap_or(same.row) };
        if !correction.is_usable() {
            let found = format!("col {:?}, row {:?}", correction.col, correction.row);
            let remedy = "write `col = [a0, a1, a2]` and `row = [b0, b1, b2]`; [0, 1, 0] and [0, 0, 1] change nothing";
            return Err(self.wrong(field, "finite numbers that give every pixel a place of its own", found, remedy));
        }
        let found = match model {
            SensorModel::Rpc(mut rpc) => {
                rpc.correction = correction;
                return Ok(SensorModel::Rpc(rpc));
            }
            SensorModel::Projected { .. } => "a map projection".into(),
            SensorModel::Unknown { reason } => reason,
        };
        Err(self.wrong(field, "a part with RPC", found, "remove it, or give the part its RPC"))
    }

    /// The model of `rpc`, or of the image's tags without one, with a warning if it does not fit the image.
    fn checked_rpc(&mut self, image: &mut Image, rpc: Option<Rpc>) -> Result<SensorModel, SceneError> {
        let model = match rpc {
            Some(rpc) => SensorModel::Rpc(Box::new(rpc)),
            None => place::from_tags(&image.path, image.facts.rpc.take())?,
        };
        self.warnings.extend(place::rpc_misfit(&image.path, &image.facts, &model));
        Ok(model)
    }

    /// The RPC file that is named as the image.
    fn rpc_beside(&self, image: &Path) -> Result<Option<PathBuf>, SceneError> {
        companion::first(&files::Surroundings::of(image, &[]), image, &["_rpc.txt", ".rpb"])
    }
}
