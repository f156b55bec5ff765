//! The HTTP client under every object store: it bounds the time of a request, and says of one that failed what that
//! means. It never tries again by itself, but for the metadata services of clouds; see [`super::patience`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::{ClientConfigKey, ClientOptions};
use tokio::time::timeout;

use super::fault::Fault;
use super::settings::Settings;

/// What went over the network so far.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Requests sent.
    pub requests: AtomicU64,
    /// True once the store has answered anything.
    pub answered: AtomicBool,
}

/// Makes clients for object stores.
#[derive(Debug, Clone)]
pub struct Connector {
    settings: Settings,
    traffic: Arc<Traffic>,
    metadata: Metadata,
}

/// What the user says of the metadata service of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Metadata {
    /// There is none.
    pub disabled: bool,
    /// A refusal is passed on, as the client library then asks in an older way.
    pub older_too: bool,
}

impl Connector {
    /// Clients with these limits, counted together.
    pub fn new(settings: Settings, traffic: Arc<Traffic>, metadata: Metadata) -> Self {
        Self { settings, traffic, metadata }
    }

    /// What every client is to have; object stores add to it.
    pub fn options(&self, plain_http: bool) -> ClientOptions {
        ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(self.settings.connect)
            .with_allow_http(plain_http)
            .with_user_agent(header::HeaderValue::from_static(concat!("fieldglow/", env!("CARGO_PKG_VERSION"))))
            .with_content_type_for_suffix("json", "application/json")
            .with_content_type_for_suffix("tif", "image/tiff; application=geotiff; profile=cloud-optimized")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        // Clients for metadata services are told to connect within a second; nothing else of them tells them apart.
        let second = ClientOptions::new().with_connect_timeout(METADATA_CONNECT);
        let key = ClientConfigKey::ConnectTimeout;
        let metadata = options.get_config_value(&key) == second.get_config_value(&key);
        Ok(HttpClient::new(Service { inner, connector: self.clone(), metadata }))
    }
}

/// What the client library gives a metadata service to take a connection.
const METADATA_CONNECT: Duration = Duration::from_secs(1);

/// Tries at a metadata service, and the time of each: it is on the same machine, or it is not there.
const METADATA_TRIES: usize = 2;
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers up to this size, and all that are no object, are taken whole, so that one that is cut short is a failed request.
const WHOLE_BYTES: u64 = 1 << 20;

/// Most that is taken of an answer whose size is not known: a list of a thousand long names has less than 4 MiB.
const MOST_BYTES: usize = 64 << 20;

/// Most that is read of an error's explanation.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// Headers that make a request conditional.
const CONDITIONS: [&str; 3] = ["if-none-match", "if-match", "x-goog-if-generation-match"];

#[derive(Debug)]
struct Service {
    inner: HttpClient,
    connector: Connector,
    metadata: bool,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.metadata || is_metadata(request.uri()) {
            return self.ask_metadata(request).await.map_err(unrepeated);
        }
        self.ask(request).await.map_err(unrepeated)
    }
}

/// Wraps a fault so that the client library does not try again: that is done above it, where more is known.
fn unrepeated(fault: Fault) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, fault)
}

impl Service {
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let settings = &self.connector.settings;
        let limit = settings.time_for(request.body().content_length() as u64);
        let is_get = request.method() == Method::GET;
        let is_conditional = CONDITIONS.iter().any(|name| request.headers().contains_key(*name));
        self.connector.traffic.requests.fetch_add(1, Ordering::Relaxed);
        let response = match timeout(limit, self.inner.execute(request)).await {
            Err(_) => return Err(Fault::Silent(limit)),
            Ok(answer) => answer.map_err(|e| Fault::of_http(&e))?,
        };
        self.connector.traffic.answered.store(true, Ordering::Relaxed);
        let status = response.status();
        let (parts, body) = response.into_parts();
        if status.is_success() {
            let size = content_length(&parts.headers);
            if is_get && size.is_some_and(|s| s > WHOLE_BYTES) {
                return Ok(HttpResponse::from_parts(parts, body));
            }
            let bytes = whole(body.bytes_stream(), MOST_BYTES, settings.timeout).await?;
            return match error_inside(&bytes, is_get) {
                Some(code) => Err(Fault::Answer { status: 500, code: Some(code), wait: None }),
                None => Ok(HttpResponse::from_parts(parts, bytes.into())),
            };
        }
        // What an error says of itself is worth less than the error: whatever of it came is good.
        let text = whole(body.bytes_stream(), MOST_ERROR_BYTES, settings.timeout).await.unwrap_or_default();
        let code = code_of(&text, &parts.headers);
        let of_object = match status {
            StatusCode::NOT_FOUND => {
                !matches!(code.as_deref(), Some("NoSuchBucket" | "ContainerNotFound" | "NoSuchUpload"))
            }
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED => is_conditional,
            _ => false,
        };
        if of_object {
            return Ok(HttpResponse::from_parts(parts, Bytes::new().into()));
        }
        Err(Fault::Answer { status: status.as_u16(), code, wait: wait_of(&parts.headers) })
    }

    /// Asks who we are. Where nobody answers within seconds there is no such service.
    async fn ask_metadata(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let said = self.connector.metadata;
        let tries = if said.disabled { 0 } else { METADATA_TRIES };
        for _ in 0..tries {
            let answer = timeout(METADATA_TIMEOUT, self.inner.execute(request.clone())).await;
            let Ok(Ok(response)) = answer else { continue };
            let status = response.status();
            if status.is_success() || said.older_too && status == StatusCode::FORBIDDEN {
                return Ok(response);
            }
            // There is a service that knows of no role, or a proxy that knows of no service.
            if !status.is_server_error() {
                break;
            }
        }
        Err(Fault::NoCredentials)
    }
}

