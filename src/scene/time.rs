//! Times of a delivery: a text, the zone it is in, and the instant it names. The zone of a text without one is a
//! property of the vendor's format and is passed in, never assumed here.

use jiff::Timestamp;
use jiff::civil;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

/// An instant with the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stated {
    /// The instant.
    pub utc: Timestamp,
    /// The text as it stands in the file.
    pub text: String,
    /// The zone of the text, as `+08:00`.
    pub offset: String,
    /// True when the text itself says its zone.
    pub zone_stated: bool,
}

impl Stated {
    /// The same text as a time in UTC.
    pub fn as_utc(&self) -> Option<Self> {
        read(&self.text, Some(Offset::UTC))
    }
}

/// `+08:00` for an offset.
fn offset_text(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Reads `YYYY-MM-DD HH:MM:SS[.f]`, `T` for the space or not, an offset or `Z` behind it or not. Without one it is in
/// `default`; without that either, it is refused.
pub(super) fn read(text: &str, default: Option<Offset>) -> Option<Stated> {
    let pieces = Pieces::parse(text.trim().as_bytes()).ok()?;
    let own = pieces.to_numeric_offset();
    let offset = own.or(default)?;
    let stated = stated(civil::DateTime::from_parts(pieces.date(), pieces.time()?), offset, text.trim())?;
    Some(Stated { zone_stated: own.is_some(), ..stated })
}

/// A date and time in the zone `offset`.
pub(super) fn stated(local: civil::DateTime, offset: Offset, text: &str) -> Option<Stated> {
    let utc = offset.to_timestamp(local).ok()?;
    Some(Stated { utc, text: text.into(), offset: offset_text(offset), zone_stated: false })
}

/// Beijing time, which Jilin-1 metadata and names are in without saying so.
pub(super) fn beijing() -> Offset {
    Offset::constant(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beijing_time_becomes_utc_and_its_text_is_kept() {
        let t = read(" 2022-05-16 06:58:11 ", Some(beijing())).unwrap();
        assert_eq!(t.utc.to_string(), "2022-05-15T22:58:11Z");
        assert_eq!((t.text.as_str(), t.offset.as_str(), t.zone_stated), ("2022-05-16 06:58:11", "+08:00", false));
        assert_eq!(
            t.as_utc().map(|u| (u.utc.to_string(), u.offset)),
            Some(("2022-05-16T06:58:11Z".into(), "+00:00".into()))
        );
    }

    #[test]
    fn a_stated_offset_beats_the_default_and_fractions_survive() {
        let utc = |s: &str| read(s, Some(beijing())).map(|t| (t.utc.to_string(), t.offset));
        assert_eq!(utc("2022-05-16T06:58:11.25Z"), Some(("2022-05-16T06:58:11.25Z".into(), "+00:00".into())));
        assert_eq!(utc("2022-05-16T06:58:11-03:30"), Some(("2022-05-16T10:28:11Z".into(), "-03:30".into())));
    }

    #[test]
    fn no_time_no_zone_or_nonsense_is_refused() {
        assert_eq!(read("2022-05-16 06:58:11", None), None);
        assert_eq!(read("2022-05-16", Some(beijing())), None);
        assert_eq!(read("2022-13-16 06:58:11", Some(beijing())), None);
        assert_eq!(read("", Some(beijing())), None);
    }
}
