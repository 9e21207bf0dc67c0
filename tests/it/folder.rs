//! Files that are dropped: recorded once, whatever happens, and put away with what is wrong with them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::time::SystemTime;

use outpost::inspect::status::Status;
use outpost::intake::folder::{FolderRules, FolderView};
use serde_json::json;

use crate::device::Device;
use crate::support::{Fixture, Setup, config, used};

const HOUR: Duration = Duration::from_secs(3_600);

/// The rules of a section.
fn rules(section: &str) -> FolderRules {
    let text = format!("[target]\nclient_code = \"acme\"\n[intake.folder]\npath = \"drop\"\n{section}");
    config(&text).intake.kinds.folder.unwrap()
}

async fn start(section: &str) -> Fixture {
    Setup { folder: Some(rules(section)), ..Setup::default() }.start().await
}

fn folder(fixture: &Fixture) -> PathBuf {
    fixture.dir.path().join("drop")
}

/// Drops a file whole, as software should: written beside, and moved in.
fn drop_file(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::create_dir_all(folder).unwrap();
    let partial = folder.join(format!("{name}.part"));
    fs::write(&partial, content).unwrap();
    fs::rename(partial, folder.join(name)).unwrap();
}

async fn wait(fixture: &Fixture, condition: impl Fn(&FolderView) -> bool) -> Status {
    fixture.agent.wait_status(|status| status.intake.folder.as_ref().is_some_and(&condition)).await
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".read");
    names.sort();
    names
}

/// NDJSON of events that have neither an id nor a source.
fn lines(count: usize) -> String {
    let line = |number: usize| {
        let data = json!({ "card": (number % 7).to_string(), "store": "Lund", "total": 1 });
        json!({ "type": "com.acme.loyalty.used", "data": data }).to_string() + "\n"
    };
    (0..count).map(line).collect()
}

#[tokio::test]
async fn rows_with_a_time_in_the_future_are_counted_and_shown() {
    let fixture = start("type = \"com.acme.loyalty.used\"").await;
    let late = "2199-01-01T00:00:00Z";
    drop_file(&folder(&fixture), "till.csv", format!("time,card\n{late},1\n{late},2\n2026-01-01T00:00:00Z,3\n"));
    let status = wait(&fixture, |view| view.files == 1).await;
    assert_eq!(status.intake.folder.unwrap().ahead_lines, 2);
    assert_eq!(names(&folder(&fixture).join("done")), ["till.csv"]);
}

#[tokio::test]
async fn files_of_each_kind_are_recorded_and_put_away() {
    let fixture = start("quiet = \"10ms\"\ntype = \"com.acme.loyalty.used\"").await;
    let array = json!([used("1", "a", "Lund", 1.0), used("2", "a", "Lund", 1.0)]);
    drop_file(&folder(&fixture), "array.json", array.to_string());
    drop_file(&folder(&fixture), "one.JSON", serde_json::to_string_pretty(&used("3", "a", "Lund", 1.0)).unwrap());
    drop_file(
        &folder(&fixture),
        "lines.ndjson",
        format!("{}\n\n{}\n", used("4", "a", "Lund", 1.0), used("5", "a", "Lund", 1.0)),
    );
    drop_file(&folder(&fixture), "table.csv", "card;store;total\na;Lund;1\na;Åhus;2.5\n");
    fixture.wait_held("a", "visits", "7").await;
    fixture.wait_held("a", "spend", "8.5").await;
    let status = wait(&fixture, |view| view.files == 4 && view.reading.is_none()).await;
    let view = status.intake.folder.unwrap();
    assert_eq!((status.events.recorded, view.lines, view.failed_files, view.reading), (7, 7, 0, None));
    assert_eq!(names(&folder(&fixture)), ["done"]);
    assert_eq!(names(&folder(&fixture).join("done")), ["array.json", "lines.ndjson", "one.JSON", "table.csv"]);
}

