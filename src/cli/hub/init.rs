//! `outpost hub init`: makes the schema, and writes the configuration.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::adobe::TlsOptions;
use crate::cli::failure::Failure;
use crate::cli::output::print;
use crate::cli::runtime::small_runtime;
use crate::config::{DEFAULT_NODE_PATH, NodeConfig, Sources};
use crate::device::dir;
use crate::hub::{Database, DatabaseOptions};

/// Makes the database's schema and writes the configuration; runs twice without harm
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  outpost hub init --database postgres://outpost:PASSWORD@db.acme.example/outpost --public-url https://hub.acme.example"
)]
pub(super) struct Args {
    /// URL of the database, as in postgres://user:password@host/database; or @FILE, which holds it
    #[arg(long, value_name = "URL")]
    database: String,
    /// URL by which devices reach the hub
    #[arg(long, value_name = "URL")]
    public_url: String,
    /// The configuration file to write
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_NODE_PATH)]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = std::path::absolute(&args.config).map_err(|error| Failure::failed(&error))?;
    let secret = config.with_extension("database");
    let url = match args.database.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("the file {path} cannot be read: {error}")))?
            .trim()
            .to_owned(),
        None => args.database.clone(),
    };
    let text = text(&args.public_url, &secret);
    NodeConfig::parse(&Sources::of_text(&config, &text)).map_err(|problems| Failure::usage(problems.to_string()))?;
    let options = DatabaseOptions { url: SecretString::from(url.as_str()), connections: 1, tls: TlsOptions::default() };
    let database = Database::new(&options).map_err(|error| Failure::usage(crate::cli::failure::chain(&error)))?;
    small_runtime()?.block_on(database.migrate()).map_err(|error| Failure::failed(&error))?;
    let said = write(&config, &secret, &text, &url)?;
    print(&format!(
        "The database is ready. {said}\n  1. set [target] and, unless a proxy stands in front, tls and listen in {0}\n  \
         2. outpost hub run -c {0}\n  3. outpost fleet invite -c {0}, and on a device: outpost join {1} --invite CODE",
        config.display(),
        args.public_url
    ))
}

/// Writes both files, unless there is a configuration: it may have been changed by hand.
fn write(config: &Path, secret: &Path, text: &str, url: &str) -> Result<String, Failure> {
    if config.exists() {
        return Ok(format!("{} was there, and is left as it is.", config.display()));
    }
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::because(format!("the file {} cannot be written: {error}", path.display()))
    };
    dir::make_dirs(dir::parent(config), 0o755).map_err(|error| failed(config, &error))?;
    dir::replace_at(secret, format!("{url}\n").as_bytes(), 0o600).map_err(|error| failed(secret, &error))?;
    dir::replace_at(config, text.as_bytes(), 0o640).map_err(|error| failed(config, &error))?;
    Ok(format!("{} was written, and {} holds the database's URL.", config.display(), secret.display()))
}

fn text(public_url: &str, secret: &Path) -> String {
    // A text of JSON is one of TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "# A node of the hub. The same file on each node.\n[hub]\nlisten = \"127.0.0.1:8443\"\n\
         # tls = {{ cert = \"/etc/outpost/hub.pem\", key = \"/etc/outpost/hub.key\" }}   # then listen = \"0.0.0.0:8443\"\n\
         public_url = {}\n\n[hub.database]\nurl = {{ file = {} }}\n",
        quoted(public_url),
        quoted(&secret.display().to_string())
    )
}
