//! The HTTP client: one call, one answer. TLS by rustls; no redirects, no cookies.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use hyper::body::{Frame, SizeHint};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use tokio::sync::mpsc;

use super::bulk::{self, BatchOutcome, BatchStatus};
use super::error::ClientError;
use super::fetch::{self, Reply};
use super::outcome::{Answer, Outcome, classify, classify_with};
use super::proxy::ProxyOptions;
use super::tls::TlsOptions;
use super::token::{Token, TokenSource};
use super::{delivery, single};
use crate::core::identity::Identity;
use crate::core::limits::{ANSWER_BYTES_MAX, BATCH_STATUS_BYTES_MAX, PROFILE_BYTES_MAX};
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::device::metrics::Metrics;

/// The slowest line that the file of a batch is sent over. Units: bytes a second.
const UPLOAD_BYTES_A_SECOND: u64 = 8 * 1024;

/// The content type of single updates and of batches alike.
///
/// Source: Target Single Profile Update API; for batches Experience League, whose sample `curl --data-binary` sends it too.
const FORM: &str = "application/x-www-form-urlencoded";

/// The part of a request's time that connecting may take: the rest is for the answer.
///
/// Source: contract, section 5. The connector shares it between the addresses of a host, so that a dead one leaves time for
/// the next; it bounds the whole of it too, with the name's resolution and the TLS handshake.
const CONNECT_PART: u32 = 3;

/// Chunks of a long answer that wait to be read.
const CHUNKS_WAITING: usize = 4;

/// What the client needs to know.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Scheme and host, without a slash at the end.
    pub endpoint: String,
    /// The client code.
    pub client_code: String,
    /// The bearer token, where Target requires one.
    pub token: Option<TokenSource>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Requests in flight, and connections kept.
    pub connections: usize,
    /// The proxy on the way.
    pub proxy: Option<ProxyOptions>,
    /// Whom we trust, and who we are.
    pub tls: TlsOptions,
}

impl ClientOptions {
    /// The host that requests go to, for people.
    #[must_use]
    pub fn host(&self) -> String {
        let url = Url::parse(&self.endpoint).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// A client of Target with kept-alive connections. Cheap to clone; all clones change together when it is set up anew.
#[derive(Clone, Debug)]
pub struct Client(Arc<RwLock<Arc<Connections>>>);

/// A client that is set up, and does not hold yet.
pub struct Prepared(Connections);

/// The client as it is set up now.
#[derive(Debug)]
struct Connections {
    http: reqwest::Client,
    endpoint: Url,
    client_code: Arc<str>,
    update: Url,
    token: Option<Token>,
    timeout: Duration,
    metrics: Metrics,
    options: ClientOptions,
    /// What the files of TLS held.
    fingerprint: [u8; 32],
}

/// An answer, and what Target's clock said.
#[derive(Clone, Debug)]
pub struct Exchange<T> {
    /// The answer.
    pub answer: T,
    /// The `Date` of the answer, where there was one.
    pub date: Option<Timestamp>,
}

/// The head of an answer, and as much of its body as is needed.
struct Received {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            retry_after: self.header(RETRY_AFTER),
            date: self.header(DATE),
            content_type: self.header(CONTENT_TYPE),
            location: self.header(LOCATION),
            body: &self.body,
        }
    }

    fn date(&self) -> Option<Timestamp> {
        date(&self.headers)
    }
}

/// What Target's clock said, as far as it is Target's.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?))
}