/// Where clouds answer questions about the machine: EC2 and Azure, ECS, EKS, and the first and the last over IPv6.
const METADATA_HOSTS: [&str; 6] =
    ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "metadata.google.internal"];

fn is_metadata(uri: &Uri) -> bool {
    METADATA_HOSTS.contains(&uri.host().unwrap_or_default().trim_matches(['[', ']']))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The pause a store asks for, at most a minute.
fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

/// The whole of an answer.
async fn whole(
    mut body: futures::stream::BoxStream<'static, Result<Bytes, HttpError>>,
    most: usize,
    patience: Duration,
) -> Result<Bytes, Fault> {
    let mut bytes = BytesMut::new();
    loop {
        match timeout(patience, body.next()).await {
            Err(_) => return Err(Fault::Silent(patience)),
            Ok(None) => return Ok(bytes.freeze()),
            Ok(Some(piece)) => bytes.extend_from_slice(&piece.map_err(|e| Fault::of_http(&e))?),
        }
        if bytes.len() > most {
            return Err(Fault::Senseless(format!("the answer has more than {most} bytes")));
        }
    }
}

/// The store's word for an error: an S3 or Azure document's `Code`, or Azure's header. Nothing else of the document is
/// kept: some quote the request, with the signature in it.
fn code_of(text: &[u8], headers: &HeaderMap) -> Option<String> {
    let header = headers.get("x-ms-error-code").and_then(|v| v.to_str().ok());
    let text = String::from_utf8_lossy(text);
    let inside = || text.split_once("<Code>")?.1.split_once("</Code>").map(|(code, _)| code);
    let code = header.or_else(inside)?;
    let fits = code.len() <= 64 && !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| code.to_owned())
}

/// S3 says some failures in an answer that begins as a success: completing an upload, deleting many. Objects are not
/// looked into.
fn error_inside(bytes: &[u8], is_get: bool) -> Option<String> {
    let head = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let is_error = !is_get && head.windows(7).any(|w| w == b"<Error>");
    is_error.then(|| code_of(bytes, &HeaderMap::new()).unwrap_or_else(|| "InternalError".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_an_error_is_kept() {
        let text = b"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(code_of(text, &HeaderMap::new()).as_deref(), Some("SignatureDoesNotMatch"));
        assert_eq!(code_of(b"<Code>a b?sig=1</Code>", &HeaderMap::new()), None);
        assert_eq!(code_of(b"", &HeaderMap::new()), None);
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-error-code", header::HeaderValue::from_static("ContainerNotFound"));
        assert_eq!(code_of(b"", &headers).as_deref(), Some("ContainerNotFound"));
    }

    #[test]
    fn errors_inside_successes_are_found_and_objects_left_alone() {
        let text = b"<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>";
        assert_eq!(error_inside(text, false).as_deref(), Some("InternalError"));
        assert_eq!(error_inside(text, true), None);
        assert_eq!(error_inside(b"<CompleteMultipartUploadResult/>", false), None);
    }

    #[test]
    fn metadata_services_are_known_by_their_addresses() {
        for (uri, is) in [
            ("http://169.254.169.254/latest/api/token", true),
            ("http://169.254.170.2/creds", true),
            ("http://metadata.google.internal/x", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://169.254.1.1/bucket", false),
            ("https://s3.eu-west-1.amazonaws.com/bucket", false),
            ("http://127.0.0.1:7480/bucket", false),
        ] {
            assert_eq!(is_metadata(&uri.parse().unwrap()), is, "{uri}");
        }
    }
}
