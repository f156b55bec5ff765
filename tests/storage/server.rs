//! A small server that speaks the part of the S3 and of the Google XML protocol that an object store's client uses, keeps
//! objects in memory, and fails on demand: a chosen request, in a chosen way, once or from then on.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fieldglow::store::hex;
use sha2::{Digest, Sha256};
use socket2::SockRef;

/// The bucket that is there.
pub const BUCKET: &str = "tiles";

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 503, nothing done.
    Busy,
    /// 503, although it was done.
    BusyAfter,
    /// The connection is reset, nothing done.
    Reset,
    /// The connection is reset, although it was done.
    ResetAfter,
    /// No answer, nothing done.
    Stall,
    /// Done, and half of the answer comes.
    Short,
    /// Done, and after half of the answer nothing more comes.
    StallHalfway,
    /// Done, and a range of bytes has one less than it says.
    Fewer,
}

impl Kind {
    fn is_done(self) -> bool {
        matches!(self, Self::BusyAfter | Self::ResetAfter | Self::Short | Self::StallHalfway | Self::Fewer)
    }
}

/// Which requests fail.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    /// Number of the first, from 1.
    pub from: usize,
    /// How many.
    pub count: usize,
    pub kind: Kind,
    /// What ends uploads is served all the same.
    pub but_not_aborts: bool,
}

/// What the server keeps and was asked.
#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<String, Vec<u8>>,
    pub uploads: BTreeMap<String, Upload>,
    /// Requests, as `METHOD path?query`.
    pub requests: Vec<String>,
    /// Requests that failed on demand.
    pub failed: usize,
    /// Requests without a signature.
    pub unsigned: usize,
    pub failing: Option<Failing>,
    /// Creating an object twice is not refused.
    pub ignores_conditions: bool,
    /// Objects made in parts get one wrong byte.
    pub corrupts: bool,
    /// A real server that is asked in this one's place; this one only fails.
    pub upstream: Option<SocketAddr>,
    /// Answers every request so, whatever it is.
    pub refusal: Option<(u16, String)>,
    /// Bytes of all answers' bodies.
    pub sent: usize,
    /// Objects are given whole, whatever range is asked for.
    pub ignores_ranges: bool,
    /// At this request, from 1, an object becomes another one.
    pub change: Option<(usize, String, Vec<u8>)>,
    /// Ends a connection that stalls after this long, where a client that sends much would wait longer.
    pub hangs_up: Option<Duration>,
    serial: usize,
}

pub struct Upload {
    pub key: String,
    parts: BTreeMap<u32, Vec<u8>>,
}

/// A running server; it ends with the process.
#[derive(Clone)]
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&server.state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || while serve(&stream, &state).is_some() {});
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Forgets everything.
    pub fn reset(&self) {
        *self.state() = State::default();
    }

    /// From now on counts requests anew and lets these fail.
    pub fn fail(&self, failing: Option<Failing>) {
        let mut state = self.state();
        (state.failing, state.failed) = (failing, 0);
        state.requests.clear();
    }

    /// The variables that lead a client here.
    pub fn environment(&self) -> Vec<(String, String)> {
        let google = format!(
            r#"{{"gcs_base_url":"{}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#,
            self.url()
        );
        [
            ("AWS_ENDPOINT_URL", self.url().as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "SECRETTEST"),
            ("AWS_REGION", "us-east-1"),
            ("GOOGLE_BASE_URL", self.url().as_str()),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", google.as_str()),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Request {
    /// As it came.
    head: String,
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    fn error(status: u16, code: &str) -> Self {
        // As servers do, it quotes what was signed.
        let body = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><StringToSign>QUOTED-SECRET</StringToSign></Error>"
        );
        Self::new(status, body)
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Head and body as they go over the wire; the body of an answer to HEAD stays at home.
    fn bytes(&self, is_head: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Said\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = (text + "\r\n").into_bytes();
        if !is_head {
            bytes.extend(&self.body);
        }
        bytes
    }
}

/// Serves one request; nothing when the connection has ended.
fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let request = read(stream)?;
    let fault = {
        let mut state = lock(state);
        let query: Vec<String> = request.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        state.requests.push(format!("{} {}?{}", request.method, request.path, query.join("&")));
        let signed = ["authorization", "x-amz-security-token"].iter().any(|h| request.headers.contains_key(*h));
        state.unsigned += usize::from(!signed && !request.query.contains_key("X-Amz-Signature"));
        let number = state.requests.len();
        let ends_upload = request.method == "DELETE" && request.query.contains_key("uploadId")
            || request.method == "GET" && request.query.contains_key("uploads");
        let fault = state
            .failing
            .filter(|f| number >= f.from && number - f.from < f.count && !(f.but_not_aborts && ends_upload))
            .map(|f| f.kind);
        state.failed += usize::from(fault.is_some());
        if let Some((_, name, bytes)) = state.change.take_if(|(at, ..)| *at == number) {
            state.objects.insert(name, bytes);
        }
        fault
    };
    let is_head = request.method == "HEAD";
    let busy = || Answer::error(503, "SlowDown").bytes(is_head);
    let upstream = lock(state).upstream;
    let bytes = match (fault, upstream) {
        (Some(kind), _) if !kind.is_done() => busy(),
        (_, Some(upstream)) => forward(&request, upstream)?,
        _ => {
            let mut answer = answer(&request, &mut lock(state));
            if fault == Some(Kind::Fewer) && answer.status == 206 {
                answer.body.pop();
            }
            lock(state).sent += if is_head { 0 } else { answer.body.len() };
            answer.bytes(is_head)
        }
    };
    match fault {
        None | Some(Kind::Fewer) => stream.write_all(&bytes).ok().filter(|()| upstream.is_none()),
        Some(Kind::Busy | Kind::BusyAfter) => stream.write_all(&busy()).ok(),
        Some(Kind::Reset | Kind::ResetAfter) => {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            None
        }
        Some(Kind::Short) => {
            let _ = stream.write_all(half(&bytes));
            None
        }
        Some(kind) => {
            if kind == Kind::StallHalfway {
                let _ = stream.write_all(half(&bytes));
            }
            // Until the other side has had enough.
            let longest = lock(state).hangs_up.unwrap_or(Duration::from_secs(30));
            let _ = stream.set_read_timeout(Some(longest));
            let _ = stream.read(&mut [0; 1]);
            None
        }
    }
}

