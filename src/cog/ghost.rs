//! The ghost area: GDAL's promise, between header and first directory, about how the rest of the file is laid out.
//!
//! Invariant: [`GHOST`] is byte for byte what GDAL's COG driver writes. Readers take it as a promise; a file that breaks
//! it is worse than one without it.
//!
//! # Reference
//! GDAL documentation, "COG -- Cloud Optimized GeoTIFF generator", section "Header ghost area".

/// The ghost area as we write it. The blank after the last newline lets an editor turn `NO\n ` into `YES\n` in place.
pub const GHOST: &str = "GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\n\
    LAYOUT=IFDS_BEFORE_DATA\n\
    BLOCK_ORDER=ROW_MAJOR\n\
    BLOCK_LEADER=SIZE_AS_UINT4\n\
    BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n\
    KNOWN_INCOMPATIBLE_EDITION=NO\n ";

/// Bytes of the first line, which gives the size of the rest.
pub const FIRST_LINE: usize = 43;

/// The ghost area of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ghost {
    /// Bytes of the whole area, as its first line says.
    pub size: u64,
    text: String,
}

impl Ghost {
    /// Bytes that follow the first line, if `first_line` is one.
    pub fn rest_of(first_line: &[u8]) -> Option<usize> {
        let digits = first_line.strip_prefix(b"GDAL_STRUCTURAL_METADATA_SIZE=")?.strip_suffix(b" bytes\n")?;
        let all_digits = digits.len() == 6 && digits.iter().all(u8::is_ascii_digit);
        all_digits.then(|| digits.iter().fold(0, |n, d| n * 10 + usize::from(d - b'0')))
    }

    /// The area from the bytes after its first line.
    pub fn from_rest(rest: &[u8]) -> Self {
        Self { size: (FIRST_LINE + rest.len()) as u64, text: String::from_utf8_lossy(rest).into_owned() }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_area_says_its_own_size_and_its_keys() {
        let (first, rest) = GHOST.as_bytes().split_at(FIRST_LINE);
        assert_eq!(Ghost::rest_of(first), Some(rest.len()));
        let ghost = Ghost::from_rest(rest);
        assert_eq!(ghost.size, 183);
        assert_eq!(ghost.get("KNOWN_INCOMPATIBLE_EDITION"), Some("NO"));
        assert_eq!(ghost.get("BLOCK_LEADER"), Some("SIZE_AS_UINT4"));
        assert_eq!(ghost.get("BLOCK"), None);
    }

    #[test]
    fn anything_else_is_no_first_line() {
        assert_eq!(Ghost::rest_of(b""), None);
        assert_eq!(Ghost::rest_of(b"GDAL_STRUCTURAL_METADATA_SIZE=00014x bytes\n"), None);
        assert_eq!(Ghost::rest_of(b"GDAL_STRUCTURAL_METADATA_SIZE=0140 bytes\n"), None);
    }
}
