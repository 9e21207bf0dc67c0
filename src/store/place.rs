//! The place of a profile in the outbox: that of its oldest pending version.

use rusqlite::OptionalExtension;

use super::stored::pending;
use super::transaction::Transaction;

/// Sets the profile's place in the outbox to its oldest pending version, or removes it from the outbox.
pub(super) fn refresh_pending(transaction: &mut Transaction<'_>, profile_id: i64) -> rusqlite::Result<()> {
    let removed = transaction
        .connection
        .prepare_cached(concat!(
            "UPDATE profile SET pending_seq = NULL, pending_since_ms = NULL
             WHERE id = ?1 AND pending_seq IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM attribute WHERE profile_id = ?1 AND ",
            pending!(),
            ")"
        ))?
        .execute([profile_id])?;
    if removed > 0 {
        transaction.numbers.pending_change.profiles -= 1;
        return Ok(());
    }
    let was_pending: Option<bool> = transaction
        .connection
        .prepare_cached("SELECT pending_seq IS NOT NULL FROM profile WHERE id = ?1")?
        .query_row([profile_id], |row| row.get(0))
        .optional()?;
    // With min(), SQLite returns the other column from the same row.
    let is_pending = transaction
        .connection
        .prepare_cached(concat!(
            "UPDATE profile SET (pending_seq, pending_since_ms) = (
                 SELECT min(version), changed_at_ms FROM attribute
                 WHERE profile_id = ?1 AND ",
            pending!(),
            ") WHERE id = ?1 AND EXISTS (
                 SELECT 1 FROM attribute WHERE profile_id = ?1 AND ",
            pending!(),
            ")"
        ))?
        .execute([profile_id])?
        > 0;
    transaction.numbers.pending_change.profiles += i64::from(is_pending && was_pending == Some(false));
    Ok(())
}

/// Puts the profile into the outbox.
pub(super) fn set_pending(
    transaction: &Transaction<'_>,
    profile_id: i64,
    seq: i64,
    at_ms: i64,
) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached("UPDATE profile SET pending_seq = ?2, pending_since_ms = ?3 WHERE id = ?1")?
        .execute((profile_id, seq, at_ms))
        .map(|_| ())
}
