//! Claims and quota in the database: whose they are, and until when, whatever fails meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cluster::{self, connect, database, query};
use super::forwarding::{Tills, reaches, settled};
use super::node::Node;
use super::watched::{Hold, Watched};

const PATIENCE: Duration = Duration::from_secs(60);

const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Waits until a condition holds in the database.
async fn until(url: &str, condition: &str) {
    let client = connect(url).await;
    let sql = format!("SELECT coalesce(({condition}), false)");
    let met = async {
        while !client.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("{condition}"));
}

async fn now_ms(url: &str) -> i64 {
    query(url, &format!("SELECT {NOW}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_has_just_ended_is_not_renewed() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let node = Node::sending(&url, &target.section("").replace("\"1s\"", "\"4s\""));
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    target.hold(Hold::AfterApplying);
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &node));
    target.wait_until("the first update", |seen| seen.applied == 1).await;
    let over_ms: i64 = query(&url, "SELECT lease_ms FROM outbox").await;
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &node));
    // The result comes before the renewal, and both wait for the row.
    until(&url, &format!("SELECT lease_ms - {NOW} < 15500 FROM outbox")).await;
    let mut client = connect(&url).await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("SELECT 1 FROM outbox FOR UPDATE", &[]).await.unwrap();
    target.release();
    let waiting =
        "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(&url, waiting).await;
    transaction.commit().await.unwrap();
    reaches(&target, &tills.totals).await;
    assert!(now_ms(&url).await < over_ms, "it waited for the end of a claim that nobody had any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_let_go_at_once_if_their_profiles_cannot_be_read_now() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &Node::start(&url, "")));
    let mut client = connect(&url).await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("LOCK TABLE attribute IN ACCESS EXCLUSIVE MODE", &[]).await.unwrap();
    let _node = Node::sending(&url, &target.section(""));
    until(&url, "SELECT lease_ms IS NOT NULL FROM outbox").await;
    let over_ms: i64 = query(&url, "SELECT lease_ms FROM outbox").await;
    until(&url, &format!("SELECT lease_ms IS DISTINCT FROM {over_ms} FROM outbox")).await;
    assert!(now_ms(&url).await < over_ms, "it was let go only when its time was over");
    transaction.commit().await.unwrap();
    reaches(&target, &tills.totals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_that_a_newer_node_has_written_are_left_to_it_and_keep_nobody_waiting() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    let taking = Node::start(&url, "");
    (0..30).for_each(|customer| tills.visit(0, customer));
    assert!(tills.hand_over(0, &taking));
    cluster::execute(&url, "UPDATE attribute SET operation = 99").await;
    tills.visit(0, 30);
    assert!(tills.hand_over(0, &taking));
    let node = Node::sending(&url, &target.section(""));
    reaches(&target, &BTreeMap::from([(30, 1)])).await;
    until(&url, "SELECT count(*) = 0 FROM outbox WHERE lease_ms IS NOT NULL").await;
    assert!(query::<bool>(&url, "SELECT count(*) = 30 AND NOT bool_or(is_ambiguous) FROM outbox").await);
    drop(node);
    cluster::execute(&url, "UPDATE attribute SET operation = 1").await;
    let _newer = Node::sending(&url, &target.section(""));
    reaches(&target, &tills.totals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_profiles_that_wait_for_target_are_looked_for_and_a_node_with_nothing_to_send_reserves_nothing() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let waiting = "INSERT INTO outbox (profile, look_ms) SELECT gen_random_uuid(), 1 FROM generate_series(1, 2500)";
    cluster::execute(&url, waiting).await;
    let node = Node::sending(&url, &target.section(""));
    until(&url, "SELECT count(*) = 0 FROM outbox WHERE look_ms IS NOT NULL").await;
    assert_eq!(query::<i64>(&url, "SELECT count(*) FROM quota WHERE minute > 0").await, 0);
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &node));
    reaches(&target, &tills.totals).await;
    let reserved: i64 = query(&url, "SELECT sum(requests)::bigint FROM quota WHERE kind = 0").await;
    assert_eq!(reserved, 8, "two for each of its connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopping_node_had_no_answer_to_is_nobody_s_until_its_claim_is_over() {
    let (hub, url) = database(1).await;
    let target = Watched::start().await;
    let mut node = Node::sending(&url, &target.section(""));
    let mut tills = Tills::join(&hub, &["till-1"]).await;
    target.hold(Hold::BeforeApplying);
    tills.visit(0, 0);
    assert!(tills.hand_over(0, &node));
    target.wait_until("the request", |seen| seen.begun == 1).await;
    node.stop();
    let over_ms: i64 = query(&url, "SELECT lease_ms FROM outbox").await;
    let _next = Node::sending(&url, &target.section(""));
    target.wait_until("the next request", |seen| seen.begun == 2).await;
    assert!(now_ms(&url).await >= over_ms);
    target.release();
    settled(&url).await;
    reaches(&target, &tills.totals).await;
    assert!(query::<bool>(&url, "SELECT due_ms IS NOT NULL AND is_ambiguous FROM outbox").await, "it is read back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gave_way_to_others_is_judged_again_as_what_it_was_if_it_was_sent_late() {
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
    reaches(&target, &tills.totals).await;
    settled(&url).await;
    drop(other);
    // As if the other node had found a newer value of others.
    let gave_way =
        "UPDATE attribute SET delivered_version = 0, refused_version = version, refused_reason = 'superseded'";
    cluster::execute(&url, gave_way).await;
    let (version, due_ms): (i64, i64) =
        (query(&url, "SELECT version FROM attribute").await, query(&url, "SELECT due_ms FROM outbox").await);
    target.release();
    target.wait_until("the late request", |seen| seen.applied == 2).await;
    frozen.thaw();
    until(&url, &format!("SELECT due_ms > {due_ms} AND is_ambiguous FROM outbox")).await;
    settled(&url).await;
    let again: bool =
        query(&url, &format!("SELECT version = {version} AND delivered_version = {version} FROM attribute")).await;
    assert!(again, "another version is not known to have given way");
    assert_eq!(target.seen().applied, 3);
}
