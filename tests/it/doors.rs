//! Those who may drop files, and nothing more: they get neither the agent's files nor its rights, and cannot stop it.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use outpost::agent::data_dir::{DataDir, Endpoint};
use outpost::intake::folder::{FolderRules, FolderView};
use serde_json::json;

use crate::device::Device;
use crate::support::{Fixture, Setup, config, used};

/// A user who is neither root nor any of a person's. Source: it is `nobody` on Debian and Fedora.
pub const STRANGER: u32 = 65_534;

/// A fixture whose folder is there, and a file beside the store that is the agent's own.
async fn start(prepare: impl FnOnce(&Path)) -> (Fixture, PathBuf) {
    let mut fixture = Setup::default().start().await;
    let folder = fixture.dir.path().join("drop");
    fs::create_dir(&folder).unwrap();
    fs::write(fixture.dir.path().join("own"), "the agent's own").unwrap();
    prepare(&folder);
    fixture.restart_with(Setup { folder: Some(rules("1h")), ..Setup::default() }).await;
    (fixture, folder)
}

fn rules(keep_done: &str) -> FolderRules {
    let section = format!("path = \"drop\"\nquiet = \"10ms\"\npoll = \"10ms\"\nkeep_done = \"{keep_done}\"");
    let text = format!("[target]\nclient_code = \"acme\"\n[intake.folder]\n{section}");
    config(&text).intake.kinds.folder.unwrap()
}

fn drop_file(folder: &Path, name: &str, content: &str) {
    let partial = folder.join(format!("{name}.part"));
    fs::write(&partial, content).unwrap();
    fs::rename(partial, folder.join(name)).unwrap();
}

fn good(id: &str) -> String {
    json!([used(id, "a", "Lund", 1.0)]).to_string()
}

async fn wait(fixture: &Fixture, condition: impl Fn(&FolderView) -> bool) -> FolderView {
    let status = fixture.agent.wait_status(|status| status.intake.folder.as_ref().is_some_and(&condition)).await;
    status.intake.folder.unwrap()
}