#[tokio::test]
async fn a_bad_line_is_named_and_the_good_ones_are_recorded_once() {
    let fixture =
        start("quiet = \"10ms\"\ntype = \"com.acme.loyalty.used\"\n[intake.folder.csv]\nnumbers = [\"data.total\"]")
            .await;
    let table = "card,total\n1,5\n2,secret-words\n3\n4,7\n";
    drop_file(&folder(&fixture), "till.csv", table);
    let bad =
        "{\"data\":{\"card\":\"5\"},\"time\":\"yesterday\"}\nnothing\n{\"data\":{\"card\":\"6\",\"store\":\"x\"}}\n";
    wait(&fixture, |view| view.failed_files == 1).await;
    drop_file(&folder(&fixture), "till.ndjson", bad);
    wait(&fixture, |view| view.failed_files == 2).await;
    let failed = folder(&fixture).join("failed");
    assert_eq!(names(&failed), ["till.csv", "till.csv.errors", "till.ndjson", "till.ndjson.errors"]);
    assert_eq!(fs::read_to_string(failed.join("till.csv")).unwrap(), table);
    insta::assert_snapshot!(fs::read_to_string(failed.join("till.csv.errors")).unwrap(), @"
    2 of 4 were not recorded; the others were. Fix these, and drop them as a file of their own.
    line 3: data.total: it is not a number
    line 4: the row has 1 cell, and must have 2
    ");
    insta::assert_snapshot!(fs::read_to_string(failed.join("till.ndjson.errors")).unwrap(), @"
    2 of 3 were not recorded; the others were. Fix these, and drop them as a file of their own.
    line 1: time: it is not an RFC 3339 time such as 2026-11-23T10:00:00Z
    line 2: this is not valid JSON: expected ident at line 2 column 2
    ");

    fs::rename(failed.join("till.csv"), folder(&fixture).join("again.csv")).unwrap();
    let status = wait(&fixture, |view| view.failed_files == 3).await;
    assert_eq!((status.events.rejected, status.events.duplicate, status.events.recorded), (2, 2, 1));
    assert_eq!(status.intake.folder.unwrap().failed_lines, 6);
}

#[tokio::test]
async fn the_same_content_once_more_records_nothing_whatever_its_name() {
    let fixture = start("quiet = \"10ms\"").await;
    drop_file(&folder(&fixture), "a.ndjson", lines(2_500));
    wait(&fixture, |view| view.files == 1).await;
    drop_file(&folder(&fixture), "b.ndjson", lines(2_500));
    let status = wait(&fixture, |view| view.files == 2).await;
    assert_eq!((status.events.recorded, status.events.duplicate), (2_500, 2_500));
    drop_file(&folder(&fixture), "a.ndjson", "\n".to_owned() + &lines(2_501));
    let status = wait(&fixture, |view| view.files == 3).await;
    assert_eq!(status.events.recorded, 5_001, "another content is another file");
    assert_eq!(names(&folder(&fixture).join("done")), ["a-2.ndjson", "a.ndjson"]);
    assert_eq!(names(&folder(&fixture).join("duplicate")), ["b.ndjson"]);
    assert_eq!(status.intake.folder.unwrap().duplicate_files, 1);
}

#[tokio::test]
async fn a_line_under_the_id_of_another_event_is_named_as_not_recorded() {
    let fixture = start("quiet = \"10ms\"").await;
    fixture.agent.record(&used("1", "a", "Lund", 1.0)).await;
    let lines = [used("1", "a", "Lund", 1.0), used("2", "a", "Lund", 1.0), used("1", "b", "Lund", 9.0)];
    drop_file(&folder(&fixture), "till.ndjson", lines.map(|line| line.to_string()).join("\n"));
    let status = wait(&fixture, |view| view.failed_files == 1).await;
    assert_eq!((status.events.recorded, status.events.duplicate, status.events.differing), (2, 2, 1));
    let said = fs::read_to_string(folder(&fixture).join("failed/till.ndjson.errors")).unwrap();
    assert!(said.contains("line 3: id: differs from event 1, recorded on 2"), "{said}");
    assert!(!said.contains("line 1"), "{said}");
}

#[test]
fn a_kill_in_the_midst_of_a_file_records_no_line_twice_and_loses_none() {
    const LINES: usize = 30_000;
    let device = Device::new();
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write(
        "agent.toml",
        &config.replace("[target]", "[intake.folder]\npath = \"drop\"\nquiet = \"10ms\"\n[target]"),
    );
    drop_file(&device.dir.path().join("drop"), "big.ndjson", lines(LINES));
    let recorded = || device.status()["events"]["recorded"].as_u64().unwrap();
    let mut kills = 0;
    let mut before = 0;
    loop {
        let agent = device.run();
        let is_done = loop {
            // A kill behind its last line leaves duplicates alone.
            if ["done", "duplicate"]
                .iter()
                .any(|away| device.dir.path().join("drop").join(away).join("big.ndjson").exists())
            {
                break true;
            }
            let now = recorded();
            if kills < 3 && now > before {
                before = now;
                break false;
            }
        };
        drop(agent);
        if is_done {
            break;
        }
        kills += 1;
    }
    assert_eq!((kills, recorded()), (3, LINES as u64));
    let visits: u64 = (0..7).map(|card| visits(&device, card)).sum();
    assert_eq!(visits, LINES as u64);
}

fn visits(device: &Device, card: u64) -> u64 {
    let profile = device.works(&["explain", "--json", &format!("third_party_id:{card}")]);
    let profile: serde_json::Value = serde_json::from_str(&profile).unwrap();
    let attributes = profile["attributes"].as_array().unwrap();
    let visits = attributes.iter().find(|attribute| attribute["name"] == "visits").unwrap();
    visits["value"].as_str().unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_moved_in_is_complete_at_once_and_what_is_written_in_place_when_it_is_quiet() {
    let fixture = start("quiet = \"1h\"").await;
    wait(&fixture, |view| view.problem.is_none()).await;
    fs::write(folder(&fixture).join("growing.ndjson"), lines(1)).unwrap();
    wait(&fixture, |view| view.waiting == 1).await;
    drop_file(&folder(&fixture), "moved.ndjson", lines(3));
    let status = wait(&fixture, |view| view.files == 1 && view.waiting == 1).await;
    assert_eq!((status.events.recorded, status.intake.folder.unwrap().waiting), (3, 1));
    assert!(folder(&fixture).join("growing.ndjson").exists());
}

#[tokio::test]
async fn a_folder_that_is_looked_at_from_time_to_time_works_like_one_that_is_watched() {
    let fixture = start("quiet = \"20ms\"\npoll = \"10ms\"").await;
    fs::create_dir_all(folder(&fixture)).unwrap();
    fs::write(folder(&fixture).join("a.ndjson"), lines(3)).unwrap();
    let status = wait(&fixture, |view| view.files == 1).await;
    assert_eq!(status.events.recorded, 3);
}

#[cfg(unix)]
#[tokio::test]
async fn links_and_files_of_other_kinds_are_left_alone() {
    let fixture = start("quiet = \"10ms\"\npoll = \"10ms\"").await;
    let outside = fixture.dir.path().join("outside.ndjson");
    fs::write(&outside, lines(1)).unwrap();
    fs::create_dir_all(folder(&fixture)).unwrap();
    std::os::unix::fs::symlink(&outside, folder(&fixture).join("link.ndjson")).unwrap();
    for name in [".hidden.ndjson", "notes.txt", "half.ndjson.part"] {
        fs::write(folder(&fixture).join(name), lines(1)).unwrap();
    }
    fs::create_dir(folder(&fixture).join("a.json")).unwrap();
    drop_file(&folder(&fixture), "z.ndjson", lines(2));
    let status = wait(&fixture, |view| view.files == 1 && view.waiting == 1).await;
    let waits = &status.intake.folder.unwrap().waits;
    assert_eq!((status.events.recorded, waits.len()), (2, 1));
    assert!(waits[0].file == "link.ndjson" && waits[0].why.contains("link"), "{waits:?}");
    assert_eq!(
        names(&folder(&fixture)),
        [".hidden.ndjson", "a.json", "done", "half.ndjson.part", "link.ndjson", "notes.txt"]
    );
}

#[tokio::test]
async fn files_that_were_read_are_kept_no_longer_than_told() {
    let mut fixture = start("quiet = \"10ms\"").await;
    drop_file(&folder(&fixture), "a.ndjson", lines(1));
    drop_file(&folder(&fixture), "bad.ndjson", "nothing");
    wait(&fixture, |view| view.files == 2).await;
    let setup = |keep_done| Setup { folder: Some(FolderRules { keep_done, ..rules("") }), ..Setup::default() };
    fixture.restart_with(setup(HOUR)).await;
    wait(&fixture, |view| view.problem.is_none()).await;
    assert_eq!(names(&folder(&fixture).join("done")), ["a.ndjson"]);
    fixture.restart_with(setup(Duration::ZERO)).await;
    while !names(&folder(&fixture).join("done")).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&folder(&fixture).join("failed")), ["bad.ndjson", "bad.ndjson.errors"]);
}

#[tokio::test]
async fn the_page_shows_what_was_read() {
    let fixture = start("quiet = \"10ms\"").await;
    drop_file(&folder(&fixture), "a.ndjson", lines(2));
    wait(&fixture, |view| view.files == 1).await;
    let page = fixture.agent.request(reqwest::Method::GET, "/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Folder") && page.contains("1 file read since the start"), "{page}");
}

