//! Claims in the database: taken, read, renewed and ended.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::leases::{Lease, Leases};
use super::taking::{Taken, Taking};
use crate::core::limits::READ_BACK_FIRST;
use crate::core::timestamp::Timestamp;
use crate::hub::database::{Database, now_ms};
use crate::hub::error::HubError;
use crate::hub::rows::Values;
use crate::store::{Claim, ReadBacks, SendLog};

/// Longest time until due rows are looked for again: another node may have made them, and be gone.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Most profiles that one statement lets be claimed again.
const LOOKS_MAX: u64 = 1_000;

/// Claims free rows, and says of each whether the time of its last claim was over: then whatever that node still sends is found by
/// reading the profile back. `$1` is how long a claim lasts, `$2` the time until that read-back. `$free` selects the rows.
macro_rules! claim {
    ($free:literal) => {
        concat!(
            "WITH free AS (
                 SELECT profile, lease_ms FROM outbox
                 WHERE (lease_ms IS NULL OR lease_ms <= ",
            now_ms!(),
            ") AND ",
            $free,
            " FOR UPDATE SKIP LOCKED)
             UPDATE outbox SET fence = nextval('claim_number'), lease_ms = ",
            now_ms!(),
            " + $1,
                 due_ms = CASE WHEN free.lease_ms IS NULL THEN due_ms ELSE greatest(due_ms, ",
            now_ms!(),
            " + $2) END,
                 is_ambiguous = is_ambiguous OR free.lease_ms IS NOT NULL
             FROM free WHERE outbox.profile = free.profile
             RETURNING outbox.profile, fence, is_ambiguous, free.lease_ms IS NOT NULL AS was_over"
        )
    };
}

/// Locks the rows of claims that still stand, in the order of their keys. One that has ended does not stand: if it was renewed,
/// nobody would end it.
macro_rules! standing {
    () => {
        "standing AS (
             SELECT outbox.profile FROM outbox
             JOIN unnest($1::uuid[], $2::bigint[]) AS held (profile, fence) USING (profile, fence)
             WHERE outbox.lease_ms IS NOT NULL ORDER BY outbox.profile FOR UPDATE OF outbox)"
    };
}
pub(super) use standing;

/// Claims up to `limit` pending profiles but those that are set aside, the longest waiting first.
pub(super) async fn claim(
    database: &Database,
    leases: &Leases,
    limit: usize,
    aside: &HashSet<i64>,
) -> Result<Vec<Claim>, HubError> {
    let mut claims = Vec::new();
    loop {
        let wanted = limit - claims.len();
        let (rows, taken) = claim_once(database, leases, wanted, &leases.aside(aside)).await?;
        claims.extend(taken.claims.into_iter().map(|(claim, _)| claim));
        // Those that cannot be read keep nobody from the places behind them.
        if rows < wanted || taken.unreadable == 0 {
            return Ok(claims);
        }
    }
}

async fn claim_once(
    database: &Database,
    leases: &Leases,
    limit: usize,
    aside: &[Uuid],
) -> Result<(usize, Taken), HubError> {
    let mut taking = Taking::begin(leases);
    let work = async {
        let client = database.client().await?;
        let statement = client
            .prepare_cached(claim!(
                "pending_ms IS NOT NULL AND look_ms IS NULL AND profile <> ALL ($3::uuid[]) ORDER BY pending_ms LIMIT $4"
            ))
            .await?;
        let rows = client
            .query(&statement, &[&millis(leases.lasts()), &millis(READ_BACK_FIRST), &aside, &signed(limit)])
            .await?;
        let all = taking.read(&client, &rows).await?;
        client.done();
        Ok((rows.len(), all))
    };
    let (rows, all) = database.in_time(work).await?;
    Ok((rows, taking.take_off(all)))
}

/// Claims up to `limit` profiles that are to be read back by `now`.
pub(super) async fn claim_due(
    database: &Database,
    leases: &Leases,
    now: Timestamp,
    limit: usize,
) -> Result<ReadBacks, HubError> {
    let (mut taking, aside) = (Taking::begin(leases), leases.unreadable());
    let work = async {
        let client = database.client().await?;
        let (statement, next) = tokio::try_join!(
            biased;
            client.prepare_cached(claim!("due_ms <= $3 AND profile <> ALL ($5::uuid[]) ORDER BY due_ms LIMIT $4")),
            client.prepare_cached("SELECT min(due_ms) AS next FROM outbox WHERE due_ms IS NOT NULL"),
        )?;
        let lasts = millis(leases.lasts());
        let (again, at, limit) = (millis(READ_BACK_FIRST), now.as_millis(), signed(limit));
        let of: Values<'_, 5> = [&lasts, &again, &at, &limit, &aside];
        let (rows, next) = tokio::try_join!(biased; client.query(&statement, &of), client.query_one(&next, &[]))?;
        let all = taking.read(&client, &rows).await?;
        client.done();
        Ok((all, next))
    };
    let (all, next) = database.in_time(work).await?;
    Ok(ReadBacks { due: taking.take_off(all).claims, next: Some(next_look(next.get("next"), now)) })
}

/// Lets profiles be claimed again that wait for Target to have them, up to a time. Returns when to look again.
pub(super) async fn look_again(database: &Database, until: Timestamp, now: Timestamp) -> Result<Timestamp, HubError> {
    loop {
        let (looked, next) = look_once(database, until).await?;
        if looked < LOOKS_MAX {
            return Ok(next_look(next, now));
        }
    }
}

async fn look_once(database: &Database, until: Timestamp) -> Result<(u64, Option<i64>), HubError> {
    let work = async {
        let client = database.client().await?;
        let (look, next) = tokio::try_join!(
            biased;
            client.prepare_cached(
                "WITH due AS (
                     SELECT profile FROM outbox WHERE look_ms <= $1 ORDER BY look_ms LIMIT $2 FOR UPDATE SKIP LOCKED)
                 UPDATE outbox SET look_ms = NULL FROM due WHERE outbox.profile = due.profile"
            ),
            client.prepare_cached("SELECT min(look_ms) AS next FROM outbox WHERE look_ms IS NOT NULL"),
        )?;
        let (at, most) = (until.as_millis(), LOOKS_MAX.cast_signed());
        let of: Values<'_, 2> = [&at, &most];
        let (looked, next) = tokio::try_join!(biased; client.execute(&look, &of), client.query_one(&next, &[]))?;
        client.done();
        Ok((looked, next.get("next")))
    };
    database.in_time(work).await
}

