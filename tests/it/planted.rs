//! Who has taken over the agent's user plants something in the place of the agent's files: root's commands follow no link, wait for
//! nothing, and read no more than they need.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::device::{Device, outpost, text};
use crate::doors::{STRANGER, strangers_device};

/// Longest time that a command may take. Its own patience with what holds the data directory is five seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A device whose data directory belongs to another user, with a store and tokens in it.
fn planted_device() -> Option<(Device, PathBuf)> {
    let device = strangers_device()?;
    let data = device.dir.path().join("data");
    device.record_use("7");
    device.works(&["token", "create", "till", "--right", "record"]);
    device.works(&["token", "rotate"]);
    Some((device, data))
}

/// Runs a command, which comes to an end by itself, and gives what it said.
fn ends(device: &Device, args: &[&str]) -> (Option<i32>, String) {
    let output = outpost(device.dir.path()).args(args).timeout(PATIENCE).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.code().is_some(), "{args:?} did not end: {said}");
    (output.status.code(), said)
}

fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
}

fn link(to: &Path, path: &Path) {
    symlink(to, path).unwrap();
    lchown(path, Some(STRANGER), Some(STRANGER)).unwrap();
}

const RECORD: [&str; 5] =
    ["record", "--type", "com.acme.loyalty.used", "--data", "{\"card\":\"8\",\"store\":\"Lund\",\"total\":2}"];

