//! Where the pixels of an image are: its map projection, an RPC file beside it, or the RPC in its tags.

use std::path::{Path, PathBuf};

use super::image::Facts;
use super::{Code, Rpc, SceneError, SensorModel, Warning, companion, files, rpc_file};

/// The model and the file that says so if it is not the image. A map projection wins over an RPC that was left beside it;
/// an RPC wins over a transform without a reference system, which is the origin of a crop. `rpc` looks for the file.
pub(super) fn sensor_model(
    image: &Path,
    facts: &mut Facts,
    rpc: impl FnOnce() -> Result<Option<PathBuf>, SceneError>,
) -> Result<(SensorModel, Option<PathBuf>), SceneError> {
    if let Some((crs, transform)) = &facts.projected {
        return Ok((SensorModel::Projected { crs: crs.clone(), transform: *transform }, None));
    }
    match rpc()? {
        Some(path) => Ok((SensorModel::Rpc(Box::new(rpc_file::read(&path)?)), Some(path))),
        None => Ok((from_tags(image, facts.rpc.take())?, None)),
    }
}

/// The model in the image's own tags, or [`SensorModel::Unknown`] with what was looked for.
pub(super) fn from_tags(image: &Path, tags: Option<Result<Rpc, SceneError>>) -> Result<SensorModel, SceneError> {
    Ok(match tags.transpose()? {
        Some(rpc) => SensorModel::Rpc(Box::new(rpc)),
        None => unknown(image),
    })
}

fn unknown(image: &Path) -> SensorModel {
    let reason = format!(
        "`{}` has no map projection, and there is no RPC in its tags nor a `{}` or `{}` beside it",
        files::file_name(image),
        companion::name(image, "_rpc.txt"),
        companion::name(image, ".rpb"),
    );
    SensorModel::Unknown { reason }
}

/// A warning when the image reaches far out of the range its RPC was made for.
pub(super) fn rpc_misfit(image: &Path, facts: &Facts, model: &SensorModel) -> Option<Warning> {
    let SensorModel::Rpc(rpc) = model else { return None };
    let reach = |last: usize, offset: f64, scale: f64| {
        let end = last.saturating_sub(1) as f64;
        (offset / scale).abs().max(((end - offset) / scale).abs())
    };
    let reach = reach(facts.rows, rpc.row_off, rpc.row_scale).max(reach(facts.cols, rpc.col_off, rpc.col_scale));
    (reach > 2.0).then(|| Warning {
        code: Code::RpcMisfit,
        message: format!(
            "`{}` has {} rows and {} columns, {reach:.1} times the range its RPC was made for; check that the RPC belongs to it",
            files::file_name(image),
            facts.rows,
            facts.cols,
        ),
    })
}