impl Client {
    /// Sets the client up; nothing is sent.
    ///
    /// # Errors
    /// [`ClientError`], which names the file or the setting.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        Self::measured(options, Metrics::new())
    }

    /// As [`Self::new`], with its requests measured.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn measured(options: &ClientOptions, metrics: Metrics) -> Result<Self, ClientError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(Connections::new(options, metrics)?)))))
    }

    /// Makes ready how Target is reached with other options; nothing changes.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn prepare(&self, options: &ClientOptions) -> Result<Prepared, ClientError> {
        Ok(Prepared(Connections::new(options, self.now().metrics.clone())?))
    }

    /// Has what was made ready hold, for all clones. What is on its way comes to its end as it began.
    pub fn install(&self, next: Prepared) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next.0);
    }

    /// Gives the client code and the endpoint that requests go to now.
    #[must_use]
    pub fn place(&self) -> (String, String) {
        let now = self.now();
        (now.options.client_code.clone(), now.options.endpoint.clone())
    }

    fn now(&self) -> Arc<Connections> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the token again where it stands in a file. Tells whether it is another one now.
    #[must_use]
    pub fn refresh_token(&self) -> bool {
        self.now().token.as_ref().is_some_and(Token::refresh)
    }

    /// Whether the token can change while the agent runs.
    #[must_use]
    pub fn has_token_file(&self) -> bool {
        self.now().token.as_ref().is_some_and(Token::is_file)
    }

    /// Sets all clones up anew if a certificate or a key has changed in its file. Tells whether that was so.
    ///
    /// # Errors
    /// As for [`Self::new`]; then nothing changes.
    pub fn refresh_certificates(&self) -> Result<bool, ClientError> {
        let now = self.now();
        if now.fingerprint == now.options.tls.fingerprint() {
            return Ok(false);
        }
        self.install(self.prepare(&now.options)?);
        Ok(true)
    }

    /// Sends one single update, and reads the answer as far as it is needed.
    pub async fn send(&self, body: String) -> Exchange<Outcome> {
        self.now().send(body).await
    }

    /// Sends one call of the Delivery API in a session.
    pub async fn deliver(&self, session: &str, body: String) -> Exchange<Outcome> {
        self.now().deliver(session, body).await
    }

    /// Reads one profile.
    pub async fn fetch(&self, identity: &Identity) -> Exchange<Reply> {
        self.now().fetch(identity).await
    }

    /// Submits the file of a batch, of so many bytes.
    pub async fn submit(&self, version: i64, bytes: u64, chunks: mpsc::Receiver<Bytes>) -> Exchange<BatchOutcome> {
        self.now().submit(version, bytes, chunks).await
    }

    /// Asks how a batch stands, under the path and query that its submission gave; with details, what failed is listed.
    pub async fn batch_status(&self, path: &str, has_details: bool) -> Exchange<Result<BatchStatus, Outcome>> {
        self.now().batch_status(path, has_details).await
    }
}

impl Connections {
    fn new(options: &ClientOptions, metrics: Metrics) -> Result<Self, ClientError> {
        // First: what changes from now on is seen as a change.
        let fingerprint = options.tls.fingerprint();
        let mut builder = builder(options)?;
        // Plain HTTP to loopback needs none of the system's certificates, which cost a megabyte to read.
        builder = match options.endpoint.starts_with("http://") {
            true => builder.tls_certs_only([]),
            false => builder.tls_backend_preconfigured(options.tls.config()?),
        };
        let http = builder.build().map_err(ClientError::Setup)?;
        let endpoint = Url::parse(&options.endpoint).map_err(|_| ClientError::Endpoint)?;
        let update = endpoint.join(&single::path(&options.client_code)).map_err(|_| ClientError::Endpoint)?;
        let token = options.token.as_ref().map(Token::new).transpose()?;
        let client_code = options.client_code.as_str().into();
        Ok(Self {
            http,
            endpoint,
            client_code,
            update,
            token,
            timeout: options.timeout,
            metrics,
            options: options.clone(),
            fingerprint,
        })
    }

    fn measure<T>(
        &self,
        api: &'static str,
        begun: Instant,
        exchange: &Exchange<T>,
        outcome: impl FnOnce(&T) -> &'static str,
    ) {
        self.metrics.requested(api, outcome(&exchange.answer), begun.elapsed(), Clock::system());
    }

    async fn send(&self, body: String) -> Exchange<Outcome> {
        let request = self.http.post(self.update.clone()).header(CONTENT_TYPE, FORM);
        let begun = Instant::now();
        let received = self.exchange(request.body(body), ANSWER_BYTES_MAX).await;
        let exchange = told(received, |received| classify(received.answer(), SystemTime::now()), |outcome| outcome);
        self.measure("single", begun, &exchange, Outcome::label);
        exchange
    }

    async fn deliver(&self, session: &str, body: String) -> Exchange<Outcome> {
        let url = self.url(&delivery::path(&self.client_code, session));
        let request = self.http.post(url).header(CONTENT_TYPE, "application/json").body(body);
        let begun = Instant::now();
        let received = self.exchange(request, ANSWER_BYTES_MAX).await;
        let classified = |received: &Received| classify_with(received.answer(), SystemTime::now(), delivery::read);
        let exchange = told(received, classified, |outcome| outcome);
        self.measure("delivery", begun, &exchange, Outcome::label);
        exchange
    }

    async fn fetch(&self, identity: &Identity) -> Exchange<Reply> {
        let request = self.http.get(self.url(&fetch::path(&self.client_code, identity)));
        let begun = Instant::now();
        let exchange = told(self.exchange(request, PROFILE_BYTES_MAX).await, fetched, Reply::Failed);
        self.measure("fetch", begun, &exchange, Reply::label);
        exchange
    }