#[tokio::test]
async fn a_full_store_makes_a_file_wait_and_says_so() {
    let mut setup = Setup { folder: Some(rules("quiet = \"10ms\"")), ..Setup::default() };
    setup.limits.min_free_disk_bytes = u64::MAX / 2;
    let mut fixture = setup.start().await;
    drop_file(&folder(&fixture), "a.ndjson", lines(2));
    let status = wait(&fixture, |view| view.problem.is_some()).await;
    let problem = status.intake.folder.unwrap().problem.unwrap();
    assert!(problem.starts_with("line 1 and those after it wait: the disk has less"), "{problem}");
    assert!(folder(&fixture).join("a.ndjson").exists());
    fixture.restart_with(Setup { folder: Some(rules("quiet = \"10ms\"")), ..Setup::default() }).await;
    let status = wait(&fixture, |view| view.files == 1).await;
    assert_eq!((status.events.recorded, status.intake.folder.unwrap().problem), (2, None));
}

#[tokio::test]
async fn what_waited_for_room_is_recorded_by_the_mappings_of_today() {
    let setup = || Setup { folder: Some(rules("quiet = \"10ms\"")), ..Setup::default() };
    let mut full = setup();
    full.limits.min_free_disk_bytes = u64::MAX / 2;
    let fixture = full.start().await;
    let endpoint = format!("http://{}", fixture.sandbox_address);
    drop_file(&folder(&fixture), "a.ndjson", lines(2_500));
    // The second part is read, and waits behind the first.
    let is_behind = |view: &FolderView| view.reading.as_ref().is_some_and(|reading| reading.lines == 2_000);
    wait(&fixture, |view| view.problem.is_some() && is_behind(view)).await;
    let mappings = format!("[privacy]\nconsent = \"false\"\n{}", Setup::default().mappings);
    let mut refused = Setup { mappings, ..setup() };
    refused.limits.min_free_disk_bytes = u64::MAX / 2;
    fixture.agent.change(refused.settings(&endpoint)).await;
    refused.limits = Setup::default().limits;
    fixture.agent.change(refused.settings(&endpoint)).await;
    let status = wait(&fixture, |view| view.files == 1).await;
    assert_eq!((status.events.unconsented, status.events.recorded), (2_500, 0));
}

