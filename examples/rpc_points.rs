//! Evaluates the sensor models of a scene with the library alone, so that other programs can be compared with it.
//!
//!     rpc_points SCENE < POINTS      a line per point: `ground LON LAT HEIGHT` or `image COL ROW HEIGHT`
//!
//! SCENE is anything that `inspect` takes. First a line of JSON with the RPC of each part by its name is written, then one
//! for each point by the first part that has RPC: `COL ROW` of a ground point, `LON LAT` of an image position, `none` where
//! there is none. Degrees, metres above the ellipsoid, pixels with (0, 0) at the centre of the first one.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;

use fieldglow::geometry::Sensor;
use fieldglow::scene::{self, SensorModel};

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let path = std::env::args_os().nth(1).ok_or("which SCENE?")?;
    let scene = scene::open(Path::new(&path)).map_err(|e| fieldglow::error::chain(&e))?;
    let mut models = BTreeMap::new();
    let mut sensor = None;
    for part in &scene.parts {
        if let SensorModel::Rpc(rpc) = &part.sensor_model {
            sensor.get_or_insert_with(|| Sensor::from(&**rpc));
            models.insert(part.name.as_str(), rpc);
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&models)?)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let sensor = sensor.as_ref().ok_or("no part of the scene has RPC")?;
        let mut words = line.split_ascii_whitespace();
        let kind = words.next().ok_or("an empty line")?;
        let numbers: Vec<f64> = words.map(str::parse).collect::<Result<_, _>>()?;
        let (&[a, b, height], "ground" | "image") = (numbers.as_slice(), kind) else {
            return Err(format!("`{line}` is no point").into());
        };
        let found = match kind {
            "ground" => {
                let (mut col, mut row) = ([0.0], [0.0]);
                sensor.image_from_ground(&[a], &[b], &[height], &mut col, &mut row);
                Some((col[0], row[0]))
            }
            _ => sensor.ground_from_image(a, b, height).ok(),
        };
        match found {
            // The shortest text that is the same f64 again.
            Some((a, b)) => writeln!(out, "{a} {b}")?,
            None => writeln!(out, "none")?,
        }
    }
    Ok(())
}
