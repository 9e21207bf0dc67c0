//! Requests to Target over kept-alive connections: one call, one answer.

use std::io::BufReader;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{RequestBuilder, Url};
use tokio::sync::mpsc;

use super::chunks::{ChunkReader, FileBody};
use super::explain::Way;
use super::options::{ClientOptions, http_client};
use super::received::{Exchange, Received, date, fetched, receive, submitted, told};
use crate::adobe::bulk::{self, BatchOutcome, BatchStatus};
use crate::adobe::error::{ClientError, Setting};
use crate::adobe::fetch::{self, Reply};
use crate::adobe::hub::{self, Handed};
use crate::adobe::outcome::{Outcome, classify_with};
use crate::adobe::token::Token;
use crate::adobe::update::{self, Naming, Request, Written};
use crate::core::fleet::{DEVICE_PATH, JOIN_PATH, Join, Joined, KnownDevice, PARTS_PATH};
use crate::core::identity::Identity;
use crate::core::limits::{ANSWER_BYTES_MAX, BATCH_STATUS_BYTES_MAX, HUB_ANSWER_BYTES_MAX, PROFILE_BYTES_MAX};
use crate::device::clock::Clock;
use crate::device::metrics::Metrics;

/// The slowest line that the file of a batch is sent over. Units: bytes a second.
const UPLOAD_BYTES_A_SECOND: u64 = 8 * 1024;

/// The content type of batches.
///
/// Source: Experience League, whose sample `curl --data-binary` sends it.
const FORM: &str = "application/x-www-form-urlencoded";

/// Chunks of a long answer that wait to be read.
const CHUNKS_WAITING: usize = 4;

/// The client as it is set up now.
#[derive(Debug)]
pub(super) struct Connections {
    http: reqwest::Client,
    endpoint: Url,
    client_code: Arc<str>,
    pub(super) token: Option<Token>,
    timeout: Duration,
    metrics: Metrics,
    /// Target and the proxy, for error messages.
    way: Way,
}

impl Connections {
    pub(super) fn new(options: &ClientOptions, metrics: Metrics) -> Result<Self, ClientError> {
        let ClientOptions { destination, token, http: way } = options;
        let http = http_client(destination.endpoint(), way)?;
        let wrong = |_| Setting::Endpoint.error("it must be a URL such as https://gateway.example");
        let endpoint = Url::parse(destination.endpoint()).map_err(wrong)?;
        let token = token.as_ref().map(Token::new).transpose()?;
        let client_code = destination.client_code().into();
        Ok(Self { http, endpoint, client_code, token, timeout: way.timeout, metrics, way: Way::new(options) })
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

    pub(super) async fn send(&self, request: Request, naming: &Naming<'_>) -> Exchange<Outcome> {
        let api = request.api();
        let Written { path, content_type, body } = request.written(&self.client_code, naming);
        let request = self.http.post(self.url(&path)).header(CONTENT_TYPE, content_type).body(body);
        let begun = Instant::now();
        let received = self.exchange(request, ANSWER_BYTES_MAX).await;
        let classified = |received: &Received| update::read(api, received.answer(), SystemTime::now());
        let exchange = told(received, classified, |outcome| outcome);
        self.measure(api.name(), begun, &exchange, Outcome::label);
        exchange
    }

    /// Hands parts over to the hub: JSON in gzip.
    pub(super) async fn hand_over(&self, body: Vec<u8>) -> Exchange<Handed> {
        let request = self.http.post(self.url(PARTS_PATH)).header(CONTENT_TYPE, "application/json");
        let request = request.header(CONTENT_ENCODING, "gzip").body(body);
        let begun = Instant::now();
        let received = self.exchange(request, HUB_ANSWER_BYTES_MAX).await;
        let exchange = told(received, |received| hub::read(received.answer(), SystemTime::now()), Handed::Failed);
        self.measure("hub", begun, &exchange, Handed::label);
        exchange
    }

    /// Asks the hub whether it knows this device.
    pub(super) async fn known(&self) -> Result<KnownDevice, Outcome> {
        let received = self.exchange(self.http.get(self.url(DEVICE_PATH)), ANSWER_BYTES_MAX).await?;
        hub::read_document(received.answer(), SystemTime::now())
    }

    pub(super) async fn join(&self, join: &Join) -> Result<Joined, Outcome> {
        let body = serde_json::to_vec(join).expect("texts are JSON");
        let request = self.http.post(self.url(JOIN_PATH)).header(CONTENT_TYPE, "application/json").body(body);
        let received = self.exchange(request, ANSWER_BYTES_MAX).await?;
        hub::read_document(received.answer(), SystemTime::now())
    }

    pub(super) async fn fetch(&self, identity: &Identity) -> Exchange<Reply> {
        let request = self.http.get(self.url(&fetch::path(&self.client_code, identity)));
        let begun = Instant::now();
        let exchange = told(self.exchange(request, PROFILE_BYTES_MAX).await, fetched, Reply::Failed);
        self.measure("fetch", begun, &exchange, Reply::label);
        exchange
    }

    pub(super) async fn submit(
        &self,
        version: i64,
        bytes: u64,
        chunks: mpsc::Receiver<Bytes>,
    ) -> Exchange<BatchOutcome> {
        let url = self.url(&bulk::path(&self.client_code, version));
        let body = reqwest::Body::wrap(FileBody { chunks, left: bytes });
        let timeout = self.timeout + Duration::from_secs(bytes / UPLOAD_BYTES_A_SECOND);
        let request = self.http.post(url).header(CONTENT_TYPE, FORM).timeout(timeout).body(body);
        let begun = Instant::now();
        let exchange = told(self.exchange(request, ANSWER_BYTES_MAX).await, submitted, BatchOutcome::Failed);
        self.measure("bulk", begun, &exchange, BatchOutcome::label);
        exchange
    }

    pub(super) async fn batch_status(&self, path: &str, has_details: bool) -> Exchange<Result<BatchStatus, Outcome>> {
        let details = if has_details { "&showDetails=true" } else { "" };
        let request = self.request(self.http.get(self.url(&format!("{path}{details}"))));
        let begun = Instant::now();
        let exchange = match self.read_status(request).await {
            Ok(exchange) => exchange,
            Err(error) => Exchange::unanswered(Err(self.way.explain(&error).await)),
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
        let foreign = || Outcome::foreign("the status of a batch was answered in words that are not Target's");
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
    async fn exchange(&self, request: RequestBuilder, bytes_max: usize) -> Result<Received, Outcome> {
        let received = match self.request(request).send().await {
            Ok(response) => receive(response, bytes_max).await,
            Err(error) => Err(error),
        };
        match received {
            Ok(received) => Ok(received),
            Err(error) => Err(self.way.explain(&error).await),
        }
    }
}
