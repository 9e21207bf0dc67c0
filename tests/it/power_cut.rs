//! `kill -9` in a loop, and power cuts, while several clients post: what was acknowledged counts once, and nothing twice.

use std::collections::BTreeMap;

use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::Unknown;
use tokio::sync::watch;

use crate::process::{Access, Agent, client_of_one_connection, configure, drained, post, start_sandbox};
use crate::support::{MAPPINGS, held, used};

const KILLS: usize = 200;
const CLIENTS: usize = 4;
const CARDS: usize = 5;
/// Acknowledged events between two kills, on average.
const EVENTS_A_LIFE: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_counts_once_and_none_twice() {
    let (sandbox, _stop_sandbox) = start_sandbox(Unknown::Accept).await;
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), sandbox.1, "");
    let sandbox = sandbox.0;

    let mut agent = Agent::start(dir.path()).await;
    let (access_sender, access) = watch::channel(agent.access.clone());
    let (acknowledged_sender, mut acknowledged) = watch::channel(0);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(post_events(client, access.clone(), acknowledged_sender.clone())))
        .collect();
    // When all clients are gone, the waiting below ends too.
    drop(acknowledged_sender);
    for life in 1..=KILLS {
        let killed_at = life * EVENTS_A_LIFE + fastrand::usize(0..EVENTS_A_LIFE);
        acknowledged.wait_for(|&events| events >= killed_at).await.unwrap();
        drop(agent);
        agent = Agent::start(dir.path()).await;
        access_sender.send(agent.access.clone()).unwrap();
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for client in clients {
        for card in client.await.unwrap() {
            *counts.entry(card).or_default() += 1;
        }
    }

    let drained = drained(&agent.access).await;
    let total: usize = counts.values().sum();
    assert_eq!(drained.events.recorded, total as i64);
    for (card, count) in &counts {
        assert_eq!(held(&sandbox.target(), card, "visits"), Some(count.to_string()), "{card}");
    }
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    for request in sandbox.target().requests() {
        assert_eq!(request.wrong, None);
        let (_, card) = request.identity.clone().unwrap();
        let visits = request.attributes["visits"].parse().unwrap();
        let before = newest.insert(card, visits).unwrap_or(0);
        assert!(before <= visits, "an older update came after a newer one");
    }
}

/// What Target may have counted counts here too, though its answer was never seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_a_kill_hid_counts_in_the_quota() {
    let ((sandbox, address), _stop_sandbox) = start_sandbox(Unknown::Accept).await;
    sandbox.target().faults = "slow=60s".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), address, "");
    let agent = Agent::start(dir.path()).await;
    let http = client_of_one_connection();
    assert!(post(&http, &agent.access, &used("1", "7", "Lund", 1.0).to_string()).await);
    while sandbox.target().requests_total() == 0 {
        tokio::task::yield_now().await;
    }
    drop(agent);
    sandbox.target().faults = Faults::default();
    let agent = Agent::start(dir.path()).await;
    let status = drained(&agent.access).await;
    assert_eq!(status.quota.used, sandbox.target().requests_total());
    assert_eq!(status.quota.used, 2);
}

/// Posts events, each until it is acknowledged, and gives the card of each.
async fn post_events(
    client: usize,
    mut access: watch::Receiver<Access>,
    acknowledged: watch::Sender<usize>,
) -> Vec<String> {
    let http = client_of_one_connection();
    let mut cards = Vec::new();
    while *acknowledged.borrow() < (KILLS + 2) * EVENTS_A_LIFE {
        let number = cards.len();
        let card = format!("card-{}", (client + number) % CARDS);
        let event = used(&format!("{client}-{number}"), &card, "Lund", 1.0).to_string();
        loop {
            let now = access.borrow_and_update().clone();
            if post(&http, &now, &event).await {
                break;
            }
            // The agent was killed: the next one says where it is.
            access.changed().await.unwrap();
        }
        acknowledged.send_modify(|events| *events += 1);
        cards.push(card);
    }
    cards
}

