//! `outpost token`: manages the tokens of the local API.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use serde_json::json;

use super::connect::{Holder, holder};
use super::failure::Failure;
use super::load::ConfigArgs;
use super::output::{local, print, print_line, warn};
use super::runtime::small_runtime;
use crate::agent::data_dir::{DataDir, DataDirError, new_token};
use crate::core::limits::TOKENS_MAX;
use crate::core::timestamp::Timestamp;
use crate::core::tokens::{self, NamedToken, Right, TokenHash};
use crate::device::clock::Clock;

/// Creates, replaces and revokes tokens of the local API
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost token rotate --grace 1h")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the tokens with their rights, never the tokens themselves
    #[command(after_help = "Example:\n  outpost token list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Creates a token and prints it, which happens only once
    #[command(
        after_help = "Example:\n  outpost token create kiosk-page --right record --origin https://kiosk.acme.example"
    )]
    Create {
        /// Name of the token, such as till-3
        name: String,
        /// The right that it gives
        #[arg(long, value_enum)]
        right: RightArg,
        #[arg(
            long,
            help = "The only web page that may use it, such as https://kiosk.acme.example; it may only record"
        )]
        origin: Option<String>,
    },
    /// Replaces a token with a new one; without a name, the one from the first start
    #[command(after_help = "Example:\n  outpost token rotate till-3 --grace 1h")]
    Rotate {
        /// Name of the token
        name: Option<String>,
        /// Time for which the old token stays valid
        #[arg(long, default_value = "0s", value_parser = duration)]
        grace: Duration,
    },
    /// Revokes a token
    #[command(after_help = "Example:\n  outpost token revoke till-3")]
    Revoke {
        /// Name of the token
        name: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RightArg {
    /// Recording events
    Record,
    /// Reading the agent's status and data
    Read,
    /// Everything
    Admin,
}

impl From<RightArg> for Right {
    fn from(right: RightArg) -> Self {
        match right {
            RightArg::Record => Self::Record,
            RightArg::Read => Self::Read,
            RightArg::Admin => Self::Admin,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let words = || "a duration such as 30s or 1h".to_owned();
    text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok()).ok_or_else(words)
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let data_dir = DataDir::new(&args.config.agent()?.data_dir);
    if let Command::List { json } = &args.command {
        return list(&data_dir, *json);
    }
    // One change at a time: through the running agent, or while none runs.
    let holder = holder(&data_dir)?;
    let said = change(&data_dir, &args.command)?;
    let reloaded = match &holder {
        Holder::Agent(connection) => small_runtime()?.block_on(connection.reload()).map(|_| ()),
        Holder::Us(_) => Ok(()),
    };
    match reloaded {
        Err(refused) if refused.is_of_configuration() => warn(&format!(
            "the tokens are effective, but not all of the configuration: {}",
            Failure::from(refused).message
        )),
        Err(refused) => {
            if !matches!(args.command, Command::Revoke { .. }) {
                print(&said)?;
            }
            return Err(Failure::because(format!(
                "the tokens were changed in {}, but the agent that runs there still uses those before: {}; restart it",
                data_dir.path().display(),
                Failure::from(refused).message
            )));
        }
        Ok(()) => {}
    }
    print(&said)
}

fn failed(error: &DataDirError) -> Failure {
    Failure::failed(error)
}

fn list(data_dir: &DataDir, is_json: bool) -> Result<(), Failure> {
    let now = Clock::system();
    let tokens = data_dir.named_tokens().map_err(|error| failed(&error))?;
    let tokens: Vec<NamedToken> = tokens.into_iter().filter(|token| token.is_good(now)).collect();
    let until = |token: &NamedToken| token.until_ms.map(|until_ms| Timestamp::from_millis(until_ms).to_string());
    if is_json {
        let each = |token: &NamedToken| json!({ "name": token.name, "right": token.right, "origin": token.origin, "until": until(token) });
        let intake = json!({ "name": tokens::INTAKE, "right": Right::Admin, "origin": null, "until": null });
        let all: Vec<_> = std::iter::once(intake).chain(tokens.iter().map(each)).collect();
        return print(&serde_json::to_string_pretty(&all).map_err(|error| Failure::failed(&error))?);
    }
    print_line(&format!("{:<20}{:<8}in {}", tokens::INTAKE, Right::Admin.name(), data_dir.token_path().display()))?;
    for token in &tokens {
        let origin = token.origin.as_deref().map(|origin| format!("for {origin} ")).unwrap_or_default();
        let until = until(token).map(|until| format!("until {}", local(&until))).unwrap_or_default();
        print_line(format!("{:<20}{:<8}{origin}{until}", token.name, token.right.name()).trim_end())?;
    }
    Ok(())
}

/// Changes the tokens, and returns the text to print.
fn change(data_dir: &DataDir, command: &Command) -> Result<String, Failure> {
    let now = Clock::system();
    let mut tokens = data_dir.named_tokens().map_err(|error| failed(&error))?;
    tokens.retain(|token| token.is_good(now));
    let keep = |tokens: &[NamedToken]| data_dir.keep_tokens(tokens).map_err(|error| failed(&error));
    let missing =
        |name: &str| Failure::usage(format!("there is no token named {name}; `outpost token list` lists them"));
    match command {
        Command::List { .. } => Ok(String::new()),
        Command::Create { name, right, origin } => {
            let token = create(&mut tokens, name, Right::from(*right), origin.as_deref())?;
            keep(&tokens)?;
            Ok(token)
        }
        Command::Rotate { name: None, grace } => {
            let before = data_dir.token().map_err(|error| failed(&error))?;
            let count = tokens.len();
            end_grace(&mut tokens, tokens::INTAKE);
            if !grace.is_zero() {
                tokens.push(NamedToken {
                    name: before_of(tokens::INTAKE),
                    right: Right::Admin,
                    hash: TokenHash::of(before.expose_secret().as_bytes()),
                    origin: None,
                    until_ms: Some(now.plus(*grace).as_millis()),
                });
            }
            if !grace.is_zero() || tokens.len() != count {
                // First: after a power cut in between, the old token is still valid.
                keep(&tokens)?;
            }
            data_dir.rotate_token().map_err(|error| failed(&error))?;
            Ok(format!("the new token is in {}", data_dir.token_path().display()))
        }
        Command::Rotate { name: Some(name), grace } => {
            end_grace(&mut tokens, name);
            let place = position(&tokens, name).ok_or_else(|| missing(name))?;
            let before = tokens[place].clone();
            let token = new_token().map_err(|error| Failure::failed(&error))?;
            tokens[place].hash = TokenHash::of(token.expose_secret().as_bytes());
            if !grace.is_zero() {
                let (name, until_ms) = (before_of(name), Some(now.plus(*grace).as_millis()));
                tokens.push(NamedToken { name, until_ms, ..before });
            }
            keep(&tokens)?;
            Ok(token.expose_secret().to_owned())
        }
        Command::Revoke { name } => {
            let count = tokens.len();
            end_grace(&mut tokens, name);
            tokens.retain(|token| token.name != *name);
            if tokens.len() == count {
                return Err(missing(name));
            }
            keep(&tokens)?;
            Ok(format!("the token {name} is no longer valid"))
        }
    }
}

/// Returns the name under which a replaced token is still valid for a while.
fn before_of(name: &str) -> String {
    format!("{name} before")
}

/// Ends the validity of tokens that were replaced and are still valid for a while.
fn end_grace(tokens: &mut Vec<NamedToken>, name: &str) {
    let before = before_of(name);
    tokens.retain(|token| token.name != before);
}

fn position(tokens: &[NamedToken], name: &str) -> Option<usize> {
    tokens.iter().position(|token| token.name == name)
}

fn create(tokens: &mut Vec<NamedToken>, name: &str, right: Right, origin: Option<&str>) -> Result<String, Failure> {
    let is_plain = |next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        return Err(Failure::usage("the name of a token has 1 to 64 letters, digits, dots, hyphens and underscores"));
    }
    if tokens.len() >= TOKENS_MAX {
        return Err(Failure::usage(format!(
            "there are {TOKENS_MAX} tokens, and there may be no more; revoke those that nobody uses"
        )));
    }
    if name == tokens::INTAKE || position(tokens, name).is_some() {
        return Err(Failure::usage(format!(
            "there is a token named {name}; use `outpost token rotate`, or another name"
        )));
    }
    if let Some(origin) = origin {
        let url = reqwest::Url::parse(origin).ok();
        if url.is_none_or(|url| url.origin().ascii_serialization() != origin) {
            return Err(Failure::usage("an origin is a scheme and a host, as in https://kiosk.acme.example"));
        }
        if right != Right::Record {
            return Err(Failure::usage("a web page may only record; use --right record"));
        }
    }
    let token = new_token().map_err(|error| Failure::failed(&error))?;
    tokens.push(NamedToken {
        name: name.to_owned(),
        right,
        hash: TokenHash::of(token.expose_secret().as_bytes()),
        origin: origin.map(str::to_owned),
        until_ms: None,
    });
    Ok(token.expose_secret().to_owned())
}