/// Waits until the folder says what is in the way, and gives it.
async fn problem(fixture: &Fixture) -> String {
    wait(fixture, |view| view.problem.is_some()).await.problem.unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn has_own(fixture: &Fixture) -> bool {
    fs::read_to_string(fixture.dir.path().join("own")).is_ok_and(|text| text == "the agent's own")
}

#[tokio::test]
async fn a_file_that_was_read_goes_nowhere_through_a_link_in_the_place_of_done() {
    let (fixture, folder) = start(|folder| symlink("..", folder.join("done")).unwrap()).await;
    drop_file(&folder, "tokens.json", &good("1"));
    let problem = problem(&fixture).await;
    let said = format!("{}/done must be a folder, not a link or a file; remove it", folder.display());
    assert!(problem.contains(&said), "{problem}");
    assert!(!fixture.dir.path().join("tokens.json").exists());
    fs::remove_file(folder.join("done")).unwrap();
    wait(&fixture, |view| view.files == 1 && view.problem.is_none()).await;
    assert_eq!(names(&folder.join("done")), ["tokens.json"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_file_overwrites_nothing_through_a_link() {
    let (fixture, folder) = start(|folder| symlink("..", folder.join("failed")).unwrap()).await;
    drop_file(&folder, "bad.ndjson", "nothing\n");
    let problem = problem(&fixture).await;
    assert!(problem.contains("/failed must be a folder"), "{problem}");
    assert!(!names(fixture.dir.path()).iter().any(|name| name.starts_with("bad")));

    fs::remove_file(folder.join("failed")).unwrap();
    fs::create_dir(folder.join("failed")).unwrap();
    for planted in ["bad.ndjson.errors", "bad.ndjson.new"] {
        symlink("../../own", folder.join("failed").join(planted)).unwrap();
    }
    wait(&fixture, |view| view.failed_files == 1 && view.problem.is_none()).await;
    assert!(has_own(&fixture));
    assert_eq!(names(&folder.join("failed")), ["bad.ndjson", "bad.ndjson.errors"]);
    let errors = folder.join("failed/bad.ndjson.errors");
    assert!(fs::symlink_metadata(&errors).unwrap().is_file());
    assert!(fs::read_to_string(errors).unwrap().contains("line 1"));
}

#[tokio::test]
async fn purging_deletes_nothing_behind_a_link() {
    let (mut fixture, folder) = start(|folder| {
        symlink("..", folder.join("done")).unwrap();
        fs::create_dir(folder.join("duplicate")).unwrap();
        symlink("../../own", folder.join("duplicate/link.json")).unwrap();
        fs::write(folder.join("duplicate/old.json"), "").unwrap();
    })
    .await;
    fixture.restart_with(Setup { folder: Some(rules("0s")), ..Setup::default() }).await;
    // It comes after done, and what cannot be deleted there keeps nothing else from being deleted.
    while folder.join("duplicate/old.json").exists() {
        tokio::task::yield_now().await;
    }
    assert!(has_own(&fixture) && fixture.dir.path().join("outpost.db").exists());
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_stops_neither_the_folder_nor_the_agent() {
    let (mut fixture, folder) = start(|folder| {
        for name in ["a.ndjson", "done"] {
            let made = std::process::Command::new("mkfifo").arg(folder.join(name)).status().unwrap();
            assert!(made.success());
        }
        fs::create_dir(folder.join("b.csv")).unwrap();
    })
    .await;
    drop_file(&folder, "z.json", &good("1"));
    let problem = problem(&fixture).await;
    assert!(problem.contains("/done must be a folder"), "{problem}");
    fs::remove_file(folder.join("done")).unwrap();
    wait(&fixture, |view| view.files == 1).await;
    fixture.agent.stop().await;
    assert_eq!(names(&folder), ["a.ndjson", "b.csv", "done"]);
}

#[tokio::test]
async fn a_file_of_somebody_else_is_not_read_by_another_name() {
    let (fixture, _) = start(|folder| {
        let secret = folder.join("../secret");
        fs::write(&secret, "{\"card\":\"4711\"}\n").unwrap();
        fs::hard_link(&secret, folder.join("a.ndjson")).unwrap();
    })
    .await;
    let view = wait(&fixture, |view| view.waits.iter().any(|wait| wait.why.contains("another name"))).await;
    assert_eq!((view.files, view.waits[0].file.as_str()), (0, "a.ndjson"));
    fs::remove_file(fixture.dir.path().join("secret")).unwrap();
    wait(&fixture, |view| view.files == 1).await;
}

#[tokio::test]
async fn done_is_the_agent_s_own_or_nothing_is_put_there() {
    let (fixture, folder) = start(|folder| {
        fs::create_dir(folder.join("done")).unwrap();
        fs::set_permissions(folder.join("done"), fs::Permissions::from_mode(0o777)).unwrap();
    })
    .await;
    drop_file(&folder, "a.json", &good("1"));
    let said = problem(&fixture).await;
    assert!(said.contains("/done may be written to by others than its owner, by everybody; remove it"), "{said}");
    fs::set_permissions(folder.join("done"), fs::Permissions::from_mode(0o755)).unwrap();
    wait(&fixture, |view| view.files == 1 && view.problem.is_none()).await;
    if !outpost::device::rights::is_root() {
        eprintln!("a folder of another user is not tried: that takes root");
        return;
    }
    chown(folder.join("done"), Some(STRANGER), None).unwrap();
    drop_file(&folder, "b.json", &good("2"));
    let said = problem(&fixture).await;
    assert!(said.contains(&format!("/done belongs to the user {STRANGER}")), "{said}");
}

#[tokio::test]
async fn the_folder_itself_is_no_link_of_somebody_else() {
    if !outpost::device::rights::is_root() {
        eprintln!("a link of another user is not tried: that takes root");
        return;
    }
    let (mut fixture, folder) = start(|folder| {
        fs::remove_dir(folder).unwrap();
        fs::write(folder.parent().unwrap().join("agent.json"), "{}").unwrap();
        symlink(".", folder).unwrap();
        std::os::unix::fs::lchown(folder, Some(STRANGER), None).unwrap();
    })
    .await;
    let said = problem(&fixture).await;
    assert!(said.contains(&format!("a link that the user {STRANGER} made")), "{said}");
    fixture.agent.stop().await;
    assert!(folder.join("agent.json").exists() && has_own(&fixture));
}

#[test]
fn a_secret_of_another_user_is_refused() {
    if !outpost::device::rights::is_root() {
        eprintln!("a secret of another user is not tried: that takes root");
        return;
    }
    let device = Device::new();
    device.write_private("t.token", "secret\n");
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("[target]\n", "[target]\ntoken = { file = \"t.token\" }\n"));
    device.works(&["check"]);
    chown(device.dir.path().join("t.token"), Some(STRANGER), None).unwrap();
    let (_, said) = device.fails(&["check"]);
    assert!(
        said.contains(&format!("belongs to the user {STRANGER}, who can change it; run `chown root t.token`")),
        "{said}"
    );
}

/// The agent of a device as another user, to whom the device belongs.
struct StrangersAgent(std::process::Child);

impl StrangersAgent {
    fn run(device: &Device) -> Self {
        use std::io::BufRead;
        use std::os::unix::process::CommandExt;
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_outpost"))
            .arg("run")
            .current_dir(device.dir.path())
            .uid(STRANGER)
            .gid(STRANGER)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let greeting = std::io::BufReader::new(child.stdout.take().unwrap()).lines().next();
        greeting.expect("the agent should start").unwrap();
        Self(child)
    }
}

impl Drop for StrangersAgent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// A device whose data directory belongs to another user; none unless this is root.
pub fn strangers_device() -> Option<Device> {
    if !outpost::device::rights::is_root() {
        eprintln!("root's hand is not tried: that takes root");
        return None;
    }
    let device = Device::new();
    fs::set_permissions(device.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = device.dir.path().join("data");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(STRANGER), Some(STRANGER)).unwrap();
    Some(device)
}

/// The owners of what is in the data directory, with their names.
fn foreign(device: &Device) -> Vec<(String, u32)> {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(device.dir.path().join("data")).unwrap().map(Result::unwrap);
    let owners = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::symlink_metadata(entry.path()).unwrap().uid()));
    owners.filter(|(_, owner)| *owner != STRANGER).collect()
}

#[test]
fn what_root_writes_belongs_to_the_owner_of_the_data_directory() {
    let Some(device) = strangers_device() else { return };
    device.record_use("7");
    assert_eq!(foreign(&device), []);
    device.works(&["token", "create", "till", "--right", "record"]);
    device.write_private("store.key", &"0f".repeat(32));
    device.works(&["rekey", "--new-key-file", "store.key"]);
    assert_eq!(foreign(&device), []);
}

#[test]
fn a_token_that_root_takes_back_is_no_longer_good() {
    let Some(device) = strangers_device() else { return };
    let data = device.dir.path().join("data");
    let agent = StrangersAgent::run(&device);
    let till = device.works(&["token", "create", "till", "--right", "record"]);
    assert_eq!(ask(&device, till.trim()), 403);
    // A link that the service planted is not followed.
    fs::write(device.dir.path().join("own"), "root's own").unwrap();
    symlink("../own", data.join("tokens.new")).unwrap();
    assert!(device.works(&["token", "revoke", "till"]).contains("no longer valid"));
    assert_eq!(ask(&device, till.trim()), 401);
    assert_eq!(fs::read_to_string(device.dir.path().join("own")).unwrap(), "root's own");
    assert_eq!(foreign(&device), []);
    drop(agent);
    drop(StrangersAgent::run(&device));
}

#[test]
fn a_token_that_the_agent_goes_on_with_is_not_said_to_be_taken_back() {
    let Some(device) = strangers_device() else { return };
    let data = device.dir.path().join("data");
    let _agent = StrangersAgent::run(&device);
    let till = device.works(&["token", "create", "till", "--right", "record"]);
    // What root writes there now is root's, and closed to the agent.
    chown(&data, Some(0), Some(STRANGER)).unwrap();
    for name in ["tokens.json", "agent.json", "intake.token"] {
        chown(data.join(name), Some(0), Some(STRANGER)).unwrap();
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o770)).unwrap();
    let (code, said) = device.fails(&["token", "revoke", "till"]);
    assert!(said.contains("the agent that runs there still uses those before"), "{said}");
    assert_eq!((code, ask(&device, till.trim())), (Some(1), 403));
}

/// The status of a request to the agent of a device that a token which may record must not make.
fn ask(device: &Device, token: &str) -> u16 {
    let endpoint = fs::read(device.dir.path().join("data/agent.json")).unwrap();
    let endpoint: serde_json::Value = serde_json::from_slice(&endpoint).unwrap();
    let url = format!("http://{}/v1/status", endpoint["http"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(crate::process::client_of_one_connection().get(url).bearer_auth(token).send());
    answer.unwrap().status().as_u16()
}

#[test]
fn what_is_sent_to_localhost_reaches_the_agent_by_both_of_its_addresses() {
    use std::io::{Read, Write};
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no ::1");
        return;
    }
    let device = Device::new();
    let agent = device.run();
    let mut stream = std::net::TcpStream::connect(("::1", endpoint(&device).port())).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(agent);

    // Somebody else is there already: what is sent to localhost might be his.
    let somebody = std::net::TcpListener::bind("[::1]:0").unwrap();
    let taken = somebody.local_addr().unwrap();
    let listen = format!("listen = \"127.0.0.1:{}\"", taken.port());
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("listen = \"127.0.0.1:0\"", &listen));
    let (code, said) = device.fails(&["run"]);
    assert!(said.contains(&format!("cannot listen on {taken}")), "{said}");
    assert_eq!(code, Some(1));
}

/// Where the agent of a device listens.
fn endpoint(device: &Device) -> std::net::SocketAddr {
    DataDir::new(device.dir.path().join("data")).endpoint().unwrap().unwrap().http
}

#[cfg(target_os = "linux")]
#[test]
fn no_token_is_sent_to_somebody_who_listens_where_the_agent_did() {
    use std::io::BufRead;
    use std::os::unix::process::CommandExt;
    let Some(device) = strangers_device() else { return };
    let data = device.dir.path().join("data");
    chown(&data, Some(0), Some(0)).unwrap();
    device.record_use("7");
    // The agent is about to start, and has not announced itself yet; its last announcement is there.
    let data_dir = DataDir::new(&data);
    data_dir.token().unwrap();
    let _lock = data_dir.lock().unwrap();
    let mut somebody = std::process::Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["sandbox", "--listen", "127.0.0.1:0"])
        .uid(STRANGER)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(somebody.stdout.take().unwrap()).lines();
    let greeting = lines.map(Result::unwrap).find(|line| line.contains("http://127.0.0.1:")).unwrap();
    let (_, address) = greeting.split_once("http://").unwrap();
    let address = address.split(|next: char| next != '.' && next != ':' && !next.is_ascii_digit()).next().unwrap();
    data_dir.announce(&Endpoint { http: address.parse().unwrap(), socket: None }).unwrap();
    let (code, said) = device.fails(&["status"]);
    somebody.kill().unwrap();
    somebody.wait().unwrap();
    assert!(said.contains(&format!("the user {STRANGER} does, who is not the agent's: nothing was sent")), "{said}");
    assert_eq!(code, Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn no_core_file_is_written_of_the_agent_and_nobody_reads_its_memory() {
    use std::os::unix::fs::MetadataExt;
    let check = |pid: u32| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<&str> = cores.split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{cores}");
        // What may not be dumped is root's alone to look into.
        assert_eq!(fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0);
    };
    match strangers_device() {
        Some(device) => check(StrangersAgent::run(&device).0.id()),
        None => check(Device::new().run().0.id()),
    }
}

#[test]
fn a_secret_of_the_service_s_user_is_good_for_root_s_commands() {
    let Some(device) = strangers_device() else { return };
    device.write_private("t.token", "secret\n");
    chown(device.dir.path().join("t.token"), Some(STRANGER), None).unwrap();
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("[target]\n", "[target]\ntoken = { file = \"t.token\" }\n"));
    device.works(&["check"]);
}

