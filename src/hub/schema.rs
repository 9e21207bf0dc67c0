//! The schema of the hub's database: numbered files under `sql/`, each frozen, all missing ones run in one transaction.
//!
//! Nodes start at the same time and in any number: a lock of the database lets one of them migrate while the others wait.

use deadpool_postgres::Client;

use super::error::HubError;

const MIGRATIONS: [&str; 1] = [include_str!("sql/0001_hub.sql")];

/// Schema version that this program reads and writes.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// Newest schema that programs of this version can still work with: the next one, so that nodes can be updated one by one.
const VERSION_MAX: i32 = VERSION + 1;

/// Name of the advisory lock: "outpost" as a number.
const LOCK: i64 = 0x006f_7574_706f_7374;

/// Brings the database to this program's schema. Runs twice without harm.
///
/// # Errors
/// [`HubError::NewerSchema`], or that of the database; then nothing was changed.
pub async fn migrate(client: &mut Client) -> Result<(), HubError> {
    let transaction = client.transaction().await?;
    let encoding: String = transaction.query_one("SHOW server_encoding", &[]).await?.get(0);
    if encoding != "UTF8" {
        return Err(HubError::Encoding(encoding));
    }
    // Bounds of its own: another node may migrate for minutes.
    transaction
        .batch_execute("SET LOCAL lock_timeout = '10min'; SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '10min'")
        .await?;
    // Ends with the transaction, whatever becomes of this process.
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    // Whoever waits for a table keeps all others from it: better another start than that.
    transaction.batch_execute("SET LOCAL lock_timeout = '10s'").await?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS outpost_schema (version integer PRIMARY KEY, migrated_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    let found = found(&transaction).await?;
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.batch_execute(migration).await?;
        transaction.execute("INSERT INTO outpost_schema (version) VALUES ($1)", &[&version]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn found(transaction: &deadpool_postgres::Transaction<'_>) -> Result<i32, HubError> {
    let row = transaction.query_one("SELECT coalesce(max(version), 0) FROM outpost_schema", &[]).await?;
    let found = row.get(0);
    if found > VERSION_MAX { Err(HubError::NewerSchema { found, known: VERSION }) } else { Ok(found) }
}
