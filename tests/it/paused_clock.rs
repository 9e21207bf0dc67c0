//! The courier keeps the times that the core says: the whole agent against a loopback Target, on a clock that stands still until
//! a test lets it go on.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use outpost::core::forwarding::route::Mode;
use outpost::device::clock::Clock;
use outpost::sandbox::faults::Faults;
use outpost::store::FILE_NAME;
use serde_json::json;

use crate::model::{mins, secs};
use crate::support::{Fixture, PATIENCE, Setup, noted, used};
use crate::target::{learn, requests, setup, visit};

/// Less than any request may take, which real time decides.
const STEP: Duration = Duration::from_secs(5);

/// A clock that stands still.
struct PausedClock {
    /// While a blocking task runs, the runtime does not let time jump by itself.
    _hold: mpsc::Sender<()>,
}

impl PausedClock {
    fn begin() -> Self {
        let (hold, held) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || held.recv());
        tokio::time::pause();
        Self { _hold: hold }
    }

    /// Lets time pass, here and at Target, in small steps.
    async fn pass(&self, fixture: &Fixture, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(STEP);
            tokio::time::advance(step).await;
            fixture.sandbox.target().clock_ahead += step;
            turn(fixture).await;
            left -= step;
        }
    }
}

/// Goes through intake, the writer and back, while the agent does what is due: it cannot fall behind the clock.
async fn turn(fixture: &Fixture) {
    let event = json!({ "specversion": "1.0", "id": "tick", "source": "/kiosk/3", "type": "com.acme.tick" });
    fixture.agent.record(&event).await;
}

/// A request may wait for very long on a clock that is let go on.
fn patient() -> Setup {
    Setup { timeout: secs(3_600), ..setup() }
}

/// Waits, and lets time go on slowly: what is settled is gathered for some milliseconds.
async fn until(fixture: &Fixture, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::advance(Duration::from_millis(1)).await;
        turn(fixture).await;
    }
}

async fn drained(fixture: &Fixture) {
    until(fixture, "all is delivered", async || fixture.agent.status().await.pending.profiles == 0).await;
}

#[tokio::test]
async fn a_told_wait_is_kept_and_ends_by_itself() {
    let clock = PausedClock::begin();
    let fixture = Setup { faults: "single=429=3600*1", ..patient() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&noted("1", "7", "first")).await;
    until(&fixture, "it is told to wait", async || requests(&fixture, "single").len() == 1).await;
    clock.pass(&fixture, mins(59)).await;
    assert_eq!(requests(&fixture, "single").len(), 1, "an hour was told");
    clock.pass(&fixture, mins(16)).await;
    drained(&fixture).await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("first"));
}