/// A file without data or an end of a line, of that size, which takes no room on a disk.
fn drop_sparse(folder: &Path, name: &str, bytes: u64) {
    fs::File::create(folder.join(name)).unwrap().set_len(bytes).unwrap();
}

#[tokio::test]
async fn a_file_without_an_end_of_a_line_keeps_no_other_file_waiting() {
    let (fixture, _) = start(|folder| {
        drop_sparse(folder, "huge.ndjson", 20 << 30);
        drop_sparse(folder, "large.ndjson", 65 << 20);
        drop_sparse(folder, "other.ndjson", 65 << 20);
        drop_file(folder, "z.json", &good("1"));
    })
    .await;
    let view = wait(&fixture, |view| view.files == 3).await;
    assert_eq!(view.failed_files, 2, "{view:?}");
    assert_eq!(view.waits[0].file, "huge.ndjson");
    assert!(view.waits[0].why.contains("must be at most 8589934592; split it"), "{view:?}");
}

#[tokio::test]
async fn the_agent_stops_in_time_whatever_it_reads() {
    let (mut fixture, folder) = start(|folder| drop_sparse(folder, "a.ndjson", 8 << 30)).await;
    wait(&fixture, |view| view.waiting == 1 && view.waits.is_empty()).await;
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(5), fixture.agent.stop()).await;
    assert!(stopped.is_ok() && folder.join("a.ndjson").exists());
}

