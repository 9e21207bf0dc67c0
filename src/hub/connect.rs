//! Connecting to one of several hosts: each has its own time and its own trust, and the one that answered last is asked first.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::HubError;
use crate::adobe::TlsOptions;
use crate::core::loopback::is_loopback;

/// Longest time for one host, from the first packet to an answer that it takes writes: one that is frozen, or behind a cable that
/// was pulled, says nothing.
const HOST_MAX: Duration = Duration::from_secs(2);

/// Time after which a connection on which nothing is acknowledged is over.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Settings of each session, whatever the URL says: a lock is let go after a time, and reads see what is committed.
/// Units: as in PostgreSQL's settings. Later ones win.
const SESSION: &str = "-c statement_timeout=10s -c idle_in_transaction_session_timeout=15s -c lock_timeout=5s \
    -c default_transaction_isolation=read\\ committed";

/// The hosts of a database.
pub(super) struct Connector {
    hosts: Vec<One>,
    /// Place of the host that answered last.
    last: AtomicUsize,
}

/// One host.
struct One {
    config: Config,
    /// None on this machine.
    tls: Option<MakeRustlsConnect>,
}

type Connecting<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

impl Connector {
    /// Reads a URL, without connecting.
    ///
    /// # Errors
    /// [`HubError::Url`] or [`HubError::Tls`].
    pub(super) fn new(url: &SecretString, tls: &TlsOptions) -> Result<Self, HubError> {
        let hosts = hosts(url)?;
        let tls = match hosts.iter().any(is_far) {
            true => Some(MakeRustlsConnect::new(tls.config().map_err(HubError::Tls)?)),
            false => None,
        };
        let one = |config: Config| One { tls: tls.clone().filter(|_| is_far(&config)), config };
        Ok(Self { hosts: hosts.into_iter().map(one).collect(), last: AtomicUsize::new(0) })
    }

    /// Returns the longest time until a connection is made, or none of the hosts has made one.
    pub(super) fn longest(&self) -> Duration {
        HOST_MAX * u32::try_from(self.hosts.len()).unwrap_or(u32::MAX) + Duration::from_secs(1)
    }

    async fn any(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let first = self.last.load(Ordering::Relaxed);
        let mut failed = None;
        for place in (first..first + self.hosts.len()).map(|place| place % self.hosts.len()) {
            match tokio::time::timeout(HOST_MAX, self.hosts[place].connect()).await {
                Ok(Ok(connected)) => {
                    self.last.store(place, Ordering::Relaxed);
                    return Ok(connected);
                }
                Ok(Err(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            // None has said anything: the pool's limit says so.
            None => std::future::pending().await,
        }
    }
}

impl Connect for Connector {
    fn connect(&self, _: &Config) -> Connecting<'_, (Client, JoinHandle<()>)> {
        Box::pin(self.any())
    }
}

impl One {
    async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        // How a connection ended is what its next statement says.
        match self.tls.clone() {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls).await?;
                Ok((client, tokio::spawn(async move { drop(connection.await) })))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, tokio::spawn(async move { drop(connection.await) })))
            }
        }
    }
}

/// Returns one configuration for each host of a URL. What is not ours to leave to the URL is set here.
fn hosts(url: &SecretString) -> Result<Vec<Config>, HubError> {
    let wrong = |words: &str| HubError::Url(words.to_owned());
    // The error of the library may repeat the password.
    let unreadable = |_| wrong("must be as in postgres://user:password@host:5432/database");
    let all = Config::from_str(url.expose_secret()).map_err(unreadable)?;
    let (names, addresses, ports) = (all.get_hosts(), all.get_hostaddrs(), all.get_ports());
    if names.is_empty() {
        return Err(wrong("names no host"));
    }
    if !addresses.is_empty() && addresses.len() != names.len() || ports.len() > 1 && ports.len() != names.len() {
        return Err(wrong("must have as many of hostaddr and port as of hosts, or one port, or none"));
    }
    let one = |(place, host): (usize, &Host)| {
        let mut config = Config::new();
        match host {
            Host::Tcp(name) => config.host(name),
            #[cfg(unix)]
            Host::Unix(path) => config.host_path(path),
        };
        if let Some(address) = addresses.get(place) {
            config.hostaddr(*address);
        }
        config.port(ports.get(place).or(ports.first()).copied().unwrap_or(5432));
        all.get_user().map(|user| config.user(user));
        all.get_password().map(|password| config.password(password));
        all.get_dbname().map(|name| config.dbname(name));
        config.options(format!("{} {SESSION}", all.get_options().unwrap_or_default()).trim_start());
        config.application_name("outpost-hub");
        config.connect_timeout(HOST_MAX);
        config.tcp_user_timeout(SILENCE_MAX);
        config.keepalives_idle(SILENCE_MAX);
        config.keepalives_interval(Duration::from_secs(3));
        config.keepalives_retries(3);
        // After a fail-over the other hosts are tried until one takes writes.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let mode = if is_far(&config) { SslMode::Require } else { SslMode::Disable };
        config.ssl_mode(mode);
        config
    };
    Ok(names.iter().enumerate().map(one).collect())
}

/// Returns true unless a host is a Unix socket or a loopback address. An address counts more than the name beside it.
fn is_far(config: &Config) -> bool {
    if let Some(address) = config.get_hostaddrs().first() {
        return !address.is_loopback();
    }
    config.get_hosts().iter().any(|host| match host {
        Host::Tcp(host) => !is_loopback(host),
        #[cfg(unix)]
        Host::Unix(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Vec<Config>, HubError> {
        hosts(&SecretString::from(url))
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_and_verified() {
        for near in ["postgres://u@localhost/d", "postgres://u@127.0.0.1/d", "postgres://u@%2Frun%2Fpostgresql/d"] {
            assert!(!is_far(&read(near).expect("valid")[0]), "{near}");
        }
        // Not to be switched off by the URL, nor by a name beside the address.
        for far in [
            "postgres://u@db/d?sslmode=disable",
            "host=localhost hostaddr=10.0.0.7 user=u",
            "postgres://u@db.example/d",
        ] {
            assert_eq!(read(far).expect("valid")[0].get_ssl_mode(), SslMode::Require, "{far}");
        }
        let both = read("postgres://u@localhost:1,db.acme.example:2/d").expect("valid");
        assert_eq!(both.iter().map(is_far).collect::<Vec<_>>(), [false, true]);
        assert_eq!(both.iter().map(|one| one.get_ports()[0]).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn options_of_the_url_come_before_the_bounds_of_our_sessions() {
        let one = &read("postgres://u@localhost/d?options=-c%20statement_timeout%3D0").expect("valid")[0];
        assert_eq!(one.get_options(), Some(format!("-c statement_timeout=0 {SESSION}").as_str()));
        assert_eq!(read("postgres://u@localhost/d").expect("valid")[0].get_options(), Some(SESSION));
    }

    #[test]
    fn an_error_of_the_url_says_what_must_be_and_never_repeats_a_password() {
        let wrong = [
            "postgres://u:hunter2@host:port/d",
            "hunter2",
            "postgres:///d?hunter2=1",
            "hostaddr=1.2.3.4 password=hunter2",
        ];
        for wrong in wrong {
            let error = read(wrong).expect_err("wrong").to_string();
            assert!(error.starts_with("[hub.database] url: ") && !error.contains("hunter2"), "{error}");
        }
    }
}
