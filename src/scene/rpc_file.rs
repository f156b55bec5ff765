//! RPC as files and tags write them, brought to one form.
//!
//! All of these count pixels from 0 at the centre of the first one, as [`Rpc`] does, so offsets pass through unchanged;
//! GDAL already turns the formats that count from 1 (DIMAP) before it shows them in its RPC domain.

use std::collections::BTreeMap;
use std::path::Path;

use super::files;
use super::rpc::Correction;
use super::{Rpc, SceneError};

/// Largest RPC file that is read, bytes; real ones have 2 to 6 KiB.
const SIZE_LIMIT: u64 = 1 << 20;

/// The ten offsets and scales by their names in `_rpc.txt` and in `.rpb`.
pub(super) const SCALARS: [(&str, &str); 10] = [
    ("LINE_OFF", "lineOffset"),
    ("SAMP_OFF", "sampOffset"),
    ("LAT_OFF", "latOffset"),
    ("LONG_OFF", "longOffset"),
    ("HEIGHT_OFF", "heightOffset"),
    ("LINE_SCALE", "lineScale"),
    ("SAMP_SCALE", "sampScale"),
    ("LAT_SCALE", "latScale"),
    ("LONG_SCALE", "longScale"),
    ("HEIGHT_SCALE", "heightScale"),
];

/// The four polynomials by their names in `_rpc.txt`, without the number behind, and in `.rpb`.
const POLYNOMIALS: [(&str, &str); 4] = [
    ("LINE_NUM_COEFF", "lineNumCoef"),
    ("LINE_DEN_COEFF", "lineDenCoef"),
    ("SAMP_NUM_COEFF", "sampNumCoef"),
    ("SAMP_DEN_COEFF", "sampDenCoef"),
];

/// Texts of the numbers under the names of `_rpc.txt`.
type Texts = BTreeMap<String, String>;

/// Reads an RPC file, `_rpc.txt` or `.rpb` by what it holds, not by its name: vendors mix them up.
pub(super) fn read(path: &Path) -> Result<Rpc, SceneError> {
    let text = files::read_text(path, SIZE_LIMIT)?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Rpc, SceneError> {
    let rpb = text.contains(POLYNOMIALS[0].1) || text.contains(SCALARS[0].1);
    let texts = if rpb { rpb_texts(path, text)? } else { key_value_texts(path, text)? };
    if texts.is_empty() {
        let problem =
            "expected RPC as `LINE_OFF: …` lines or as `lineOffset = …;`, found neither; convert the file".into();
        return Err(SceneError::Syntax { path: path.into(), problem });
    }
    build(path, "", &texts)
}

/// Reads GDAL's RPC metadata domain through `item`; `None` if the image has none.
pub(super) fn from_domain(image: &Path, item: impl Fn(&str) -> Option<String>) -> Option<Result<Rpc, SceneError>> {
    let mut texts = Texts::new();
    for (key, _) in SCALARS {
        if let Some(text) = item(key) {
            texts.insert(key.into(), text);
        }
    }
    for (key, _) in POLYNOMIALS {
        let text = item(key).unwrap_or_default();
        for (number, token) in (1..).zip(text.split_ascii_whitespace()) {
            texts.insert(format!("{key}_{number}"), token.into());
        }
    }
    (!texts.is_empty()).then(|| build(image, "RPC domain, ", &texts))
}

/// `KEY: value unit` lines.
fn key_value_texts(path: &Path, text: &str) -> Result<Texts, SceneError> {
    let mut texts = Texts::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once([':', '=']) else { continue };
        let key = key.trim().to_ascii_uppercase();
        let polynomial = key.rsplit_once('_').map_or("", |(name, _)| name);
        if SCALARS.iter().any(|(k, _)| *k == key) || POLYNOMIALS.iter().any(|(k, _)| *k == polynomial) {
            let value = value.split_ascii_whitespace().next().unwrap_or_default();
            insert_once(path, &mut texts, key, value)?;
        }
    }
    Ok(texts)
}