#[tokio::test]
async fn small_files_have_their_turn_while_a_large_one_is_read() {
    let (mut fixture, folder) = start(|folder| drop_sparse(folder, "large.ndjson", 8 << 30)).await;
    wait(&fixture, |view| view.waiting == 1 && view.waits.is_empty()).await;
    drop_sparse(&folder, "next.ndjson", 65 << 20);
    for id in ["1", "2"] {
        drop_file(&folder, &format!("{id}.json"), &good(id));
    }
    let view = wait(&fixture, |view| view.files == 2).await;
    assert_eq!(names(&folder.join("done")), [".read", "1.json", "2.json"], "{view:?}");
    assert!(folder.join("large.ndjson").exists());
    let view = wait(&fixture, |view| view.waiting == 2 && view.reading.is_some()).await;
    assert_eq!((view.reading.unwrap().file.as_str(), view.waits[0].file.as_str()), ("large.ndjson", "next.ndjson"));
    fixture.agent.stop().await;
}

#[tokio::test]
async fn rows_without_a_time_keep_the_order_of_their_files_whatever_their_size() {
    let row = |store: &str| {
        let data = json!({"card": "7", "store": store, "total": 1});
        json!({"type": "com.acme.loyalty.used", "data": data}).to_string() + "\n"
    };
    let blank = " ".repeat(1_000_000) + "\n";
    let (fixture, _) = start(|folder| {
        drop_file(folder, "export.ndjson", &(blank.repeat(68) + &row("Lund")));
        drop_file(folder, "correction.ndjson", &row("Malmo"));
        let written = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        let export = fs::File::options().append(true).open(folder.join("export.ndjson")).unwrap();
        export.set_modified(written).unwrap();
    })
    .await;
    let view = wait(&fixture, |view| view.files == 2).await;
    assert_eq!((view.lines, view.failed_lines), (2, 0));
    fixture.wait_held("7", "visits", "2").await;
    fixture.wait_held("7", "lastStore", "Malmo").await;
}

