//! Connecting to the agent that runs on a data directory.

use std::error::Error;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::agent::data_dir::{DataDir, DataDirError, Endpoint, Lock};
use crate::core::visible::one_line;
use crate::device::listener::{foreign_listener, foreign_socket};
use crate::http::api::Reloaded;

/// Longest time for an answer of the agent. Limits: a full group on a slow flash card takes far less.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Time for what looks through the whole store.
const LONG_TIMEOUT: Duration = Duration::from_secs(600);

/// Largest answer that is read. Units: bytes. Limits: ten times a list of rejected updates with many attributes; who listens may be
/// somebody else than the agent, and sends for ever.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Largest answer that is read when it says why a request was refused. Units: bytes.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// Time for which a data directory may be in use by a process that is not an agent, or not ready yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two checks meanwhile.
const INTERVAL: Duration = Duration::from_millis(20);

/// Returns a builder of clients for this device only: no proxy, no redirects.
fn builder() -> reqwest::ClientBuilder {
    // Fails only if there already is a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
}

/// The holder of the data directory.
pub(super) enum Holder {
    /// This process, as long as the lock lives; nobody had it before.
    Us(Lock),
    /// An agent that accepts requests.
    Agent(Connection),
}

/// Determines who holds the data directory, and takes it if nobody does.
pub(super) fn holder(data_dir: &DataDir) -> Result<Holder, Failure> {
    let begun = Instant::now();
    loop {
        match data_dir.lock() {
            Ok(lock) => return Ok(Holder::Us(lock)),
            Err(DataDirError::InUse { .. }) => {}
            Err(error) => return Err(Failure::failed(&error)),
        }
        let announced = data_dir.endpoint();
        let answers = announced.as_ref().ok().and_then(Option::as_ref);
        let answers = answers.filter(|endpoint| TcpStream::connect_timeout(&endpoint.http, PATIENCE).is_ok());
        let foreign = answers.and_then(|endpoint| foreign_listener(endpoint.http, &data_dir.lock_path()));
        match (answers, foreign) {
            (Some(endpoint), None) => return Connection::open(data_dir, endpoint).map(Holder::Agent),
            _ if begun.elapsed() < PATIENCE => std::thread::sleep(INTERVAL),
            (Some(endpoint), Some(user)) => {
                return Err(Failure::because(format!(
                    "{} is where the agent last listened, and now the user {user} does, who is not the agent's: nothing was sent \
                     there; see who that is, and restart the agent",
                    endpoint.http
                )));
            }
            (None, _) => {
                let path = data_dir.path().display();
                let why = announced.err().map(|error| format!(": {}", super::failure::chain(&error)));
                let advice = why.unwrap_or_else(|| "; try again".to_owned());
                return Err(Failure::because(format!("{path} is in use, and no agent answers there{advice}")));
            }
        }
    }
}

/// A connection to a running agent.
pub(super) struct Connection {
    http: reqwest::Client,
    base: String,
    token: Option<SecretString>,
}

impl Connection {
    fn open(data_dir: &DataDir, endpoint: &Endpoint) -> Result<Self, Failure> {
        let token = data_dir.existing_token();
        let unread = token.as_ref().err().map(|error| super::failure::chain(error.source().unwrap_or(error)));
        let token = token.ok().flatten();
        let builder = builder();
        #[cfg(unix)]
        let builder = match (&token, &endpoint.socket) {
            (None, Some(socket)) => builder.unix_socket(socket.as_path()),
            _ => builder,
        };
        if token.is_none() {
            let token_path = data_dir.token_path();
            let shown = token_path.display();
            let token = match unread {
                None => format!("the token {shown} is not there: restart the agent, which makes one"),
                Some(why) => {
                    format!("the token {shown} cannot be read: {why}; run this as root, or as the agent's user")
                }
            };
            let Some(socket) = endpoint.socket.as_ref().filter(|_| cfg!(unix)) else {
                return Err(Failure::because(token));
            };
            if let Some(words) = foreign_socket(socket, &data_dir.lock_path()) {
                return Err(Failure::because(format!("{token}; and the agent's socket {} {words}", socket.display())));
            }
        }
        let http = builder.build().map_err(|error| Failure::failed(&error))?;
        Ok(Self { http, base: format!("http://{}", endpoint.http), token })
    }

