//! Claims and quota in the database: whose they are, and until when, whatever fails meanwhile.

use std::time::Duration;

use super::cluster::{connect, database, query};
use super::forwarding::{Tills, reaches};
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
