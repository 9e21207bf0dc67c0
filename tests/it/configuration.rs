//! `agent.toml`: what is valid, and in which words the rest is refused.

use std::path::Path;
use std::time::Duration;

use outpost::config::{Config, Sources, StoreConfig};
use outpost::core::forwarding::route::{Mode, RouteRules};
use outpost::device::secret::Secret;
use outpost::forward::ForwarderRules;

use crate::support::write_private;

pub fn parse(text: &str) -> Result<Config, String> {
    Config::parse(&Sources::of_text(Path::new("agent.toml"), text), |_| "store-42".to_owned())
        .map_err(|problems| problems.to_string())
}

/// A configuration that is valid but for what is put in the place of `{}`.
fn check(template: &str, expected: &str) {
    let problems = parse(template).map(|_| ()).expect_err(template);
    assert_eq!(problems, expected, "\n{template}");
}

const MAPPING: &str = r#"
[[mapping]]
name = "m"
event = "*"
identity = { third_party_id = "data.card" }
set = { a = "data.a" }
"#;

#[test]
fn the_example_is_valid_and_its_examples_pass() {
    let text = include_str!("../../agent.toml.example");
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!config.examples.is_empty());
    config
        .run_examples(&Sources::of_text(Path::new("agent.toml.example"), text))
        .unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn everything_but_the_client_code_has_a_default() {
    let config = parse("[target]\nclient_code = \"acme\"").unwrap();
    assert_eq!(config.target.client.destination.endpoint(), "https://acme.tt.omtrdc.net");
    assert_eq!(
        (config.target.client.http.timeout, config.target.client.http.connections),
        (Duration::from_secs(10), 4)
    );
    assert_eq!(config.intake.listen.to_string(), "127.0.0.1:7717");
    assert!(config.intake.socket.is_none());
    assert_eq!(config.target.updates_per_day, 10_000);
    assert_eq!(config.target.resend_after, Duration::from_secs(12 * 3_600));
    let StoreConfig { max_bytes, min_free_disk_bytes, keep_events, .. } = config.store;
    assert_eq!((max_bytes, min_free_disk_bytes), (1 << 30, 200 << 20));
    assert_eq!(keep_events, Duration::from_secs(30 * 86_400));
    assert_eq!((config.log.level, config.log.keep_files), (tracing::Level::INFO, 14));
}

#[test]
fn all_problems_are_told_at_once_with_place_and_nearest_name() {
    let text = r#"[agent]
data-dir = "/tmp"
[target]
client_code = "acme corp"
mode = "automatic"
colour = 1
[target.http]
timeout = "10"
connections = 0
[intake.http]
listen = "0.0.0.0:7717"
[[mapping]]
name = "loyalty card used"
event = "com.acme.loyalty.*"
identiy = { third_party_id = "data.card" }
set = { lastStore = "Lund", "profile.a" = "'x'", b = 1 }
add = { lastStore = "1" }
"#;
    insta::assert_snapshot!(parse(text).map(|_| ()).unwrap_err());
}

#[test]
fn forwarding_is_as_configured_or_by_default() {
    let rules = |lines: &str| {
        parse(&format!("[target]\nclient_code = \"acme\"\n{lines}")).map(|config| config.target.forwarding)
    };
    let ForwarderRules { routes, late_after, verify, .. } = rules("").unwrap();
    assert_eq!(
        routes,
        RouteRules { mode: Mode::Auto, creates_missing: true, has_ecid: false, bulk_above: 1_000, has_batches: true }
    );
    assert_eq!((late_after, verify, routes.has_ecid), (Some(Duration::from_secs(900)), None, false));
    let all = "mode = \"bulk\"\nmissing_profiles = \"send\"\nbulk_above = 7\nshared_profiles = false\nlate_after = \"1h\"\n\
               verify_sample = \"1.5%\"\nverify_after = \"2h\"\necid = true\nproperty_token = \"p\"";
    let set = rules(all).unwrap();
    assert_eq!(
        set.routes,
        RouteRules { mode: Mode::Bulk, creates_missing: false, has_ecid: true, bulk_above: 7, has_batches: true }
    );
    assert_eq!(
        (set.late_after, set.verify, set.routes.has_ecid),
        (None, Some((0.015, Duration::from_secs(7_200))), true)
    );
    let told = |line: &str| rules(line).map(|_| ()).unwrap_err();
    assert_eq!(
        told("mode = \"fast\""),
        "agent.toml:3:8: mode in [target] must be one of single, bulk, delivery, auto; found \"fast\""
    );
    assert_eq!(
        told("missing_profiles = \"drop\""),
        "agent.toml:3:20: missing_profiles in [target] must be \"create\" or \"send\""
    );
    assert_eq!(
        told("verify_sample = \"all\""),
        "agent.toml:3:17: verify_sample in [target] must be a part of the profiles, from \"0%\" to \"100%\""
    );
    assert_eq!(
        told("shared_profiles = \"no\""),
        "agent.toml:3:19: shared_profiles in [target] must be true or false, not a text"
    );
}