#[tokio::test]
async fn a_correction_wins_over_an_export_that_was_there_before_it_and_is_read_later() {
    let row = |store: &str| {
        let data = json!({ "card": "7", "store": store, "total": 1 });
        json!({ "type": "com.acme.loyalty.used", "data": data }).to_string()
    };
    let waits = |view: &FolderView| view.waits.iter().any(|wait| wait.file == "export.ndjson");
    // Its last line has no end, so it waits longer.
    let fixture = start("quiet = \"500ms\"").await;
    fs::create_dir_all(folder(&fixture)).unwrap();
    fs::write(folder(&fixture).join("export.ndjson"), row("Lund") + "\n ").unwrap();
    wait(&fixture, waits).await;
    drop_file(&folder(&fixture), "correction.ndjson", row("Malmo") + "\n");
    wait(&fixture, |view| view.files == 1 && waits(view)).await;
    wait(&fixture, |view| view.files == 2).await;
    fixture.wait_held("7", "visits", "2").await;
    fixture.wait_held("7", "lastStore", "Malmo").await;
    // It has another name until later, and what scans or sorts files may change its time stamp or its name.
    #[cfg(unix)]
    for (is_touched, name) in [(false, "export.ndjson"), (true, "export.ndjson"), (false, "renamed.ndjson")] {
        let fixture = start("quiet = \"10ms\"").await;
        let other = fixture.dir.path().join("other");
        fs::write(&other, row("Lund") + "\n").unwrap();
        fs::create_dir_all(folder(&fixture)).unwrap();
        let export = folder(&fixture).join("export.ndjson");
        fs::hard_link(&other, &export).unwrap();
        wait(&fixture, waits).await;
        drop_file(&folder(&fixture), "correction.ndjson", row("Malmo") + "\n");
        wait(&fixture, |view| view.files == 1).await;
        if is_touched {
            fs::File::options().write(true).open(&other).unwrap().set_modified(SystemTime::now()).unwrap();
        }
        fs::rename(&export, folder(&fixture).join(name)).unwrap();
        fs::remove_file(other).unwrap();
        // So that the folder is looked at.
        drop_file(&folder(&fixture), "blank.ndjson", "\n");
        wait(&fixture, |view| view.files == 3).await;
        fixture.wait_held("7", "visits", "2").await;
        fixture.wait_held("7", "lastStore", "Malmo").await;
    }
}

#[tokio::test]
async fn an_equal_copy_of_an_export_that_waits_is_no_newer_than_its_correction() {
    let row = |store: &str| {
        let data = json!({ "card": "7", "store": store, "total": 1 });
        json!({ "type": "com.acme.loyalty.used", "data": data }).to_string() + "\n"
    };
    // Of the same length, and not the same.
    for (copy, last) in [("Lund", "Malmo"), ("Kiel", "Kiel")] {
        let fixture = start("quiet = \"1h\"").await;
        fs::create_dir_all(folder(&fixture)).unwrap();
        fs::write(folder(&fixture).join("export.ndjson"), row("Lund")).unwrap();
        wait(&fixture, |view| view.waits.iter().any(|wait| wait.file == "export.ndjson")).await;
        drop_file(&folder(&fixture), "correction.ndjson", row("Malmo"));
        wait(&fixture, |view| view.files == 1).await;
        drop_file(&folder(&fixture), "export.ndjson", row(copy));
        wait(&fixture, |view| view.files == 2).await;
        fixture.wait_held("7", "visits", "2").await;
        fixture.wait_held("7", "lastStore", last).await;
    }
}

#[tokio::test]
async fn what_is_written_behind_the_end_of_a_file_that_was_read_is_read_too() {
    let fixture = start("quiet = \"10ms\"\ntype = \"com.acme.loyalty.used\"").await;
    fs::create_dir_all(folder(&fixture)).unwrap();
    let mut writer = fs::File::create(folder(&fixture).join("a.csv")).unwrap();
    writer.write_all(b"card;store\n1;Lund\n2;Lund\n").unwrap();
    wait(&fixture, |view| view.files == 1).await;
    writer.write_all(b"3;Lund\n4\n").unwrap();
    let status = wait(&fixture, |view| view.failed_files == 1 && view.reading.is_none()).await;
    assert_eq!((status.events.recorded, status.intake.folder.unwrap().lines), (3, 4));
    let errors = fs::read_to_string(folder(&fixture).join("failed/a.csv.errors")).unwrap();
    assert!(errors.contains("line 5: the row has 1 cell,"), "{errors}");
    writer.write_all(b"5;Lund\n").unwrap();
    let status = wait(&fixture, |view| view.lines == 5).await;
    assert_eq!(status.events.recorded, 4);
}

