//! Devices join, say how they are, and are revoked; parts that cannot be taken are refused alone.

use std::time::Duration;

use outpost::core::fleet::Handover;
use outpost::core::timestamp::Timestamp;
use outpost::hub::{Database, Invitation, JoinRefused, Joining};

use super::cluster::{database, node};
use super::tills::identity;

/// Lets devices join, and returns their tokens.
pub async fn join(database: &Database, names: &[&str]) -> Vec<String> {
    invite(database, "code", 1_000).await;
    let mut tokens = Vec::new();
    for name in names {
        let token = format!("token of {name}");
        assert!(database.join(&joining("code", name, &token)).await.unwrap().is_ok());
        tokens.push(token);
    }
    tokens
}

fn joining<'j>(code: &'j str, name: &'j str, token: &'j str) -> Joining<'j> {
    Joining { code, name, group: None, attempt: None, token }
}

async fn invite(database: &Database, code: &str, uses: u32) {
    let group = Some("kiosks".to_owned());
    let invitation = Invitation { code: code.to_owned(), group, uses, lasts: Duration::from_secs(60) };
    database.invite(&invitation).await.unwrap();
}

fn handover(profiles: &str) -> Handover {
    let body = format!(r#"{{"protocol":1,"sent_at":"2026-11-27T08:00:00Z","profiles":[{profiles}]}}"#);
    Handover::read(body.as_bytes()).unwrap()
}

fn set(value: &str, time: &str, seq: i64) -> Handover {
    handover(&format!(
        r#"{{"third_party_id":"customer 1","attributes":[{{"name":"city","operation":"set","value":"{value}",
            "version":{seq},"time":"{time}","seq":{seq},"event":"till {seq}","mapping":"visits"}}]}}"#
    ))
}

async fn city(database: &Database) -> (String, String, i64) {
    let held = database.profile(&identity(1)).await.unwrap();
    let city = held.into_iter().find(|attribute| attribute.name == "city").unwrap();
    (city.value, city.event, city.version)
}

