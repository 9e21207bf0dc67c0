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

/// Returns the one value that a statement has.
pub async fn query<T: tokio_postgres::types::FromSqlOwned>(url: &str, sql: &str) -> T {
    connect(url).await.query_one(sql, &[]).await.unwrap().get(0)
}

pub async fn execute(url: &str, sql: &str) {
    connect(url).await.execute(sql, &[]).await.unwrap();
}

/// A connection, which ends with its client.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
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
        make(dir.path());
        Cluster { _server: serve(dir.path()), dir }
    })
}

/// A cluster of one test's own, which may be stopped.
pub struct Own {
    dir: TempDir,
    server: Child,
}

impl Own {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        Self { server: serve(dir.path()), dir }
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.dir.path().to_str().unwrap().replace('/', "%2F"))
    }

    /// Stops it, and waits until it is.
    pub fn stop(&self) {
        self.signal(rustix::process::Signal::INT);
        while self.dir.path().join(".s.PGSQL.5432").exists() {
            std::thread::yield_now();
        }
    }

    pub fn again(mut self) -> Self {
        drop(self.server.stdin.take());
        self.server.wait().unwrap();
        self.server = serve(self.dir.path());
        self
    }

    pub fn freeze(&self) {
        self.all(rustix::process::Signal::STOP);
    }

    pub fn thaw(&self) {
        self.all(rustix::process::Signal::CONT);
    }

    fn pid(&self) -> rustix::process::Pid {
        let file = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid")).unwrap();
        let pid = file.lines().next().unwrap().parse().unwrap();
        rustix::process::Pid::from_raw(pid).unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Signals the server and the processes that it has for its sessions.
    fn all(&self, signal: rustix::process::Signal) {
        let server = self.pid().as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        self.signal(signal);
        for child in children.split_whitespace() {
            let pid = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

fn make(dir: &Path) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    let data = dir.join("data");
    let mut init = program("initdb");
    init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"]).arg(&data);
    assert!(init.stdout(Stdio::null()).status().expect("initdb runs").success());
    let mut conf = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
    // What survives a power cut is not what is tried here.
    writeln!(
        conf,
        "listen_addresses = ''\nfsync = off\nmax_connections = 100\nunix_socket_directories = '{}'",
        dir.display()
    )
    .unwrap();
}

/// Starts the server of a cluster. It ends when our end of its input is closed.
fn serve(dir: &Path) -> Child {
    let script = r#""$1" -D "$2" >"$2/log" 2>&1 & server=$!; read -r _; kill -INT $server; wait $server"#;
    let mut server = as_postgres(Command::new("sh"));
    server.args(["-c", script, "sh"]).arg(bin("postgres")).arg(dir.join("data")).stdin(Stdio::piped());
    let server = server.stderr(Stdio::null()).spawn().unwrap();
    let mut ready = program("pg_isready");
    ready.args(["-q", "-h"]).arg(dir);
    while !ready.status().unwrap().success() {
        std::thread::yield_now();
    }
    server
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