    async fn submit(&self, version: i64, bytes: u64, chunks: mpsc::Receiver<Bytes>) -> Exchange<BatchOutcome> {
        let url = self.url(&bulk::path(&self.client_code, version));
        let body = reqwest::Body::wrap(FileBody { chunks, left: bytes });
        let timeout = self.timeout + Duration::from_secs(bytes / UPLOAD_BYTES_A_SECOND);
        let request = self.http.post(url).header(CONTENT_TYPE, FORM).timeout(timeout).body(body);
        let begun = Instant::now();
        let exchange = told(self.exchange(request, ANSWER_BYTES_MAX).await, submitted, BatchOutcome::Failed);
        self.measure("bulk", begun, &exchange, BatchOutcome::label);
        exchange
    }

    async fn batch_status(&self, path: &str, has_details: bool) -> Exchange<Result<BatchStatus, Outcome>> {
        let details = if has_details { "&showDetails=true" } else { "" };
        let request = self.request(self.http.get(self.url(&format!("{path}{details}"))));
        let begun = Instant::now();
        let exchange = match self.read_status(request).await {
            Ok(exchange) => exchange,
            Err(error) => Exchange { answer: Err(explain(&error)), date: None },
        };
        let label = |answer: &Result<BatchStatus, Outcome>| answer.as_ref().map_or_else(Outcome::label, |_| "told");
        self.measure("batch_status", begun, &exchange, label);
        exchange
    }

    /// The list may be long: it is read as it comes.
    async fn read_status(
        &self,
        request: RequestBuilder,
    ) -> Result<Exchange<Result<BatchStatus, Outcome>>, reqwest::Error> {
        let mut response = request.send().await?;
        let date = date(response.headers());
        if response.status() != reqwest::StatusCode::OK {
            let received = receive(response, ANSWER_BYTES_MAX).await?;
            let outcome = classify_with(received.answer(), SystemTime::now(), |_| None);
            return Ok(Exchange { answer: Err(outcome), date });
        }
        let (chunks, waiting) = mpsc::channel(CHUNKS_WAITING);
        let reading = tokio::task::spawn_blocking(move || {
            let body = BufReader::new(ChunkReader { waiting, chunk: Bytes::new() });
            bulk::read_status(body)
        });
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len();
            if bytes > BATCH_STATUS_BYTES_MAX || chunks.send(chunk).await.is_err() {
                break;
            }
        }
        drop(chunks);
        let status = reading.await.expect("reading a status does not panic");
        let foreign =
            || Outcome::Foreign("the status of a batch was answered in words that are not Target's".to_owned());
        Ok(Exchange { answer: status.ok_or_else(foreign), date })
    }

    /// The URL of a path of Target's on our own endpoint.
    fn url(&self, path: &str) -> Url {
        let mut url = self.endpoint.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        url
    }

    fn request(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, token.header()),
            None => request,
        }
    }

    /// Fails only without an answer, or with half of one.
    async fn exchange(&self, request: RequestBuilder, bytes_max: usize) -> Result<Received, reqwest::Error> {
        receive(self.request(request).send().await?, bytes_max).await
    }
}

/// A client as configured, before it is built.
pub(super) fn builder(options: &ClientOptions) -> Result<reqwest::ClientBuilder, ClientError> {
    // It fails only if there is a provider already, as after the first call.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("outpost/", env!("CARGO_PKG_VERSION")))
        .timeout(options.timeout)
        .connect_timeout(options.timeout / CONNECT_PART)
        .pool_max_idle_per_host(options.connections)
        .redirect(reqwest::redirect::Policy::none())
        // What is to be tried again is the forwarder's to decide.
        .retry(reqwest::retry::never())
        .dns_resolver(Resolver)
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(proxy.proxy()?);
    }
    Ok(builder)
}

/// An answer, or why there is none.
fn told<T>(
    received: Result<Received, reqwest::Error>,
    answer: impl FnOnce(&Received) -> T,
    failed: impl FnOnce(Outcome) -> T,
) -> Exchange<T> {
    match received {
        Ok(received) => Exchange { answer: answer(&received), date: received.date() },
        Err(error) => Exchange { answer: failed(explain(&error)), date: None },
    }
}