#[tokio::test]
async fn the_schema_is_made_once_by_however_many_nodes_start_at_a_time() {
    let (_, url) = database(1).await;
    let nodes: Vec<Database> = (0..8).map(|_| node(&url, 1)).collect();
    let mut tasks = tokio::task::JoinSet::new();
    nodes.into_iter().for_each(|node| drop(tasks.spawn(async move { node.migrate().await })));
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_device_joins_by_an_invitation_with_uses_and_a_time_and_a_revoked_name_is_free_again() {
    let (database, _) = database(2).await;
    invite(&database, "code", 2).await;
    let refused = |refused| Ok::<Result<Option<String>, _>, ()>(Err(refused));
    let join = async |code, name, token| database.join(&joining(code, name, token)).await.map_err(|_| ());
    let kiosks = || Ok(Ok(Some("kiosks".to_owned())));
    assert_eq!(join("other", "till-1", "a").await, refused(JoinRefused::Code));
    assert_eq!(join("code", "till\n1", "a").await, refused(JoinRefused::Name));
    assert_eq!(join("code", "till-1", "a").await, kiosks());
    // A refusal takes no use.
    assert_eq!(join("code", "till-1", "b").await, refused(JoinRefused::NameTaken));
    let device = database.device("a").await.unwrap().unwrap();
    assert_eq!((&*device.name, device.group.as_deref()), ("till-1", Some("kiosks")));
    assert!(database.device("b").await.unwrap().is_none());
    assert!(database.revoke("till-1").await.unwrap());
    assert!(!database.revoke("till-1").await.unwrap());
    assert!(database.device("a").await.unwrap().is_none());
    assert_eq!(join("code", "till-1", "c").await, kiosks());
    assert_eq!(database.device("c").await.unwrap().unwrap().id, device.id);
    assert_eq!(join("code", "till-2", "d").await, refused(JoinRefused::Code));
}

#[tokio::test]
async fn a_time_ahead_of_the_hub_is_taken_as_now_and_stays_that_however_often_it_comes() {
    let (database, _) = database(2).await;
    let tokens = join(&database, &["till-1", "till-2"]).await;
    let devices = async || {
        let device = async |token: &String| database.device(token).await.unwrap().unwrap();
        [device(&tokens[0]).await, device(&tokens[1]).await]
    };
    let ahead = set("Lund", "2199-01-01T00:00:00Z", 1);
    let [first, _] = devices().await;
    database.take(&first, &ahead).await.unwrap();
    assert_eq!(city(&database).await.0, "Lund");
    // Another device's event a moment later is newer.
    let now =
        Timestamp::from_millis(0).plus(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap());
    let [_, second] = devices().await;
    database.take(&second, &set("Ystad", &now.plus(Duration::from_millis(1)).to_string(), 1)).await.unwrap();
    assert_eq!(city(&database).await.0, "Ystad");
    // The answer to the first was lost, and it comes again.
    let [first, _] = devices().await;
    database.take(&first, &ahead).await.unwrap();
    assert_eq!(city(&database).await.0, "Ystad");
}

#[tokio::test]
async fn a_part_that_says_nothing_new_changes_nothing_and_one_that_cannot_be_taken_is_refused_alone() {
    let (database, _) = database(2).await;
    let tokens = join(&database, &["till-1"]).await;
    let device = database.device(&tokens[0]).await.unwrap().unwrap();
    let lund = set("Lund", "2026-11-27T07:00:00Z", 4);
    database.take(&device, &lund).await.unwrap();
    let first = city(&database).await;
    assert_eq!(first, ("Lund".to_owned(), "till 4".to_owned(), 1));
    database.take(&device, &lund).await.unwrap();
    database.take(&device, &set("Malmö", "2026-11-27T06:00:00Z", 3)).await.unwrap();
    assert_eq!(city(&database).await, first);
    // The same value by a newer event: nothing is to be sent, and who asks is told of the newer one.
    database.take(&device, &set("Lund", "2026-11-27T07:30:00Z", 5)).await.unwrap();
    assert_eq!(city(&database).await, ("Lund".to_owned(), "till 5".to_owned(), 1));
    let mixed = handover(
        r#"{"third_party_id":"customer 1","attributes":[
            {"name":"city","operation":"max","value":"7","version":6,"time":"2026-11-27T07:00:00Z","seq":6},
            {"name":"visits","operation":"add","value":"1","part":"0000000000000000000000000000000a","version":6,
             "time":"2026-11-27T07:00:00Z","seq":6}]},
           {"pc_id":"x","attributes":[
            {"name":"points","operation":"add","value":"1","part":"0000000000000000000000000000000b","version":6,
             "time":"2026-11-27T07:00:00Z","seq":6},
            {"name":"other","operation":"add","value":"1","part":"0000000000000000000000000000000b","version":6,
             "time":"2026-11-27T07:00:00Z","seq":6}]}"#,
    );
    let refused = database.take(&device, &mixed).await.unwrap();
    let words = refused.iter().map(|it| (it.profile, it.attribute.as_deref(), it.reason.split(':').next().unwrap()));
    let expected = [
        (0, Some("city"), "operation_changed"),
        (1, Some("other"), "the id of the part belongs to another attribute of the profile"),
    ];
    let mut words: Vec<_> = words.collect();
    words.sort_unstable();
    assert_eq!(words, expected);
    let visits = database.profile(&identity(1)).await.unwrap();
    assert_eq!(visits.iter().find(|attribute| attribute.name == "visits").unwrap().value, "1");
}

#[tokio::test]
async fn a_device_whose_answer_was_lost_asks_again_and_takes_no_further_use() {
    let (database, _) = database(2).await;
    invite(&database, "code", 1).await;
    let attempt = "0123456789abcdef0123456789abcdef";
    let join = async |attempt, token| {
        let joining = Joining { attempt: Some(attempt), ..joining("code", "till-1", token) };
        database.join(&joining).await.unwrap()
    };
    assert!(join(attempt, "lost").await.is_ok());
    assert!(join(attempt, "a").await.is_ok());
    assert!(database.device("lost").await.unwrap().is_none());
    let device = database.device("a").await.unwrap().unwrap();
    // Another device does not get in by the same name, nor by a text that is short enough to guess.
    assert_eq!(join("0123456789abcdef0123456789abcdee", "b").await, Err(JoinRefused::Code));
    assert_eq!(join("short", "b").await, Err(JoinRefused::Code));
    // Once it was there, what it had is its own.
    database.take(&device, &handover("")).await.unwrap();
    assert_eq!(join(attempt, "b").await, Err(JoinRefused::Code));
}