#[tokio::test]
async fn rows_without_a_time_of_files_that_were_there_at_the_start_keep_the_order_in_which_they_were_written() {
    let row = |store: &str| {
        let data = json!({"card": "7", "store": store, "total": 1});
        json!({"type": "com.acme.loyalty.used", "data": data}).to_string() + "\n"
    };
    let (fixture, _) = start(|folder| {
        // Its last line has no end, so it waits longer.
        drop_file(folder, "export.ndjson", &(row("Lund") + " "));
        drop_file(folder, "correction.ndjson", &row("Malmo"));
        let written = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        let export = fs::File::options().append(true).open(folder.join("export.ndjson")).unwrap();
        export.set_modified(written).unwrap();
    })
    .await;
    let view = wait(&fixture, |view| view.files == 2).await;
    assert_eq!((view.lines, view.failed_lines), (2, 0));
    fixture.wait_held("7", "visits", "2").await;
    fixture.wait_held("7", "lastStore", "Malmo").await;
}

#[tokio::test]
async fn files_that_are_never_read_hide_no_other_however_many_they_are_and_all_are_counted() {
    let (fixture, _) = start(|folder| {
        (0..20_000).for_each(|number| fs::write(folder.join(format!("{number}.csv")), "").unwrap());
        (0..16).for_each(|number| drop_file(folder, &format!("good-{number}.json"), &good(&number.to_string())));
    })
    .await;
    let view = wait(&fixture, |view| view.files == 16 && view.waiting == 20_000).await;
    assert!(view.waits.len() == 5 && view.waits.iter().all(|wait| wait.why == "it is empty"), "{:?}", view.waits);
}

#[tokio::test]
async fn whoever_may_drop_files_can_neither_hide_nor_exchange_done_and_failed() {
    let open = |folder: &Path| fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    let (fixture, folder) = start(open).await;
    drop_file(&folder, "good.json", &good("1"));
    wait(&fixture, |view| view.files == 1).await;
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o7777, 0o1777);
    if !outpost::device::rights::is_root() {
        return;
    }
    open(fixture.dir.path());
    use std::os::unix::process::CommandExt;
    let mut hide = std::process::Command::new("mv");
    let hidden = hide.arg(folder.join("done")).arg(folder.join("hidden")).uid(STRANGER).gid(STRANGER).output().unwrap();
    assert!(!hidden.status.success() && folder.join("done").is_dir(), "{hidden:?}");
}

#[tokio::test]
async fn a_file_with_a_list_of_errors_is_deleted_nowhere() {
    let old = |path: PathBuf| {
        fs::write(&path, "x").unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(100_000);
        fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    };
    let prepare = |folder: &Path| {
        fs::create_dir(folder.join("done")).unwrap();
        for name in ["read.csv", "failed.csv", "failed.csv.errors"] {
            old(folder.join("done").join(name));
        }
    };
    let (fixture, folder) = start(prepare).await;
    let done = folder.join("done");
    while done.join("read.csv").exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&done), ["failed.csv", "failed.csv.errors"]);
    drop(fixture);
}
