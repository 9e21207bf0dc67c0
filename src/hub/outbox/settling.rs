//! Results in the database: one transaction for many, with one statement a table. A claim that is another node's by now changes
//! nothing.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::claims::{columns, millis, standing};
use super::leases::Lease;
use super::results::{Profile, Results};
use crate::core::limits::READ_BACK_FIRST;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::forward::core::Settle;
use crate::hub::database::{Database, now_ms};
use crate::hub::error::HubError;
use crate::hub::profile_hash::hashes;
use crate::hub::rows::Values;

/// The SQL rule by which an attribute is pending.
macro_rules! pending {
    () => {
        "attribute.version > greatest(attribute.delivered_version, attribute.refused_version)"
    };
}

/// The SQL rule by which an attribute has given way to a value of others. `$4` is the name of that reason.
macro_rules! superseded {
    () => {
        "attribute.refused_version = attribute.version AND refused_reason = $4"
    };
}

/// Records results, each with the claim that it is of. Claims that still stand have ended with that.
pub(super) async fn settle(database: &Database, settles: &[(Settle, Lease)]) -> Result<(), HubError> {
    let leases: Vec<Lease> = settles.iter().map(|(_, lease)| *lease).collect();
    let work = async {
        let mut client = database.client().await?;
        let transaction = client.transaction().await?;
        let standing = lock(&transaction, &leases).await?;
        let mut results = Results::default();
        for (settle, lease) in settles {
            let lease_now = Some(*lease).filter(|lease| standing.get(&lease.profile) == Some(&lease.fence));
            results.add(settle, lease.profile, lease_now);
        }
        if !results.late.is_empty() {
            tracing::warn!(
                attributes = results.late.len(),
                "values were sent after their claim was over, by a node that stood still; they are sent once more"
            );
        }
        write(&transaction, &results).await?;
        transaction.commit().await?;
        client.done();
        Ok(())
    };
    database.in_time(work).await
}

/// Locks the profiles as those do who take what devices hand over, then their rows of the outbox. Returns the claims that still
/// stand.
async fn lock(transaction: &Transaction<'_>, leases: &[Lease]) -> Result<HashMap<Uuid, i64>, HubError> {
    let (profiles, fences) = columns(leases);
    let (lock, standing) = tokio::try_join!(
        biased;
        transaction.prepare_cached(
            "SELECT 1 FROM profile WHERE hash = ANY ($1::uuid[]) ORDER BY hash FOR NO KEY UPDATE"
        ),
        transaction.prepare_cached(concat!("WITH ", standing!(), " SELECT profile FROM standing")),
    )?;
    let (locks, claims): (Values<'_, 1>, Values<'_, 2>) = ([&profiles], [&profiles, &fences]);
    let (_, rows) = tokio::try_join!(biased; transaction.query(&lock, &locks), transaction.query(&standing, &claims))?;
    let fence_of: HashMap<Uuid, i64> = leases.iter().map(|lease| (lease.profile, lease.fence)).collect();
    Ok(rows.iter().map(|row| (row.get("profile"), fence_of[&row.get::<_, Uuid>("profile")])).collect())
}

/// One after the other, and all on their way at once: what is pending afterwards is seen last.
async fn write(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    tokio::try_join!(
        biased;
        deliver(transaction, results),
        refuse(transaction, results),
        lose(transaction, results),
        reject(transaction, results),
        read(transaction, results),
        note(transaction, results),
        learn(transaction, &results.profiles),
    )?;
    let late = send_again(transaction, results);
    tokio::try_join!(biased; end(transaction, &results.profiles), late)?;
    Ok(())
}

async fn deliver(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    if results.delivered.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "UPDATE attribute SET delivered_version = sent.version, delivered_value = sent.value, delivered_ms = sent.at_ms,
                 route = sent.route
             FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::smallint[])
                 AS sent (profile, name, version, value, at_ms, route)
             WHERE attribute.profile = sent.profile AND attribute.name = sent.name AND attribute.version >= sent.version
                 AND attribute.delivered_version < sent.version",
        )
        .await?;
    let all = || results.delivered.iter();
    let profiles: Vec<Uuid> = all().map(|it| it.profile).collect();
    let names: Vec<&str> = all().map(|it| it.name.as_str()).collect();
    let versions: Vec<i64> = all().map(|it| it.version).collect();
    let values: Vec<&str> = all().map(|it| it.value.as_str()).collect();
    let times: Vec<i64> = all().map(|it| it.at_ms).collect();
    let routes: Vec<Option<i16>> = all().map(|it| it.route).collect();
    transaction.execute(&statement, &[&profiles, &names, &versions, &values, &times, &routes]).await?;
    Ok(())
}

