//! Paths as references inside documents.

/// The reference of a relative path: `./` before it, and what a reference may not hold percent-encoded.
///
/// Letters of other scripts stay: STAC's references are IRIs.
///
/// # Reference
/// RFC 3987, section 2.2 (`ipchar`).
pub fn href_from_path(path: &str) -> String {
    let mut href = String::from(if path.starts_with("./") || path.starts_with("../") { "" } else { "./" });
    for c in path.chars() {
        let kept = c.is_alphanumeric() || "-._~!$&'()*+,;=:@/".contains(c);
        if kept {
            href.push(c);
        } else {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                href.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    href
}

/// The relative path of a reference, or `None` when it is a URL, an absolute path or no UTF-8 once decoded.
pub fn path_from_href(href: &str) -> Option<String> {
    // A colon before the first slash ends a scheme.
    let scheme = href.split('/').next().is_some_and(|first| first.contains(':'));
    if scheme || href.starts_with('/') {
        return None;
    }
    let path = href.split(['?', '#']).next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match after {
            [high, low, after @ ..] if first == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn nibble(hex_digit: u8) -> u8 {
    match hex_digit {
        b'0'..=b'9' => hex_digit - b'0',
        _ => (hex_digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_holds_only_what_a_reference_may() {
        assert_eq!(href_from_path("ab12/ndvi.tif"), "./ab12/ndvi.tif");
        assert_eq!(href_from_path("长春 50%/a#b.tif"), "./长春%2050%25/a%23b.tif");
        assert_eq!(href_from_path("../../collection.json"), "../../collection.json");
    }

    #[test]
    fn urls_and_absolute_paths_are_no_relative_paths() {
        for href in ["https://example.com/a.tif", "s3://bucket/a", "/etc/passwd", "data:,x"] {
            assert_eq!(path_from_href(href), None, "{href}");
        }
        // A stray percent sign stands for itself.
        assert_eq!(path_from_href("./100%/a.tif?x=1").as_deref(), Some("./100%/a.tif"));
        assert_eq!(path_from_href("a%+1%4a%4").as_deref(), Some("a%+1J%4"));
    }

    proptest! {
        #[test]
        fn a_path_survives_the_round_trip(path in "[^/\\x00][^\\x00]{0,20}") {
            let path = format!("./{path}");
            prop_assert_eq!(path_from_href(&href_from_path(&path)), Some(path));
        }
    }
}
