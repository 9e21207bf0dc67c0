//! The configuration of a node of the hub: `hub.toml`, read as a device's file is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::document::{Document, Problems, Table};
use super::sources::Sources;
use super::{LogConfig, TargetConfig, secret, sections};
use crate::adobe::TlsOptions;
use crate::core::forwarding::route::Mode;
use crate::device::secret::Secret;

/// Path of the file that `outpost hub init` writes and the other commands read.
pub const DEFAULT_NODE_PATH: &str = "/etc/outpost/hub.toml";

/// Address of a node that says none.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);

/// Directory of the logs of a node, and of a sandbox's database, unless another one is set.
const STATE_DIR: &str = "/var/lib/outpost-hub";

/// Default time for which profiles are kept that nobody changed.
const KEEP_PROFILES: Duration = Duration::from_secs(400 * 86_400);

const DAY: Duration = Duration::from_secs(86_400);

/// Default number of requests that a node handles at a time.
const IN_FLIGHT: usize = 256;

/// Default number of connections to the database.
const CONNECTIONS: usize = 8;

/// A valid `hub.toml`.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Address at which devices reach the node, or a proxy in front of it.
    pub listen: SocketAddr,
    /// Certificate and key; none for a loopback address alone.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// URL by which devices reach the hub.
    pub public_url: Option<String>,
    /// Time for which profiles are kept that nobody changed, once Target has all of them.
    pub keep_profiles: Duration,
    /// Most requests at a time.
    pub max_in_flight: usize,
    /// Directory of the logs, and of a sandbox's database.
    pub state_dir: PathBuf,
    /// The section `[hub.database]`.
    pub database: NodeDatabase,
    /// The section `[target]`, if it is there.
    pub target: Option<TargetConfig>,
    /// The section `[log]`.
    pub log: LogConfig,
}

/// The section `[hub.database]`.
#[derive(Clone, Debug)]
pub struct NodeDatabase {
    /// File or variable with the URL; none where a sandbox makes a database of its own.
    pub url: Option<Secret>,
    /// Most connections of the node.
    pub connections: usize,
    /// Certificates to trust.
    pub tls: TlsOptions,
}

impl NodeConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn parse(sources: &Sources) -> Result<Self, Problems> {
        let document = Document::new(sources);
        let table = document.parse();
        let top = Table::new(&document, "", &table);
        let mut config = Self {
            listen: LISTEN,
            tls: None,
            public_url: None,
            keep_profiles: KEEP_PROFILES,
            max_in_flight: IN_FLIGHT,
            state_dir: PathBuf::from(STATE_DIR),
            database: NodeDatabase { url: None, connections: CONNECTIONS, tls: TlsOptions::default() },
            target: top.value("target").and_then(|_| target(&top)),
            log: sections::log(&top, &PathBuf::from(STATE_DIR)),
        };
        if let Some(section) = top.table("hub") {
            config.read(&section);
            section.finish();
        }
        config.log = sections::log(&top, &config.state_dir);
        top.finish();
        document.finish()?;
        Ok(config)
    }

    fn read(&mut self, section: &Table<'_, '_>) {
        self.tls = section.table("tls").and_then(|tls| {
            let (cert, key) = (tls.path("cert"), tls.path("key"));
            if cert.is_none() || key.is_none() {
                tls.report(tls.span(), "tls in [hub] must be { cert = \"FILE\", key = \"FILE\" }");
            }
            tls.finish();
            cert.zip(key)
        });
        let has_tls = section.entries().any(|(key, ..)| key == "tls");
        if let Some(listen) = section.text("listen").and_then(|text| listen(section, &text, has_tls)) {
            self.listen = listen;
        }
        self.public_url = section.text("public_url").and_then(|text| public_url(section, &text));
        if let Some(keep) = section.duration("keep_profiles", DAY..3_650 * DAY) {
            self.keep_profiles = keep;
        }
        if let Some(most) = section.integer("max_in_flight", 1..10_001) {
            self.max_in_flight = usize::try_from(most).unwrap_or(IN_FLIGHT);
        }
        if let Some(dir) = section.path("state_dir") {
            self.state_dir = dir;
        }
        let Some(database) = section.table("database") else { return };
        self.database.url = secret::source(&database, "url");
        if let Some(connections) = database.integer("connections", 1..501) {
            self.database.connections = usize::try_from(connections).unwrap_or(CONNECTIONS);
        }
        self.database.tls.ca_file = database.path("ca_file");
        database.finish();
    }
}

