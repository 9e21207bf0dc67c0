//! After an outage: what a chain of devices does to Target, in simulated time.

use std::time::Duration;

use fastrand::Rng;
use outpost::core::forwarding::link::{Link, Signal};
use outpost::core::forwarding::pace::first_wait;
use outpost::core::limits::OUTAGE_SPREAD;

const DEVICES: usize = 1_000;
const BACKLOG: u32 = 50;
/// How long Target takes for an answer, and how many requests a device has in flight.
const LATENCY: Duration = Duration::from_millis(50);
const CONNECTIONS: usize = 4;

struct Device {
    link: Link,
    pending: u32,
    in_flight: Vec<Duration>,
}

/// Requests in each second, until all backlogs are gone.
fn curve(mut devices: Vec<Device>) -> Vec<usize> {
    let step = Duration::from_millis(10);
    let (mut now, mut seconds) = (Duration::ZERO, vec![0]);
    while devices.iter().any(|device| device.pending > 0) {
        for device in &mut devices {
            let answered = device.in_flight.len();
            device.in_flight.retain(|sent| now - *sent < LATENCY);
            for _ in device.in_flight.len()..answered {
                device.link.observe(Signal::Answered, now, 0.5);
            }
            let places = device.link.permit(now).places(device.in_flight.len(), CONNECTIONS);
            for _ in 0..places.min(device.pending as usize) {
                device.link.sent(now);
                device.in_flight.push(now);
                device.pending -= 1;
                *seconds.last_mut().unwrap() += 1;
            }
        }
        let before = now.as_secs();
        now += step;
        if now.as_secs() > before {
            seconds.push(0);
        }
        assert!(now < OUTAGE_SPREAD * 3, "the backlogs do not end");
    }
    seconds
}

fn start(link: impl Fn(f64) -> Link) -> Vec<Device> {
    let mut rng = Rng::with_seed(7);
    (0..DEVICES).map(|_| Device { link: link(rng.f64()), pending: BACKLOG, in_flight: Vec::new() }).collect()
}

#[test]
#[allow(clippy::print_stdout)]
fn a_thousand_devices_that_start_in_the_same_minute_come_as_a_stream_and_not_as_a_wave() {
    let age = Duration::from_secs(3_600);
    let spread = curve(start(|chance| Link::after_outage(first_wait(age, chance))));
    let wave = curve(start(|_| Link::default()));
    let total = DEVICES * BACKLOG as usize;
    assert_eq!((spread.iter().sum::<usize>(), wave.iter().sum::<usize>()), (total, total));
    let peak = |curve: &[usize]| curve.iter().copied().max().unwrap();
    let mean = total / usize::try_from(OUTAGE_SPREAD.as_secs()).unwrap();
    // `--nocapture` shows the curve.
    println!("requests a second: {spread:?}\nwithout: {wave:?}");
    assert!(peak(&spread) < 2 * mean, "{} in the busiest second: {spread:?}", peak(&spread));
    assert!(peak(&wave) > 20 * mean, "the test sees a wave: {wave:?}");
}