async fn refuse(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    if results.refused.is_empty() {
        return Ok(());
    }
    // What another writer's value has won over is refused only as long as it is pending.
    let statement = transaction
        .prepare_cached(concat!(
            "UPDATE attribute SET refused_version = refused.version, refused_reason = refused.reason
             FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) AS refused (profile, name, version, reason)
             WHERE attribute.profile = refused.profile AND attribute.name = refused.name
                 AND attribute.refused_version < refused.version
                 AND (refused.reason <> $5 OR attribute.version = refused.version AND ",
            pending!(),
            ")"
        ))
        .await?;
    let all = || results.refused.iter();
    let profiles: Vec<Uuid> = all().map(|it| it.profile).collect();
    let names: Vec<&str> = all().map(|it| it.name.as_str()).collect();
    let versions: Vec<i64> = all().map(|it| it.version).collect();
    let reasons: Vec<&str> = all().map(|it| it.reason).collect();
    let superseded = Reason::Superseded.label();
    transaction.execute(&statement, &[&profiles, &names, &versions, &reasons, &superseded]).await?;
    Ok(())
}

async fn lose(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    if results.lost.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "UPDATE attribute SET delivered_version = 0, refused_version = 0, refused_reason = NULL
             FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS lost (profile, name, version)
             WHERE attribute.profile = lost.profile AND attribute.name = lost.name AND attribute.version = lost.version
                 AND (delivered_version = lost.version AND refused_version < lost.version
                      OR refused_version = lost.version AND refused_reason = $4)",
        )
        .await?;
    let profiles: Vec<Uuid> = results.lost.iter().map(|it| it.0).collect();
    let names: Vec<&str> = results.lost.iter().map(|it| it.1.as_str()).collect();
    let versions: Vec<i64> = results.lost.iter().map(|it| it.2).collect();
    transaction.execute(&statement, &[&profiles, &names, &versions, &Reason::Superseded.label()]).await?;
    Ok(())
}

async fn reject(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    if results.rejected.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "INSERT INTO rejected (profile, rejected_ms, attributes, reason, detail)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[])",
        )
        .await?;
    let all = || results.rejected.iter();
    let profiles: Vec<Uuid> = all().map(|it| it.profile).collect();
    let times: Vec<i64> = all().map(|it| it.at_ms).collect();
    let attributes: Vec<&str> = all().map(|it| it.attributes.as_str()).collect();
    let reasons: Vec<&str> = all().map(|it| it.reason).collect();
    let details: Vec<&str> = all().map(|it| it.detail.as_str()).collect();
    transaction.execute(&statement, &[&profiles, &times, &attributes, &reasons, &details]).await?;
    Ok(())
}

async fn read(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    if results.readings.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "INSERT INTO reading (profile, name, read_ms, value, modified_ms, decision)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::smallint[])
             ON CONFLICT (profile, name) DO UPDATE SET read_ms = excluded.read_ms, value = excluded.value,
                 modified_ms = excluded.modified_ms, decision = excluded.decision",
        )
        .await?;
    let all = || results.readings.iter();
    let profiles: Vec<Uuid> = all().map(|it| it.profile).collect();
    let names: Vec<&str> = all().map(|it| it.name.as_str()).collect();
    let times: Vec<i64> = all().map(|it| it.at_ms).collect();
    let values: Vec<Option<&str>> = all().map(|it| it.value.as_deref()).collect();
    let modified: Vec<Option<i64>> = all().map(|it| it.modified_ms).collect();
    let decisions: Vec<i16> = all().map(|it| it.decision).collect();
    transaction.execute(&statement, &[&profiles, &names, &times, &values, &modified, &decisions]).await?;
    Ok(())
}

async fn note(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    if results.logs.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "INSERT INTO sends (profile, log) SELECT * FROM unnest($1::uuid[], $2::text[])
             ON CONFLICT (profile) DO UPDATE SET log = excluded.log",
        )
        .await?;
    let profiles: Vec<Uuid> = results.logs.iter().map(|it| it.0).collect();
    let logs: Vec<&str> = results.logs.iter().map(|it| it.1.as_str()).collect();
    transaction.execute(&statement, &[&profiles, &logs]).await?;
    Ok(())
}

