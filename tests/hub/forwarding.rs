//! From devices to Target through real nodes: exact, whatever becomes of nodes, database and Target.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use outpost::core::identity::IdentityKind;
use outpost::core::operation::Operation;
use outpost::hub::Database;
use outpost::sandbox::Sandbox;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::{Target, Unknown};
use tokio::sync::watch;

use super::cluster::{self, Own, database};
use super::joining::join;
use super::node::Node;
use super::tills::{Happened, Till, identity};
use super::watched::{Hold, Watched};

const PATIENCE: Duration = Duration::from_secs(60);

/// The simulator of Target, which knows a few customers.
struct Simulator {
    sandbox: Sandbox,
    address: SocketAddr,
    _stop: watch::Sender<bool>,
}

impl Simulator {
    async fn start(customers: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Target::new((0..customers).map(identity), Unknown::Vanish, Faults::default(), 1_000);
        let (sandbox, (stop, stopped)) = (Sandbox::new(target), watch::channel(false));
        tokio::spawn(sandbox.clone().serve(listener, stopped));
        Self { sandbox, address, _stop: stop }
    }

    fn section(&self, more: &str) -> String {
        format!(
            "[target]\nclient_code = \"acme\"\nendpoint = \"http://{}\"\n{more}\n[target.http]\ntimeout = \"1s\"\n",
            self.address
        )
    }

    /// Waits until the totals of all customers are as expected.
    async fn shows(&self, totals: &BTreeMap<usize, i64>) {
        let keys: Vec<(String, String)> =
            totals.iter().map(|(customer, total)| (identity(*customer).key().to_owned(), total.to_string())).collect();
        let shown = |target: &Target| {
            keys.iter().all(|(key, total)| {
                let profile = target.profile(IdentityKind::ThirdPartyId, key);
                profile.and_then(|profile| profile.get("add")).is_some_and(|held| held.value == *total)
            })
        };
        let waited = tokio::time::timeout(PATIENCE, self.sandbox.wait_until(shown)).await;
        let profiles =
            || self.sandbox.target().profiles().map(|(_, key, it)| format!("{key} {it:?}")).collect::<Vec<_>>();
        assert!(waited.is_ok(), "expected {totals:?}, found {:?}", profiles());
    }
}

fn one_more(customer: usize, time: i64) -> Happened {
    Happened { customer, operation: Operation::Add, operand: "1".to_owned(), time }
}

/// Tills that hand over to a hub, and the totals that follow.
pub struct Tills {
    tills: Vec<Till>,
    pub totals: BTreeMap<usize, i64>,
    time: i64,
}

impl Tills {
    pub async fn join(hub: &Database, names: &[&str]) -> Self {
        let tokens = join(hub, names).await;
        let tills = names.iter().zip(tokens).map(|(name, token)| Till::new(name, &token)).collect();
        Self { tills, totals: BTreeMap::new(), time: 1_000_000 }
    }

    /// Records a visit of a customer at a till.
    pub fn visit(&mut self, till: usize, customer: usize) {
        self.time += 1;
        self.tills[till].record(&one_more(customer, self.time));
        *self.totals.entry(customer).or_default() += 1;
    }

