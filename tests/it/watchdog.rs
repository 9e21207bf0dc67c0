//! A part that makes no progress ends the agent; one that rests does not.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use outpost::agent::watchdog::{Verdict, Watchdog};
use outpost::core::forwarding::link::LinkState;
use outpost::device::clock::Clock;
use outpost::device::pulse::Pulse;
use outpost::forward::shown::LinkView;
use outpost::store::{FILE_NAME, Store, Writer};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

struct Watched {
    writer: Writer,
    pulse: Pulse,
    given_up: oneshot::Receiver<()>,
    _stop: watch::Sender<bool>,
    link: watch::Sender<LinkView>,
    _dir: TempDir,
}

fn watched() -> Watched {
    watched_with(None, Duration::from_millis(5))
}

fn watched_with(verdict: Option<Verdict>, interval: Duration) -> Watched {
    let dir = tempfile::tempdir().unwrap();
    let (writer, _thread) = Writer::start(Store::open(&dir.path().join(FILE_NAME)).unwrap()).unwrap();
    let clock = Arc::new(Clock::new(None));
    let view = LinkView::unknown(clock.now());
    let (pulse, (link_sender, link), (stop, stopped), (sender, given_up)) =
        (Pulse::default(), watch::channel(view), watch::channel(false), oneshot::channel());
    let watchdog = Watchdog {
        forwarder: pulse.clone(),
        writer: writer.clone(),
        clock,
        late_max: Duration::from_millis(20),
        interval,
        link,
        verdict,
    };
    let sender = std::sync::Mutex::new(Some(sender));
    let give_up = move || sender.lock().unwrap().take().unwrap().send(()).unwrap();
    tokio::spawn(watchdog.run(stopped, give_up));
    Watched { writer, pulse, given_up, _stop: stop, link: link_sender, _dir: dir }
}

#[tokio::test]
async fn a_writer_that_is_stuck_ends_the_agent() {
    let watched = watched();
    let (release, released) = channel::<()>();
    let stuck = watched.writer.clone();
    let stuck = tokio::spawn(async move {
        stuck
            .act(move |_| {
                let _ = released.recv();
                Ok(())
            })
            .await
    });
    watched.given_up.await.expect("the watchdog gives up");
    drop(release);
    stuck.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_forwarder_that_is_late_ends_the_agent() {
    let watched = watched();
    watched.pulse.due(Duration::ZERO);
    watched.given_up.await.expect("the watchdog gives up");
}

#[tokio::test]
async fn a_verdict_that_does_not_come_keeps_the_watchdog_from_nothing() {
    let (release, released) = channel::<()>();
    let released = std::sync::Mutex::new(released);
    let verdict: Verdict = Arc::new(move || {
        let _ = released.lock().unwrap().recv();
        None
    });
    let watched = watched_with(Some(verdict), Duration::from_millis(5));
    watched.pulse.due(Duration::ZERO);
    watched.given_up.await.expect("the watchdog gives up");
    drop(release);
}

#[tokio::test]
async fn a_link_that_changes_while_the_verdict_is_awaited_is_told_too() {
    let ((asked, mut asks), (release, released)) = (tokio::sync::mpsc::unbounded_channel(), channel::<()>());
    let released = std::sync::Mutex::new(released);
    let verdict: Verdict = Arc::new(move || {
        let _ = asked.send(());
        let _ = released.lock().unwrap().recv();
        None
    });
    // No tick asks in the meantime.
    let watched = watched_with(Some(verdict), Duration::from_secs(3_600));
    asks.recv().await.expect("asked at the start");
    watched.link.send_modify(|view| view.state = LinkState::Offline);
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    let again = tokio::time::timeout(crate::support::PATIENCE, asks.recv()).await;
    again.expect("asked again").expect("the watchdog lives");
    drop(release);
}

#[tokio::test]
async fn who_rests_is_left_alone() {
    let mut watched = watched();
    for _ in 0..50 {
        watched.writer.act(|_| Ok(())).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(watched.given_up.try_recv().is_err());
}
