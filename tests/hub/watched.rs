//! Target as far as single updates go, with a view of what is in flight at once, and requests that can be held.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::State as Axum;
use tokio::sync::watch;

/// Longest time for which anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What Target knows and has seen.
#[derive(Default)]
pub struct Seen {
    /// Attributes by customer.
    pub profiles: HashMap<String, BTreeMap<String, String>>,
    /// Requests that have come.
    pub begun: usize,
    /// Requests that were applied.
    pub applied: usize,
    /// Most requests for one customer at the same time.
    pub most: usize,
    in_flight: HashMap<String, usize>,
    /// Requests that are to be held when they come, each before or after it is applied.
    hold: Vec<Hold>,
}

/// When a request is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is applied late.
    BeforeApplying,
    /// Its answer is late.
    AfterApplying,
}

/// The server. Clones share it.
#[derive(Clone)]
pub struct Watched {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    changed: Arc<watch::Sender<u64>>,
    released: Arc<watch::Sender<bool>>,
}

impl Watched {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let watched = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
            released: Arc::new(watch::Sender::new(false)),
        };
        let router = Router::new().fallback(update).with_state(watched.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        watched
    }

    /// The section of a node that sends here.
    pub fn section(&self, more: &str) -> String {
        format!(
            "[target]\nclient_code = \"acme\"\nendpoint = \"http://{}\"\nshared_profiles = false\n{more}\n[target.http]\ntimeout = \"1s\"\n",
            self.address
        )
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Holds the next request until [`Self::release`].
    pub fn hold(&self, hold: Hold) {
        self.seen().hold.push(hold);
    }

    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Waits until what is seen meets a condition.
    pub async fn wait_until(&self, what: &str, mut condition: impl FnMut(&Seen) -> bool) {
        let mut changed = self.changed.subscribe();
        let met = async {
            while !condition(&self.seen()) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("{what}: {:?}", self.seen().profiles));
    }

    pub fn value(&self, customer: &str, name: &str) -> Option<String> {
        self.seen().profiles.get(customer)?.get(name).cloned()
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.send_modify(|count| *count += 1);
    }
}

/// A request under way; one whose node has gone is not any more.
struct Under<'w>(&'w Watched, String);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.note(|seen| *seen.in_flight.get_mut(&self.1).unwrap() -= 1);
    }
}

async fn update(Axum(watched): Axum<Watched>, body: String) -> &'static str {
    let pairs: Vec<(String, String)> = reqwest::Url::parse(&format!("http://x/?{body}"))
        .unwrap()
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let customer = pairs.iter().find(|(name, _)| name == "mbox3rdPartyId").expect("an update").1.clone();
    let mut hold = None;
    watched.note(|seen| {
        seen.begun += 1;
        let at_once = seen.in_flight.entry(customer.clone()).or_default();
        *at_once += 1;
        seen.most = seen.most.max(*at_once);
        hold = seen.hold.pop();
    });
    let _under = Under(&watched, customer.clone());
    let held = async || {
        let _ = watched.released.subscribe().wait_for(|released| *released).await;
    };
    if hold == Some(Hold::BeforeApplying) {
        // Whoever asked may be gone, and it is applied all the same.
        let (watched, customer) = (watched.clone(), customer.clone());
        tokio::spawn(async move {
            let _ = watched.released.subscribe().wait_for(|released| *released).await;
            apply(&watched, &customer, &pairs);
        });
        held().await;
        return "true";
    }
    apply(&watched, &customer, &pairs);
    if hold == Some(Hold::AfterApplying) {
        held().await;
    }
    // As long as a request takes: others must not come meanwhile.
    tokio::time::sleep(Duration::from_millis(5)).await;
    "true"
}

fn apply(watched: &Watched, customer: &str, pairs: &[(String, String)]) {
    watched.note(|seen| {
        seen.applied += 1;
        let profile = seen.profiles.entry(customer.to_owned()).or_default();
        let attributes = pairs.iter().filter_map(|(name, value)| Some((name.strip_prefix("profile.")?, value)));
        profile.extend(attributes.map(|(name, value)| (name.to_owned(), value.clone())));
    });
}