    /// Hands over what a till has to a node, and returns true if the node has taken it.
    pub fn hand_over(&mut self, till: usize, node: &Node) -> bool {
        let till = &mut self.tills[till];
        let handover = till.handover();
        let is_taken = node.takes(&till.token, handover.write().as_bytes());
        if is_taken {
            till.answered(&handover);
        }
        is_taken
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_tills_add_is_one_exact_total_at_target_beside_what_others_wrote() {
    let (hub, url) = database(1).await;
    let simulator = Simulator::start(20).await;
    let nodes = [Node::sending(&url, &simulator.section("")), Node::sending(&url, &simulator.section(""))];
    let mut tills = Tills::join(&hub, &["till-1", "till-2"]).await;
    let before = [("add".to_owned(), "100".to_owned())].into();
    assert!(simulator.sandbox.target().visit(&identity(0), &before, outpost::device::clock::Clock::system()));
    for round in 0..5 {
        for customer in 0..20 {
            tills.visit(customer % 2, customer);
            tills.visit(round % 2, customer);
        }
        (0..2).for_each(|till| assert!(tills.hand_over(till, &nodes[(till + round) % 2])));
    }
    *tills.totals.get_mut(&0).unwrap() += 100;
    simulator.shows(&tills.totals).await;
    assert_eq!(hub.audit().await.unwrap().differences, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_service_and_lost_answers_change_no_total() {
    let (hub, url) = database(1).await;
    let simulator = Simulator::start(6).await;
    let node = Node::sending(&url, &simulator.section(""));
    let mut tills = Tills::join(&hub, &["till-1", "till-2"]).await;
    for faults in ["503*2", "429=1*2", "lost*2", "reset*2", "outage*2", "portal*2"] {
        simulator.sandbox.target().faults = faults.parse().unwrap();
        (0..6).for_each(|customer| tills.visit(customer % 2, customer));
        (0..2).for_each(|till| assert!(tills.hand_over(till, &node)));
        simulator.shows(&tills.totals).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_between_sending_and_settling_adds_nothing_twice() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let first = Node::sending(&url, &target.section(""));
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    target.hold(Hold::AfterApplying);
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &first));
    target.wait_until("the first update", |seen| seen.applied == 1).await;
    drop(first);
    let second = Node::sending(&url, &target.section(""));
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &second));
    reaches(&target, &tills.totals).await;
    settled(&url).await;
    assert_eq!(target.seen().applied, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_killed_at_any_moment_leave_totals_exact_that_others_write_too() {
    let (hub, url) = database(1).await;
    let simulator = Simulator::start(8).await;
    let mut nodes = [Node::sending(&url, &simulator.section("")), Node::sending(&url, &simulator.section(""))];
    let mut tills = Tills::join(&hub, &["till-1", "till-2"]).await;
    for round in 0..6 {
        let theirs = [("add".to_owned(), "1000".to_owned())].into();
        if round == 0 {
            let now = outpost::device::clock::Clock::system();
            assert!(simulator.sandbox.target().visit(&identity(3), &theirs, now));
            tills.totals.insert(3, 1_000);
        }
        (0..8).for_each(|customer| tills.visit((customer + round) % 2, customer));
        (0..2).for_each(|till| assert!(tills.hand_over(till, &nodes[round % 2])));
        nodes[round % 2] = Node::sending(&url, &simulator.section(""));
    }
    simulator.shows(&tills.totals).await;
    settled(&url).await;
    simulator.shows(&tills.totals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_never_have_one_profile_in_flight_at_once() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let nodes = [Node::sending(&url, &target.section("")), Node::sending(&url, &target.section(""))];
    let mut tills = Tills::join(&hub, &["till-1", "till-2", "till-3"]).await;
    for round in 0..40 {
        (0..4).for_each(|customer| tills.visit(round % 3, customer));
        assert!(tills.hand_over(round % 3, &nodes[round % 2]));
    }
    reaches(&target, &tills.totals).await;
    settled(&url).await;
    assert_eq!(target.seen().most, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_settles_nothing_and_what_it_sent_late_is_sent_once_more() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let frozen = Node::sending(&url, &target.section(""));
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    target.hold(Hold::BeforeApplying);
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &frozen));
    target.wait_until("the first request", |seen| seen.begun == 1).await;
    frozen.freeze();
    let other = Node::sending(&url, &target.section(""));
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &other));
    // Once the time of the claim is over.
    reaches(&target, &tills.totals).await;
    target.release();
    target.wait_until("the late request", |seen| seen.applied == 2).await;
    assert_eq!(target.value("customer 0", "add").as_deref(), Some("1"), "it came late");
    frozen.thaw();
    reaches(&target, &tills.totals).await;
    settled(&url).await;
    assert_eq!(target.seen().applied, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_together_never_send_more_than_the_quota_and_give_back_what_they_do_not_use() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let section = target.section("[target.quota]\nupdates_per_day = 12");
    let mut nodes: Vec<Node> = (0..3).map(|_| Node::sending(&url, &section)).collect();
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    (0..8).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &nodes[0]));
    target.wait_until("the first half", |seen| seen.applied == 8).await;
    settled(&url).await;
    // What a node was about to do when it was killed counts.
    drop(nodes.pop());
    (8..40).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &nodes[0]));
    target.wait_until("the second half", |seen| seen.applied >= 10).await;
    nodes.iter_mut().for_each(Node::stop);
    let used: i64 = cluster::query(&url, "SELECT sum(requests)::bigint FROM quota WHERE kind = 0").await;
    assert!(target.seen().begun <= 12 && used <= 12, "{} requests, {used} reserved", target.seen().begun);
    assert!(used >= i64::try_from(target.seen().begun).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_completes_what_is_in_flight_and_leaves_nothing_claimed() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let mut node = Node::sending(&url, &target.section(""));
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    target.hold(Hold::AfterApplying);
    (0..30).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &node));
    target.wait_until("a request", |seen| seen.begun >= 1).await;
    node.terminate();
    target.release();
    node.stop();
    let claimed: i64 = cluster::query(&url, "SELECT count(*) FROM outbox WHERE lease_ms IS NOT NULL").await;
    assert_eq!(claimed, 0);
    let _next = Node::sending(&url, &target.section(""));
    reaches(&target, &tills.totals).await;
    settled(&url).await;
    assert_eq!(target.seen().applied, 30, "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_gone_for_a_while_everything_is_sent_when_it_is_back() {
    let own = Own::start();
    let simulator = Simulator::start(8).await;
    let node = Node::sending(&own.url(), &simulator.section(""));
    let hub = cluster::node(&own.url(), 1);
    let mut tills = Tills::join(&hub, &["till-1", "till-2"]).await;
    for round in 0..3 {
        (0..8).for_each(|customer| tills.visit(round % 2, customer));
    }
    (0..2).for_each(|till| assert!(tills.hand_over(till, &node)));
    own.stop();
    let own = own.again();
    (0..8).for_each(|customer| tills.visit(0, customer));
    while !tills.hand_over(0, &node) {}
    simulator.shows(&tills.totals).await;
    settled(&own.url()).await;
    simulator.shows(&tills.totals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_target_refuses_is_kept_as_rejected_and_refusals_of_everything_are_void() {
    let (hub, url) = database(1).await;
    let simulator = Simulator::start(40).await;
    let node = Node::sending(&url, &simulator.section(""));
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    (0..2).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &node));
    simulator.shows(&tills.totals).await;
    simulator.sandbox.target().faults = "refuse=add*1".parse().unwrap();
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &node));
    settled(&url).await;
    let reason: String = cluster::query(&url, "SELECT reason FROM rejected").await;
    assert_eq!(reason, "refused_by_target");
    // Its next value is sent as any other.
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &node));
    simulator.shows(&tills.totals).await;

    // All are refused until each connection has had its no and probes follow: then nothing is in flight beside one of them.
    let refused = |target: &Target| target.requests().iter().filter(|request| request.fault.is_some()).count();
    let before = refused(&simulator.sandbox.target());
    simulator.sandbox.target().faults = "refuse=add".parse().unwrap();
    (0..40).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &node));
    let probed = simulator.sandbox.wait_until(|target| refused(target) >= before + 6);
    tokio::time::timeout(PATIENCE, probed).await.unwrap();
    simulator.sandbox.target().faults = Faults::default();
    simulator.shows(&tills.totals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whom_target_does_not_know_waits_and_is_looked_for_by_whatever_node() {
    let (hub, url) = database(1).await;
    let simulator = Simulator::start(1).await;
    let mut node = Node::sending(&url, &simulator.section(""));
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    (0..2).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &node));
    while cluster::query::<i64>(&url, "SELECT count(*) FROM outbox WHERE look_ms IS NOT NULL").await == 0 {}
    node.stop();
    simulator.sandbox.target().learn(&identity(1));
    let looks = "WITH looks AS (UPDATE outbox SET look_ms = 1 RETURNING 1) SELECT count(*) FROM looks";
    assert_eq!(cluster::query::<i64>(&url, looks).await, 1);
    let _next = Node::sending(&url, &simulator.section(""));
    simulator.shows(&tills.totals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_target_has_lost_is_found_by_reading_back_and_sent_again() {
    let (hub, url) = database(1).await;
    let simulator = Simulator::start(3).await;
    let section = simulator.section("verify_sample = \"100%\"\nverify_after = \"3s\"");
    let node = Node::sending(&url, &section);
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    (0..3).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &node));
    simulator.shows(&tills.totals).await;
    {
        let mut target = simulator.sandbox.target();
        assert!(target.expire(&identity(2)));
        target.learn(&identity(2));
    }
    simulator.shows(&tills.totals).await;
}

pub async fn reaches(target: &Watched, totals: &BTreeMap<usize, i64>) {
    let expected: Vec<(String, String)> =
        totals.iter().map(|(customer, total)| (identity(*customer).key().to_owned(), total.to_string())).collect();
    let reached = |seen: &super::watched::Seen| {
        expected.iter().all(|(key, total)| {
            seen.profiles.get(key).and_then(|profile| profile.get("add")).is_some_and(|held| held == total)
        })
    };
    target.wait_until("the totals", reached).await;
}

/// Waits until nothing is pending.
pub async fn settled(url: &str) {
    let settled = async {
        while cluster::query::<i64>(url, "SELECT count(*) FROM outbox WHERE pending_ms IS NOT NULL").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("everything is settled");
}
