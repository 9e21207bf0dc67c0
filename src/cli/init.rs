//! `outpost init`: writes a first configuration, from the answers to four questions.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::check::passed;
use super::failure::Failure;
use super::load::{quoted, report};
use super::output::{print, warn};
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
    if args.file.exists() {
        // Before anybody is asked.
        return Err(exists(&args.file));
    }
    let mut input = io::stdin().lock();
    let mut answer = |given: &Option<String>, question: &Question<'_>| match given {
        Some(given) => {
            (question.check)(given.trim()).map_err(|problem| Failure::usage(format!("{}: {problem}", question.option)))
        }
        None => question.ask(&mut input),
    };
    let client_code = answer(
        &args.client_code,
        &Question {
            option: "--client-code",
            words: "Client code of Adobe Target, the one in its host name",
            check: &client_code,
        },
    )?;
    let event = answer(
        &args.event,
        &Question {
            option: "--event",
            words: "Type of the events that your software sends, such as com.acme.loyalty.used",
            check: &event_type,
        },
    )?;
    let customer = answer(
        &args.customer,
        &Question {
            option: "--customer",
            words: "Field of their data with the customer's number, such as card",
            check: &field,
        },
    )?;
    let keep = answer(
        &args.keep,
        &Question {
            option: "--keep",
            words: "Field whose newest value the profile keeps, such as store",
            check: &|text| field(text).and_then(|keep| another_field(&customer, keep)),
        },
    )?;
    finish(&First { client_code, event, customer, keep, data_dir: &args.data_dir }, &args.file)
}

/// Writes the configuration, and says what to try.
fn finish(first: &First<'_>, path: &Path) -> Result<(), Failure> {
    let text = first.text();
    let sources = Sources::of_text(path, &text);
    let config = Config::parse(&sources, |_| "device".to_owned()).map_err(|problems| report(&problems))?;
    config.run_examples(&sources).map_err(|problems| report(&problems))?;
    write(path, &text)?;
    let file = quoted(&path.display().to_string());
    print(&format!(
        "{} is written and valid; {}. To try it:\n  outpost run --sandbox -c {file}\nand in another terminal:\n  \
         printf %s {} | outpost record -c {file} --type {} --data -",
        path.display(),
        passed(&config),
        quoted(&first.data().to_string()),
        quoted(&first.event),
    ))
}

/// A question, with the option that answers it, too.
struct Question<'q> {
    option: &'static str,
    words: &'static str,
    /// Returns the answer as it is used, or what it must be.
    check: &'q dyn Fn(&str) -> Result<String, String>,
}

impl Question<'_> {
    /// Asks until there is a valid answer.
    fn ask(&self, input: &mut impl BufRead) -> Result<String, Failure> {
        loop {
            let mut line = String::new();
            let read = write!(io::stderr(), "{}: ", self.words).and_then(|()| input.read_line(&mut line));
            if read.map_err(|error| Failure::failed(&error))? == 0 {
                return Err(Failure::usage(format!("nobody answers; give {}", self.option)));
            }
            match (self.check)(line.trim()) {
                Ok(answer) => return Ok(answer),
                Err(problem) => warn(&problem),
            }
        }
    }
}

fn client_code(text: &str) -> Result<String, String> {
    // As the configuration reads it.
    let section = format!("[target]\nclient_code = {}\n", serde_json::Value::from(text));
    match Config::parse(&Sources::of_text(Path::new(""), &section), |_| String::new()) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("a client code must be letters, digits and hyphens, such as acme; found \"{text}\"")),
    }
}

fn event_type(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a type must be a name such as com.acme.loyalty.used; found nothing".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Returns a field of an event's data, named as within the data or as in an expression.
fn field(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("data.").unwrap_or(text);
    let is_name = |part: &str| {
        part.chars().all(|next| next.is_ascii_alphanumeric() || next == '_')
            && part.starts_with(|first: char| !first.is_ascii_digit())
    };
    if name.split('.').all(is_name) {
        return Ok(name.to_owned());
    }
    Err(format!("a field must be a name such as card, or customer.card for one within another; found \"{text}\""))
}

/// Checks that two fields can stand beside each other in an event.
fn another_field(customer: &str, keep: String) -> Result<String, String> {
    let is_within = |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}."));
    if is_within(customer, &keep) || is_within(&keep, customer) {
        return Err(format!("it must be another field than the customer's number, {customer}; found {keep}"));
    }
    Ok(keep)
}

fn exists(path: &Path) -> Failure {
    Failure::because(format!("{} exists already, and is left as it is; name another file", path.display()))
}

/// Writes a file that does not exist yet.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::because(format!("{} cannot be written: {error}", path.display())),
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
expect = {{ third_party_id = "123456", {attribute} = "sample", visits = "1" }}
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