fn fetched(received: &Received) -> Reply {
    match received.status {
        200 | 404 if fetch::is_missing(&received.body) => return Reply::Missing,
        200 => {
            if let Some(profile) = fetch::read(&received.body) {
                return Reply::Found(profile);
            }
        }
        _ => {}
    }
    if received.status == 200 && received.body.len() >= PROFILE_BYTES_MAX && received.body.starts_with(b"{") {
        // Cut off, so that nobody can read it; Target's own nevertheless.
        return Reply::Unreadable("the profile is larger than Target's limits allow".to_owned());
    }
    // Its words are not kept: they may say whose profile it is.
    let reason = format!("Target answered {} to reading a profile", received.status);
    Reply::without_profile(classify_with(received.answer(), SystemTime::now(), |_| None), reason)
}

fn submitted(received: &Received) -> BatchOutcome {
    if received.status == 200
        && let Some(outcome) = bulk::read_submission(&received.body)
    {
        return outcome;
    }
    BatchOutcome::Failed(classify_with(received.answer(), SystemTime::now(), |_| None))
}

/// Reads an answer as far as it is needed.
async fn receive(mut response: Response, bytes_max: usize) -> Result<Received, reqwest::Error> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() >= bytes_max {
            break;
        }
    }
    Ok(Received { status, headers, body })
}

/// A file that comes in chunks, and whose length is known.
struct FileBody {
    chunks: mpsc::Receiver<Bytes>,
    left: u64,
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let chunk = std::task::ready!(self.chunks.poll_recv(context));
        Poll::Ready(chunk.map(|chunk| {
            self.left = self.left.saturating_sub(chunk.len() as u64);
            Ok(Frame::data(chunk))
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Chunks that come from elsewhere, for somebody who reads.
struct ChunkReader {
    waiting: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.waiting.blocking_recv().unwrap_or_default();
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

/// Words for a technician, and never the URL or the body.
pub(super) fn explain(error: &reqwest::Error) -> Outcome {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return Outcome::Unreachable(explain_tls(tls));
    }
    if cause::<NameError>(error).is_some() {
        return Outcome::Unreachable(
            "the name of Target's host is not found (DNS); check the network cable, the Wi-Fi and the DNS server"
                .to_owned(),
        );
    }
    if error.is_connect() && !error.is_timeout() {
        return Outcome::Unreachable(format!("no connection to Target: {}", root_cause(error)));
    }
    if error.is_connect() {
        return Outcome::Unreachable(
            "no connection to Target in time; a firewall may drop it, or the DNS server is slow".to_owned(),
        );
    }
    if error.is_timeout() {
        return Outcome::Lost("Target did not answer in time".to_owned());
    }
    Outcome::Lost("the connection to Target broke off before an answer".to_owned())
}

/// What a failed TLS handshake means for whoever stands beside the device.
fn explain_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(problem) = error else {
        return format!("no secure connection to Target: {error}");
    };
    match problem {
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "the certificate was issued by somebody unknown: a proxy on the network opens TLS, or a login page answers; \
             let Target's host pass, or name the proxy's issuer in ca_file"
        }
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "the certificate has expired, or this device's clock is ahead; check the clock"
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "the certificate is not valid yet, or this device's clock is behind; check the clock"
        }
        Certificate::ApplicationVerificationFailure => {
            "the server's public key is none of pins in [target.http]: something on the network answers in Target's place, \
             or Target has a new key"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "the certificate is for another host: something on the network answers in Target's place, perhaps a login page"
        }
        _ => return format!("the certificate is not accepted: {problem}"),
    }
    .to_owned()
}

/// The first cause of a type, also within the system's errors.
fn cause<'e, T: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The system's resolver, whose failures can be told from others.
struct Resolver;

/// A name was not found.
#[derive(Debug)]
struct NameError(std::io::Error);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name is not found")
    }
}

impl std::error::Error for NameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(NameError)?;
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}

