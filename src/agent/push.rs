//! Pushes the metrics to a collector, for devices that nobody can reach to ask for them: OTLP over HTTP, in JSON.
//!
//! A push that fails is not repeated: the next brings the totals as they are then.

use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio::sync::watch;

use crate::adobe::{HttpOptions, host, http_client, token};
use crate::core::limits::ANSWER_BYTES_MAX;
use crate::device::clock::Clock;
use crate::device::live::Live;
use crate::device::metrics::{Metrics, otlp_refusal};
use crate::device::secret::Secret;
use crate::inspect::books::Books;
use crate::inspect::status::PushView;

/// Collector that metrics are pushed to, and the interval.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// URL of the collector, with its path.
    pub url: String,
    /// Token that is sent with each request.
    pub token: Option<Secret>,
    /// The way there.
    pub http: HttpOptions,
    /// Time between two pushes.
    pub every: Duration,
}

/// The pushing of one agent's metrics.
pub(super) struct Push {
    pub(super) books: Arc<Books>,
    pub(super) metrics: Metrics,
    pub(super) options: watch::Receiver<Option<PushOptions>>,
    pub(super) view: Live<Option<PushView>>,
}

impl Push {
    /// Pushes until `stop` turns true.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        // Devices that start together do not push together.
        let mut share = fastrand::f64();
        loop {
            let options = self.options.borrow_and_update().clone();
            if options.is_none() {
                self.view.replace(None);
            }
            let pause = options.as_ref().map_or(Duration::MAX, |options| options.every.mul_f64(share));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Ok(()) = self.options.changed() => continue,
                () = tokio::time::sleep(pause) => share = 1.0,
            }
            let Some(options) = options else { continue };
            let pushed = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                pushed = self.push(&options) => pushed,
            };
            self.tell(&options, pushed);
        }
    }

    /// Sends all metrics once.
    ///
    /// # Errors
    /// A clause that says what is the matter.
    async fn push(&self, options: &PushOptions) -> Result<(), String> {
        // Made again each time: its files may have changed, and connections are not kept for minutes.
        let http = http_client(&options.url, &options.http).map_err(|error| error.to_string())?;
        let books = self.books.clone();
        let numbers = tokio::task::spawn_blocking(move || books.status().map(|status| status.numbers())).await;
        let numbers = numbers.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let body = self.metrics.otlp(&numbers, &self.books.device_id, Clock::system());
        let mut request = http.post(&options.url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(token) = &options.token {
            let token = token::bearer(token).map_err(|words| format!("push_token in [metrics]: {words}"))?;
            request = request.header(AUTHORIZATION, token);
        }
        answered(request).await.map_err(|error| unanswered(&error).to_owned())?
    }

    /// Shows what came of a push; only changes are logged.
    fn tell(&self, options: &PushOptions, pushed: Result<(), String>) {
        let before = self.view.now();
        let was_failing = before.as_ref().as_ref().is_some_and(|before| before.problem.is_some());
        let last_at = before.as_ref().as_ref().and_then(|before| before.last_at.clone());
        let host = host(&options.url);
        self.view.replace(Some(match pushed {
            Ok(()) => {
                if was_failing || last_at.is_none() {
                    tracing::info!(host, "metrics are pushed");
                }
                PushView { host, last_at: Some(Clock::system().to_string()), problem: None }
            }
            Err(problem) => {
                if !was_failing {
                    tracing::warn!(host, problem, "metrics cannot be pushed to the collector; it is tried on");
                }
                PushView { host, last_at, problem: Some(problem) }
            }
        }));
    }
}

/// Sends a push, and reads as much of the answer as a collector has to say.
async fn answered(request: RequestBuilder) -> Result<Result<(), String>, reqwest::Error> {
    let mut answer = request.send().await?;
    if !answer.status().is_success() {
        return Ok(Err(format!("it answered {}", answer.status().as_u16())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Ok(Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes; is it a collector?")));
        }
    }
    Ok(otlp_refusal(&body).map_or(Ok(()), Err))
}

/// Returns why there is no answer, as a clause about the collector.
fn unanswered(error: &reqwest::Error) -> &'static str {
    match error {
        error if error.is_connect() => "it cannot be reached",
        error if error.is_timeout() => "it did not answer in time",
        _ => "the connection broke off",
    }
}
