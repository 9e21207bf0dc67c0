//! Changes by a request: joined with what is known, and written with one statement for all rows of a table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::asked::{Asked, Known};
use super::error::HubError;
use super::joining::{Effect, KnownPart, Merged, add, join, of_device};
use super::present::Present;
use super::rows::{stored_items, uuid};
use crate::core::fleet::{AttributePart, PartId, Reason, Refused};
use crate::core::operation::Part;
use crate::core::timestamp::Timestamp;

/// Changes by one request.
#[derive(Default)]
pub(super) struct Changes {
    attributes: BTreeMap<(Uuid, String), Merged>,
    parts: BTreeMap<(Uuid, PartId), KnownPart>,
    /// Profiles with an attribute whose value changed.
    pending: Vec<Uuid>,
    pub(super) refused: Vec<Refused>,
}

impl Changes {
    /// Joins what a request says with what is known. `versions` are those that the profiles get with it.
    pub(super) fn join_all(
        &mut self,
        present: &Present,
        asked: &[Asked<'_>],
        versions: &HashMap<Uuid, i64>,
        mut known: Known,
    ) {
        let early = std::mem::take(&mut known.early);
        let taken = |time: Timestamp, seq| {
            early.get(&(time.as_millis(), seq)).map_or(time, |taken| Timestamp::from_millis(*taken))
        };
        for profile in asked {
            let Some(version) = versions.get(&profile.hash) else {
                let reason = "the hub has another profile of the same hash; the identity cannot be used";
                self.refused.extend(profile.attributes.iter().map(|said| said.refuse(&reason.into())));
                continue;
            };
            let mut is_pending = false;
            for said in &profile.attributes {
                let part = of_device(&said.part.part, &present.stamp, taken);
                match self.join_one((profile.hash, *version), (said.part, &present.name), &part, &mut known) {
                    Ok(is_changed) => is_pending |= is_changed,
                    Err(reason) => self.refused.push(said.refuse(&reason)),
                }
            }
            self.pending.extend(is_pending.then_some(profile.hash));
        }
    }

    /// Joins one part. Returns true if the value of its attribute changed.
    fn join_one(
        &mut self,
        (profile, version): (Uuid, i64),
        (said, by): (&AttributePart, &Arc<str>),
        part: &Part,
        known: &mut Known,
    ) -> Result<bool, Reason> {
        let key = (profile, said.name.as_str().to_owned());
        if known.foreign.contains(&key) {
            let words = "the hub has the attribute by an operation that this node does not know; update the node";
            return Err(Reason::Unknown(words.to_owned()));
        }
        let held = known.attributes.get(&key);
        let effect = match said.id {
            Some(id) => add(held, known.parts.get(&(profile, id)), (said, by), part, version)?,
            None => join(held, (said, by), part, version)?,
        };
        let (merged, is_changed) = match effect {
            Effect::None => return Ok(false),
            Effect::Noted(merged) => (merged, false),
            Effect::Changed(merged) => (merged, true),
        };
        if let Some(id) = said.id {
            let part = KnownPart { name: key.1.clone(), value: part.value.clone(), version: said.version };
            known.parts.insert((profile, id), part.clone());
            self.parts.insert((profile, id), part);
        }
        known.attributes.insert(key.clone(), merged.clone());
        self.attributes.insert(key, merged);
        Ok(is_changed)
    }

    /// Returns true if anything is to be sent to Target.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes all of it.
    pub(super) async fn write(&self, transaction: &Transaction<'_>, present: &Present) -> Result<(), HubError> {
        tokio::try_join!(
            biased;
            self.write_attributes(transaction, present.now),
            self.write_parts(transaction, present),
            self.write_pending(transaction, present.now),
        )?;
        Ok(())
    }

    async fn write_attributes(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<(), HubError> {
        if self.attributes.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO attribute (profile, name, operation, value, items, time_ms, device, seq, said_by, event, mapping, version,
                     changed_ms)
                 SELECT *, $13 FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                     $8::bigint[], $9::text[], $10::text[], $11::text[], $12::bigint[])
                 ON CONFLICT (profile, name) DO UPDATE SET value = excluded.value, items = excluded.items,
                     time_ms = excluded.time_ms, device = excluded.device, seq = excluded.seq, said_by = excluded.said_by, event = excluded.event,
                     mapping = excluded.mapping, version = excluded.version,
                     changed_ms = CASE WHEN attribute.version = excluded.version THEN attribute.changed_ms ELSE excluded.changed_ms END",
            )
            .await?;
        let rows = || self.attributes.iter();
        let profiles: Vec<Uuid> = rows().map(|((profile, _), _)| *profile).collect();
        let names: Vec<&str> = rows().map(|((_, name), _)| name.as_str()).collect();
        let values = || self.attributes.values();
        let operations: Vec<i16> =
            values().map(|it| i16::try_from(it.operation.number()).expect("a small number")).collect();
        let texts: Vec<&str> = values().map(|it| it.part.value.as_str()).collect();
        let items: Vec<Option<String>> = values().map(stored_items).collect();
        let times: Vec<i64> = values().map(|it| it.part.stamp.time.as_millis()).collect();
        let devices: Vec<&str> = values().map(|it| &*it.part.stamp.device).collect();
        let seqs: Vec<i64> = values().map(|it| it.part.stamp.seq).collect();
        let said_by: Vec<&str> = values().map(|it| &*it.said_by).collect();
        let events: Vec<&str> = values().map(|it| it.event.as_str()).collect();
        let mappings: Vec<&str> = values().map(|it| it.mapping.as_str()).collect();
        let versions: Vec<i64> = values().map(|it| it.version).collect();
        transaction
            .execute(
                &statement,
                &[
                    &profiles,
                    &names,
                    &operations,
                    &texts,
                    &items,
                    &times,
                    &devices,
                    &seqs,
                    &said_by,
                    &events,
                    &mappings,
                    &versions,
                    &now.as_millis(),
                ],
            )
            .await?;
        Ok(())
    }

    async fn write_parts(&self, transaction: &Transaction<'_>, present: &Present) -> Result<(), HubError> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO part (profile, id, name, value, version, device, changed_ms)
                 SELECT *, $6, $7 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])
                 ON CONFLICT (profile, id) DO UPDATE SET value = excluded.value, version = excluded.version,
                     changed_ms = excluded.changed_ms, confirmed_ms = NULL",
            )
            .await?;
        let profiles: Vec<Uuid> = self.parts.keys().map(|(profile, _)| *profile).collect();
        let ids: Vec<Uuid> = self.parts.keys().map(|(_, id)| uuid(*id)).collect();
        let names: Vec<&str> = self.parts.values().map(|part| part.name.as_str()).collect();
        let values: Vec<&str> = self.parts.values().map(|part| part.value.as_str()).collect();
        let versions: Vec<i64> = self.parts.values().map(|part| part.version).collect();
        let name: &str = &present.name;
        transaction
            .execute(&statement, &[&profiles, &ids, &names, &values, &versions, &name, &present.now.as_millis()])
            .await?;
        Ok(())
    }

    async fn write_pending(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<(), HubError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO outbox (profile, pending_ms) SELECT profile, $2 FROM unnest($1::uuid[]) AS asked (profile)
                 ON CONFLICT (profile) DO UPDATE SET pending_ms = excluded.pending_ms WHERE outbox.pending_ms IS NULL",
            )
            .await?;
        transaction.execute(&statement, &[&self.pending, &now.as_millis()]).await?;
        Ok(())
    }
}