/// `key = value;` statements, lists in parentheses.
fn rpb_texts(path: &Path, text: &str) -> Result<Texts, SceneError> {
    // Group lines end without a semicolon and would stick to the statement behind them.
    let is_group = |line: &&str| !["BEGIN_GROUP", "END_GROUP"].iter().any(|g| line.trim_start().starts_with(g));
    let statements: Vec<&str> = text.lines().filter(is_group).collect();
    let mut texts = Texts::new();
    for statement in statements.join("\n").split(';') {
        let Some((key, value)) = statement.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if let Some((canonical, _)) = SCALARS.iter().find(|(_, rpb)| *rpb == key) {
            insert_once(path, &mut texts, (*canonical).to_string(), value)?;
        } else if let Some((canonical, _)) = POLYNOMIALS.iter().find(|(_, rpb)| *rpb == key) {
            let list = value.trim_start_matches('(').trim_end_matches(')');
            for (number, token) in (1..).zip(list.split(',')) {
                insert_once(path, &mut texts, format!("{canonical}_{number}"), token.trim())?;
            }
        }
    }
    Ok(texts)
}

fn insert_once(path: &Path, texts: &mut Texts, key: String, value: &str) -> Result<(), SceneError> {
    match texts.insert(key.clone(), value.to_string()) {
        None => Ok(()),
        Some(before) if before == value => Ok(()),
        Some(before) => Err(SceneError::Field {
            path: path.into(),
            field: key,
            expected: "one value".into(),
            found: format!("`{}` and `{}`", clip(&before), clip(value)),
            remedy: REMEDY.into(),
        }),
    }
}

const REMEDY: &str = "ask the vendor for the RPC file again";

/// Start of a text, for messages.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

