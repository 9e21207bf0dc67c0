//! The HTTP client: one call, one answer. TLS by rustls; no redirects, no cookies.

use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use tokio::sync::mpsc;

use super::bulk::{BatchOutcome, BatchStatus};
use super::error::{ClientError, Setting};
use super::fetch::Reply;
use super::hub::{Handed, of_hub};
use super::outcome::Outcome;
use super::token::Token;
use super::update::{Naming, Request};
use crate::core::fleet::{Join, Joined, KnownDevice};
use crate::core::forwarding::destination::Destination;
use crate::core::identity::Identity;
use crate::device::metrics::Metrics;

mod chunks;
mod connections;
mod explain;
mod options;
mod received;
mod resolver;
mod tunnel;

use connections::Connections;
pub(super) use explain::Way;
pub(super) use options::builder;
pub use options::{ClientOptions, HttpOptions, host, http_client};
pub use received::Exchange;

/// A client of Target with kept-alive connections. Cheap to clone; all clones change together when it is set up again.
///
/// One that cannot be set up sends nothing, and answers [`Outcome::NotSetUp`]: what stands in the way of forwarding must
/// not keep a device from recording.
#[derive(Clone, Debug)]
pub struct Client(Arc<RwLock<Arc<Setup>>>);

/// A client that is set up, and does not hold yet.
pub struct Prepared(Setup);

/// The current setup.
#[derive(Debug)]
struct Setup {
    options: ClientOptions,
    metrics: Metrics,
    /// Digest of the files that connections are made with.
    fingerprint: [u8; 32],
    connections: Result<Connections, ClientError>,
}

impl Setup {
    fn new(options: &ClientOptions, metrics: Metrics) -> Self {
        // First: what changes from now on is seen as a change.
        let fingerprint = options.http.fingerprint();
        let connections = Connections::new(options, metrics.clone());
        Self { options: options.clone(), metrics, fingerprint, connections }
    }

    /// Returns whether what stood in the way may be out of it: setting up for nothing costs more than a look.
    fn may_be_set_up(&self, error: &ClientError) -> bool {
        match error.setting {
            Setting::Token => self.options.token.as_ref().is_some_and(|token| Token::new(token).is_ok()),
            Setting::System => true,
            _ => self.fingerprint != self.options.http.fingerprint(),
        }
    }

    fn connections(&self) -> Result<&Connections, Outcome> {
        self.connections.as_ref().map_err(|error| Outcome::NotSetUp(error.to_string()))
    }
}