    /// Returns a connection to an agent on this device, given its URL without a trailing slash and a token.
    pub(super) fn to(base: String, token: SecretString) -> Result<Self, Failure> {
        let http = builder().build().map_err(|error| Failure::failed(&error))?;
        Ok(Self { http, base, token: Some(token) })
    }

    /// Returns the base URL of the agent, such as `http://127.0.0.1:7717`.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Reads a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path).await
    }

    /// Sends a body and reads the answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> Result<T, Failure> {
        self.exchange(self.http.post(format!("{}{path}", self.base)).header(CONTENT_TYPE, content_type).body(body))
            .await
    }

    /// As [`Self::post`], for what looks through the whole store.
    pub(super) async fn post_patiently<T: DeserializeOwned>(&self, path: &str, body: String) -> Result<T, Failure> {
        let request = self.http.post(format!("{}{path}", self.base)).timeout(LONG_TIMEOUT);
        self.exchange(request.header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Sends a request without a body.
    pub(super) async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Failure> {
        self.exchange(self.http.request(method, format!("{}{path}", self.base))).await
    }

    /// Makes the agent reload its tokens and its configuration.
    pub(super) async fn reload(&self) -> Result<Reloaded, Refused> {
        let body = self.answer(self.http.post(format!("{}/v1/reload", self.base))).await?;
        read(&body).map_err(|failure| Refused { status: None, failure })
    }

    async fn exchange<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Failure> {
        read(&self.answer(request).await?)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Refused> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        let answer = async {
            let mut response = request.send().await?;
            let status = response.status();
            let bytes_max = if status.is_success() { ANSWER_BYTES_MAX } else { PROBLEM_BYTES_MAX };
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > bytes_max {
                    return Ok((status, Err(bytes_max)));
                }
                body.extend_from_slice(&chunk);
            }
            Ok((status, Ok(body)))
        };
        let (status, body) = answer.await.map_err(|error: reqwest::Error| Refused {
            status: None,
            failure: Failure::because(format!(
                "the agent did not answer: {}",
                super::failure::chain(&error.without_url())
            )),
        })?;
        match body {
            Ok(body) if status.is_success() => Ok(body),
            Ok(body) => Err(Refused { status: Some(status), failure: refusal(status, &body) }),
            Err(bytes_max) => Err(Refused {
                status: None,
                failure: Failure::because(format!(
                    "the answer {} of {} is larger than {bytes_max} bytes, as none of an agent's is; see who listens there",
                    status.as_u16(),
                    self.base
                )),
            }),
        }
    }
}

/// The document with which an agent says why it refused a request.
#[derive(Default, Deserialize)]
struct Problem {
    detail: Option<String>,
}

/// Returns why an agent refused a request, in its words, which are the same for a store at rest.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    // A list of problems has lines of its own; here each begins as what somebody else wrote.
    let lines = problem.detail.map(|detail| detail.lines().map(one_line).collect::<Vec<_>>().join("; "));
    Failure::because(lines.unwrap_or_else(|| format!("the agent answered {}, and did not say why", status.as_u16())))
}

/// The reason why an agent refused a request.
pub(super) struct Refused {
    /// Status of the answer; `None` if there was none.
    status: Option<StatusCode>,
    failure: Failure,
}

impl Refused {
    /// Returns true if a reload failed because of the configuration, after the tokens were read.
    pub(super) fn is_of_configuration(&self) -> bool {
        self.status == Some(StatusCode::UNPROCESSABLE_ENTITY)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.failure
    }
}

/// Reads a document; an empty answer stands for an empty document.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let body = if body.is_empty() { b"null" } else { body };
    let unknown = |error: serde_json::Error| {
        Failure::because(format!(
            "the agent's answer is unknown: {}; is it another version?",
            super::failure::chain(&error)
        ))
    };
    serde_json::from_slice(body).map_err(unknown)
}