#[test]
fn a_link_in_the_place_of_the_store_leads_root_s_commands_nowhere() {
    let Some((device, data)) = planted_device() else { return };
    device.write_private("new.key", &"0f".repeat(32));
    let own = device.dir.path().join("own.db");
    fs::copy(data.join("outpost.db"), &own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(&own).unwrap();
    let none = device.dir.path().join("none.db");
    fs::rename(data.join("outpost.db"), device.dir.path().join("kept.db")).unwrap();
    for (to, is_hard) in [(&own, false), (&none, false), (&own, true)] {
        if is_hard {
            fs::hard_link(to, data.join("outpost.db")).unwrap();
        } else {
            link(to, &data.join("outpost.db"));
        }
        for command in [
            RECORD.as_slice(),
            &["rekey", "--new-key-file", "new.key"],
            &["forget", "third_party_id:7"],
            &["rejected", "list"],
            &["backup", "copy.db"],
            &["run"],
        ] {
            let (code, said) = ends(&device, command);
            assert_eq!(code, Some(1), "{command:?}: {said}");
        }
        let (_, said) = ends(&device, &RECORD);
        let words =
            if is_hard { "outpost.db has another name elsewhere" } else { "outpost.db must be a file; found a link" };
        assert!(said.contains(words), "{said}");
        assert!(fs::read(&own).unwrap() == before && !none.exists(), "{}", to.display());
        fs::remove_file(data.join("outpost.db")).unwrap();
    }
}

#[test]
fn a_link_that_leads_nowhere_in_the_place_of_the_store_is_not_taken_for_none() {
    let Some((device, data)) = planted_device() else { return };
    fs::remove_file(data.join("outpost.db")).unwrap();
    link(&device.dir.path().join("none.db"), &data.join("outpost.db"));
    let event = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/t\",\"type\":\"com.acme.loyalty.used\",\
                 \"data\":{\"card\":\"8\",\"store\":\"Lund\",\"total\":2}}";
    for command in [["status"].as_slice(), &["doctor"], &["explain", "7"], &["preview"], &["backup", "copy.db"]] {
        let output = outpost(device.dir.path()).args(command).timeout(PATIENCE).write_stdin(event).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        let words = "outpost.db must be a file; found a link";
        assert!(output.status.code() == Some(1) && said.contains(words), "{command:?}: {said}");
    }
}

#[test]
fn nothing_that_was_planted_in_the_store_is_run_by_root_s_commands() {
    let Some((device, data)) = planted_device() else { return };
    let (store, kept) = (data.join("outpost.db"), device.dir.path().join("kept.db"));
    fs::copy(&store, &kept).unwrap();
    for (planted, words) in [
        ("CREATE TRIGGER t AFTER INSERT ON journal BEGIN INSERT INTO quota VALUES (1, 1); END", "its trigger t is not"),
        ("CREATE TRIGGER sqlite_t AFTER DELETE ON profile BEGIN SELECT 1; END", "its trigger sqlite_t is not"),
        ("ALTER TABLE quota RENAME TO q; CREATE VIEW quota AS SELECT * FROM q", "its table q is not"),
        ("ALTER TABLE quota ADD COLUMN x INTEGER AS (length(zeroblob(900000000)))", "its table quota is not"),
        ("CREATE INDEX i ON journal (length(zeroblob(900000000)))", "its index i is not"),
        ("DROP INDEX outbox", "its index outbox is missing"),
    ] {
        // A name that SQLite keeps for itself is written into the schema by who has the file.
        let schema = rusqlite::Connection::open(&store).unwrap();
        schema.execute_batch(&planted.replace("sqlite_t", "stranger_t")).unwrap();
        if planted.contains("sqlite_t") {
            let rename = "PRAGMA writable_schema = on; UPDATE sqlite_schema SET name = 'sqlite_t', \
                          sql = replace(sql, 'stranger_t', 'sqlite_t') WHERE name = 'stranger_t'";
            schema.execute_batch(rename).unwrap();
        }
        drop(schema);
        for command in [
            RECORD.as_slice(),
            &["status"],
            &["forget", "third_party_id:7"],
            &["rejected", "list"],
            &["backup", "copy.db"],
            &["doctor"],
        ] {
            let (code, said) = ends(&device, command);
            assert!(code == Some(1) && said.contains(words), "{planted}, {command:?}: {said}");
            assert!(said.contains("was changed by another program"), "{said}");
        }
        for beside in ["outpost.db-wal", "outpost.db-shm"] {
            let _ = fs::remove_file(data.join(beside));
        }
        fs::copy(&kept, &store).unwrap();
    }
    device.record_use("9");
}

#[test]
fn what_is_planted_beside_the_store_is_not_opened_by_root_s_commands() {
    let Some((device, data)) = planted_device() else { return };
    let victim = device.dir.path().join("victim");
    for beside in ["outpost.db-wal", "outpost.db-shm", "outpost.db-journal"] {
        let planted = data.join(beside);
        let _ = fs::remove_file(&planted);
        fs::write(&victim, "root's own").unwrap();
        fs::hard_link(&victim, &planted).unwrap();
        let (code, said) = ends(&device, &RECORD);
        assert!(code == Some(1) && said.contains(&format!("{beside} has another name elsewhere")), "{beside}: {said}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "root's own", "{beside}");
        fs::remove_file(&planted).unwrap();
        link(&victim, &planted);
        let (code, said) = ends(&device, &RECORD);
        assert!(
            code == Some(1) && said.contains(&format!("{beside} must be a file; found a link")),
            "{beside}: {said}"
        );
        fs::remove_file(&planted).unwrap();
    }
    device.record_use("9");
    // A file of somebody who is neither the agent's user nor root.
    chown(data.join("outpost.db"), Some(STRANGER - 1), None).unwrap();
    let (code, said) = ends(&device, &RECORD);
    assert!(code == Some(1) && said.contains(&format!("outpost.db belongs to the user {}", STRANGER - 1)), "{said}");
}

#[test]
fn a_pipe_or_a_huge_file_in_the_place_of_a_file_stops_no_command_of_root_s() {
    let Some((device, data)) = planted_device() else { return };
    for name in ["outpost.lock", "outpost.db", "device_id", "tokens.json", "intake.token", "agent.json", "outpost.pid"]
    {
        let kept = device.dir.path().join("kept");
        let is_there = fs::rename(data.join(name), &kept).is_ok();
        for is_huge in [false, true] {
            if is_huge && matches!(name, "outpost.lock" | "outpost.db") {
                continue;
            }
            let planted = data.join(name);
            if is_huge {
                // Without blocks on the disk; whoever reads all of it takes the memory.
                let file = fs::File::create(&planted).unwrap();
                file.set_len(20 << 30).unwrap();
                fs::set_permissions(&planted, fs::Permissions::from_mode(0o600)).unwrap();
            } else {
                pipe(&planted);
            }
            for command in [
                RECORD.as_slice(),
                &["status"],
                &["doctor"],
                &["token", "list"],
                &["token", "revoke", "nobody"],
                &["forget", "third_party_id:nobody"],
                &["rejected", "list"],
            ] {
                ends(&device, command);
            }
            fs::remove_file(&planted).unwrap_or_default();
        }
        if is_there {
            fs::rename(&kept, data.join(name)).unwrap();
        }
    }
    pipe(&device.dir.path().join("pipe.token"));
    let url = ["status", "--url", "http://127.0.0.1:9", "--token-file", "pipe.token"];
    let (code, said) = ends(&device, &url);
    assert!(code == Some(2) && said.contains("it must be a file"), "{said}");
}

#[test]
fn a_bundle_holds_nothing_that_was_planted_in_the_place_of_the_log() {
    let Some((device, data)) = planted_device() else { return };
    let log = data.join("log");
    let secret = device.dir.path().join("secret");
    fs::create_dir_all(&secret).unwrap();
    let names = |device: &Device| {
        ends(device, &["doctor", "--bundle", "b.zip"]);
        let bundle = fs::File::open(device.dir.path().join("b.zip")).unwrap();
        let mode = bundle.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let bundle = zip::ZipArchive::new(bundle).unwrap();
        let names = bundle.file_names().filter_map(|name| name.unwrap().strip_prefix("log/").map(str::to_owned));
        names.collect::<Vec<_>>()
    };
    fs::write(secret.join("outpost.2027-01-01.log"), "root's own").unwrap();
    // A link in the place of the folder.
    let _ = fs::remove_dir_all(&log);
    link(&secret, &log);
    assert_eq!(names(&device), Vec::<String>::new());
    fs::remove_file(&log).unwrap();
    // Links, a pipe and a file of somebody else in it, and one that has no end.
    fs::create_dir(&log).unwrap();
    chown(&log, Some(STRANGER), Some(STRANGER)).unwrap();
    link(&secret.join("outpost.2027-01-01.log"), &log.join("outpost.2027-01-01.log"));
    fs::hard_link(secret.join("outpost.2027-01-01.log"), log.join("outpost.2027-01-02.log")).unwrap();
    pipe(&log.join("outpost.2027-01-03.log"));
    fs::write(log.join("outpost.2027-01-04.log"), "ours\n").unwrap();
    fs::File::create(log.join("outpost.2027-01-05.log")).unwrap().set_len(20 << 30).unwrap();
    fs::write(log.join("outpost.passwords"), "no log\n").unwrap();
    let mut found = names(&device);
    found.sort();
    assert_eq!(found, ["outpost.2027-01-04.log", "outpost.2027-01-05.log"]);
}

#[test]
fn a_bundle_replaces_nothing_but_a_file_of_the_caller_s() {
    let Some((device, _)) = planted_device() else { return };
    let own = device.dir.path().join("own");
    fs::write(&own, "root's own").unwrap();
    fs::hard_link(&own, device.dir.path().join("hard.zip")).unwrap();
    link(&own, &device.dir.path().join("soft.zip"));
    link(&own, &device.dir.path().join("b.new"));
    pipe(&device.dir.path().join("pipe.zip"));
    // One of the service's user, in a folder of his.
    fs::create_dir(device.dir.path().join("his")).unwrap();
    for his in ["his", "his/b.zip"].map(|name| device.dir.path().join(name)) {
        let _ = fs::OpenOptions::new().write(true).create_new(true).open(&his);
        chown(&his, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    for name in ["hard.zip", "soft.zip", "pipe.zip", "his/b.zip"] {
        let (code, said) = ends(&device, &["doctor", "--bundle", name]);
        assert!(code == Some(1) && said.contains("name another file"), "{name}: {said}");
    }
    for _ in 0..2 {
        let (_, said) = ends(&device, &["doctor", "--bundle", "b.zip"]);
        assert!(!said.contains("cannot be written"), "{said}");
    }
    assert_eq!(fs::read_to_string(&own).unwrap(), "root's own");
}

#[test]
fn no_log_is_written_where_others_can_write_or_through_a_link() {
    let Some((device, _)) = planted_device() else { return };
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &format!("{config}\n[log]\ndir = \"log\"\n"));
    let log = device.dir.path().join("log");
    let victim = device.dir.path().join("victim");
    fs::create_dir(&victim).unwrap();
    let told = || {
        let agent = device.run();
        let notices = device.status()["notices"].to_string();
        drop(agent);
        notices
    };
    // A folder in which everybody may write, and one of somebody else.
    fs::create_dir(&log).unwrap();
    for (mode, who) in [(0o777, "everybody"), (0o775, "its group")] {
        fs::set_permissions(&log, fs::Permissions::from_mode(mode)).unwrap();
        let words = format!(
            "it may be written to by others than its owner, by {who}; it must be this user's, who alone may write"
        );
        assert!(told().contains(&words), "{}", told());
    }
    fs::set_permissions(&log, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&log, Some(STRANGER), None).unwrap();
    assert!(told().contains(&format!("belongs to the user {STRANGER}")), "{}", told());
    assert_eq!(fs::read_dir(&log).unwrap().count(), 0);
    fs::remove_dir(&log).unwrap();
    // A link to a folder, in a folder of somebody else.
    chown(device.dir.path(), Some(STRANGER), None).unwrap();
    link(&victim, &log);
    let of_stranger = format!("it is a link, which the user {STRANGER} can change, to whom the folder above belongs");
    assert!(told().contains(&of_stranger), "{}", told());
    chown(device.dir.path(), Some(0), None).unwrap();
    for (mode, who) in [(0o777, "everybody"), (0o775, "its group")] {
        fs::set_permissions(device.dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let words =
            format!("it is a link, which {who} can change, who may write to the folder above; it must be a folder");
        assert!(told().contains(&words), "{}", told());
    }
    fs::set_permissions(device.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    fs::remove_file(&log).unwrap();
    chown(device.dir.path(), Some(STRANGER), None).unwrap();
    // And a link in the place of the file of today: root's agent works on, in a folder of its own.
    fs::create_dir(&log).unwrap();
    let today = outpost::device::clock::Clock::system().to_string();
    link(&victim.join("made"), &log.join(format!("outpost.{}.log", &today[..10])));
    let notices = told();
    assert!(!victim.join("made").exists() && notices.contains("cannot be used"), "{notices}");
}

#[test]
fn a_small_file_of_another_name_or_owner_is_not_read_by_root_s_commands() {
    let Some((device, data)) = planted_device() else { return };
    let victim = device.dir.path().join("victim");
    let forget: &[&str] = &["forget", "third_party_id:7"];
    let tries: [(&str, &[&str]); 4] = [
        ("device_id", &["run"]),
        ("tokens.json", &["token", "list"]),
        ("intake.token", &["run"]),
        ("erasures.log", forget),
    ];
    for (name, command) in tries {
        let (planted, kept) = (data.join(name), device.dir.path().join("kept"));
        let is_there = fs::rename(&planted, &kept).is_ok();
        fs::write(&victim, "root's own\n").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        for (words, plant) in [
            ("it has another name elsewhere", "hard link"),
            ("it must be a file; found a link", "link"),
            (&format!("it belongs to the user {}", STRANGER - 1), "file"),
        ] {
            match plant {
                "hard link" => fs::hard_link(&victim, &planted).unwrap(),
                "link" => link(&victim, &planted),
                _ => {
                    fs::copy(&victim, &planted).unwrap();
                    chown(&planted, Some(STRANGER - 1), None).unwrap();
                }
            }
            let (code, said) = ends(&device, command);
            assert!(code == Some(1) && said.contains(name) && said.contains(words), "{name}, {plant}: {said}");
            if command == forget {
                // Erased all the same, and told so.
                let told = "\noutpost: all of that was erased, but the list of erasures ";
                assert!(said.contains("this device has nothing") || said.contains("erased 3 attributes"), "{said}");
                assert!(said.contains(told), "{said}");
            }
            assert_eq!(fs::read_to_string(&victim).unwrap(), "root's own\n", "{name}, {plant}");
            fs::remove_file(&planted).unwrap();
        }
        if is_there {
            fs::rename(&kept, &planted).unwrap();
        }
    }
}

#[test]
fn what_stands_at_a_temporary_name_keeps_no_command_of_root_s_from_working() {
    let Some((device, data)) = planted_device() else { return };
    let plant = |path: PathBuf| fs::create_dir_all(path.join("something")).unwrap();
    for name in ["tokens.new", "intake.new", "erasures.new", "outpost.new", "doctor.tmp"] {
        plant(data.join(name));
    }
    plant(device.dir.path().join("copy.db.partial"));
    device.works(&["token", "revoke", "till"]);
    assert!(!device.works(&["token", "list"]).contains("till"));
    let token = fs::read(data.join("intake.token")).unwrap();
    device.works(&["token", "rotate"]);
    assert!(fs::read(data.join("intake.token")).unwrap() != token);
    device.works(&RECORD);
    device.works(&["forget", "third_party_id:7"]);
    device.works(&["backup", "copy.db"]);
    let (_, said) = ends(&device, &["doctor"]);
    assert!(said.contains("a sync takes"), "{said}");
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".outpost-")), "{left:?}");
    // Nothing can be done where it stands in the place of the file itself.
    fs::remove_file(data.join("tokens.json")).unwrap();
    plant(data.join("tokens.json"));
    let (code, said) = ends(&device, &["token", "create", "till", "--right", "record"]);
    assert!(
        code == Some(1) && said.contains("tokens.json cannot be used: it must be a file; found a folder"),
        "{said}"
    );
}

#[test]
fn numbers_that_no_agent_writes_keep_no_command_of_root_s_busy() {
    let Some((device, data)) = planted_device() else { return };
    let (store, kept) = (data.join("outpost.db"), device.dir.path().join("kept.db"));
    fs::copy(&store, &kept).unwrap();
    for planted in [
        "UPDATE journal SET seq = 9223372036854775807 WHERE seq = (SELECT max(seq) FROM journal)",
        "UPDATE journal SET seq = -9223372036854775807 WHERE seq = (SELECT max(seq) FROM journal)",
        "UPDATE event_key SET generation = -9223372036854775808",
        "UPDATE profile SET id = 9223372036854775807 WHERE id = (SELECT max(id) FROM profile)",
    ] {
        rusqlite::Connection::open(&store).unwrap().execute_batch(planted).unwrap();
        for command in [RECORD.as_slice(), &["forget", "third_party_id:7"]] {
            let (code, said) = ends(&device, command);
            assert!(
                code == Some(1) && said.contains("was changed by another program"),
                "{planted}, {command:?}: {said}"
            );
        }
        for beside in ["outpost.db-wal", "outpost.db-shm"] {
            let _ = fs::remove_file(data.join(beside));
        }
        fs::copy(&kept, &store).unwrap();
    }
    device.record_use("9");
}