impl Client {
    /// Sets the client up; nothing is sent.
    ///
    /// # Errors
    /// [`ClientError`], which names the file or the setting.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let client = Self::measured(options, Metrics::new());
        client.fault().map_or(Ok(client), Err)
    }

    /// Sets the client up as far as that is possible, with its requests measured.
    #[must_use]
    pub fn measured(options: &ClientOptions, metrics: Metrics) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(Setup::new(options, metrics)))))
    }

    /// Returns why it is not set up, if so.
    #[must_use]
    pub fn fault(&self) -> Option<ClientError> {
        self.now().connections.as_ref().err().cloned()
    }

    /// Makes ready how Target is reached with other options; nothing changes.
    ///
    /// # Errors
    /// As for [`Self::new`], where it is set up now: it must not become worse.
    pub fn prepare(&self, options: &ClientOptions) -> Result<Prepared, ClientError> {
        let now = self.now();
        let next = Setup::new(options, now.metrics.clone());
        match &next.connections {
            Err(error) if now.connections.is_ok() => Err(error.clone()),
            _ => Ok(Prepared(next)),
        }
    }

    /// Puts into effect what was prepared, for all clones. What is on its way comes to its end as it began.
    pub fn install(&self, next: Prepared) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next.0);
    }

    /// As [`Self::install`], unless another one was installed since `now` was looked at: a reload is not undone by it.
    fn replace(&self, now: &Arc<Setup>, next: Setup) -> bool {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = Arc::ptr_eq(&current, now);
        if is_same {
            *current = Arc::new(next);
        }
        is_same
    }

    /// Returns where requests go now.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.now().options.destination.clone()
    }

    fn now(&self) -> Arc<Setup> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the token again where it may be another one, or sets a client up that was not. Tells whether requests are made
    /// in another way now.
    #[must_use]
    pub fn refresh_credentials(&self) -> bool {
        let now = self.now();
        match &now.connections {
            Ok(connections) => connections.token.as_ref().is_some_and(Token::refresh),
            Err(error) if !now.may_be_set_up(error) => false,
            Err(_) => {
                let next = Setup::new(&now.options, now.metrics.clone());
                let is_set_up = next.connections.is_ok();
                self.replace(&now, next) && is_set_up
            }
        }
    }

    /// Returns whether credentials can change while the agent runs.
    #[must_use]
    pub fn can_change(&self) -> bool {
        let now = self.now();
        now.connections.as_ref().map_or(true, |now| now.token.as_ref().is_some_and(Token::can_change))
    }

    /// Sets all clones up again if a certificate, a key or a secret of the proxy has changed in its file. Returns whether that was
    /// so.
    ///
    /// # Errors
    /// As for [`Self::new`]; then nothing changes.
    pub fn refresh_certificates(&self) -> Result<bool, ClientError> {
        let now = self.now();
        // One that is not set up tries that again by itself.
        if now.connections.is_err() || now.fingerprint == now.options.http.fingerprint() {
            return Ok(false);
        }
        let next = self.prepare(&now.options)?;
        Ok(self.replace(&now, next.0))
    }

    /// Sends one update of a profile, and reads the answer as far as it is needed.
    pub async fn send(&self, request: Request, naming: &Naming<'_>) -> Exchange<Outcome> {
        match self.now().connections() {
            Ok(now) => now.send(request, naming).await,
            Err(outcome) => Exchange::unanswered(outcome),
        }
    }

    /// Hands parts over to the hub: JSON in gzip.
    pub async fn hand_over(&self, body: Vec<u8>) -> Exchange<Handed> {
        match self.now().connections() {
            Ok(now) => now.hand_over(body).await,
            Err(outcome) => Exchange::unanswered(Handed::Failed(of_hub(outcome))),
        }
    }

    /// Asks the hub whether it knows this device, by its token.
    ///
    /// # Errors
    /// The outcome, with the hub's words.
    pub async fn known(&self) -> Result<KnownDevice, Outcome> {
        self.now().connections().map_err(of_hub)?.known().await
    }

    /// Joins a fleet.
    ///
    /// # Errors
    /// The outcome, with the hub's words.
    pub async fn join(&self, join: &Join) -> Result<Joined, Outcome> {
        self.now().connections().map_err(of_hub)?.join(join).await
    }

    /// Reads one profile with the Fetch API: one request, which counts against the quota of reads.
    pub async fn fetch(&self, identity: &Identity) -> Exchange<Reply> {
        match self.now().connections() {
            Ok(now) => now.fetch(identity).await,
            Err(outcome) => Exchange::unanswered(Reply::Failed(outcome)),
        }
    }

    /// Submits the file of a batch, of so many bytes.
    pub async fn submit(&self, version: i64, bytes: u64, chunks: mpsc::Receiver<Bytes>) -> Exchange<BatchOutcome> {
        match self.now().connections() {
            Ok(now) => now.submit(version, bytes, chunks).await,
            Err(outcome) => Exchange::unanswered(BatchOutcome::Failed(outcome)),
        }
    }

    /// Asks how a batch stands, under the path and query that its submission gave; with details, what failed is listed.
    pub async fn batch_status(&self, path: &str, has_details: bool) -> Exchange<Result<BatchStatus, Outcome>> {
        match self.now().connections() {
            Ok(now) => now.batch_status(path, has_details).await,
            Err(outcome) => Exchange::unanswered(Err(outcome)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;
    use crate::adobe::tls::TlsOptions;

    fn options(endpoint: String, timeout: Duration) -> ClientOptions {
        let http = HttpOptions { timeout, connections: 1, proxy: None, tls: TlsOptions::default() };
        ClientOptions {
            destination: Destination::Target { client_code: "acme".to_owned(), endpoint },
            token: None,
            http,
        }
    }

    fn update() -> Request {
        Request::Single("mboxPC=1&profile.a=1".to_owned())
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
    /// A port whose queue is full: the kernel drops who would connect, as a firewall does. It stays so while both are
    /// held.
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
        let endpoint = format!("http://target.test:{port}");
        let options = options(endpoint.clone(), Duration::from_secs(6)).http;
        let addresses = [address(2, 0), address(1, 0)];
        let http = builder(&endpoint, &options)
            .expect("valid")
            .resolve_to_addrs("target.test", &addresses)
            .build()
            .expect("valid");
        let response = http.post(format!("{endpoint}/m2")).send().await.expect("an answer");
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
        let outcome = client.send(update(), &Naming::default()).await.answer;
        assert!(begun.elapsed() < Duration::from_millis(800), "a third of the time");
        assert!(matches!(&outcome, Outcome::Unreachable(why) if why.words.contains("no connection")), "{outcome:?}");
        assert!(outcome.reason().contains("in time") && !outcome.reached_target());
    }

    #[tokio::test]
    async fn who_is_connected_without_tls_in_time_is_unreachable() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let endpoint = format!("https://localhost:{}", silent.local_addr().expect("bound").port());
        let client = Client::new(&options(endpoint, Duration::from_millis(900))).expect("valid");
        let outcome = client.send(update(), &Naming::default()).await.answer;
        assert!(matches!(&outcome, Outcome::Unreachable(why) if why.words.contains("in time")), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_request_that_was_sent_and_got_no_answer_is_lost() {
        for answer in [b"".as_slice(), b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ntrue"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
            let client = Client::new(&options(endpoint, Duration::from_secs(5))).expect("valid");
            let answering = tokio::spawn(answer_once(listener, answer));
            let outcome = client.send(update(), &Naming::default()).await.answer;
            assert!(outcome.is_lost() && outcome.reason().contains("broke off"), "{outcome:?}");
            answering.await.expect("no panic");
        }
        // Connected, since the kernel takes the connection, and then nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let endpoint = format!("http://{}", silent.local_addr().expect("bound"));
        let client = Client::new(&options(endpoint, Duration::from_millis(300))).expect("valid");
        let outcome = client.send(update(), &Naming::default()).await.answer;
        assert!(outcome.is_lost() && outcome.reason().contains("did not answer in time"), "{outcome:?}");
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
