//! The message at the start of the agent: where it listens, and with a simulator, what to try.

use std::net::SocketAddr;

use crate::agent::data_dir::{DataDir, Endpoint};
use crate::cli::load::{ConfigArgs, quoted};
use crate::cli::output::VERSION;
use crate::config::{Config, Example, Sample};
use crate::core::identity::IdentityKind;
use crate::http::sessions::CODE_TIME;

/// Additions to the message of an agent with a simulator.
pub(super) struct Try {
    sandbox: SocketAddr,
    client_code: String,
    /// The options to name the same configuration, as they are typed.
    options: String,
    /// An event of the configuration; `None` where the built-in one is used.
    sample: Option<Option<Sample>>,
}

impl Try {
    pub(super) fn new(sandbox: SocketAddr, args: &ConfigArgs, config: &Config) -> Self {
        let sample = (!args.is_built_in()).then(|| config.examples.iter().find_map(Example::sample));
        let client_code = config.target.client.destination.client_code().to_owned();
        Self { sandbox, client_code, options: args.typed(), sample }
    }
}

/// Returns the message. The token stays in its file: others see a terminal, and the token may guard a store that is not a
/// sandbox's. `page` is the path of a link that opens the page once, which is worth nothing after that.
pub(super) fn greeting(endpoint: &Endpoint, data_dir: &DataDir, page: Option<&str>, attempt: Option<&Try>) -> String {
    let http = endpoint.http;
    let mut text = format!("Outpost {VERSION} is running; stop it with Ctrl-C\n");
    let token_path = data_dir.token_path();
    let token_path = token_path.display();
    let Some(attempt) = attempt else {
        text.push_str(&format!("  events    POST http://{http}/v1/events\n"));
        text.push_str(&format!("  status    http://{http}/v1/status, or `outpost status`\n"));
        text.push_str(&format!("  token     in {token_path}"));
        return text;
    };
    if let Some(page) = page {
        let minutes = CODE_TIME.as_secs() / 60;
        text.push_str(&format!("  page      http://{http}{page}\n            opens once, within {minutes} minutes\n"));
    }
    let sandbox = attempt.sandbox;
    text.push_str(&format!(
        "  status    http://{http}/v1/status\n\
         \x20 token     in {token_path}\n\
         \x20 simulator http://{sandbox}/sandbox/profiles and /sandbox/requests\n"
    ));
    if attempt.sample.is_some() {
        text.push_str(&format!(
            "  note      what you try is kept in {}; without --sandbox all of it would be sent to client code {}.\n\
             \x20           Before you go live, stop the agent and delete this folder, or set another data_dir\n",
            data_dir.path().display(),
            attempt.client_code
        ));
    }
    text.push_str("\nTry it from another terminal:\n");
    text.push_str(&match &attempt.sample {
        None => attempt.built_in(http, &token_path.to_string()),
        Some(sample) => attempt.own(sample.as_ref()),
    });
    text
}

/// Returns the program as it is typed.
fn program() -> String {
    let program = std::env::args().next().unwrap_or_else(|| "outpost".to_owned());
    if program.contains([' ', '\'']) { quoted(&program) } else { program }
}

/// Returns the URL of a profile in the simulator, which answers once an update has arrived: the lines may be pasted at once.
fn profile(sandbox: SocketAddr, kind: &str, key: &str) -> String {
    format!("http://{sandbox}/sandbox/profiles/{kind}/{key}?wait=1m")
}

impl Try {
    fn built_in(&self, http: SocketAddr, token_path: &str) -> String {
        let (program, options) = (program(), &self.options);
        let (token_path, id) = (quoted(token_path), uuid::Uuid::now_v7());
        format!(
            "  printf 'header = \"Authorization: Bearer %s\"' \"$(cat {token_path})\" | curl -i -K - http://{http}/v1/events \
             -H 'Content-Type: application/cloudevents+json' \
             -d '{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/kiosk/3\",\"type\":\"com.example.loyalty.used\",\
             \"data\":{{\"card\":\"123456\",\"store\":\"Lund\",\"total\":99.5}}}}'\n\
             \x20 printf %s '{{\"card\":\"123456\",\"store\":\"Malmö\",\"total\":20}}' | {program} record{options} --type com.example.loyalty.used --data -\n\
             \x20 curl '{profile}'\n\
             \x20 {program} explain{options} 123456\n\
             \x20 {program} status{options}\n",
            profile = profile(self.sandbox, "third_party_id", "123456"),
        )
    }

    /// With the event of an example, since the built-in one means nothing to this configuration.
    fn own(&self, sample: Option<&Sample>) -> String {
        let (program, options) = (program(), &self.options);
        let mut text = String::new();
        if let Some(Sample { event_type, data, kind, key }) = sample {
            let (event_type, data, kind) = (quoted(event_type), quoted(data), IdentityKind::name(*kind));
            let identity = quoted(&format!("{kind}:{key}"));
            text.push_str(&format!(
                "  printf %s {data} | {program} record{options} --type {event_type} --data -\n\
                 \x20 curl {}\n\
                 \x20 {program} explain{options} {identity}\n",
                quoted(&profile(self.sandbox, kind, key))
            ));
        }
        text.push_str(&format!("  {program} status{options}\n"));
        text
    }
}