async fn learn(transaction: &Transaction<'_>, all: &[Profile]) -> Result<(), HubError> {
    let is_news = |it: &&Profile| it.existence.is_some() || it.waits_anew || it.look_ms.is_some();
    let learned: Vec<&Profile> = all.iter().filter(is_news).collect();
    if learned.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "UPDATE profile SET existence = coalesce(learned.existence, profile.existence),
                 existence_ms = CASE WHEN learned.existence IS NULL THEN existence_ms ELSE learned.at_ms END,
                 missing_since_ms = CASE WHEN learned.existence = 1 OR learned.waits_anew THEN NULL
                     WHEN learned.waits THEN coalesce(missing_since_ms, learned.at_ms) ELSE missing_since_ms END
             FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::boolean[], $5::boolean[])
                 AS learned (profile, existence, at_ms, waits_anew, waits)
             WHERE hash = learned.profile",
        )
        .await?;
    let profiles: Vec<Uuid> = learned.iter().map(|it| it.profile).collect();
    let existences: Vec<Option<i16>> = learned.iter().map(|it| it.existence).collect();
    let times: Vec<i64> = learned.iter().map(|it| it.at_ms).collect();
    let anew: Vec<bool> = learned.iter().map(|it| it.waits_anew).collect();
    let waits: Vec<bool> = learned.iter().map(|it| it.look_ms.is_some()).collect();
    transaction.execute(&statement, &[&profiles, &existences, &times, &anew, &waits]).await?;
    Ok(())
}

/// Ends claims, but for those that are to run out. A row with nothing left to do goes.
async fn end(transaction: &Transaction<'_>, all: &[Profile]) -> Result<(), HubError> {
    if all.is_empty() {
        return Ok(());
    }
    let (update, delete) = tokio::try_join!(
        biased;
        transaction.prepare_cached(concat!(
            "UPDATE outbox SET lease_ms = CASE WHEN ended.is_unanswered THEN outbox.lease_ms END,
                 pending_ms = (SELECT min(changed_ms) FROM attribute WHERE attribute.profile = outbox.profile AND ",
            pending!(),
            "),
                 look_ms = CASE WHEN ended.existence = 1 THEN NULL ELSE coalesce(ended.look_ms, outbox.look_ms) END,
                 due_ms = coalesce(ended.postponed_ms, greatest(ended.due_ms,
                     CASE WHEN outbox.due_ms > coalesce(ended.read_until_ms, 0) THEN outbox.due_ms END)),
                 is_ambiguous = ended.is_ambiguous
                     OR outbox.is_ambiguous AND outbox.due_ms > coalesce(ended.read_until_ms, 0)
             FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::bigint[],
                     $8::boolean[])
                 AS ended (profile, existence, look_ms, read_until_ms, due_ms, is_ambiguous, postponed_ms, is_unanswered)
             WHERE outbox.profile = ended.profile"
        )),
        transaction.prepare_cached(
            "DELETE FROM outbox WHERE profile = ANY ($1::uuid[]) AND pending_ms IS NULL AND due_ms IS NULL"
        ),
    )?;
    let profiles: Vec<Uuid> = all.iter().map(|it| it.profile).collect();
    let existences: Vec<Option<i16>> = all.iter().map(|it| it.existence).collect();
    let looks: Vec<Option<i64>> = all.iter().map(|it| it.look_ms).collect();
    let reads: Vec<Option<i64>> = all.iter().map(|it| it.read_until_ms).collect();
    let due: Vec<Option<i64>> = all.iter().map(|it| it.due_ms).collect();
    let ambiguous: Vec<bool> = all.iter().map(|it| it.is_ambiguous).collect();
    let postponed: Vec<Option<i64>> = all.iter().map(|it| it.postponed_ms).collect();
    let unanswered: Vec<bool> = all.iter().map(|it| it.is_unanswered).collect();
    let of: Values<'_, 8> = [&profiles, &existences, &looks, &reads, &due, &ambiguous, &postponed, &unanswered];
    let deleted: Values<'_, 1> = [&profiles];
    tokio::try_join!(biased; transaction.execute(&update, &of), transaction.execute(&delete, &deleted))?;
    Ok(())
}

