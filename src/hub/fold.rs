//! Folding parts of sums that nothing repeats any more into one total for each device, and the audit that adds all up again.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use uuid::Uuid;

use super::database::{Database, now_ms};
use super::error::HubError;
use crate::core::operation::{Operation, sum};

/// Time for which a part is kept once the device has said that it never sends it again: a disk may be put back to an older
/// copy of itself, and sends it again then.
pub const KEEP_CONFIRMED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Time for which a part is kept that nobody confirmed.
pub const KEEP_UNCONFIRMED: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Parts folded in one transaction.
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

/// What an audit found.
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
        let mut folded = Self::default();
        for ((profile, name, device), rows) in groups {
            // The sum over all devices has room for its digits; where that of one has not, its parts stay apart.
            let Ok(value) = sum(rows.iter().map(|row| row.get("value"))) else { continue };
            folded.profiles.push(profile);
            folded.names.push(name.to_owned());
            folded.devices.push(device.to_owned());
            folded.values.push(value);
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
    /// left.
    ///
    /// # Errors
    /// [`HubError`]; then nothing was folded.
    pub async fn fold(&self, confirmed: Duration, unconfirmed: Duration) -> Result<usize, HubError> {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // Its profile is locked before the part, as where parts are taken; a busy one has its turn another time.
        let profiles: Vec<Uuid> = transaction
            .query(
                concat!(
                    "SELECT hash FROM profile WHERE hash IN (
                         SELECT profile FROM part WHERE confirmed_ms <= ",
                    now_ms!(),
                    " - $1 OR confirmed_ms IS NULL AND changed_ms <= ",
                    now_ms!(),
                    " - $2 LIMIT $3)
                     ORDER BY hash FOR UPDATE SKIP LOCKED"
                ),
                &[&millis(confirmed), &millis(unconfirmed), &STEP],
            )
            .await?
            .iter()
            .map(|row| row.get("hash"))
            .collect();
        if profiles.is_empty() {
            return Ok(0);
        }
        let due = transaction
            .query(
                concat!(
                    "SELECT profile, name, device, value, id FROM part WHERE profile = ANY ($3::uuid[]) AND (confirmed_ms <= ",
                    now_ms!(),
                    " - $1 OR confirmed_ms IS NULL AND changed_ms <= ",
                    now_ms!(),
                    " - $2)"
                ),
                &[&millis(confirmed), &millis(unconfirmed), &profiles],
            )
            .await?;
        let known = transaction
            .query(
                "SELECT profile, name, device, value, NULL::uuid AS id FROM folded WHERE profile = ANY ($1::uuid[])",
                &[&profiles],
            )
            .await?;
        let folded = Folded::of(due.iter().chain(&known));
        folded.write(&transaction).await?;
        transaction.commit().await?;
        Ok(folded.gone.len())
    }

    /// Adds up all parts again, and compares the sums with what the hub holds.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn audit(&self) -> Result<Audit, HubError> {
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
        loop {
            let operation = i16::try_from(Operation::Add.number()).expect("a small number");
            let held = transaction
                .query(
                    "SELECT profile, name, value FROM attribute
                     WHERE (profile, name) > ($1, $2) AND operation = $3 ORDER BY profile, name LIMIT $4",
                    &[&after.0, &after.1, &operation, &STEP],
                )
                .await?;
            let Some(last) = held.last() else { break };
            after = (last.get("profile"), last.get("name"));
            let profiles: Vec<Uuid> = held.iter().map(|row| row.get("profile")).collect();
            let parts = transaction
                .query(
                    "SELECT profile, name, value FROM part WHERE profile = ANY ($1::uuid[])
                     UNION ALL SELECT profile, name, value FROM folded WHERE profile = ANY ($1::uuid[])",
                    &[&profiles],
                )
                .await?;
            let mut values: BTreeMap<(Uuid, String), Vec<String>> = BTreeMap::new();
            for row in &parts {
                values.entry((row.get("profile"), row.get("name"))).or_default().push(row.get("value"));
            }
            for row in &held {
                let of = values.remove(&(row.get("profile"), row.get("name"))).unwrap_or_default();
                let (held, summed) = (row.get::<_, String>("value"), sum(of.iter().map(String::as_str)).ok());
                audit.sums += 1;
                if summed.as_ref() != Some(&held) {
                    audit.differences.push(Difference { attribute: row.get("name"), held, summed });
                }
            }
        }
        Ok(audit)
    }
}
