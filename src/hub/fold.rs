//! Folding parts of sums that nothing repeats any more into one total for each device, and the audit that adds all up again.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use uuid::Uuid;

use super::database::{Database, now_ms};
use super::error::HubError;
use crate::core::operation::{Operation, partial_sum, sum};

/// Time for which a part is kept once the device has said that it never sends it again: a disk may be put back to an older
/// copy of itself, and sends it again then.
pub const KEEP_CONFIRMED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Time for which a part is kept that nobody confirmed.
pub const KEEP_UNCONFIRMED: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Longest time for an audit of everything.
const AUDIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Most parts of each kind that are folded in one transaction, and sums that are added up with one statement.
const STEP: i64 = 500;

/// A sum that is not what its parts make together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the attribute.
    pub attribute: String,
    /// Value that the hub holds.
    pub held: String,
    /// Sum of its parts; none if they cannot be added.
    pub summed: Option<String>,
}

/// Findings of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Sums that were added up again.
    pub sums: usize,
    /// Sums that are wrong.
    pub differences: Vec<Difference>,
}

/// Totals of devices, column by column, and the parts that are in them now.
#[derive(Default)]
struct Folded {
    profiles: Vec<Uuid>,
    names: Vec<String>,
    devices: Vec<String>,
    values: Vec<String>,
    gone: Vec<(Uuid, Uuid)>,
}

impl Folded {
    /// Adds up rows of parts, and of totals, which have no id.
    fn of<'r>(rows: impl Iterator<Item = &'r Row>) -> Self {
        let mut groups: BTreeMap<(Uuid, &str, &str), Vec<&Row>> = BTreeMap::new();
        for row in rows {
            groups.entry((row.get("profile"), row.get("name"), row.get("device"))).or_default().push(row);
        }
        groups.retain(|_, rows| rows.iter().any(|row| row.get::<_, Option<Uuid>>("id").is_some()));
        let mut folded = Self::default();
        for ((profile, name, device), rows) in groups {
            let value = partial_sum(rows.iter().map(|row| row.get("value")));
            // A part has 28 digits at most, which the hub has seen to, and as many parts as would need more digits than a number may
            // have do not exist.
            folded.values.push(value.expect("parts are numbers"));
            folded.profiles.push(profile);
            folded.names.push(name.to_owned());
            folded.devices.push(device.to_owned());
            folded.gone.extend(rows.iter().filter_map(|row| Some((profile, row.get::<_, Option<Uuid>>("id")?))));
        }
        folded
    }

    async fn write(&self, transaction: &Transaction<'_>) -> Result<(), HubError> {
        transaction
            .execute(
                "INSERT INTO folded (profile, name, device, value)
                 SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
                 ON CONFLICT (profile, name, device) DO UPDATE SET value = excluded.value",
                &[&self.profiles, &self.names, &self.devices, &self.values],
            )
            .await?;
        let (profiles, ids): (Vec<Uuid>, Vec<Uuid>) = self.gone.iter().copied().unzip();
        transaction
            .execute(
                "DELETE FROM part USING unnest($1::uuid[], $2::uuid[]) AS gone (profile, id)
                 WHERE part.profile = gone.profile AND part.id = gone.id",
                &[&profiles, &ids],
            )
            .await?;
        Ok(())
    }
}

impl Database {
    /// Folds up to a few hundred parts whose time is over, counted from now, and returns how many there were. Zero: none is
    /// left, or those left are busy.
    ///
    /// # Errors
    /// [`HubError`]; then nothing was folded.
    pub async fn fold(&self, confirmed: Duration, unconfirmed: Duration) -> Result<usize, HubError> {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
        let work = async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let now: i64 = transaction.query_one(concat!("SELECT ", now_ms!()), &[]).await?.get(0);
            let limits = (now - millis(confirmed), now - millis(unconfirmed));
            let folded = fold_step(&transaction, limits).await?;
            if folded == 0 {
                forget_early(&transaction, limits.1).await?;
            }
            transaction.commit().await?;
            client.done();
            Ok(folded)
        };
        self.in_time(work).await
    }

    /// Adds up all parts again, and compares the sums with what the hub holds.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn audit(&self) -> Result<Audit, HubError> {
        let work = async {
            let mut client = self.client().await?;
            // One view of everything: parts that come meanwhile are in all of it or in none.
            let transaction = client
                .build_transaction()
                .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
                .read_only(true)
                .start()
                .await?;
            let mut audit = Audit::default();
            let mut after = (Uuid::nil(), String::new());
            while let Some(last) = audit_step(&transaction, &mut audit, &after).await? {
                after = last;
            }
            transaction.commit().await?;
            client.done();
            Ok(audit)
        };
        self.within(AUDIT_MAX, work).await
    }
}