/// Makes values pending once more: another version of the same, so that no claim under way covers it. One that has given way to a value
/// of others is judged again under its own version, by which what it gave way to is known. What was sent may be applied later still, so
/// the profiles are read back too.
async fn send_again(transaction: &Transaction<'_>, results: &Results) -> Result<(), HubError> {
    if results.late.is_empty() {
        return Ok(());
    }
    let profiles: Vec<Uuid> = results.late.iter().map(|it| it.0).collect();
    let names: Vec<&str> = results.late.iter().map(|it| it.1.as_str()).collect();
    let superseded = Reason::Superseded.label();
    transaction.execute("UPDATE profile SET version = version + 1 WHERE hash = ANY ($1::uuid[])", &[&profiles]).await?;
    transaction
        .execute(
            concat!(
                "WITH again AS (
                     UPDATE attribute SET changed_ms = ",
                now_ms!(),
                ",
                         version = CASE WHEN ",
                superseded!(),
                " THEN attribute.version ELSE profile.version END,
                         refused_version = CASE WHEN ",
                superseded!(),
                " THEN 0 ELSE refused_version END,
                         refused_reason = CASE WHEN ",
                superseded!(),
                " THEN NULL ELSE refused_reason END
                     FROM profile, unnest($1::uuid[], $2::text[]) AS late (profile, name)
                     WHERE attribute.profile = late.profile AND attribute.name = late.name AND hash = late.profile
                     RETURNING attribute.profile, attribute.changed_ms)
                 INSERT INTO outbox (profile, pending_ms, due_ms, is_ambiguous)
                 SELECT profile, min(changed_ms), min(changed_ms) + $3::bigint, true FROM again GROUP BY profile ORDER BY profile
                 ON CONFLICT (profile) DO UPDATE SET pending_ms = coalesce(outbox.pending_ms, excluded.pending_ms),
                     due_ms = greatest(outbox.due_ms, excluded.due_ms), is_ambiguous = true"
            ),
            &[&profiles, &names, &millis(READ_BACK_FIRST), &superseded],
        )
        .await?;
    Ok(())
}

/// Makes refusals by Target void: the values are pending again. `profiles` are numbers of profiles.
pub(super) async fn retract(database: &Database, profiles: &[i64], since: Timestamp) -> Result<(), HubError> {
    let (first, last): (Vec<Uuid>, Vec<Uuid>) = profiles.iter().map(|number| hashes(*number)).unzip();
    let reasons: Vec<&str> = [Reason::RefusedByTarget, Reason::TooLarge].map(Reason::label).to_vec();
    let work = async {
        let mut client = database.client().await?;
        let transaction = client.transaction().await?;
        let held = transaction
            .query(
                "SELECT hash FROM profile JOIN unnest($1::uuid[], $2::uuid[]) AS asked (first, last) ON hash BETWEEN first AND last
                 ORDER BY hash FOR NO KEY UPDATE OF profile",
                &[&first, &last],
            )
            .await?;
        let hashes: Vec<Uuid> = held.iter().map(|row| row.get("hash")).collect();
        transaction
            .execute(
                "WITH void AS (
                         DELETE FROM rejected WHERE profile = ANY ($1::uuid[]) AND reason = ANY ($2::text[]) AND rejected_ms >= $3
                         RETURNING profile, attributes),
                     again AS (
                         UPDATE attribute SET refused_version = 0, refused_reason = NULL
                         FROM (SELECT profile, pair->>0 AS name, (pair->>1)::bigint AS version
                               FROM void, json_array_elements(attributes::json) AS pair) AS void
                         WHERE attribute.profile = void.profile AND attribute.name = void.name AND attribute.version = void.version
                             AND refused_version = void.version
                         RETURNING attribute.profile, attribute.changed_ms)
                     INSERT INTO outbox (profile, pending_ms)
                     SELECT profile, min(changed_ms) FROM again GROUP BY profile ORDER BY profile
                     ON CONFLICT (profile) DO UPDATE SET pending_ms = coalesce(outbox.pending_ms, excluded.pending_ms)",
                &[&hashes, &reasons, &since.as_millis()],
            )
            .await?;
        transaction.commit().await?;
        client.done();
        Ok(())
    };
    database.in_time(work).await
}