/// Half of the body where there is one, otherwise half of the head.
fn half(bytes: &[u8]) -> &[u8] {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let body = bytes.len() - head;
    &bytes[..if body > 1 { head + body / 2 } else { head / 2 }]
}

/// The answer of another server, which closes the connection after it.
fn forward(request: &Request, upstream: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).ok()?;
    let head = request.head.trim_end();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    stream.write_all(&request.body).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn read(mut stream: &TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut buffer = [0; 1 << 16];
    let end = loop {
        if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        head.extend_from_slice(&buffer[..n]);
    };
    let mut body = head.split_off(end + 4);
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<String, String> =
        lines.filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
    while body.len() < length {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        body.extend_from_slice(&buffer[..n]);
    }
    let query = query.split('&').filter(|p| !p.is_empty()).map(|pair| {
        let (k, v) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(k), decoded(&v.replace('+', " ")))
    });
    let (path, head) = (decoded(path), text.clone());
    Some(Request { head, method, path, query: query.collect(), headers, body })
}

fn decoded(text: &str) -> String {
    let (mut out, bytes, mut k) = (Vec::new(), text.as_bytes(), 0);
    while k < bytes.len() {
        if bytes[k] == b'%' {
            out.push(u8::from_str_radix(&text[k + 1..k + 3], 16).unwrap());
            k += 3;
        } else {
            out.push(bytes[k]);
            k += 1;
        }
    }
    String::from_utf8(out).unwrap()
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &hex(&Sha256::digest(bytes))[..32])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn answer(request: &Request, state: &mut State) -> Answer {
    if let Some((status, code)) = &state.refusal {
        return Answer::error(*status, code);
    }
    let path = request.path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if bucket != BUCKET {
        return Answer::error(404, "NoSuchBucket");
    }
    let has = |name: &str| request.query.contains_key(name);
    match request.method.as_str() {
        "GET" if key.is_empty() && has("uploads") => list_uploads(request, state),
        "GET" if key.is_empty() => list(request, state),
        "GET" | "HEAD" => get(request, state.objects.get(key), state.ignores_ranges),
        "PUT" if has("partNumber") => put_part(request, state),
        "PUT" => put(request, key, state),
        "POST" if has("uploads") => {
            state.serial += 1;
            let id = format!("upload-{}", state.serial);
            state.uploads.insert(id.clone(), Upload { key: key.to_owned(), parts: BTreeMap::new() });
            Answer::new(
                200,
                format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"),
            )
        }
        "POST" if has("uploadId") => complete(request, key, state),
        "DELETE" if has("uploadId") => match state.uploads.remove(&request.query["uploadId"]) {
            Some(_) => Answer::new(204, ""),
            None => Answer::error(404, "NoSuchUpload"),
        },
        "DELETE" => {
            state.objects.remove(key);
            Answer::new(204, "")
        }
        _ => Answer::error(501, "NotImplemented"),
    }
}