fn build(path: &Path, prefix: &str, texts: &Texts) -> Result<Rpc, SceneError> {
    let wrong = |key: &str, expected: &str, found: String| SceneError::Field {
        path: path.into(),
        field: format!("{prefix}{key}"),
        expected: expected.into(),
        found,
        remedy: REMEDY.into(),
    };
    let number = |key: &str| -> Result<f64, SceneError> {
        let text = texts.get(key).ok_or_else(|| wrong(key, "a number", "nothing".into()))?;
        // Fortran writes its exponents with a D.
        let value = text.parse::<f64>().or_else(|_| text.replace(['d', 'D'], "E").parse());
        match value {
            Ok(v) if v.is_finite() => Ok(v),
            _ => Err(wrong(key, "a finite number", format!("`{}`", clip(text)))),
        }
    };
    let scale = |key: &str| match number(key)? {
        0.0 => Err(wrong(key, "a number other than 0", "0".into())),
        v => Ok(v),
    };
    let polynomial = |key: &str| -> Result<[f64; 20], SceneError> {
        if texts.contains_key(&format!("{key}_21")) {
            return Err(wrong(key, "20 coefficients", "more".into()));
        }
        let mut coefficients = [0.0; 20];
        for (c, n) in coefficients.iter_mut().zip(1..) {
            *c = number(&format!("{key}_{n}"))?;
        }
        Ok(coefficients)
    };
    let denominator = |key: &str| match polynomial(key)? {
        c if c.iter().all(|v| *v == 0.0) => Err(wrong(key, "a denominator other than 0", "20 zeros".into())),
        c => Ok(c),
    };
    let within = |key: &str, low: f64, high: f64| match number(key)? {
        v if (low..=high).contains(&v) => Ok(v),
        v => Err(wrong(key, &format!("degrees from {low} to {high}"), v.to_string())),
    };
    let lon_off = within("LONG_OFF", -180.0, 360.0)?;
    Ok(Rpc {
        row_off: number("LINE_OFF")?,
        col_off: number("SAMP_OFF")?,
        lat_off: within("LAT_OFF", -90.0, 90.0)?,
        lon_off: if lon_off > 180.0 { lon_off - 360.0 } else { lon_off },
        height_off: number("HEIGHT_OFF")?,
        row_scale: scale("LINE_SCALE")?,
        col_scale: scale("SAMP_SCALE")?,
        lat_scale: scale("LAT_SCALE")?,
        lon_scale: scale("LONG_SCALE")?,
        height_scale: scale("HEIGHT_SCALE")?,
        row_num: polynomial("LINE_NUM_COEFF")?,
        row_den: denominator("LINE_DEN_COEFF")?,
        col_num: polynomial("SAMP_NUM_COEFF")?,
        col_den: denominator("SAMP_DEN_COEFF")?,
        correction: Correction::IDENTITY,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{rpb_text, rpc_text};
    use super::*;

    fn parse_text(text: &str) -> Result<Rpc, SceneError> {
        parse(Path::new("a_rpc.txt"), text)
    }

    fn message(text: &str) -> String {
        parse_text(text).unwrap_err().to_string()
    }

    #[test]
    fn both_file_forms_give_the_same_model_with_offsets_unchanged() {
        let txt = parse_text(&rpc_text()).unwrap();
        assert_eq!((txt.row_off, txt.col_off, txt.lon_off, txt.lat_scale), (3.5, 4.5, 125.35, -0.02));
        assert_eq!((txt.row_num[2], txt.col_num[1], txt.row_den[0], txt.col_den[19]), (-1.0, 1.0, 1.0, 1e-9));
        assert_eq!(parse_text(&rpb_text()).unwrap(), txt);
        assert_eq!(parse_text(&rpc_text().replace('\n', "\r\n")).unwrap(), txt);
        assert_eq!(parse_text(&rpb_text().replace('\n', "\r\n")).unwrap(), txt);
    }

    #[test]
    fn the_domain_of_gdal_gives_the_same_model() {
        let texts = key_value_texts(Path::new("a"), &rpc_text()).unwrap();
        let item = |key: &str| {
            let list: Vec<_> = (1..=20).filter_map(|n| texts.get(&format!("{key}_{n}")).cloned()).collect();
            texts.get(key).cloned().or((!list.is_empty()).then(|| list.join(" ")))
        };
        assert_eq!(from_domain(Path::new("a.tif"), item).unwrap().unwrap(), parse_text(&rpc_text()).unwrap());
        assert!(from_domain(Path::new("a.tif"), |_| None).is_none());
        let short = from_domain(Path::new("a.tif"), |k| item(k).map(|t| t.replace(" 0.000000001", "")));
        let short = short.unwrap().unwrap_err().to_string();
        assert!(short.contains("a.tif") && short.contains("LINE_DEN_COEFF_20"), "{short}");
    }

    #[test]
    fn what_is_missing_or_impossible_is_named() {
        let good = rpc_text();
        let drop =
            |key: &str| good.lines().filter(|l| !l.starts_with(&format!("{key}:"))).collect::<Vec<_>>().join("\n");
        let set = |key: &str, value: &str| format!("{}\n{key}: {value}\n", drop(key));
        for (text, part) in [
            (drop("LINE_OFF"), "LINE_OFF"),
            (drop("SAMP_DEN_COEFF_20"), "SAMP_DEN_COEFF_20"),
            (set("HEIGHT_SCALE", "0"), "other than 0"),
            (set("LAT_OFF", "nan degrees"), "finite"),
            (set("LAT_OFF", "95"), "-90 to 90"),
            (set("LINE_NUM_COEFF_3", "1e999"), "finite"),
            (format!("{good}\nLINE_NUM_COEFF_21: 1\n"), "20 coefficients"),
            (format!("{good}\nLINE_OFF: 7\n"), "one value"),
            (String::new(), "found neither"),
            ("<Line>\n<a:b>1</a:b>".into(), "found neither"),
        ] {
            let m = message(&text);
            assert!(m.contains("a_rpc.txt") && m.contains(part), "{part}: {m}");
        }
        assert!(parse_text(&set("LONG_OFF", "190")).is_ok_and(|r| r.lon_off == -170.0));
        assert!(parse_text(&set("LINE_NUM_COEFF_2", "1.5D-03")).is_ok_and(|r| r.row_num[1] == 0.0015));
        let zeros = good
            .replace("LINE_DEN_COEFF_1: 1", "LINE_DEN_COEFF_1: 0")
            .replace("LINE_DEN_COEFF_20: 0.000000001", "LINE_DEN_COEFF_20: 0");
        assert!(message(&zeros).contains("denominator"));
    }

    #[test]
    fn a_huge_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big_rpc.txt");
        std::fs::write(&path, vec![b'x'; (SIZE_LIMIT + 1) as usize]).unwrap();
        assert!(matches!(read(&path), Err(SceneError::Limit { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_text(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_damage_to_a_good_file_breaks_it(rpb: bool, at in 0usize..3000, cut in 0usize..40, with in "\\PC{0,8}") {
            let text = if rpb { rpb_text() } else { rpc_text() };
            let mut damaged: Vec<char> = text.chars().collect();
            let at = at.min(damaged.len());
            let end = (at + cut).min(damaged.len());
            damaged.splice(at..end, with.chars());
            if let Ok(rpc) = parse_text(&damaged.into_iter().collect::<String>()) {
                prop_assert!(rpc.numbers().all(f64::is_finite) && rpc.row_scale != 0.0);
            }
        }
    }
}