/// Folds parts last changed, or confirmed, at these times or before.
async fn fold_step(transaction: &Transaction<'_>, (confirmed, unconfirmed): (i64, i64)) -> Result<usize, HubError> {
    let keys = |rows: &[Row]| -> (Vec<Uuid>, Vec<Uuid>) {
        rows.iter().map(|row| (row.get::<_, Uuid>("profile"), row.get::<_, Uuid>("id"))).unzip()
    };
    let due = transaction
        .query(
            "(SELECT profile, id FROM part WHERE confirmed_ms <= $1 ORDER BY confirmed_ms LIMIT $3)
             UNION ALL
             (SELECT profile, id FROM part WHERE confirmed_ms IS NULL AND changed_ms <= $2 ORDER BY changed_ms LIMIT $3)",
            &[&confirmed, &unconfirmed, &STEP],
        )
        .await?;
    if due.is_empty() {
        return Ok(0);
    }
    let (profiles, ids) = keys(&due);
    // Its profile is locked before the part, as where parts are taken; a busy one has its turn another time.
    let locked: Vec<Uuid> = transaction
        .query(
            "SELECT hash FROM profile WHERE hash = ANY ($1::uuid[]) ORDER BY hash FOR UPDATE SKIP LOCKED",
            &[&profiles],
        )
        .await?
        .iter()
        .map(|row| row.get("hash"))
        .collect();
    // What came meanwhile may have changed them.
    let due = transaction
        .query(
            "SELECT profile, name, device, value, id FROM part JOIN unnest($3::uuid[], $4::uuid[]) AS due (profile, id)
                 USING (profile, id)
             WHERE profile = ANY ($5::uuid[]) AND (confirmed_ms <= $1 OR confirmed_ms IS NULL AND changed_ms <= $2)",
            &[&confirmed, &unconfirmed, &profiles, &ids, &locked],
        )
        .await?;
    let known = transaction
        .query(
            "SELECT profile, name, device, value, NULL::uuid AS id FROM folded WHERE profile = ANY ($1::uuid[])",
            &[&locked],
        )
        .await?;
    let folded = Folded::of(due.iter().chain(&known));
    folded.write(transaction).await?;
    Ok(folded.gone.len())
}

/// Forgets the times that were taken for events so long ago that no part of them comes again.
async fn forget_early(transaction: &Transaction<'_>, until: i64) -> Result<(), HubError> {
    transaction
        .execute(
            "DELETE FROM early USING (SELECT device, time_ms, seq FROM early WHERE taken_ms < $1 LIMIT $2) AS old
             WHERE (early.device, early.time_ms, early.seq) = (old.device, old.time_ms, old.seq)",
            &[&until, &STEP],
        )
        .await?;
    Ok(())
}

/// Adds up the sums behind one, and returns the last of them; none behind the last of all.
async fn audit_step(
    transaction: &Transaction<'_>,
    audit: &mut Audit,
    after: &(Uuid, String),
) -> Result<Option<(Uuid, String)>, HubError> {
    let operation = i16::try_from(Operation::Add.number()).expect("a small number");
    let held = transaction
        .query(
            "SELECT profile, name, value FROM attribute
             WHERE (profile, name) > ($1, $2) AND operation = $3 ORDER BY profile, name LIMIT $4",
            &[&after.0, &after.1, &operation, &STEP],
        )
        .await?;
    let Some(last) = held.last() else { return Ok(None) };
    let (profiles, names): (Vec<Uuid>, Vec<&str>) =
        held.iter().map(|row| (row.get::<_, Uuid>("profile"), row.get::<_, &str>("name"))).unzip();
    // The database's numbers are as exact as ours, and many parts are one row.
    let summed = transaction
        .query(
            "SELECT profile, name, sum(value::numeric)::text AS value FROM (
                 SELECT profile, name, value FROM part WHERE profile = ANY ($3::uuid[])
                 UNION ALL SELECT profile, name, value FROM folded WHERE profile = ANY ($3::uuid[])) AS parts
             JOIN unnest($1::uuid[], $2::text[]) AS held (profile, name) USING (profile, name)
             GROUP BY profile, name",
            &[&profiles, &names, &profiles],
        )
        .await?;
    let of = |row: &Row| ((row.get::<_, Uuid>("profile"), row.get::<_, String>("name")), row.get::<_, String>("value"));
    let summed: BTreeMap<(Uuid, String), String> = summed.iter().map(of).collect();
    for row in &held {
        let (key, held) = of(row);
        let total = summed.get(&key).map_or("0", String::as_str);
        let summed = sum([total]).ok();
        audit.sums += 1;
        if summed.as_ref() != Some(&held) {
            audit.differences.push(Difference { attribute: key.1, held, summed });
        }
    }
    Ok(Some((last.get("profile"), last.get("name"))))
}
