//! Events ahead of the hub's clock: the time that is taken for each instead, once and for all.

use deadpool_postgres::Transaction;

use super::asked::{Asked, Early};
use super::error::HubError;
use super::present::Present;

/// An event of a request, and what is known of it and of the device's next one.
struct Event {
    time: i64,
    seq: i64,
    /// Time that was taken for it before.
    taken: Option<i64>,
    /// Time that was taken for the device's next event that has one, and that event's number.
    next: Option<(i64, i64)>,
}

/// Returns the times to take for a device's events that are, or once were, ahead of our clock, and keeps those that are new:
/// when the same event comes again it must have the same time, or it would win over what others did meanwhile.
pub(super) async fn early(
    transaction: &Transaction<'_>,
    present: &Present,
    asked: &[Asked<'_>],
) -> Result<Early, HubError> {
    let now = present.now.as_millis();
    let parts = asked.iter().flat_map(|profile| profile.attributes.iter().map(|said| &said.part.part));
    let stamps = parts.flat_map(|part| std::iter::once(&part.stamp).chain(part.items.iter().map(|item| &item.stamp)));
    let stamps = stamps.map(|stamp| (stamp.time.as_millis(), stamp.seq));
    let mut stamps: Vec<(i64, i64)> = stamps.filter(|(time, _)| present.has_early || *time > now).collect();
    if stamps.is_empty() {
        return Ok(Early::new());
    }
    stamps.sort_unstable();
    stamps.dedup();
    let (times, seqs): (Vec<i64>, Vec<i64>) = stamps.into_iter().unzip();
    let device: &str = &present.stamp;
    let rows = transaction
        .query(
            "SELECT asked.time_ms, asked.seq, early.taken_ms, next.taken_ms AS next_taken_ms, next.seq AS next_seq
             FROM unnest($2::bigint[], $3::bigint[]) AS asked (time_ms, seq)
             LEFT JOIN early ON early.device = $1 AND (early.time_ms, early.seq) = (asked.time_ms, asked.seq)
             LEFT JOIN LATERAL (
                 SELECT later.taken_ms, later.seq FROM early AS later
                 WHERE later.device = $1 AND (later.time_ms, later.seq) > (asked.time_ms, asked.seq)
                 ORDER BY later.time_ms, later.seq LIMIT 1) AS next ON true
             ORDER BY asked.time_ms, asked.seq",
            &[&device, &times, &seqs],
        )
        .await?;
    let events = rows.iter().map(|row| Event {
        time: row.get("time_ms"),
        seq: row.get("seq"),
        taken: row.get("taken_ms"),
        next: row.get::<_, Option<i64>>("next_taken_ms").zip(row.get("next_seq")),
    });
    let (early, new) = times_taken(events.collect(), now);
    if !new.is_empty() {
        let seqs: Vec<i64> = new.iter().map(|(_, seq)| *seq).collect();
        let taken: Vec<i64> = new.iter().map(|event| early[event]).collect();
        let times: Vec<i64> = new.into_iter().map(|(time, _)| time).collect();
        transaction
            .execute(
                "INSERT INTO early (device, time_ms, seq, taken_ms)
                 SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])",
                &[&device, &times, &seqs, &taken],
            )
            .await?;
    }
    Ok(early)
}

/// Returns the times for events that stand in their order, and those of them that are new. A device's events keep their order: none
/// is taken as later than the next one, nor as of its time where its number is higher.
fn times_taken(events: Vec<Event>, now: i64) -> (Early, Vec<(i64, i64)>) {
    let (mut early, mut new) = (Early::new(), Vec::new());
    let mut behind: Option<(i64, i64)> = None;
    for Event { time, seq, taken, next } in events.into_iter().rev() {
        let next = match (behind, next) {
            (Some(here), Some(there)) => Some(here.min(there)),
            (here, there) => here.or(there),
        };
        let latest = next.map_or(i64::MAX, |(taken, of)| taken - i64::from(of < seq));
        let taken = match taken {
            Some(taken) => taken,
            None if time <= now.min(latest) => continue,
            None => {
                new.push((time, seq));
                now.min(latest)
            }
        };
        early.insert((time, seq), taken);
        behind = Some((taken, seq));
    }
    (early, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time, number, what was taken for it and for the next.
    type Said = (i64, i64, Option<i64>, Option<(i64, i64)>);

    fn taken(events: &[Said], now: i64) -> Vec<(i64, i64, i64)> {
        let event = |&(time, seq, taken, next)| Event { time, seq, taken, next };
        let (early, _) = times_taken(events.iter().map(event).collect(), now);
        let mut early: Vec<_> = early.into_iter().map(|((time, seq), taken)| (taken, seq, time)).collect();
        early.sort_unstable();
        early
    }

    #[test]
    fn events_ahead_of_the_clock_are_taken_as_now_in_the_order_of_their_device() {
        assert_eq!(
            taken(&[(90, 1, None, None), (120, 2, None, None), (130, 3, None, None)], 100),
            [(100, 2, 120), (100, 3, 130)]
        );
        // Recorded later, and earlier by its time.
        assert_eq!(taken(&[(120, 5, None, None), (130, 3, None, None)], 100), [(99, 5, 120), (100, 3, 130)]);
        // One that comes after the next was taken.
        assert_eq!(taken(&[(120, 2, None, Some((80, 3)))], 100), [(80, 2, 120)]);
        assert_eq!(taken(&[(90, 4, None, Some((80, 3)))], 100), [(79, 4, 90)]);
        // Known ones keep their time.
        assert_eq!(taken(&[(90, 1, None, Some((95, 2))), (120, 2, Some(95), None)], 100), [(95, 2, 120)]);
    }
}