#[tokio::test]
async fn a_device_asks_for_a_group_only_where_its_invitation_has_none() {
    let (database, _) = database(2).await;
    invite(&database, "kiosks", 9).await;
    let lasts = Duration::from_secs(60);
    database.invite(&Invitation { code: "any".to_owned(), group: None, uses: 9, lasts }).await.unwrap();
    let join = async |code, name, group| {
        database.join(&Joining { group: Some(group), ..joining(code, name, name) }).await.unwrap()
    };
    assert_eq!(join("kiosks", "till-1", "tills").await, Err(JoinRefused::Group("kiosks".to_owned())));
    assert_eq!(join("kiosks", "till-1", "kiosks").await, Ok(Some("kiosks".to_owned())));
    assert_eq!(join("any", "till-2", "tills").await, Ok(Some("tills".to_owned())));
    assert_eq!(join("any", "till-3", "").await, Err(JoinRefused::Name));
}

/// A disk that was copied, or a device that was renamed, says the same list: its items count once.
#[tokio::test]
async fn a_list_counts_once_whatever_the_device_is_called() {
    let (database, _) = database(2).await;
    let tokens = join(&database, &["till-1", "till-2"]).await;
    let mut list = handover(
        r#"{"third_party_id":"customer 1","attributes":[{"name":"city","operation":"append","value":"Lund,Ystad",
            "items":[[1,1,"Lund"],[2,2,"Ystad"]],"version":2,"time":"2026-11-27T07:00:00Z","seq":2}]}"#,
    );
    list.store = Some("0000000000000000000000000000000a".parse().unwrap());
    for token in &tokens {
        let device = database.device(token).await.unwrap().unwrap();
        assert_eq!(database.take(&device, &list).await.unwrap(), []);
        assert_eq!(city(&database).await.0, "Lund,Ystad");
    }
    assert_eq!(database.profile(&identity(1)).await.unwrap()[0].device, "till-1");
}

#[tokio::test]
async fn two_parts_of_one_sum_are_refused_each_by_its_place() {
    let (database, _) = database(2).await;
    let tokens = join(&database, &["till-1"]).await;
    let device = database.device(&tokens[0]).await.unwrap().unwrap();
    let part = |id: char, value: &str| {
        format!(
            r#"{{"name":"points","operation":"add","value":"{value}","part":"0000000000000000000000000000000{id}","version":6,
                "time":"2026-11-27T07:00:00Z","seq":6}}"#
        )
    };
    let most = "7922816251426433759354395033.5";
    let parts = [part('a', most), "7".to_owned(), part('b', most), part('c', "0.05"), part('d', "1")].join(",");
    let refused = database
        .take(&device, &handover(&format!(r#"{{"third_party_id":"customer 1","attributes":[{parts}]}}"#)))
        .await
        .unwrap();
    let mut places: Vec<_> = refused.iter().map(|refused| refused.place).collect();
    places.sort_unstable();
    assert_eq!(places, [Some(1), Some(3)]);
}

#[tokio::test]
async fn what_the_database_cannot_hold_is_refused_alone_and_never_stops_the_device() {
    let (database, url) = database(2).await;
    let tokens = join(&database, &["till-1"]).await;
    let device = database.device(&tokens[0]).await.unwrap().unwrap();
    // A rule that no version of ours has: whatever it is that we do not know of.
    let rule = "ALTER TABLE attribute ADD CHECK (value <> 'poison')";
    super::cluster::execute(&url, rule).await;
    let profile = |customer: usize| {
        let part = |name: &str, value: &str| {
            format!(
                r#"{{"name":"{name}","operation":"set","value":"{value}","version":1,"time":"2026-11-27T08:00:00Z","seq":1,"event":"e","mapping":"m"}}"#
            )
        };
        let value = if customer == 3 { "poison" } else { "Lund" };
        format!(
            r#"{{"third_party_id":"customer {customer}","attributes":[{},{}]}}"#,
            part("city", value),
            part("shop", "7")
        )
    };
    let handover = handover(&(0..6).map(profile).collect::<Vec<_>>().join(","));
    let refused = database.take(&device, &handover).await.unwrap();
    let of: Vec<_> = refused.iter().map(|it| (it.profile, it.attribute.as_deref())).collect();
    assert_eq!(of, [(3, Some("city"))], "{refused:?}");
    for customer in 0..6 {
        let held = database.profile(&identity(customer)).await.unwrap();
        assert_eq!(held.len(), if customer == 3 { 1 } else { 2 }, "customer {customer}");
    }
}
