//! `outpost join`: makes this device one of a fleet, so that it hands over to the fleet's hub.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::at_rest::store_file;
use super::failure::Failure;
use super::load::{ConfigArgs, device_id};
use super::output::print_line;
use super::runtime::small_runtime;
use crate::adobe::{Client, ClientOptions, Handed};
use crate::agent::data_dir::{HUB_TOKEN_FILE, new_token};
use crate::config::Config;
use crate::core::fleet::{Handover, Join, Joined};
use crate::core::visible::one_line;
use crate::core::words::counted;
use crate::device::dir;
use crate::device::secret::Secret;
use crate::forward::compressed;
use crate::store::Reader;

/// Name of the drop-in file that joining writes.
const DROP_IN: &str = "90-hub.toml";

/// Name of the file of the attempt to join, in the data directory until that has come to its end.
const ATTEMPT_FILE: &str = "hub.attempt";

/// Joins a fleet by an invitation: from then on this device hands over to its hub instead of sending to Target
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost join https://hub.acme.example --invite @invitation.txt")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// URL of the hub
    url: String,
    /// Code of the invitation, or @ and the file that holds it: others on this device can see what is typed
    #[arg(long, value_name = "CODE|@FILE")]
    invite: String,
    /// Group of devices to belong to, where the invitation leaves that open
    #[arg(long)]
    group: Option<String>,
    /// Certificates of the authority that the hub's certificate is of, if it is not one of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // A device that has joined needs no [target]; one that has none yet can join.
    let agent = args.config.mounted_agent()?;
    let loaded = args.config.load().ok();
    let drop_in = args.config.path()?.with_extension("d").join(DROP_IN);
    let has_hub = loaded.as_ref().is_some_and(|loaded| loaded.config.target.is_hub());
    if has_hub && !drop_in.exists() {
        return Err(Failure::usage(format!(
            "this device has a section [hub] already, not in {}; remove it first",
            drop_in.display()
        )));
    }
    let device = device_id(&agent)?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Failure::failed(&error));
    let data_dir = absolute(&agent.data_dir)?;
    let (token_file, attempt_file) = (data_dir.join(HUB_TOKEN_FILE), data_dir.join(ATTEMPT_FILE));
    let ca_file = args.ca_file.as_deref().map(absolute).transpose()?;
    let text = section(&args.url, &token_file, ca_file.as_deref());
    // What could not be read afterwards is refused before anybody is asked.
    let options = checked(&text)?;
    let attempt = attempt(&attempt_file)?.expose_secret().to_owned();
    let join = Join { code: code(&args.invite)?, device_id: device, group: args.group.clone(), attempt: Some(attempt) };
    let Joined { token, device_id, group } = joined(&options, &join)?;
    dir::replace_at(&token_file, token.as_bytes(), 0o600).map_err(|error| kept(&token_file, &error))?;
    let group = group.map(|group| format!(", in the group {}", one_line(&group))).unwrap_or_default();
    print_line(&format!("joined as {}{group}", one_line(&device_id)))?;
    write(&drop_in, &text)?;
    check(&options)?;
    // What is left of it is of no use to anybody who does not have the invitation.
    let _ = fs::remove_file(&attempt_file);
    print_line(&format!("{} is written, and the hub takes what this device hands over", drop_in.display()))?;
    print_line(&next(loaded.as_ref().map(|loaded| &loaded.config)))
}

/// Returns the section as it is written.
fn section(url: &str, token_file: &Path, ca_file: Option<&Path>) -> String {
    // A text of JSON is one of TOML.
    let quoted = |text: String| serde_json::Value::String(text).to_string();
    let path = |path: &Path| quoted(path.display().to_string());
    let ca_file = ca_file.map(|file| format!("ca_file = {}\n", path(file))).unwrap_or_default();
    format!(
        "# Written by `outpost join`. What is pending for Target goes there first; then [target] has no effect.\n\
         [hub]\nurl = {}\ntoken = {{ file = {} }}\n{ca_file}",
        quoted(url.to_owned()),
        path(token_file)
    )
}

/// Reads the section as the agent will, and returns how the hub is reached without a token yet.
fn checked(text: &str) -> Result<ClientOptions, Failure> {
    let config = crate::config::Sources::of_text(Path::new(DROP_IN), text);
    let config = Config::parse(&config, |_| String::new()).map_err(|problems| super::load::report(&problems))?;
    Ok(config.target.client)
}

fn code(invite: &str) -> Result<String, Failure> {
    let code = match invite.strip_prefix('@') {
        Some(path) => {
            dir::read_small_at(Path::new(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(
                || Failure::usage(format!("the invitation in {path} cannot be read; it must be a short text")),
            )?
        }
        None => invite.to_owned(),
    };
    let code = code.trim();
    if code.is_empty() || code.contains(char::is_whitespace) {
        return Err(Failure::usage("the invitation must be one word, as `outpost fleet invite` prints it".to_owned()));
    }
    Ok(code.to_owned())
}

/// Returns the text by which the hub knows this attempt again: that of an earlier run whose answer may have been lost, or a new
/// one, which is kept before it is used.
fn attempt(path: &Path) -> Result<SecretString, Failure> {
    if path.exists() {
        return Secret::File(path.to_owned()).read().map_err(Failure::because);
    }
    dir::make_dirs(dir::parent(path), 0o750).map_err(|error| kept(path, &error))?;
    let attempt = new_token().map_err(|error| kept(path, &error))?;
    dir::replace_at(path, attempt.expose_secret().as_bytes(), 0o600).map_err(|error| kept(path, &error))?;
    Ok(attempt)
}

fn kept(path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(format!("{} cannot be written: {error}; run this once more when it can", path.display()))
}

fn joined(options: &ClientOptions, join: &Join) -> Result<Joined, Failure> {
    let options = ClientOptions { token: None, ..options.clone() };
    let client = Client::new(&options).map_err(|error| Failure::failed(&error))?;
    small_runtime()?.block_on(client.join(join)).map_err(|outcome| {
        Failure::because(format!("this device did not join: {}; nothing has changed on it", outcome.reason()))
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = dir::make_dirs(dir::parent(path), 0o755).and_then(|()| dir::replace_at(path, text.as_bytes(), 0o644));
    written.map_err(|error| kept(path, &error))
}

/// Hands over nothing, with the new token.
fn check(options: &ClientOptions) -> Result<(), Failure> {
    let client = Client::new(options).map_err(|error| Failure::failed(&error))?;
    let body = compressed(&Handover::default());
    match small_runtime()?.block_on(client.hand_over(body)).answer {
        Handed::Taken(_) => Ok(()),
        Handed::Failed(outcome) => Err(Failure::because(format!(
            "this device has joined, but the hub did not take a first request: {}",
            outcome.reason()
        ))),
    }
}

/// Says what becomes of what is pending, and what to do.
fn next(config: Option<&Config>) -> String {
    let count = |config| Reader::open(store_file(config)).ok()?.count_pending().ok();
    let pending = config.and_then(count).map_or(0, |pending| pending.profiles);
    let first = match pending {
        0 => "nothing is pending for Target".to_owned(),
        pending => format!("{} pending for Target, which gets what is pending first", counted(pending, "profile")),
    };
    format!("{first}; run `outpost reload` where the agent runs, or start it: then it hands over to the hub")
}
