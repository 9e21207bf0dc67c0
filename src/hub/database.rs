//! A node's way to PostgreSQL: one pool of a few connections.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::HubError;
use super::schema;
use crate::adobe::TlsOptions;

/// The database's clock in milliseconds, as SQL.
macro_rules! now_ms {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}
pub(super) use now_ms;

/// Longest wait for a free connection; the device is asked to come again then.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Longest time for making a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest time for one statement, and for a transaction that says nothing: whatever holds a lock lets it go. Units: as in
/// PostgreSQL's settings.
const SESSION_BOUNDS: &str = "-c statement_timeout=30s -c idle_in_transaction_session_timeout=30s -c lock_timeout=10s -c application_name=outpost-hub";

/// Where the database is, and how many connections a node may use.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `postgres://…`, with one host or several.
    pub url: SecretString,
    /// Most connections of this node.
    pub connections: usize,
    /// Whom to trust.
    pub tls: TlsOptions,
}

/// A node's connections to the database.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
}

impl Database {
    /// Makes the pool, without connecting.
    ///
    /// # Errors
    /// [`HubError::Url`] or [`HubError::Tls`].
    pub fn new(options: &DatabaseOptions) -> Result<Self, HubError> {
        let config = config(options)?;
        // A connection that was closed is noticed by itself; one more question for each transaction would be a third of its time.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = if needs_tls(&config) {
            let tls = options.tls.config().map_err(HubError::Tls)?;
            Manager::from_config(config, MakeRustlsConnect::new(tls), recycling)
        } else {
            Manager::from_config(config, NoTls, recycling)
        };
        let timeouts = Timeouts { wait: Some(WAIT_MAX), create: Some(CONNECT_MAX), recycle: Some(CONNECT_MAX) };
        let pool = Pool::builder(manager)
            .max_size(options.connections)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a runtime is set, as timeouts need one");
        Ok(Self { pool })
    }

    /// Brings the database to this program's schema; other nodes wait meanwhile.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn migrate(&self) -> Result<(), HubError> {
        schema::migrate(&mut self.client().await?).await
    }

    pub(super) async fn client(&self) -> Result<Client, HubError> {
        Ok(self.pool.get().await?)
    }
}

fn config(options: &DatabaseOptions) -> Result<Config, HubError> {
    // The error of the library may repeat the password.
    let unreadable = |_| HubError::Url("must be as in postgres://user:password@host:5432/database".to_owned());
    let mut config = Config::from_str(options.url.expose_secret()).map_err(unreadable)?;
    if config.get_hosts().is_empty() {
        return Err(HubError::Url("names no host".to_owned()));
    }
    config.connect_timeout(CONNECT_MAX);
    // After a fail-over the other hosts are tried until one takes writes.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_options().is_none() {
        config.options(SESSION_BOUNDS);
    }
    if needs_tls(&config) {
        config.ssl_mode(SslMode::Require);
    }
    Ok(config)
}

/// Returns true unless all hosts are Unix sockets or loopback addresses.
fn needs_tls(config: &Config) -> bool {
    let is_near = |host: &Host| match host {
        Host::Tcp(host) => {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    !config.get_hosts().iter().all(is_near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> Result<Config, HubError> {
        let tls = TlsOptions::default();
        config(&DatabaseOptions { url: SecretString::from(url), connections: 1, tls })
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_and_verified() {
        for near in ["postgres://u@localhost/d", "postgres://u@127.0.0.1/d", "postgres://u@%2Frun%2Fpostgresql/d"] {
            assert!(!needs_tls(&url(near).expect("valid")), "{near}");
        }
        for far in ["postgres://u@db.acme.example/d", "postgres://u@localhost,db.acme.example/d"] {
            assert_eq!(url(far).expect("valid").get_ssl_mode(), SslMode::Require, "{far}");
        }
        // Not to be switched off by the URL.
        assert_eq!(url("postgres://u@db/d?sslmode=disable").expect("valid").get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn an_error_of_the_url_says_what_must_be_and_never_repeats_a_password() {
        for wrong in ["postgres://u:hunter2@host:port/d", "hunter2", "postgres:///d?hunter2=1"] {
            let error = url(wrong).expect_err("wrong").to_string();
            assert!(error.starts_with("[hub.database] url: ") && !error.contains("hunter2"), "{error}");
        }
    }
}