fn get(request: &Request, object: Option<&Vec<u8>>, ignores_ranges: bool) -> Answer {
    let Some(bytes) = object else { return Answer::error(404, "NoSuchKey") };
    let tag = etag(bytes);
    if request.headers.get("if-match").is_some_and(|wanted| *wanted != tag) {
        return Answer::error(412, "PreconditionFailed");
    }
    let range = request.headers.get("range").filter(|_| !ignores_ranges);
    let answer = match range.map(|r| r.strip_prefix("bytes=").unwrap()) {
        Some(range) => {
            let (from, to) = range.split_once('-').unwrap();
            let from: usize = from.parse().unwrap();
            if from >= bytes.len() {
                return Answer::error(416, "InvalidRange");
            }
            let to = to.parse::<usize>().map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
            Answer::new(206, &bytes[from..to]).with("Content-Range", format!("bytes {from}-{}/{}", to - 1, bytes.len()))
        }
        None => Answer::new(200, bytes.clone()),
    };
    answer.with("ETag", tag).with("Last-Modified", "Wed, 15 Jul 2026 02:30:00 GMT")
}

fn put(request: &Request, key: &str, state: &mut State) -> Answer {
    let once = request.headers.get("if-none-match").is_some_and(|v| v == "*")
        || request.headers.get("x-goog-if-generation-match").is_some_and(|v| v == "0");
    if once && !state.ignores_conditions && state.objects.contains_key(key) {
        return Answer::error(412, "PreconditionFailed");
    }
    state.objects.insert(key.to_owned(), request.body.clone());
    Answer::new(200, "").with("ETag", etag(&request.body)).with("x-goog-generation", "1")
}

fn put_part(request: &Request, state: &mut State) -> Answer {
    let number = request.query["partNumber"].parse().unwrap();
    let Some(upload) = state.uploads.get_mut(&request.query["uploadId"]) else {
        return Answer::error(404, "NoSuchUpload");
    };
    upload.parts.insert(number, request.body.clone());
    Answer::new(200, "").with("ETag", etag(&request.body))
}

fn complete(request: &Request, key: &str, state: &mut State) -> Answer {
    let Some(upload) = state.uploads.remove(&request.query["uploadId"]) else {
        return Answer::error(404, "NoSuchUpload");
    };
    let text = String::from_utf8(request.body.clone()).unwrap();
    let numbers = text.split("<PartNumber>").skip(1).map(|t| t.split('<').next().unwrap().parse::<u32>().unwrap());
    let mut bytes: Vec<u8> = numbers.flat_map(|n| upload.parts[&n].clone()).collect();
    if state.corrupts {
        bytes[0] ^= 1;
    }
    let tag = etag(&bytes).replace('"', "&quot;");
    state.objects.insert(key.to_owned(), bytes);
    Answer::new(200, format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"))
}

/// Keys in a page: few, so that lists have several.
const PAGE: usize = 3;

fn list(request: &Request, state: &State) -> Answer {
    let empty = String::new();
    let prefix = request.query.get("prefix").unwrap_or(&empty);
    let after = request.query.get("continuation-token").unwrap_or(&empty);
    let mut found: Vec<_> = state.objects.iter().filter(|(k, _)| k.starts_with(prefix) && *k > after).collect();
    if request.query.contains_key("delimiter") {
        found.retain(|(k, _)| !k[prefix.len()..].contains('/'));
    }
    let mut text = String::from("<ListBucketResult>");
    for (key, bytes) in found.iter().take(PAGE) {
        let (key, tag) = (escaped(key), etag(bytes).replace('"', "&quot;"));
        text.push_str(&format!(
            "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2026-07-15T02:30:00.000Z</LastModified><ETag>{tag}</ETag></Contents>",
            bytes.len()
        ));
    }
    if found.len() > PAGE {
        text.push_str(&format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(found[PAGE - 1].0)));
    }
    Answer::new(200, text + "</ListBucketResult>")
}

fn list_uploads(request: &Request, state: &State) -> Answer {
    let prefix = &request.query["prefix"];
    let mut text = String::from("<ListMultipartUploadsResult>");
    for (id, upload) in state.uploads.iter().filter(|(_, u)| u.key.starts_with(prefix.as_str())) {
        text.push_str(&format!("<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>", escaped(&upload.key)));
    }
    Answer::new(200, text + "</ListMultipartUploadsResult>")
}