const SALES: &str = "quiet = \"10ms\"\ntype = \"com.acme.loyalty.used\"";

#[tokio::test]
async fn a_file_that_is_replaced_by_a_longer_version_counts_no_row_twice() {
    let mut fixture = start(SALES).await;
    let mut content = "card;store;total\n1;Lund;1\n".to_owned();
    drop_file(&folder(&fixture), "day.csv", &content);
    wait(&fixture, |view| view.files == 1).await;
    for card in 2..30 {
        content.push_str(&format!("{card};Lund;1\n"));
        drop_file(&folder(&fixture), "day.csv", &content);
        wait(&fixture, |view| view.lines == if card < 15 { card } else { card - 14 }).await;
        if card == 14 {
            fixture.restart_with(Setup { folder: Some(rules(SALES)), ..Setup::default() }).await;
        }
    }
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.events.recorded, status.events.differing), (29, 0));
    // The same once more is told as such, whatever its name.
    drop_file(&folder(&fixture), "copy.csv", &content);
    let status = wait(&fixture, |view| view.duplicate_files == 1).await;
    assert_eq!(status.events.recorded, 29);
    // Another file of that name, or one of another name that begins alike, has rows of its own.
    drop_file(&folder(&fixture), "day.csv", "card;store;total\n1;Lund;2\n2;Lund;1\n");
    fixture.agent.wait_status(|status| status.events.recorded == 31).await;
    drop_file(&folder(&fixture), "till-2.csv", format!("{content}30;Lund;1\n"));
    fixture.agent.wait_status(|status| status.events.recorded == 61).await;
}

#[tokio::test]
async fn a_file_that_is_changed_in_failed_counts_no_row_twice_and_is_told() {
    let fixture = start(&format!("{SALES}\n[intake.folder.csv]\nnumbers = [\"data.total\"]")).await;
    drop_file(&folder(&fixture), "a.csv", "card;store;total\n1;Lund;1\n2;Lund;x\n3;Lund;1\n");
    wait(&fixture, |view| view.failed_files == 1 && view.reading.is_none()).await;
    let failed = folder(&fixture).join("failed");
    let errors = || fs::read_to_string(failed.join("a.csv.errors")).unwrap();
    fs::write(failed.join("a.csv"), "card;store;total\n1;Lund;1\n2;Lund;20\n3;Lund;1\n").unwrap();
    while !errors().starts_with("This file was changed here since it was read, and was not read again") {
        tokio::task::yield_now().await;
    }
    assert!(errors().contains("line 3: data.total: it is not a number"), "{}", errors());
    drop_file(&folder(&fixture), "fixed.csv", "card;store;total\n2;Lund;20\n");
    let status = fixture.agent.wait_status(|status| status.events.recorded == 3).await;
    assert_eq!(status.intake.folder.unwrap().unfixed, 1);
}

#[tokio::test]
async fn a_file_that_an_editor_writes_anew_in_failed_is_told_however_long_it_is() {
    let mut fixture = start(&format!("{SALES}\n[intake.folder.csv]\nnumbers = [\"data.total\"]")).await;
    drop_file(&folder(&fixture), "a.csv", "card;store;total\n1;Lund;1\n2;Lund;x\n");
    wait(&fixture, |view| view.failed_files == 1 && view.reading.is_none()).await;
    fixture.agent.stop().await;
    let failed = folder(&fixture).join("failed");
    let (path, beside) = (failed.join("a.csv"), failed.join(".a.csv.swp"));
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    fs::write(&beside, "card;store;total\n1;Lund;1\n2;Lund;2\n").unwrap();
    fs::File::options().append(true).open(&beside).unwrap().set_modified(later).unwrap();
    fs::rename(&beside, &path).unwrap();
    fixture.start_again().await;
    while !fs::read_to_string(failed.join("a.csv.errors")).unwrap().starts_with("This file was changed here") {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.agent.status().await.events.recorded, 1);
}