#[test]
fn sizes_have_units_and_bounds() {
    let store =
        |line: &str| parse(&format!("[target]\nclient_code = \"acme\"\n[store]\n{line}")).map(|config| config.store);
    assert_eq!(store("max_size = \"64MiB\"").unwrap().max_bytes, 64 << 20);
    assert_eq!(store("min_free_disk = \"0B\"").unwrap().min_free_disk_bytes, 0);
    let told = |line: &str| store(line).map(|_| ()).unwrap_err();
    assert_eq!(
        told("max_size = \"1KiB\""),
        "agent.toml:4:12: max_size in [store] must be from 4.0 MiB to 1.0 TiB; found \"1KiB\""
    );
    assert_eq!(
        told("max_size = \"much\""),
        "agent.toml:4:12: max_size in [store] must be a size such as \"64KiB\" or \"1GiB\"; found \"much\""
    );
}

#[test]
fn whom_the_page_names_for_support_is_neither_empty_nor_a_novel() {
    let page = |support: &str| {
        let text = format!("[target]\nclient_code = \"acme\"\n[page]\nsupport = \"{support}\"");
        parse(&text).map(|config| config.page.support)
    };
    assert_eq!(page(" help@acme.example ").unwrap().as_deref(), Some("help@acme.example"));
    for wrong in [" ".to_owned(), "x".repeat(201)] {
        let told = page(&wrong).unwrap_err();
        assert!(told.contains("agent.toml:4:11: support in [page] must have 1 to 200 characters"), "{told}");
    }
}

#[test]
fn a_missing_section_a_broken_line_and_a_wrong_kind_are_told() {
    check("", "agent.toml:1:1: the section [target] with client_code is missing");
    check("[target]", "agent.toml:1:1: client_code is missing in [target]");
    check(
        "[target]\nclient_code = 7",
        "agent.toml:2:15: client_code in [target] must be a text in quotes, not a number",
    );
    check("target = 7", "agent.toml:1:10: target must be a section, not a number");
    assert!(parse("[target]\nclient_code = \"acme").unwrap_err().starts_with("agent.toml:2:"));
}

#[test]
fn an_endpoint_is_https_or_loopback() {
    let with = |endpoint: &str| parse(&format!("[target]\nclient_code = \"acme\"\nendpoint = \"{endpoint}\""));
    assert_eq!(
        with("https://gateway.example").unwrap().target.client.destination.endpoint(),
        "https://gateway.example"
    );
    assert_eq!(with("http://127.0.0.1:8080/").unwrap().target.client.destination.endpoint(), "http://127.0.0.1:8080");
    assert!(with("http://[::1]:8080").is_ok());
    for refused in ["http://gateway.example", "ftp://gateway.example", "https://gateway.example/path", "gateway"] {
        assert!(with(refused).is_err(), "{refused}");
    }
    let words = with("https://münchen.example").unwrap_err();
    assert!(words.contains("must name its host in ASCII, such as xn--mnchen-3ya.example"), "{words}");
    assert!(with("https://xn--mnchen-3ya.example").is_ok());
}

#[test]
fn an_attribute_name_of_129_characters_is_told_with_its_place() {
    let name = "x".repeat(129);
    check(
        &format!("[target]\nclient_code = \"acme\"\n{MAPPING}max = {{ {name} = \"1\" }}"),
        "agent.toml:9:9: the attribute name has 129 characters, at most 128 are allowed by Target",
    );
}

#[test]
fn attribute_names_may_hold_the_name_of_the_device() {
    let config =
        parse(&format!("[target]\nclient_code = \"acme\"\n{MAPPING}add = {{ \"visits_{{device_id}}\" = \"1\" }}"));
    let mappings = format!("{:?}", config.unwrap().mappings);
    assert!(mappings.contains("visits_store-42"), "{mappings}");
}

#[test]
fn secrets_come_from_a_file_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("target.token");
    write_private(&path, "s3cret\n");
    let with = |source: &str| parse(&format!("[target]\nclient_code = \"acme\"\ntoken = {source}"));
    let config = with(&format!("{{ file = '{}' }}", path.display())).unwrap();
    assert!(matches!(config.target.client.token.as_ref().unwrap(), Secret::File(found) if *found == path));
    let text = with("'s3cret'").unwrap();
    assert!(!format!("{text:?}").contains("s3cret"));
    assert!(!format!("{config:?}").contains("s3cret"));
    let missing = "[target]\nclient_code = \"acme\"\ntoken = { env = \"OUTPOST_TEST_NO_SUCH_VARIABLE\" }";
    let unset = parse(missing).unwrap().check_client(&Sources::of_text(Path::new("agent.toml"), missing)).unwrap_err();
    assert_eq!(
        unset.to_string(),
        "agent.toml:3:9: token in [target]: the environment variable OUTPOST_TEST_NO_SUCH_VARIABLE is not set"
    );
    assert!(with("{ }").is_err() && with("7").is_err());
}

#[test]
fn an_example_that_comes_out_otherwise_is_told() {
    let text = format!(
        "[target]\nclient_code = \"acme\"\n{MAPPING}\n[[mapping.example]]\nevent = {{ type = \"t\", data = {{ card = \"7\", a = 1.50 }} }}\nexpect = {{ third_party_id = \"7\", a = \"1.50\" }}\n"
    );
    let config = parse(&text).unwrap();
    let problems = config.run_examples(&Sources::of_text(Path::new("agent.toml"), &text)).unwrap_err();
    assert_eq!(problems.to_string(), "agent.toml:10:1: example: expected a = \"1.50\", got \"1.5\"");
}
