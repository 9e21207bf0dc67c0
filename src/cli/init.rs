//! `outpost init`: writes a first configuration, from the answers to four questions.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::check::passed;
use super::load::{quoted, report};
use super::{Failure, print};
use crate::config::{Config, Sources};

/// Writes a first agent.toml; asks for what the options do not say
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  outpost init --client-code acme --event com.acme.loyalty.used --customer card --keep store"
)]
pub(super) struct Args {
    /// Client code of Adobe Target
    #[arg(long, value_name = "CODE")]
    client_code: Option<String>,
    /// Type of the events that your software sends
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
    /// Field of an event's data that says which customer it is about
    #[arg(long, value_name = "FIELD")]
    customer: Option<String>,
    /// Field of an event's data whose newest value the customer's profile keeps
    #[arg(long, value_name = "FIELD")]
    keep: Option<String>,
    /// Folder for the store
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    /// The file to write; it must not exist yet
    #[arg(default_value = "agent.toml")]
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let mut answer = |given: &Option<String>, option: &str, question: &str| match given {
        Some(given) => Ok(given.clone()),
        None => ask(&mut input, option, question),
    };
    let first = First {
        client_code: answer(
            &args.client_code,
            "--client-code",
            "Client code of Adobe Target, the one in its host name",
        )?,
        event: answer(
            &args.event,
            "--event",
            "Type of the events that your software sends, such as com.acme.loyalty.used",
        )?,
        customer: field(answer(
            &args.customer,
            "--customer",
            "Field of their data with the customer's number, such as card",
        )?)?,
        keep: field(answer(&args.keep, "--keep", "Field whose newest value the profile keeps, such as store")?)?,
        data_dir: &args.data_dir,
    };
    let text = first.text();
    let sources = Sources::of_text(&args.file, &text);
    let config = Config::parse(&sources, |_| "device".to_owned()).map_err(|problems| report(&problems))?;
    config.run_examples(&sources).map_err(|problems| report(&problems))?;
    write(&args.file, &text)?;
    let file = quoted(&args.file.display().to_string());
    print(&format!(
        "{} is written and valid; {}. To try it:\n  outpost run --sandbox -c {file}\nand in another terminal:\n  \
         printf %s {} | outpost record -c {file} --type {} --data -",
        args.file.display(),
        passed(&config),
        quoted(&first.data().to_string()),
        quoted(&first.event),
    ))
}

/// Asks a question, and returns the answer without blanks around it.
fn ask(input: &mut impl BufRead, option: &str, question: &str) -> Result<String, Failure> {
    let mut line = String::new();
    let read = write!(io::stderr(), "{question}: ").and_then(|()| input.read_line(&mut line));
    match read.map_err(|error| Failure::failed(&error))? {
        0 => Err(Failure::usage(format!("nobody answers; say it with {option}"))),
        _ => Ok(line.trim().to_owned()),
    }
}

/// Checks a field of an event's data.
fn field(name: String) -> Result<String, Failure> {
    let is_name = |part: &str| {
        part.chars().all(|next| next.is_ascii_alphanumeric() || next == '_')
            && part.starts_with(|first: char| !first.is_ascii_digit())
    };
    if name.split('.').all(is_name) {
        return Ok(name);
    }
    Err(Failure::usage(format!(
        "a field must be a name such as card, or customer.card for one within another; found {name}"
    )))
}

/// Writes a file that does not exist yet.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AlreadyExists => "it exists already; name another file".to_owned(),
            _ => error.to_string(),
        };
        Failure::because(format!("{} cannot be written: {advice}", path.display()))
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// The answers.
struct First<'a> {
    client_code: String,
    event: String,
    customer: String,
    keep: String,
    data_dir: &'a Path,
}

impl First<'_> {
    /// Returns the attribute that keeps the newest value, such as `lastStore` for the field `store`.
    fn attribute(&self) -> String {
        let name = self.keep.rsplit('.').next().unwrap_or_default();
        let (first, rest) = name.split_at(1);
        format!("last{}{rest}", first.to_uppercase())
    }

    /// Returns the data of a sample event.
    fn data(&self) -> serde_json::Value {
        let mut data = serde_json::json!({});
        for (field, value) in [(&self.customer, "123456"), (&self.keep, "sample")] {
            let pointer = field.split('.');
            let inner = pointer.fold(&mut data, |inner, name| {
                if !inner.is_object() {
                    *inner = serde_json::json!({});
                }
                &mut inner[name]
            });
            *inner = value.into();
        }
        data
    }

    fn text(&self) -> String {
        let Self { client_code, event, customer, keep, data_dir } = self;
        // What is a text of JSON is one of TOML.
        let [client_code, event, data_dir] =
            [client_code, event, &data_dir.display().to_string()].map(|text| serde_json::Value::from(text.as_str()));
        let attribute = self.attribute();
        let data = inline(&self.data());
        format!(
            r#"# All settings: agent.toml.example. `outpost check` validates this file, and shows where each value comes from.

[agent]
data_dir = {data_dir}

[target]
client_code = {client_code}
# token = {{ file = "target.token" }}  # if Target requires authentication

[[mapping]]
name = {event}
event = {event}
identity = {{ third_party_id = "data.{customer}" }}
set = {{ {attribute} = "data.{keep}" }}
add = {{ visits = "1" }}

[[mapping.example]]
event = {{ type = {event}, data = {data} }}
expect = {{ third_party_id = "123456", visits = "1" }}
"#
        )
    }
}

/// Returns a value as TOML writes it in one line.
fn inline(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name} = {}", inline(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        plain => plain.to_string(),
    }
}