#[tokio::test]
async fn what_was_wrong_with_a_file_goes_when_the_file_leaves_failed() {
    let mut fixture = start(SALES).await;
    drop_file(&folder(&fixture), "a.csv", b"card;store;total\n1;Lund;1\n2;Malm\x94;1\n");
    wait(&fixture, |view| view.failed_files == 1 && view.reading.is_none()).await;
    let failed = folder(&fixture).join("failed");
    assert_eq!(names(&failed), ["a.csv", "a.csv.errors"]);
    fixture.agent.stop().await;
    append(&failed.join("a.csv"), "3;Lund;1\n");
    fixture.setup.folder = Some(rules(&format!("{SALES}\nencoding = \"cp850\"")));
    fixture.start_again().await;
    let status = fixture.agent.wait_status(|status| status.events.recorded == 3).await;
    assert_eq!(status.events.differing, 0);
    let status = wait(&fixture, |view| view.unfixed == 0 && view.lines > 0).await;
    assert_eq!(
        (names(&failed), names(&folder(&fixture).join("done"))),
        (vec![], vec!["a.csv".to_owned()]),
        "{:?}",
        status.intake.folder
    );
}

/// Writes behind the end of a file.
fn append(path: &Path, content: &str) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(content.as_bytes()).unwrap();
}

#[tokio::test]
async fn what_is_added_to_a_file_while_the_agent_is_down_is_recorded_and_nothing_twice() {
    let mut fixture = start("quiet = \"10ms\"\ntype = \"com.acme.loyalty.used\"").await;
    drop_file(&folder(&fixture), "a.csv", "card;store;total\n1;Lund;1\n2;Lund;1\n");
    drop_file(&folder(&fixture), "b.csv", "card;store;total\n3;Lund;1\n4;Lund;1\n5;\n");
    wait(&fixture, |view| view.files == 2).await;
    let (done, failed) = (folder(&fixture).join("done/a.csv"), folder(&fixture).join("failed/b.csv"));
    append(&done, "6;Lund;1\n");
    fixture.agent.wait_status(|status| status.events.recorded == 5).await;
    fixture.agent.stop().await;
    append(&done, "7;Lund;1\n8;Lund;1\n");
    append(&failed, "9;Lund;1\n");
    fixture.start_again().await;
    let status = wait(&fixture, |view| view.lines == 3 && view.reading.is_none()).await;
    assert_eq!((status.events.recorded, status.events.differing), (8, 0));
    append(&done, "10;Lund;1\n");
    let status = wait(&fixture, |view| view.lines == 4 && view.reading.is_none()).await;
    assert_eq!((status.events.recorded, status.intake.folder.unwrap().failed_lines), (9, 0));
    let errors = fs::read_to_string(folder(&fixture).join("failed/b.csv.errors")).unwrap();
    assert!(errors.starts_with("1 of 4 were not recorded"), "{errors}");
    for card in (1..=10).filter(|card| *card != 5) {
        fixture.wait_held(&card.to_string(), "visits", "1").await;
    }
}

#[test]
fn a_file_that_grows_after_a_kill_in_its_midst_is_recorded_once() {
    const LINES: usize = 20_000;
    let device = Device::new();
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let section = "[intake.folder]\npath = \"drop\"\nquiet = \"10ms\"\n[target]";
    device.write("agent.toml", &config.replace("[target]", section));
    let drop_dir = device.dir.path().join("drop");
    drop_file(&drop_dir, "big.ndjson", lines(LINES));
    let recorded = || device.status()["events"]["recorded"].as_u64().unwrap();
    let agent = device.run();
    while recorded() == 0 {}
    drop(agent);
    let here = drop_dir.join("big.ndjson");
    append(&if here.exists() { here } else { drop_dir.join("done/big.ndjson") }, &lines(70));
    let agent = device.run();
    while recorded() < LINES as u64 + 70 {}
    drop(agent);
    assert_eq!(recorded(), LINES as u64 + 70);
    let visits: u64 = (0..7).map(|card| visits(&device, card)).sum();
    assert_eq!(visits, LINES as u64 + 70);
}

#[tokio::test]
async fn a_file_that_is_renamed_over_while_it_is_read_is_lost_as_little_as_the_other() {
    let folder_rules = || Some(rules("quiet = \"10ms\""));
    let mut setup = Setup { folder: folder_rules(), ..Setup::default() };
    setup.limits.min_free_disk_bytes = u64::MAX / 2;
    let fixture = setup.start().await;
    drop_file(&folder(&fixture), "a.ndjson", lines(2));
    wait(&fixture, |view| view.problem.as_ref().is_some_and(|problem| problem.starts_with("line 1 and"))).await;
    drop_file(&folder(&fixture), "a.ndjson", "\n".to_owned() + &lines(3));
    let roomy = Setup { folder: folder_rules(), ..Setup::default() };
    fixture.agent.change(roomy.settings(&format!("http://{}", fixture.sandbox_address))).await;
    let status = wait(&fixture, |view| view.files == 2 && view.reading.is_none()).await;
    assert_eq!((status.events.recorded, status.events.duplicate), (5, 0));
    assert_eq!(names(&folder(&fixture).join("done")), ["a.ndjson"]);
}

/// A table with so many rows of a card, which differ and are so long.
fn rows_of(card: u64, count: usize, width: usize) -> String {
    let row = |number: usize| format!("{card};{number:0width$}\n");
    "card;store\n".to_owned() + &(0..count).map(row).collect::<String>()
}

