//! A node's way to PostgreSQL: a pool of a few connections, two beside it that are kept for claims, and a limit for whatever is asked.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio_postgres::Config;

use super::connect::Connector;
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

/// Connections kept for what must not wait behind devices' requests. They are made when they are needed.
const KEPT: usize = 2;

/// Longest time for all that one request asks of the database, with the way to it.
const REQUEST_MAX: Duration = Duration::from_secs(15);

/// Longest time for a migration, with the wait for another node that migrates.
pub(super) const MIGRATION_MAX: Duration = Duration::from_secs(15 * 60);

/// Address of the database, and number of connections that a node may use.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `postgres://…`, with one host or several.
    pub url: SecretString,
    /// Most connections of this node, beside two for its claims.
    pub connections: usize,
    /// Whom to trust.
    pub tls: TlsOptions,
}

/// A node's connections to the database.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    kept: Pool,
    /// Told when this node has taken something that is to be sent to Target.
    pub(super) outbox_changed: Arc<Notify>,
}

impl Database {
    /// Makes the pools, without connecting.
    ///
    /// # Errors
    /// [`HubError::Url`] or [`HubError::Tls`].
    pub fn new(options: &DatabaseOptions) -> Result<Self, HubError> {
        let (pool, kept) = (pool(options, options.connections)?, pool(options, KEPT)?);
        Ok(Self { pool, kept, outbox_changed: Arc::default() })
    }

    /// Brings the database to this program's schema; other nodes wait meanwhile.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn migrate(&self) -> Result<(), HubError> {
        let migrated = async {
            let mut client = self.client().await?;
            schema::migrate(&mut client).await?;
            client.done();
            Ok(())
        };
        self.within(MIGRATION_MAX, migrated).await
    }

    /// Does what one request asks, within its time.
    ///
    /// # Errors
    /// The error of the work, or [`HubError::TooSlow`].
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = Result<T, HubError>>) -> Result<T, HubError> {
        self.within(REQUEST_MAX, work).await
    }

    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, HubError>>,
    ) -> Result<T, HubError> {
        let done = tokio::time::timeout(limit, work).await.unwrap_or(Err(HubError::TooSlow(limit)));
        if matches!(&done, Err(error) if error.is_read_only()) {
            // This host is a standby now; the next connection goes to the one that is not.
            self.pool.retain(|_, _| false);
            self.kept.retain(|_, _| false);
        }
        done
    }

    pub(super) async fn client(&self) -> Result<Lease, HubError> {
        Ok(Lease(Some(self.pool.get().await?)))
    }

    /// Returns a connection for claims and quota, whatever devices ask for meanwhile: a claim that is not renewed is lost.
    pub(super) async fn kept_client(&self) -> Result<Lease, HubError> {
        Ok(Lease(Some(self.kept.get().await?)))
    }
}

/// Makes a pool of so many connections, without connecting.
fn pool(options: &DatabaseOptions, connections: usize) -> Result<Pool, HubError> {
    let connector = Connector::new(&options.url, &options.tls)?;
    let create = connector.longest();
    // A connection that was closed is noticed by itself; one more question for each transaction would be a third of its time.
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(Config::new(), connector, recycling);
    let timeouts = Timeouts { wait: Some(WAIT_MAX), create: Some(create), recycle: Some(WAIT_MAX) };
    let pool = Pool::builder(manager).max_size(connections).timeouts(timeouts).runtime(Runtime::Tokio1).build();
    Ok(pool.expect("a runtime is set, as timeouts need one"))
}

/// A connection of the pool. It goes back there only when its work is [`Self::done`]: one that failed, hung or was left in the
/// middle is closed, whatever is still under way on it.
pub(super) struct Lease(Option<Client>);

impl Lease {
    /// Gives the connection back.
    pub(super) fn done(mut self) {
        self.0.take();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

impl Deref for Lease {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.as_ref().expect("it is there until it is done")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Client {
        self.0.as_mut().expect("it is there until it is done")
    }
}