/// The innermost cause: the system's or the TLS library's own words, which name no URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    fn options(endpoint: String, timeout: Duration) -> ClientOptions {
        let tls = TlsOptions::default();
        let client_code = "acme".to_owned();
        ClientOptions { endpoint, client_code, token: None, timeout, connections: 1, proxy: None, tls }
    }

    /// Reads one request to the end of its head, and gives that.
    async fn read_head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|read| read > 0) {
            head.push(byte[0]);
        }
        String::from_utf8(head).expect("a head is ASCII")
    }

    /// Answers one request in these bytes, and gives its head.
    async fn answer_once(listener: TcpListener, answer: &'static [u8]) -> String {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let head = read_head(&mut stream).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
        head
    }

    #[cfg(target_os = "linux")] // Elsewhere loopback has one address, and queues are kept differently.
    /// A port whose queue is full: the kernel drops who would connect, as a firewall does. It stays so while both are held.
    async fn dead(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address).expect("the address is free");
        let listener = socket.listen(1).expect("it listens");
        let address = listener.local_addr().expect("bound");
        let mut waiting = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            waiting.push(stream.expect("a place in the queue"));
        }
        (listener, waiting)
    }

    #[cfg(target_os = "linux")]
    fn address(last: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, last), port).into()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn of_two_addresses_one_that_is_dead_leaves_time_for_the_other() {
        let (dead, _waiting) = dead(address(2, 0)).await;
        let port = dead.local_addr().expect("bound").port();
        let alive = TcpListener::bind(address(1, port)).await.expect("the port is free here too");
        let answering = tokio::spawn(answer_once(alive, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"));
        let options = options(format!("http://target.test:{port}"), Duration::from_secs(6));
        let addresses = [address(2, 0), address(1, 0)];
        let http =
            builder(&options).expect("valid").resolve_to_addrs("target.test", &addresses).build().expect("valid");
        let response = http.post(format!("{}/m2", options.endpoint)).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        answering.await.expect("no panic");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_is_not_connected_in_time_is_unreachable_and_nothing_was_sent() {
        let (dead, _waiting) = dead(address(1, 0)).await;
        let endpoint = format!("http://{}", dead.local_addr().expect("bound"));
        let client = Client::new(&options(endpoint, Duration::from_millis(900))).expect("valid");
        let begun = Instant::now();
        let outcome = client.send("mboxPC=1&profile.a=1".to_owned()).await.answer;
        assert!(begun.elapsed() < Duration::from_millis(800), "a third of the time");
        assert!(matches!(&outcome, Outcome::Unreachable(words) if words.contains("no connection")), "{outcome:?}");
        assert!(outcome.reason().contains("in time") && !outcome.reached_target());
    }

    #[tokio::test]
    async fn who_is_connected_without_tls_in_time_is_unreachable() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let endpoint = format!("https://localhost:{}", silent.local_addr().expect("bound").port());
        let client = Client::new(&options(endpoint, Duration::from_millis(900))).expect("valid");
        let outcome = client.send("mboxPC=1&profile.a=1".to_owned()).await.answer;
        assert!(matches!(&outcome, Outcome::Unreachable(words) if words.contains("in time")), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_request_that_was_sent_and_got_no_answer_is_lost() {
        for answer in [b"".as_slice(), b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ntrue"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
            let client = Client::new(&options(endpoint, Duration::from_secs(5))).expect("valid");
            let answering = tokio::spawn(answer_once(listener, answer));
            let outcome = client.send("mboxPC=1&profile.a=1".to_owned()).await.answer;
            assert!(outcome.is_lost() && outcome.reason().contains("broke off"), "{outcome:?}");
            answering.await.expect("no panic");
        }
        // Connected, since the kernel takes the connection, and then nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let endpoint = format!("http://{}", silent.local_addr().expect("bound"));
        let client = Client::new(&options(endpoint, Duration::from_millis(300))).expect("valid");
        let outcome = client.send("mboxPC=1&profile.a=1".to_owned()).await.answer;
        assert!(outcome.is_lost() && outcome.reason().contains("did not answer in time"), "{outcome:?}");
    }

    #[test]
    fn each_answer_to_reading_a_profile() {
        let check = |status, body: &str, label: &str| {
            let received = Received { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
            assert_eq!(fetched(&received).label(), label, "{status} {body}");
        };
        // Only the body is documented: it may come with either status.
        let missing = r#"{"status":404,"message":"No profile found for client acme with third party id=123456"}"#;
        check(404, missing, "missing");
        check(200, missing, "missing");
        check(500, missing, "failing");
        check(200, r#"{"client":"acme","profileAttributes":{}}"#, "found");
        check(200, "<html>Welcome</html>", "foreign");
        check(404, "<html>Not Found</html>", "foreign");
        check(404, "Not Found", "unreadable");
        check(400, "no", "unreadable");
        check(414, "", "unreadable");
        check(403, "", "denied");
        check(502, "", "failing");
        check(200, &format!("{{{}", " ".repeat(PROFILE_BYTES_MAX)), "unreadable");
    }

    #[tokio::test]
    async fn a_batch_is_submitted_as_a_form() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let client = Client::new(&options(endpoint, Duration::from_secs(5))).expect("valid");
        let answering = tokio::spawn(answer_once(listener, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
        let (chunks, sending) = mpsc::channel(1);
        chunks.send(Bytes::from_static(b"batch=pcId,a\n1,2\n")).await.expect("there is room");
        drop(chunks);
        client.submit(2, 17, sending).await;
        let head = answering.await.expect("no panic").to_lowercase();
        assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{head}");
    }
}