/// Copies a file of card 7 over one of card 8 in its place while that is read, and checks that each row of the new one counts once,
/// that so many of the old one do, and that nothing else counts.
async fn check_copied_over(old: &str, new: &str, of_old: std::ops::RangeInclusive<i64>) {
    let folder_rules = || Some(rules("quiet = \"10ms\"\ntype = \"com.acme.loyalty.used\""));
    let mut setup = Setup { folder: folder_rules(), ..Setup::default() };
    setup.limits.min_free_disk_bytes = u64::MAX / 2;
    let fixture = setup.start().await;
    drop_file(&folder(&fixture), "a.csv", old);
    wait(&fixture, |view| view.problem.as_ref().is_some_and(|problem| problem.starts_with("line 2 and"))).await;
    // As `cp` does it: in the same file, which is cut and written again.
    fs::write(folder(&fixture).join("a.csv"), new).unwrap();
    let roomy = Setup { folder: folder_rules(), ..Setup::default() };
    fixture.agent.change(roomy.settings(&format!("http://{}", fixture.sandbox_address))).await;
    let status = wait(&fixture, |view| view.files == 1 && view.reading.is_none()).await;
    let rows = |text: &str| i64::try_from(text.matches('\n').count()).unwrap() - 1;
    let recorded = status.events.recorded - rows(new);
    assert!(of_old.contains(&recorded), "{recorded} of {}", rows(old));
    assert_eq!((status.events.duplicate, status.events.rejected, status.events.differing), (0, 0, 0));
    fixture.wait_held("7", "visits", &rows(new).to_string()).await;
    fixture.wait_held("8", "visits", &recorded.to_string()).await;
    assert_eq!(names(&folder(&fixture)), ["done"]);
    assert!(fs::read_to_string(folder(&fixture).join("done/a.csv")).unwrap() == new);
}

#[tokio::test]
async fn a_file_that_is_copied_over_while_it_is_read_is_recorded_as_far_as_it_was_read_and_so_is_the_copy() {
    let old = rows_of(8, 100, 10);
    for count in [10, 100, 300] {
        check_copied_over(&old, &rows_of(7, count, 10), 100..=100).await;
    }
}

#[tokio::test]
async fn of_a_long_file_that_is_copied_over_while_it_is_read_no_row_of_the_copy_is_taken_for_one_of_it() {
    let old = rows_of(8, 5_000, 500);
    for (count, width) in [(50, 10), (5_000, 500), (6_000, 500)] {
        check_copied_over(&old, &rows_of(7, count, width), 1_900..=2_200).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn purging_goes_on_past_what_cannot_be_deleted() {
    use std::os::unix::fs::PermissionsExt;
    let mut fixture = start("quiet = \"10ms\"").await;
    drop_file(&folder(&fixture), "a.ndjson", lines(1));
    wait(&fixture, |view| view.files == 1).await;
    drop_file(&folder(&fixture), "b.ndjson", lines(1));
    wait(&fixture, |view| view.duplicate_files == 1).await;
    let [done, duplicate] = ["done", "duplicate"].map(|kept| folder(&fixture).join(kept));
    // What others may write to is not ours, and nothing in it is deleted.
    fs::set_permissions(&done, fs::Permissions::from_mode(0o777)).unwrap();
    let rules = FolderRules { keep_done: Duration::ZERO, ..rules("") };
    fixture.restart_with(Setup { folder: Some(rules), ..Setup::default() }).await;
    while !names(&duplicate).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&done), ["a.ndjson"]);
}

#[tokio::test]
async fn an_empty_file_waits_until_something_is_in_it() {
    let fixture = start("quiet = \"10ms\"").await;
    fs::create_dir_all(folder(&fixture)).unwrap();
    fs::write(folder(&fixture).join("a.ndjson"), "").unwrap();
    let status = wait(&fixture, |view| view.waits.iter().any(|wait| wait.why == "it is empty")).await;
    assert_eq!(status.intake.folder.unwrap().waiting, 1);
    fs::write(folder(&fixture).join("a.ndjson"), lines(2)).unwrap();
    let status = wait(&fixture, |view| view.files == 1).await;
    assert_eq!((status.events.recorded, status.intake.folder.unwrap().waiting), (2, 0));
}

