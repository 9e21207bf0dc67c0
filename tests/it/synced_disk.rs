//! Power cuts on a disk that keeps only what was synced, of directories too: what was answered before the cut is there.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use outpost::agent::data_dir::DataDir;
use outpost::core::tokens::TokenHash;
use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{FILE_NAME, Store, StoreFile, StoreKey};
use secrecy::{ExposeSecret, SecretBox};

use crate::power_cut::{acknowledged, cut};
use crate::process::{Access, client_of_one_connection, post};
use crate::support::{MAPPINGS, used, write_private};

/// Who is forgotten, and who is not.
const GONE: &str = "card-that-is-gone";
const KEPT: &str = "card-that-is-kept";

/// Key of a store, in hex.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// What must be so in the data directory after a cut.
type Claim = Box<dyn Fn(&Path)>;

/// A device whose every write is recorded.
struct Device {
    root: PathBuf,
    library: PathBuf,
    /// What was answered at which length of the record.
    claims: Vec<(usize, Claim)>,
    _dir: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("disk")).unwrap();
        let nowhere = MAPPINGS.replace("[target]\n", "[target]\nendpoint = \"http://127.0.0.1:9\"\n");
        let data_dir = root.join("disk/lib/outpost");
        let agent = format!("[agent]\ndata_dir = '{}'\n[intake.http]\nlisten = \"127.0.0.1:0\"\n", data_dir.display());
        fs::write(root.join("agent.toml"), format!("{agent}{nowhere}")).unwrap();
        Self { library: cut::recorder(&root), root, claims: Vec::new(), _dir: dir }
    }

    fn data_dir(&self) -> PathBuf {
        self.root.join("disk/lib/outpost")
    }

    fn outpost(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
        command.args(args).arg("-c").arg(self.root.join("agent.toml")).stderr(Stdio::null());
        command.env("LD_PRELOAD", &self.library).env("CUT_DIR", self.root.join("disk"));
        command.env("CUT_LOG", self.root.join("log")).current_dir(&self.root);
        command
    }

    fn run(&self) -> (Child, Access) {
        let mut child = self.outpost(&["run"]).stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).lines().next().expect("the agent should start").unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(self.data_dir().join("agent.json")).unwrap()).unwrap();
        let endpoint = format!("http://{}", json["http"].as_str().unwrap());
        (child, Access { endpoint, token: self.intake_token() })
    }

    fn intake_token(&self) -> String {
        fs::read_to_string(self.data_dir().join("intake.token")).unwrap()
    }

    /// Runs a command that works, and gives what it printed.
    fn works(&self, args: &[&str]) -> String {
        let output = self.outpost(args).output().unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// From now on this must be so, whenever the power is cut, until something else is claimed.
    fn claim(&mut self, claim: impl Fn(&Path) + 'static) {
        let length = fs::metadata(self.root.join("log")).unwrap().len();
        self.claims.push((usize::try_from(length).unwrap(), Box::new(claim)));
    }

    /// The data directory after a cut behind these records.
    fn after(&self, records: &[cut::Record]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in cut::synced_disk(records, &self.root.join("disk")) {
            let Ok(name) = path.strip_prefix(self.data_dir()) else { continue };
            // Shared memory is gone with the power.
            if name.components().count() == 1 && !name.to_str().unwrap().ends_with("-shm") {
                let path = dir.path().join(name);
                write_private(&path, "");
                fs::write(path, bytes).unwrap();
            }
        }
        dir
    }

    /// Cuts the power behind each answer.
    fn check(&self) {
        let log = fs::read(self.root.join("log")).unwrap();
        for (length, claim) in &self.claims {
            claim(self.after(&cut::read(&log[..*length])).path());
        }
        let records = cut::read(&log);
        let answers = (0..records.len()).filter(|at| matches!(&records[*at], cut::Record::Sent(_)));
        for at in answers {
            let ids = acknowledged(&records[..=at]);
            let sent = |text: &str| records[..=at].iter().any(|record| is_sent(record, text));
            let dir = self.after(&records[..=at]);
            if sent("\"was_in_flight\"") {
                assert_without(dir.path(), GONE);
            }
            if !ids.is_empty() {
                assert_known(dir.path(), &ids, None);
            }
        }
    }
}

fn is_sent(record: &cut::Record, text: &str) -> bool {
    matches!(record, cut::Record::Sent(sent) if String::from_utf8_lossy(sent).contains(text))
}

fn assert_without(dir: &Path, text: &str) {
    let found = crate::support::files_with(dir, text);
    assert!(found.is_empty(), "{text} is in {found:?} after the cut");
}

fn assert_known(dir: &Path, ids: &[String], key: Option<&str>) {
    let key = key.map(|key| StoreKey::new(&SecretBox::new(hex::decode(key).unwrap().into())));
    let file = StoreFile { path: dir.join(FILE_NAME), key, old_key: None };
    assert!(file.path.exists(), "the store is lost with {} acknowledged events", ids.len());
    assert!(!Store::mend(&file, Clock::system()).unwrap(), "the cut damaged the store");
    let mut store = Store::open(&file).unwrap();
    let again = |id: &String| cloudevents::structured(used(id, "7", "Lund", 1.0).to_string().as_bytes()).unwrap();
    let mappings = crate::support::mappings(MAPPINGS);
    let events = ids.iter().map(again).collect();
    for answer in record_directly(&mut store, events, &mappings, &Clock::new(None)).unwrap() {
        assert_eq!(answer.status.name(), "duplicate", "event {} was acknowledged and is lost", answer.id);
    }
}

fn hash(token: &str) -> TokenHash {
    TokenHash::of(token.as_bytes())
}

#[tokio::test]
async fn what_was_answered_is_on_a_disk_that_keeps_only_what_was_synced() {
    let mut device = Device::new();
    let (mut agent, access) = device.run();
    let intake = device.intake_token();
    device.claim(move |dir| assert_eq!(DataDir::new(dir).token().unwrap().expose_secret(), intake));
    let http = client_of_one_connection();
    for (id, card) in [("1", GONE), ("2", KEPT), ("3", GONE), ("4", KEPT)] {
        assert!(post(&http, &access, &used(id, card, "Lund", 1.0).to_string()).await);
    }

    let named = |dir: &Path| DataDir::new(dir).named_tokens().unwrap();
    let till = device.works(&["token", "create", "till", "--right", "record"]);
    device.claim(move |dir| assert!(named(dir)[0].hash == hash(&till), "not the token that was printed"));
    let till = device.works(&["token", "rotate", "till"]);
    device.claim(move |dir| assert!(named(dir)[0].hash == hash(&till), "not the token that was printed"));
    device.works(&["token", "rotate"]);
    let intake = device.intake_token();
    device.claim(move |dir| assert_eq!(DataDir::new(dir).token().unwrap().expose_secret(), intake));
    device.works(&["token", "revoke", "till"]);
    device.claim(move |dir| assert!(named(dir).is_empty(), "the revoked token is good again"));

    device.works(&["forget", &format!("third_party_id:{GONE}")]);
    device.claim(|dir| assert_without(dir, GONE));
    agent.kill().unwrap();
    agent.wait().unwrap();
    write_private(&device.root.join("store.key"), KEY);
    device.works(&["rekey", "--new-key-file", "store.key"]);
    device.claim(|dir| {
        assert_without(dir, KEPT);
        assert_known(dir, &["1", "2", "3", "4"].map(str::to_owned), Some(KEY));
    });
    device.check();
}