/// What a process wrote, as `tests/faults/recorder.c` recorded it.
#[cfg(target_os = "linux")]
pub mod cut {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use fastrand::Rng;

    /// Bytes that a disk writes whole.
    const SECTOR: usize = 512;

    pub enum Record {
        /// A file was made.
        Create {
            path: PathBuf,
        },
        MakeDir {
            path: PathBuf,
        },
        Write {
            path: PathBuf,
            offset: usize,
            data: Vec<u8>,
        },
        Truncate {
            path: PathBuf,
            length: usize,
        },
        Sync {
            path: PathBuf,
        },
        Rename {
            from: PathBuf,
            to: PathBuf,
        },
        Unlink {
            path: PathBuf,
        },
        /// Something was sent to a socket.
        Sent(Vec<u8>),
    }

    /// Compiles the recorder into a directory.
    pub fn recorder(dir: &Path) -> PathBuf {
        let library = dir.join("recorder.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/recorder.c");
        let compiled = Command::new(std::env::var_os("OUTPOST_TEST_CC").unwrap_or("cc".into()))
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .status();
        assert!(compiled.unwrap().success());
        library
    }

    /// The records of a log; the last may be cut off.
    pub fn read(log: &[u8]) -> Vec<Record> {
        let (mut rest, mut records) = (log, Vec::new());
        while let Some((head, after)) = rest.split_first_chunk::<15>() {
            let path_length = usize::from(u16::from_ne_bytes([head[1], head[2]]));
            let offset = i64::from_ne_bytes(head[3..11].try_into().unwrap());
            let length = u32::from_ne_bytes(head[11..15].try_into().unwrap()) as usize;
            if after.len() < path_length + length {
                break;
            }
            let (path, after) = after.split_at(path_length);
            let (data, after) = after.split_at(length);
            let path = PathBuf::from(std::str::from_utf8(path).unwrap());
            let offset = usize::try_from(offset.max(0)).unwrap();
            records.push(match head[0] {
                b'C' => Record::Create { path },
                b'D' => Record::MakeDir { path },
                b'W' => Record::Write { path, offset, data: data.to_vec() },
                b'T' => Record::Truncate { path, length: offset },
                b'S' => Record::Sync { path },
                b'R' => Record::Rename { from: path, to: std::str::from_utf8(data).unwrap().into() },
                b'U' => Record::Unlink { path },
                _ => Record::Sent(data.to_vec()),
            });
            rest = after;
        }
        records
    }

    /// A file as the disk has it, and what it may have of what was not synced.
    #[derive(Clone, Default)]
    struct File {
        synced: Vec<u8>,
        unsynced: Vec<Change>,
    }

    #[derive(Clone)]
    enum Change {
        Write(usize, Vec<u8>),
        Truncate(usize),
    }

    impl File {
        fn apply(&mut self, change: &Change) {
            match change {
                Change::Write(offset, data) => {
                    let end = offset + data.len();
                    if self.synced.len() < end {
                        self.synced.resize(end, 0);
                    }
                    self.synced[*offset..end].copy_from_slice(data);
                }
                Change::Truncate(length) => self.synced.resize(*length, 0),
            }
        }

        fn sync(&mut self) {
            for change in std::mem::take(&mut self.unsynced) {
                self.apply(&change);
            }
        }

        /// Of what was not synced, any sectors reached the disk, in any order.
        fn cut(&mut self, rng: &mut Rng) {
            let mut changes = std::mem::take(&mut self.unsynced);
            changes.retain(|_| rng.bool());
            for change in changes {
                match change {
                    Change::Write(offset, data) => {
                        for (index, sector) in data.chunks(SECTOR).enumerate() {
                            if rng.u32(0..4) > 0 {
                                self.apply(&Change::Write(offset + index * SECTOR, sector.to_vec()));
                            }
                        }
                    }
                    truncate => self.apply(&truncate),
                }
            }
        }
    }