#[tokio::test]
async fn a_file_that_cannot_be_put_away_is_shown_and_tried_again() {
    let fixture = start("quiet = \"10ms\"").await;
    fs::create_dir_all(folder(&fixture)).unwrap();
    fs::write(folder(&fixture).join("done"), "in the way").unwrap();
    drop_file(&folder(&fixture), "a.ndjson", lines(2));
    let is_told = |view: &FolderView| view.problem.as_ref().is_some_and(|problem| problem.contains("a.ndjson"));
    wait(&fixture, |view| is_told(view) && view.waiting == 1).await;
    drop_file(&folder(&fixture), "bad.ndjson", "nothing");
    wait(&fixture, |view| view.failed_files == 1 && is_told(view) && view.waiting == 1).await;
    fs::remove_file(folder(&fixture).join("done")).unwrap();
    let status = wait(&fixture, |view| view.files == 2 && view.problem.is_none()).await;
    assert_eq!((status.events.recorded, status.intake.folder.unwrap().waiting), (2, 0));
    assert_eq!(names(&folder(&fixture).join("done")), ["a.ndjson"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_yet_is_shown_and_read_when_it_may() {
    use std::os::unix::fs::PermissionsExt;
    let device = Device::new();
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let section = "[intake.folder]\npath = \"drop\"\nquiet = \"10ms\"\n[target]";
    device.write("agent.toml", &config.replace("[target]", section));
    let drop_dir = device.dir.path().join("drop");
    fs::create_dir(&drop_dir).unwrap();
    let agent = device.run_bound();
    let rights = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let partial = drop_dir.join("a.ndjson.part");
    fs::write(&partial, lines(2)).unwrap();
    rights(&partial, 0o000);
    fs::rename(&partial, drop_dir.join("a.ndjson")).unwrap();
    let folder = || device.status()["folder"].clone();
    let waits = |view: &serde_json::Value| {
        let problem = view["problem"].as_str().unwrap_or_default();
        problem.contains("a.ndjson") && problem.contains("ermission denied") && view["waiting"] == 1
    };
    while !waits(&folder()) {}
    // Another good file does not make it forgotten.
    drop_file(&drop_dir, "b.ndjson", lines(3));
    while !(folder()["files"] == 1 && waits(&folder())) {}
    rights(&drop_dir.join("a.ndjson"), 0o644);
    while folder()["files"] != 2 {}
    assert_eq!(device.status()["events"]["recorded"], 5);
    assert_eq!(folder()["waiting"], 0);
    drop(agent);
}

#[tokio::test]
async fn foreign_files_hide_none_of_ours() {
    let fixture = start("quiet = \"10ms\"\npoll = \"10ms\"").await;
    fs::create_dir_all(folder(&fixture)).unwrap();
    for number in 0..10_050 {
        fs::write(folder(&fixture).join(format!("{number}.txt")), "").unwrap();
    }
    for number in 0..3 {
        drop_file(&folder(&fixture), &format!("{number}.ndjson"), lines(number + 1));
    }
    let status = wait(&fixture, |view| view.files == 3).await;
    assert_eq!(status.events.recorded, 6);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn names_that_are_long_or_no_utf8_are_read_and_put_away() {
    use std::os::unix::ffi::OsStrExt;
    let fixture = start("quiet = \"10ms\"").await;
    fs::create_dir_all(folder(&fixture)).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"Malm\xF6.ndjson");
    fs::write(folder(&fixture).join(odd), lines(2)).unwrap();
    wait(&fixture, |view| view.files == 1).await;
    assert!(folder(&fixture).join("done").join(odd).exists());
    fs::write(folder(&fixture).join(format!("{}.ndjson", "x".repeat(248))), "nothing\n").unwrap();
    wait(&fixture, |view| view.failed_files == 1).await;
    let failed = names(&folder(&fixture).join("failed"));
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!(failed[1], format!("{}.errors", failed[0]));
}

#[tokio::test]
async fn a_folder_that_is_made_again_is_watched_again() {
    let fixture = start("quiet = \"10ms\"").await;
    drop_file(&folder(&fixture), "a.ndjson", lines(1));
    wait(&fixture, |view| view.files == 1).await;
    fs::remove_dir_all(folder(&fixture)).unwrap();
    wait(&fixture, |view| view.problem.as_ref().is_some_and(|problem| problem.contains("cannot be read"))).await;
    drop_file(&folder(&fixture), "b.ndjson", lines(2));
    let status = wait(&fixture, |view| view.files == 2 && view.problem.is_none()).await;
    assert_eq!(status.events.recorded, 3);
}

#[tokio::test]
async fn more_files_than_are_looked_at_are_counted_and_told() {
    let fixture = start("quiet = \"1h\"").await;
    let folder = folder(&fixture);
    fs::create_dir_all(&folder).unwrap();
    (0..10_016).for_each(|number| fs::write(folder.join(format!("{number}.csv")), "card\n1\n").unwrap());
    let status = wait(&fixture, |view| view.waiting == 10_016).await;
    let problem = status.intake.folder.unwrap().problem.unwrap();
    assert!(problem.starts_with("16 files beside 10000 others are not looked at"), "{problem}");
    assert!(status.verdict.text.contains("16 files beside 10000 others"), "{:?}", status.verdict);
}

#[tokio::test]
async fn files_of_which_nothing_is_read_have_no_lines_that_failed() {
    let fixture = start("quiet = \"10ms\"").await;
    for name in ["a.csv", "b.csv"] {
        drop_file(&folder(&fixture), name, b"PK\x03\x04 a workbook\n");
    }
    let status = wait(&fixture, |view| view.failed_files == 2).await;
    let view = status.intake.folder.unwrap();
    assert_eq!((view.lines, view.failed_lines), (0, 0));
}
