//! A PostgreSQL cluster of the tests' own, in a directory that goes with it: one for the process, a database for each test.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use outpost::adobe::TlsOptions;
use outpost::hub::{Database, DatabaseOptions};
use secrecy::SecretString;
use tempfile::TempDir;

struct Cluster {
    dir: TempDir,
    /// Ends the server when our end of its input is closed, as it is with this process, however it ends.
    _server: Child,
}

/// A new database with the hub's schema, through a node with that many connections.
pub async fn database(connections: usize) -> (Database, String) {
    static DATABASES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("hub_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let cluster = cluster();
    psql(cluster, &format!("CREATE DATABASE {name}"));
    let host = cluster.dir.path().to_str().unwrap().replace('/', "%2F");
    let url = format!("postgres://postgres@{host}/{name}");
    let database = node(&url, connections);
    database.migrate().await.unwrap();
    (database, url)
}

/// Another node of the same database.
pub fn node(url: &str, connections: usize) -> Database {
    let options = DatabaseOptions { url: SecretString::from(url), connections, tls: TlsOptions::default() };
    Database::new(&options).unwrap()
}

fn psql(cluster: &Cluster, sql: &str) {
    let mut command = program("psql");
    let done = command.args(["-q", "-U", "postgres", "-h"]).arg(cluster.dir.path()).args(["-c", sql]).status();
    assert!(done.unwrap().success(), "{sql}");
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let data = dir.path().join("data");
        let mut init = program("initdb");
        init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"]).arg(&data);
        assert!(init.stdout(Stdio::null()).status().expect("initdb runs").success());
        let mut conf = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        // What survives a power cut is not what is tried here.
        writeln!(
            conf,
            "listen_addresses = ''\nfsync = off\nmax_connections = 100\nunix_socket_directories = '{}'",
            dir.path().display()
        )
        .unwrap();
        let script = r#""$1" -D "$2" >"$2/log" 2>&1 & server=$!; read -r _; kill -INT $server; wait $server"#;
        let mut server = as_postgres(Command::new("sh"));
        server.args(["-c", script, "sh"]).arg(bin("postgres")).arg(&data).stdin(Stdio::piped());
        let server = server.spawn().unwrap();
        let mut ready = program("pg_isready");
        ready.args(["-q", "-h"]).arg(dir.path());
        while !ready.status().unwrap().success() {
            std::thread::yield_now();
        }
        Cluster { dir, _server: server }
    })
}

fn program(name: &str) -> Command {
    let mut command = as_postgres(Command::new(bin(name)));
    // The user's own directory is not its business.
    command.current_dir("/");
    command
}

/// PostgreSQL does not run as root; its package makes the user for it.
fn as_postgres(mut command: Command) -> Command {
    if std::fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0) {
        let id = |flag| {
            let id = Command::new("id").args([flag, "postgres"]).output().unwrap();
            String::from_utf8(id.stdout)
                .unwrap()
                .trim()
                .parse::<u32>()
                .expect("the user postgres, of the package postgresql")
        };
        command.uid(id("-u")).gid(id("-g"));
    }
    command
}

/// The newest installed version, which Debian does not put on the path.
fn bin(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("the package postgresql is installed");
    let newest = versions.filter_map(|version| version.ok()?.file_name().to_str()?.parse::<u32>().ok()).max();
    Path::new("/usr/lib/postgresql").join(newest.expect("a version").to_string()).join("bin").join(name)
}