/// Reads how the hub sends to Target: as a device does, but for batches, which it does not have.
fn target(top: &Table<'_, '_>) -> Option<TargetConfig> {
    let section = top.table("target")?;
    let mode = section.text("mode");
    let has_mode = mode.is_some();
    let takes_batches = mode.filter(|mode| ["auto", "bulk"].contains(mode.get_ref()));
    if let Some(mode) = &takes_batches {
        let words = format!(
            "mode in [target] must be \"single\" or \"delivery\" in a hub, which sends no batches; found \"{}\"",
            mode.get_ref()
        );
        section.report(mode.span(), words);
    }
    let mut target = sections::target(top, false)?;
    let routes = &mut target.forwarding.routes;
    routes.has_batches = false;
    if !has_mode {
        routes.mode = Mode::Single;
    }
    Some(target)
}

fn listen(section: &Table<'_, '_>, text: &Spanned<&str>, has_tls: bool) -> Option<SocketAddr> {
    let found = text.get_ref();
    match found.parse::<SocketAddr>() {
        Ok(address) if has_tls || address.ip().is_loopback() => return Some(address),
        Ok(_) => section.report(
            text.span(),
            format!(
                "listen in [hub] must be a loopback address such as 127.0.0.1:8443 as long as tls is not set, for a proxy in front; \
                 found {found}"
            ),
        ),
        Err(_) => section.report(
            text.span(),
            format!("listen in [hub] must be an address with a port, such as 0.0.0.0:8443; found {found}"),
        ),
    }
    None
}

fn public_url(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<String> {
    let words = "public_url in [hub] must be a scheme and a host, such as https://hub.acme.example";
    let url = reqwest::Url::parse(text.get_ref()).ok().filter(|url| {
        let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_open = url.username().is_empty() && url.password().is_none();
        let is_near = || url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
        is_plain && is_open && (url.scheme() == "https" || url.scheme() == "http" && is_near())
    });
    if url.is_none() {
        section.report(text.span(), words);
    }
    url.map(|url| url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<NodeConfig, String> {
        NodeConfig::parse(&Sources::of_text(Path::new("hub.toml"), text)).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_node_without_tls_listens_on_loopback_alone() {
        assert_eq!(read("").expect("valid").listen, LISTEN);
        assert!(read("[hub]\nlisten = \"[::1]:0\"").is_ok());
        assert!(read("[hub]\nlisten = \"0.0.0.0:8443\"\ntls = { cert = \"a\", key = \"b\" }").is_ok());
        let error = read("[hub]\nlisten = \"0.0.0.0:8443\"").expect_err("open");
        assert!(error.starts_with("hub.toml:2:10: listen in [hub] must be a loopback address"), "{error}");
    }

    #[test]
    fn a_hub_sends_no_batches() {
        let mode = |line: &str| {
            let read = read(&format!("[target]\nclient_code = \"acme\"\n{line}"));
            read.map(|config| config.target.expect("it is there").forwarding.routes)
        };
        let routes = mode("").expect("valid");
        assert_eq!((routes.mode, routes.has_batches), (Mode::Single, false));
        assert_eq!(mode("mode = \"delivery\"").expect("valid").mode, Mode::Delivery);
        for refused in ["auto", "bulk"] {
            let error = mode(&format!("mode = \"{refused}\"")).expect_err("batches");
            assert!(error.starts_with("hub.toml:3:8: mode in [target] must be \"single\" or \"delivery\""), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        let error = read(
            "[hub]\ntls = { cert = \"a\" }\npublic_url = \"http://hub.acme.example\"\nlisen = \"\"\n[hub.database]\nconnections = 0",
        );
        let error = error.expect_err("wrong");
        assert_eq!(error.lines().count(), 4, "{error}");
        assert!(error.contains("did you mean \"listen\"?"), "{error}");
    }
}
