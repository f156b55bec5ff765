//! What went wrong with a request, in our own words.
//!
//! Invariant: no text here holds a credential, a query string or a part of a signature. Clients' own messages quote URLs
//! and servers' answers whole, and those may hold any of them; so they are read for what they mean and then dropped.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

/// Why a request to an object store failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The store refused, or could not do it.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The store's word for it, such as `AccessDenied`.
        code: Option<String>,
        /// How long it asks to be left alone.
        wait: Option<Duration>,
    },
    /// No answer came, or it stopped coming, for this long.
    Silent(Duration),
    /// No connection could be made, for this reason.
    Unreachable(String),
    /// The connection ended before the answer did.
    Interrupted,
    /// The other side cannot prove who it is.
    Certificate(String),
    /// Nobody says who we are.
    NoCredentials,
    /// There is no such object.
    Missing,
    /// A condition of the request does not hold.
    Condition,
    /// The store has no such request.
    Unsupported,
    /// The object is not the one it was, in this.
    Changed(String),
    /// What the store says makes no sense, or a setting does not.
    Senseless(String),
}

/// What stores answer with other statuses although it passes: a body that came too slowly, a clash with another request,
/// an upload that somebody aborted, so that it has to be begun again.
const PASSING_CODES: [&str; 5] =
    ["RequestTimeout", "SlowDown", "OperationAborted", "ConditionalRequestConflict", "NoSuchUpload"];

impl Fault {
    /// True when the same request may succeed later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Answer { status, code, .. } => {
                // 501 and 505 say that the store will never do it.
                matches!(status, 408 | 429 | 500 | 502..=504 | 506..=599)
                    || code.as_deref().is_some_and(|code| PASSING_CODES.contains(&code))
            }
            Self::Silent(_) | Self::Unreachable(_) | Self::Interrupted => true,
            _ => false,
        }
    }

    /// True when the store may have done what it was asked, although it did not say so.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Answer { status, .. } => *status >= 500,
            Self::Silent(_) | Self::Interrupted => true,
            _ => false,
        }
    }

    /// True when an upload is not there any more: completed, or aborted.
    pub fn is_upload_gone(&self) -> bool {
        match self {
            Self::Answer { code, .. } => code.as_deref() == Some("NoSuchUpload"),
            Self::Missing => true,
            _ => false,
        }
    }

    /// What an error of the client means.
    pub fn of(error: &object_store::Error) -> Self {
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(e) = next {
            if let Some(fault) = e.downcast_ref::<Self>() {
                return fault.clone();
            }
            if let Some(http) = e.downcast_ref::<HttpError>()
                && http.source().is_none_or(|s| s.downcast_ref::<Self>().is_none())
            {
                return Self::of_http(http);
            }
            next = e.source();
        }
        use object_store::Error as E;
        match error {
            E::NotFound { .. } => Self::Missing,
            E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => Self::Condition,
            E::NotSupported { .. } | E::NotImplemented { .. } => Self::Unsupported,
            E::PermissionDenied { .. } => Self::Answer { status: 403, code: None, wait: None },
            E::Unauthenticated { .. } => Self::Answer { status: 401, code: None, wait: None },
            other => Self::Senseless(without_urls(&innermost(other).to_string())),
        }
    }

    /// What a failure below HTTP means.
    pub fn of_http(error: &HttpError) -> Self {
        let mut next: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(e) = next {
            if let Some(rustls::Error::InvalidCertificate(e)) = e.downcast_ref() {
                return Self::Certificate(format!("{e:?}"));
            }
            // What an I/O error wraps is not its source but stands in its place.
            next = match e.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref()) {
                Some(inner) => Some(inner),
                None => e.source(),
            };
        }
        match error.kind() {
            HttpErrorKind::Connect => Self::Unreachable(without_urls(&innermost(error).to_string())),
            HttpErrorKind::Timeout => Self::Unreachable("no connection in time".into()),
            HttpErrorKind::Decode => Self::Senseless(without_urls(&innermost(error).to_string())),
            _ => Self::Interrupted,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, code, .. } => {
                let reason = http::StatusCode::from_u16(*status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
                write!(f, "the store answers {status} {reason}")?;
                code.as_ref().map_or(Ok(()), |code| write!(f, " ({code})"))
            }
            Self::Silent(time) => write!(f, "the store was silent for {time:?}"),
            Self::Unreachable(why) => write!(f, "the store cannot be reached ({why})"),
            Self::Interrupted => f.write_str("the connection ended too early"),
            Self::Certificate(why) => {
                write!(
                    f,
                    "the certificate of the store is not accepted ({why}); SSL_CERT_FILE names the authorities to accept instead of the system's"
                )
            }
            Self::NoCredentials => f.write_str(
                "no credentials were found: there are none in the environment or a credentials file, and no cloud's \
                 metadata service answers; a public bucket is read with AWS_SKIP_SIGNATURE, GOOGLE_SKIP_SIGNATURE or \
                 AZURE_SKIP_SIGNATURE set to true",
            ),
            Self::Missing => f.write_str("there is no such object"),
            Self::Condition => f.write_str("a condition of the request does not hold"),
            Self::Unsupported => f.write_str("the store has no such request"),
            Self::Changed(what) => write!(f, "the object is another one now: {what}"),
            Self::Senseless(what) => f.write_str(what),
        }
    }
}

impl StdError for Fault {}

fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut innermost = error;
    while let Some(e) = innermost.source() {
        innermost = e;
    }
    innermost
}

/// A text with everything that looks like a URL cut down to its scheme, host and path.
pub fn without_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = (&rest[..at + 3], &rest[at + 3..]);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'`<>()".contains(c)).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let authority = url.find('/').unwrap_or(url.len());
        let host = url[..authority].rfind('@').map_or(0, |k| k + 1);
        out.push_str(&url[host..]);
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_however_deep_it_stands() {
        let fault = Fault::Answer { status: 503, code: Some("SlowDown".into()), wait: None };
        let http = HttpError::new(HttpErrorKind::Unknown, fault.clone());
        let error = object_store::Error::Generic { store: "S3", source: Box::new(http) };
        assert_eq!(Fault::of(&error), fault);
        let error = object_store::Error::Generic { store: "S3", source: Box::new(error) };
        assert_eq!(Fault::of(&error), fault);
    }

    #[test]
    fn what_passes_and_what_lasts() {
        let answer = |status, code: &str| Fault::Answer { status, code: Some(code.into()), wait: None };
        for (status, code) in
            [(500, ""), (503, ""), (429, ""), (408, ""), (400, "RequestTimeout"), (404, "NoSuchUpload")]
        {
            assert!(answer(status, code).passes(), "{status} {code}");
        }
        for (status, code) in
            [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidArgument"), (501, ""), (301, "")]
        {
            assert!(!answer(status, code).passes(), "{status} {code}");
        }
        assert!(Fault::Silent(Duration::ZERO).passes() && Fault::Interrupted.passes());
        assert!(!Fault::NoCredentials.passes() && !Fault::Missing.passes());
    }

    #[test]
    fn urls_lose_everything_that_may_be_secret() {
        let text = "parsing `https://user:pw@host:1/a/b?X-Amz-Signature=abc#f` and s3://k:s@b, see http://x?sig=1";
        assert_eq!(without_urls(text), "parsing `https://host:1/a/b` and s3://b, see http://x");
        assert_eq!(without_urls("no url"), "no url");
    }
}