    /// The files after a power cut behind these records.
    pub fn disk(records: &[Record], rng: &mut Rng) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files: BTreeMap<PathBuf, File> = BTreeMap::new();
        for record in records {
            match record {
                Record::Write { path, offset, data } => {
                    files.entry(path.clone()).or_default().unsynced.push(Change::Write(*offset, data.clone()));
                }
                Record::Truncate { path, length } => {
                    files.entry(path.clone()).or_default().unsynced.push(Change::Truncate(*length));
                }
                Record::Sync { path } => files.entry(path.clone()).or_default().sync(),
                Record::Rename { from, to } => {
                    let file = files.remove(from).unwrap_or_default();
                    files.insert(to.clone(), file);
                }
                Record::Unlink { path } => drop(files.remove(path)),
                Record::Sent(_) | Record::Create { .. } | Record::MakeDir { .. } => {}
            }
        }
        let cut = |(path, mut file): (PathBuf, File)| {
            file.cut(rng);
            (path, file.synced)
        };
        files.into_iter().map(cut).collect()
    }

    /// Names and files, as programs see them and as the disk has them.
    #[derive(Default)]
    struct Names {
        files: Vec<File>,
        dirs: BTreeSet<PathBuf>,
        seen: BTreeMap<PathBuf, usize>,
        synced: BTreeMap<PathBuf, usize>,
    }

    impl Names {
        fn add(&mut self, path: &Path) -> usize {
            self.files.push(File::default());
            self.seen.insert(path.to_owned(), self.files.len() - 1);
            self.files.len() - 1
        }

        fn file(&mut self, path: &Path) -> &mut File {
            let number = self.seen.get(path).copied();
            let number = number.unwrap_or_else(|| self.add(path));
            &mut self.files[number]
        }

        /// Syncs what a file holds, or which names a directory has.
        fn sync(&mut self, path: &Path) {
            if let Some(number) = self.seen.get(path) {
                self.files[*number].sync();
            }
            let is_in = |name: &Path| name.parent() == Some(path);
            self.synced.retain(|name, _| !is_in(name));
            let names = self.seen.iter().filter(|(name, _)| is_in(name));
            self.synced.extend(names.map(|(name, number)| (name.clone(), *number)));
        }
    }

    /// Names and files behind these records.
    fn names(records: &[Record]) -> Names {
        let mut names = Names::default();
        for record in records {
            match record {
                Record::Create { path } => drop(names.add(path)),
                Record::MakeDir { path } => {
                    names.add(path);
                    names.dirs.insert(path.clone());
                }
                Record::Write { path, offset, data } => {
                    names.file(path).unsynced.push(Change::Write(*offset, data.clone()));
                }
                Record::Truncate { path, length } => names.file(path).unsynced.push(Change::Truncate(*length)),
                Record::Sync { path } => names.sync(path),
                Record::Rename { from, to } => {
                    if let Some(number) = names.seen.remove(from) {
                        names.seen.insert(to.clone(), number);
                    }
                }
                Record::Unlink { path } => drop(names.seen.remove(path)),
                Record::Sent(_) => {}
            }
        }
        names
    }

    /// The files after the process was killed behind these records.
    pub fn killed_disk(records: &[Record]) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = names(records);
        names.files.iter_mut().for_each(File::sync);
        let files = names.seen.iter().filter(|(path, _)| !names.dirs.contains(*path));
        files.map(|(path, number)| (path.clone(), names.files[*number].synced.clone())).collect()
    }

    /// The files below a directory after a power cut behind these records, on a disk that keeps only what was synced: of
    /// a file its bytes, and of a directory the names in it.
    pub fn synced_disk(records: &[Record], root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let names = names(records);
        let is_there = |path: &Path| {
            path.ancestors().take_while(|above| *above != root).all(|above| names.synced.contains_key(above))
        };
        let files = names.synced.iter().filter(|(path, _)| !names.dirs.contains(*path) && is_there(path));
        files.map(|(path, number)| (path.clone(), names.files[*number].synced.clone())).collect()
    }
}

