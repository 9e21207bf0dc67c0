//! Objects of a store's schema that are not ours. Who may write the file may be trusted less than this process, as a service's user
//! is by root: a trigger, a view, a computed column or an index over an expression would be run by this process.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Kind, name, table and text of something in a schema.
type Object = (String, String, String, Option<String>);

/// Keeps a connection from running what a file brings with it, also while it is not looked at yet.
pub(super) fn run_none(connection: &Connection) -> rusqlite::Result<()> {
    for (setting, is_on) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        connection.set_db_config(setting, is_on)?;
    }
    Ok(())
}

/// Returns what another program changed in the schema of a store, as a clause about the store; `None` if it is that of `ours`, an empty
/// store of the same version.
///
/// # Errors
/// SQLite's.
pub(super) fn changed(connection: &Connection, ours: &Connection) -> rusqlite::Result<Option<String>> {
    let (found, ours) = (objects(connection)?, objects(ours)?);
    let what = match (found.difference(&ours).next(), ours.difference(&found).next()) {
        (None, None) => return Ok(None),
        (Some((kind, name, ..)), _) => format!("its {kind} {name} is not as Outpost makes it"),
        (None, Some((kind, name, ..))) => format!("its {kind} {name} is missing"),
    };
    let words = "was changed by another program, and nothing in it was used";
    Ok(Some(format!("{words}: {what}; undo that, or move the file away")))
}

fn objects(connection: &Connection) -> rusqlite::Result<BTreeSet<Object>> {
    let mut statement = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    rows.collect()
}
