//! Devices that send lines: over pseudo-terminals, and over standard input.
#![cfg(unix)]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outpost::config::{Config, Sources};
use outpost::inspect::status::Status;
use outpost::intake::line::{LineRules, LineView};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::device::Device;
use crate::support::{Fixture, Setup, config};

/// A card reader: a pseudo-terminal whose other side is a file of the device's.
struct CardReader(File);

impl CardReader {
    /// Plugs one in under a path; with the next under the same path it is plugged in again.
    fn plug_in(path: &Path) -> Self {
        let reader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&reader).unwrap();
        unlockpt(&reader).unwrap();
        let name = ptsname(&reader, Vec::new()).unwrap().into_string().unwrap();
        let _ = std::fs::remove_file(path);
        symlink(name, path).unwrap();
        Self(File::from(reader))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }
}

fn section(device: &Path, more: &str) -> String {
    format!(
        r#"
[[intake.line]]
name = "card reader"
device = "{}"
pattern = '^;(?<card>\d+)(=(?<until>\d+))?$'
type = "com.acme.loyalty.used"
{more}
"#,
        device.display()
    )
}

const MAPPING: &str = r#"
[target]
client_code = "acme"
mode = "single"
shared_profiles = false
[[mapping]]
name = "card used"
event = "com.acme.loyalty.*"
identity = { third_party_id = "data.card" }
set = { until = "data.until | default('-')", source = "source" }
add = { visits = "1" }
"#;

fn rules(section: &str) -> Vec<LineRules> {
    config(&format!("[target]\nclient_code = \"acme\"\n{section}")).intake.kinds.lines
}

async fn start(dir: &Path, more: &str) -> (Fixture, PathBuf) {
    let path = dir.join("reader");
    let setup = Setup { mappings: MAPPING.to_owned(), lines: rules(&section(&path, more)), ..Setup::default() };
    (setup.start().await, path)
}

async fn wait(fixture: &Fixture, condition: impl Fn(&LineView) -> bool) -> Status {
    fixture.agent.wait_status(|status| condition(&status.intake.lines[0])).await
}

#[tokio::test]
async fn each_line_of_a_reader_is_an_event_and_the_same_card_at_once_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reader");
    let mut reader = CardReader::plug_in(&path);
    let (fixture, _) = start(dir.path(), "debounce = \"59m\"\nluhn = \"card\"").await;
    wait(&fixture, |view| view.connected).await;
    reader.send(b";18=2712\r\n;18=2712\r\n;26\n;27\nrubbish\n");
    let status = wait(&fixture, |view| view.unmatched == 1).await;
    let LineView { repeated, wrong_checksum, .. } = status.intake.lines[0];
    assert_eq!((repeated, wrong_checksum), (1, 1));
    fixture.wait_held("18", "until", "2712").await;
    fixture.wait_held("26", "source", "/line/card-reader").await;
    let status = wait(&fixture, |view| view.events == 2).await;
    assert_eq!((status.events.recorded, fixture.held("18", "visits").as_deref()), (2, Some("1")));
}

#[tokio::test]
async fn a_reader_is_waited_for_and_goes_on_when_it_is_plugged_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let (fixture, path) = start(dir.path(), "start = \"\\u0002\"\nstop = \"\\u0003\"").await;
    let status = wait(&fixture, |view| view.problem.is_some()).await;
    assert!(!status.intake.lines[0].connected);
    let mut reader = CardReader::plug_in(&path);
    wait(&fixture, |view| view.connected).await;
    reader.send(b"\x02;1\x03noise\x02;2");
    wait(&fixture, |view| view.events == 1).await;
    drop(reader);
    let status = wait(&fixture, |view| !view.connected).await;
    assert!(status.intake.lines[0].problem.as_ref().unwrap().contains("unplugged"), "{status:?}");
    let mut reader = CardReader::plug_in(&path);
    wait(&fixture, |view| view.connected).await;
    reader.send(b"\x03\x02;3\x03");
    let status = wait(&fixture, |view| view.events == 2).await;
    let half = "half a line is no line, and is counted";
    assert_eq!((status.events.recorded, status.intake.lines[0].unmatched), (2, 1), "{half}");
    fixture.wait_held("3", "visits", "1").await;
}