fn next_look(next: Option<i64>, now: Timestamp) -> Timestamp {
    let latest = now.plus(LOOK_AGAIN);
    next.map_or(latest, |next| Timestamp::from_millis(next).min(latest))
}

/// Ends claims in the database.
pub(super) async fn end(database: &Database, leases: &[Lease]) -> Result<(), HubError> {
    if leases.is_empty() {
        return Ok(());
    }
    let sql = concat!(
        "WITH ",
        standing!(),
        " UPDATE outbox SET lease_ms = NULL FROM standing WHERE outbox.profile = standing.profile RETURNING outbox.profile"
    );
    of_standing(database, sql, leases, None).await.map(|_| ())
}

/// Renews claims. Returns the profiles of those that still stand.
pub(super) async fn renew(database: &Database, leases: &[Lease], lasts: Duration) -> Result<HashSet<Uuid>, HubError> {
    let sql = concat!(
        "WITH ",
        standing!(),
        " UPDATE outbox SET lease_ms = ",
        now_ms!(),
        " + $3 FROM standing WHERE outbox.profile = standing.profile RETURNING outbox.profile"
    );
    of_standing(database, sql, leases, Some(millis(lasts))).await
}

async fn of_standing(
    database: &Database,
    sql: &'static str,
    leases: &[Lease],
    lasts: Option<i64>,
) -> Result<HashSet<Uuid>, HubError> {
    let (profiles, fences) = columns(leases);
    let work = async {
        let client = database.kept_client().await?;
        let statement = client.prepare_cached(sql).await?;
        let rows = match lasts {
            Some(lasts) => client.query(&statement, &[&profiles, &fences, &lasts]).await?,
            None => client.query(&statement, &[&profiles, &fences]).await?,
        };
        client.done();
        Ok(rows.iter().map(|row| row.get("profile")).collect())
    };
    database.in_time(work).await
}

/// Writes down what is about to be sent, of claims that still stand. Returns the profiles of those.
pub(super) async fn note(database: &Database, notes: &[(Lease, SendLog)]) -> Result<HashSet<Uuid>, HubError> {
    let (profiles, fences) = columns(&notes.iter().map(|(lease, _)| *lease).collect::<Vec<_>>());
    let logs: Vec<String> = notes.iter().map(|(_, log)| log.to_json()).collect();
    let work = async {
        let client = database.client().await?;
        let statement = client
            .prepare_cached(concat!(
                "WITH ",
                standing!(),
                " INSERT INTO sends (profile, log)
                 SELECT profile, log FROM unnest($1::uuid[], $3::text[]) AS notes (profile, log) JOIN standing USING (profile)
                 ON CONFLICT (profile) DO UPDATE SET log = excluded.log RETURNING profile"
            ))
            .await?;
        let rows = client.query(&statement, &[&profiles, &fences, &logs]).await?;
        client.done();
        Ok(rows.iter().map(|row| row.get("profile")).collect())
    };
    database.in_time(work).await
}

pub(super) fn columns(leases: &[Lease]) -> (Vec<Uuid>, Vec<i64>) {
    leases.iter().map(|lease| (lease.profile, lease.fence)).unzip()
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
