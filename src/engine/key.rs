//! The key of a configuration: what can change the pixels, and nothing else.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Pipeline;
use crate::store::hex;

/// Version of each stage's arithmetic. Raised when a change of code changes pixels, so that old products are made again.
///
/// A survey is made of the scene and the configuration alone, so its epoch stands for its numbers, and the key is known
/// before the first look.
const EPOCHS: [(&str, u32); 7] =
    [("survey", 1), ("calibrate", 2), ("geometry", 2), ("product", 3), ("pyramid", 1), ("cog", 1), ("picture", 1)];

/// Version of the arithmetic that finds hidden ground; it counts where terrain can hide any.
const OCCLUSION: u32 = 1;

/// Version of co-registration. It counts only where that is asked for.
const COREGISTER_EPOCH: u32 = 2;

/// Digest of a pipeline and the identities of its inputs. Threads, memory, paths and versions do not enter. `hides` says
/// that terrain may hide ground, and that a product tells of it.
pub fn key(
    pipeline: &Pipeline,
    scene: &str,
    dem: Option<&str>,
    geoid: Option<&str>,
    reference: Option<&str>,
    hides: bool,
) -> String {
    let coregistered = pipeline.coregistration.is_some();
    let mut pipeline = serde_json::to_value(pipeline).unwrap_or(Value::Null);
    if let Some(height) = pipeline.pointer_mut("/geometry/height").and_then(Value::as_object_mut) {
        // Where the files stand says nothing about what is in them; their digests do.
        height.remove("dem");
        height.remove("geoid");
    }
    if let Some(section) = pipeline.pointer_mut("/coregistration").and_then(Value::as_object_mut) {
        section.remove("reference");
        section.remove("reference_scene");
        section.remove("asset");
    }
    for (section, field) in [("/output", "url"), ("", "description"), ("/input", "identity")] {
        if let Some(object) = pipeline.pointer_mut(section).and_then(Value::as_object_mut) {
            object.remove(field);
        }
    }
    let mut all = json!({
        "format": 1,
        "epochs": EPOCHS.iter().map(|(stage, n)| json!([stage, n])).collect::<Vec<_>>(),
        "pipeline": pipeline,
        "scene": scene,
        "dem": dem,
        "geoid": geoid,
    });
    if hides {
        all["occlusion"] = json!(OCCLUSION);
    }
    if coregistered {
        all["coregister"] = json!([COREGISTER_EPOCH, reference]);
    }
    hex(&Sha256::digest(all.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn pipeline(sets: &[&str]) -> Pipeline {
        let text = "schema = 1\nname = \"p\"\n[geometry]\nmode = \"ortho\"\nresolution = 3.0\n\
                    height = { dem = \"Cargo.toml\", datum = \"ellipsoid\" }\n\
                    [[product]]\nname = \"ndvi\"\nkind = \"index\"\nindex = \"NDVI\"\n";
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        config::parse(text, Path::new("p.toml"), Path::new(env!("CARGO_MANIFEST_DIR")), &sets).unwrap()
    }

    #[test]
    fn only_what_changes_pixels_changes_the_key() {
        let of = |sets: &[&str]| key(&pipeline(sets), "s", Some("d"), None, None, false);
        let base = of(&[]);
        assert_eq!(base.len(), 64);
        for same in
            ["output.url=elsewhere", "description=\"x\"", "geometry.height.dem=Cargo.lock", "input.identity=full"]
        {
            assert_eq!(of(&[same]), base, "{same}");
        }
        for other in [
            "geometry.resolution=6",
            "geometry.resampling=cubic",
            "output.level=9",
            "radiometry.sun_zenith=30",
            "product.ndvi.type=float32",
        ] {
            assert_ne!(of(&[other]), base, "{other}");
        }
        assert_ne!(key(&pipeline(&[]), "t", Some("d"), None, None, false), base);
        assert_ne!(key(&pipeline(&[]), "s", Some("e"), None, None, false), base);
        assert_ne!(key(&pipeline(&[]), "s", Some("d"), None, None, true), base);
        let laid = |path: &str, digest| {
            let set = format!("coregistration.reference={path}");
            key(&pipeline(&[&set]), "s", Some("d"), None, Some(digest), false)
        };
        assert_ne!(laid("Cargo.toml", "r"), base);
        assert_eq!(laid("Cargo.toml", "r"), laid("Cargo.lock", "r"));
        let apart = |set| of(&["coregistration.reference=Cargo.toml", set]);
        assert_ne!(apart("coregistration.band_to_band=true"), apart("coregistration.band_to_band=false"));
        assert_ne!(laid("Cargo.toml", "r"), laid("Cargo.toml", "q"));
    }
}