#[tokio::test]
async fn lines_wait_while_the_store_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reader");
    let mut reader = CardReader::plug_in(&path);
    let setup = || Setup { mappings: MAPPING.to_owned(), lines: rules(&section(&path, "")), ..Setup::default() };
    let mut full = setup();
    full.limits.min_free_disk_bytes = u64::MAX / 2;
    let mut fixture = full.start().await;
    wait(&fixture, |view| view.connected).await;
    reader.send(b";1\n;2\n");
    wait(&fixture, |view| view.problem.as_ref().is_some_and(|problem| problem.starts_with("lines wait"))).await;
    let endpoint = format!("http://{}", fixture.sandbox_address);
    fixture.agent.change(setup().settings(&endpoint)).await;
    let status = wait(&fixture, |view| view.events == 2).await;
    assert_eq!((status.events.recorded, &status.intake.lines[0].problem), (2, &None));
    fixture.agent.stop().await;
}

#[test]
fn standard_input_is_read_to_its_end_and_its_last_line_needs_none() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let agent = config.replace("[target]", &format!("{}\n[target]", section(Path::new("-"), "")));
    device.write("agent.toml", &agent);
    let mut child = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .arg("run")
        .current_dir(device.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b";1\n;2").unwrap();
    let events = || device.works_or_not(&["status", "--json"]).parse::<serde_json::Value>();
    let is_done =
        |status: &serde_json::Value| status["lines"][0]["events"] == 2 && status["lines"][0]["connected"] == false;
    while !events().is_ok_and(|status| is_done(&status)) {}
    // It runs on, for what else it takes in.
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_wrong_with_a_device_is_said_when_the_configuration_is_read() {
    let text = r#"
[target]
client_code = "acme"
[[intake.line]]
name = "a"
device = "-"
pattern = '^\d+$'
type = "t"
parity = "some"
start = "ab"
[[intake.line]]
name = "b"
device = "-"
pattern = '(?<card>\d+'
type = "t"
[[intake.line]]
name = "c"
device = "/dev/ttyS0"
pattern = '(?<card>\d+)'
type = "t"
luhn = "crad"
baud = 0
"#;
    let problems =
        Config::parse(&Sources::of_text(Path::new("agent.toml"), text), |_| String::new()).map(|_| ()).unwrap_err();
    insta::assert_snapshot!(problems.to_string(), @r#"
    agent.toml:7:11: the pattern names no group; write (?<card>[0-9]+), and the event has data.card
    agent.toml:9:10: parity in [[intake.line]] "a" must be "none" or "even" or "odd"; found "some"
    agent.toml:10:9: start in [[intake.line]] "a" must be one character, such as ";" or "\t"; found "ab"
    agent.toml:14:11: the pattern cannot be read: found open group without closing ')'
    agent.toml:21:8: luhn names a group of the pattern, and there is none of that name
    agent.toml:22:8: baud in [[intake.line]] "c" must be a whole number from 50 to 4000000; found 0
    "#);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_counted_and_a_line_end_before_the_stop_is_no_part_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reader");
    let mut reader = CardReader::plug_in(&path);
    let section = section(&path, "start = \"\\u0002\"\nstop = \"\\u0003\"")
        .replace(r"^;(?<card>\d+)(=(?<until>\d+))?$", "^(?<card>[0-9A-F]{10})[0-9A-F]{2}$");
    let setup = Setup { mappings: MAPPING.to_owned(), lines: rules(&section), ..Setup::default() };
    let fixture = setup.start().await;
    wait(&fixture, |view| view.connected).await;
    for part in [
        &b"\x02"[..],
        &[b'7'; 2_000],
        &[b'7'; 2_000],
        &[b'7'; 2_000],
        b"\x03",
        include_bytes!("cases/reader-crlf-before-stop.bytes"),
    ] {
        reader.send(part);
    }
    let status = wait(&fixture, |view| view.events == 1).await;
    assert_eq!(status.intake.lines[0].unmatched, 1);
    fixture.wait_held("0F008A5D1C", "visits", "1").await;
}

#[tokio::test]
async fn a_card_that_is_held_before_its_reader_is_one_event() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reader");
    let mut reader = CardReader::plug_in(&path);
    // At which intervals it is read makes no difference: see the rules' own tests.
    let section = section(&path, "debounce = \"3s\"").replace(r"^;(?<card>\d+)(=(?<until>\d+))?$", r"^(?<card>\d+)$");
    let setup = Setup { mappings: MAPPING.to_owned(), lines: rules(&section), ..Setup::default() };
    let fixture = setup.start().await;
    wait(&fixture, |view| view.connected).await;
    let held = include_bytes!("cases/held-card.bytes");
    reader.send(held);
    let lines = held.iter().filter(|byte| **byte == b'\n').count() as u64;
    let status = wait(&fixture, |view| view.events + view.repeated == lines).await;
    assert_eq!((status.events.recorded, status.intake.lines[0].events), (1, 1));
}