/// Runs an agent once, and then plays a power cut behind many of its writes: unsynced sectors are lost or torn.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_at_any_moment_lose_nothing_that_was_acknowledged() {
    const CUTS: usize = 200;
    const EVENTS: usize = 400;
    let (sandbox, _stop_sandbox) = start_sandbox(Unknown::Accept).await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    // A small store copies its log into the database often.
    configure(&root, sandbox.1, "[store]\nmax_size = \"4MiB\"\nmin_free_disk = \"0B\"\n");
    let (library, log, data) = (cut::recorder(&root), root.join("log"), root.join("data"));
    let environment = [("LD_PRELOAD", library.as_path()), ("CUT_DIR", &data), ("CUT_LOG", &log)];
    let agent = Agent::start_with(&root, &environment);
    let clients = (0..CLIENTS).map(|client| {
        let access = agent.access.clone();
        tokio::spawn(async move {
            let http = client_of_one_connection();
            for number in 0..EVENTS / CLIENTS {
                let mut event = used(&format!("{client}-{number}"), &format!("card-{}", number % CARDS), "Lund", 1.0);
                event["data"]["filler"] = "x".repeat(2_000).into();
                assert!(post(&http, &access, &event.to_string()).await);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    drop(agent);

    let records = cut::read(&std::fs::read(&log).unwrap());
    let mut rng = fastrand::Rng::with_seed(4);
    let mut acknowledged_before_a_cut = 0;
    for _ in 0..CUTS {
        let at = rng.usize(1..=records.len());
        let acknowledged = acknowledged(&records[..at]);
        acknowledged_before_a_cut += acknowledged.len();
        check_disk(&cut::disk(&records[..at], &mut rng), &acknowledged);
    }
    assert!(acknowledged_before_a_cut > CUTS * EVENTS / 10, "the cuts come while events are acknowledged");
}

/// The ids of the events that were answered as recorded.
#[cfg(target_os = "linux")]
pub fn acknowledged(records: &[cut::Record]) -> Vec<String> {
    let answers = records.iter().filter_map(|record| match record {
        cut::Record::Sent(sent) => std::str::from_utf8(sent).ok()?.split_once("{\"events\":"),
        _ => None,
    });
    let id = |(_, answer): (&str, &str)| {
        let (_, after) = answer.split_once("\"id\":\"").expect("an answer names its event");
        after.split('"').next().unwrap_or_default().to_owned()
    };
    answers.map(id).collect()
}

/// The store of such a disk is sound, and holds all these events.
#[cfg(target_os = "linux")]
fn check_disk(files: &BTreeMap<std::path::PathBuf, Vec<u8>>, acknowledged: &[String]) {
    use outpost::device::clock::Clock;
    use outpost::intake::{cloudevents, record_directly};
    use outpost::store::{FILE_NAME, Store};

    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        // Shared memory is gone with the power.
        if path.parent().is_some_and(|parent| parent.ends_with("data")) && !name.ends_with("-shm") {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
    }
    let path = dir.path().join(FILE_NAME);
    assert!(!Store::mend(&path, Clock::system()).unwrap(), "the cut damaged the store");
    let mut store = Store::open(&path).unwrap();
    let again = |id: &String| cloudevents::structured(used(id, "7", "Lund", 1.0).to_string().as_bytes()).unwrap();
    let mappings = crate::support::mappings(MAPPINGS);
    let answers =
        record_directly(&mut store, acknowledged.iter().map(again).collect(), &mappings, &Clock::new(None)).unwrap();
    for answer in answers {
        assert_eq!(answer.status.name(), "duplicate", "event {} was acknowledged and is lost", answer.id);
    }
}