#[tokio::test]
async fn after_a_lost_answer_the_profile_is_read_back_twice_and_put_right() {
    let clock = PausedClock::begin();
    let fixture = Setup { faults: "single=lost*1", ..patient() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    until(&fixture, "its answer is lost", async || requests(&fixture, "single").len() == 1).await;
    clock.pass(&fixture, mins(5)).await;
    drained(&fixture).await;
    let reads = requests(&fixture, "fetch").len();
    clock.pass(&fixture, mins(60)).await;
    assert_eq!(requests(&fixture, "fetch").len(), reads, "it is read back after 70 minutes");
    clock.pass(&fixture, mins(15)).await;
    until(&fixture, "it is read back", async || requests(&fixture, "fetch").len() == reads + 1).await;
    // What Target applied late, over what was delivered since.
    visit(&fixture, "7", "lastStore", "Ystad");
    clock.pass(&fixture, mins(85)).await;
    until(&fixture, "it is read back again", async || requests(&fixture, "fetch").len() > reads + 1).await;
    drained(&fixture).await;
    let reads = requests(&fixture, "fetch").len();
    clock.pass(&fixture, mins(300)).await;
    assert_eq!(requests(&fixture, "fetch").len(), reads, "what is known is not read again");
}

#[tokio::test]
async fn a_missing_profile_is_looked_for_an_hour_later() {
    let clock = PausedClock::begin();
    let mut forwarding = patient().forwarding;
    forwarding.routes.mode = Mode::Single;
    let fixture = Setup { forwarding, ..patient() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    until(&fixture, "it is missing", async || fixture.agent.status().await.pending.missing_profiles == 1).await;
    let reads = requests(&fixture, "fetch").len();
    visit(&fixture, "7", "visits", "4");
    learn(&fixture, "7");
    clock.pass(&fixture, mins(55)).await;
    assert_eq!(requests(&fixture, "fetch").len(), reads, "it is looked for after an hour");
    clock.pass(&fixture, mins(10)).await;
    drained(&fixture).await;
    assert_eq!(fixture.held("7", "lastStore").as_deref(), Some("Lund"));
}

#[tokio::test]
async fn after_hours_without_a_network_a_device_is_back_within_minutes() {
    let clock = PausedClock::begin();
    let fixture = Setup { faults: "outage", ..patient() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&noted("1", "7", "first")).await;
    clock.pass(&fixture, mins(180)).await;
    let tried = fixture.sandbox.target().requests_total();
    assert!((20..200).contains(&tried), "{tried} tries in three hours");
    fixture.sandbox.target().faults = Faults::default();
    clock.pass(&fixture, mins(7)).await;
    drained(&fixture).await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("first"));
}

#[tokio::test]
async fn a_gateway_that_finds_every_update_too_large_is_tried_more_and_more_rarely() {
    let clock = PausedClock::begin();
    let fixture = Setup { faults: "single=413", ..patient() }.start().await;
    let cards = ["1", "2", "3", "4"];
    for card in cards {
        learn(&fixture, card);
        fixture.agent.record(&used(card, card, "Lund", 1.0)).await;
    }
    until(&fixture, "the link is blocked", async || fixture.agent.status().await.link == "blocked").await;
    clock.pass(&fixture, mins(60)).await;
    // As halves of one update are answered too, each try is a few requests.
    let tried = requests(&fixture, "single").len();
    assert!(tried < 200, "{tried} requests in an hour");
    assert_eq!(fixture.agent.status().await.rejected.updates, 0);
}

#[tokio::test]
async fn a_token_reset_soon_after_a_read_pauses_the_link_within_half_a_minute() {
    let clock = PausedClock::begin();
    let fixture = patient().start().await;
    learn(&fixture, "7");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    drained(&fixture).await;
    fixture.sandbox.target().token = Some("another".to_owned());
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    // Reading alone may be refused for a moment: so it is tried again until half a minute after the last good read.
    clock.pass(&fixture, secs(30)).await;
    for _ in 0..5_000 {
        if fixture.agent.status().await.link == "paused" {
            assert_eq!(fixture.held("7", "visits").as_deref(), Some("1"));
            return;
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        turn(&fixture).await;
    }
    panic!("after 35 s the link is {}", fixture.agent.status().await.link);
}

#[tokio::test]
async fn a_damaged_store_is_deleted_after_thirty_days_with_its_log_and_not_before_the_clock_is_set() {
    let clock = PausedClock::begin();
    let mut fixture = patient().start().await;
    fixture.agent.stop().await;
    let kept = |at: i64| fixture.dir.path().join(format!("{FILE_NAME}.corrupt-{at}"));
    let (day, now) = (24 * 60 * 60, Clock::system().as_millis() / 1_000);
    let (old, young) = (kept(now - 31 * day), kept(now - 29 * day));
    let log = PathBuf::from(format!("{}-wal", old.display()));
    for path in [&old, &log, &young] {
        std::fs::write(path, "people's data").unwrap();
    }
    fixture.start_again().await;
    clock.pass(&fixture, mins(50)).await;
    assert!(old.exists(), "NTP may not have set the clock yet");
    clock.pass(&fixture, mins(75)).await;
    fixture.agent.wait_status(|_| !old.exists() && !log.exists()).await;
    assert!(young.exists());
}
