//! A PostgreSQL cluster of a sandbox's own: in the state directory, on a Unix socket, stopped with the node.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::cli::failure::Failure;
use crate::device::rights;

/// Directory of the programs in Debian, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Longest path of a Unix socket. Units: bytes. Source: unix(7), less what PostgreSQL appends.
const SOCKET_PATH_MAX: usize = 107 - "/.s.PGSQL.5432".len();

/// Longest time for a start: after a power cut it reads its log first.
const START_MAX: Duration = Duration::from_secs(60);

/// Ends the server when our end of its input is closed, as it is with this process, however it ends. No signal of a terminal
/// reaches it before the node is done.
const GUARD: &str = r#"trap '' INT; "$1" -D "$2" -c listen_addresses= -c "unix_socket_directories=$3" >"$2/server.log" 2>&1 </dev/null &
    server=$!; read -r _; kill -INT $server; wait $server"#;

/// A cluster that runs.
pub(super) struct Cluster(Child);

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Returns the directory of a sandbox without a configuration: root's own is closed to the user that PostgreSQL runs as.
pub(super) fn default_dir() -> PathBuf {
    if rights::is_root() {
        return PathBuf::from("/var/lib/outpost-hub-sandbox");
    }
    let from_env = std::env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = from_env.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")));
    state.unwrap_or_else(std::env::temp_dir).join("outpost-hub-sandbox")
}

/// Returns the URL of the cluster in a state directory.
pub(super) fn url(state_dir: &Path) -> SecretString {
    let path = socket_dir(state_dir).display().to_string();
    let escaped: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
    SecretString::from(format!("postgres://postgres@{escaped}/postgres"))
}

fn socket_dir(state_dir: &Path) -> PathBuf {
    std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned()).join("database")
}

/// Makes the cluster if there is none, starts it, and waits until it answers.
pub(super) fn start(state_dir: &Path) -> Result<Cluster, Failure> {
    let dir = socket_dir(state_dir);
    if dir.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(Failure::usage(format!(
            "the path {} is too long for a Unix socket: set a shorter state_dir in [hub]",
            dir.display()
        )));
    }
    let failed = |what: &str, error: &io::Error| {
        Failure::because(format!("the sandbox's database in {}: {what}: {error}", dir.display()))
    };
    let user = user()?;
    fs::create_dir_all(&dir).map_err(|error| failed("its directory cannot be made", &error))?;
    if let Some((uid, gid)) = user {
        // The user of PostgreSQL passes through the state directory, and has the database's for itself.
        fs::set_permissions(state_dir, Permissions::from_mode(0o711))
            .and_then(|()| chown(&dir, Some(uid), Some(gid)))
            .map_err(|error| failed("it cannot be given to the user postgres", &error))?;
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o700))
        .map_err(|error| failed("it cannot be closed to others", &error))?;
    let data = dir.join("data");
    if !data.join("PG_VERSION").exists() {
        let mut init = program("initdb", user)?;
        init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        let made = init.stdin(Stdio::null()).output().map_err(|error| failed("initdb cannot be run", &error))?;
        if !made.status.success() {
            return Err(failed("initdb", &io::Error::other(String::from_utf8_lossy(&made.stderr).trim().to_owned())));
        }
    }
    let mut server = as_user(Command::new("sh"), user);
    server.args(["-c", GUARD, "sh"]).arg(find("postgres")?).arg(&data).arg(&dir);
    server.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let cluster = Cluster(server.spawn().map_err(|error| failed("it cannot be started", &error))?);
    wait(&dir, user)?;
    Ok(cluster)
}

fn wait(dir: &Path, user: Option<(u32, u32)>) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let mut ready = program("pg_isready", user)?;
        let ready = ready.args(["-q", "-h"]).arg(dir).status();
        if ready.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        if begun.elapsed() > START_MAX {
            let log = dir.join("data/server.log");
            return Err(Failure::because(format!("the sandbox's database does not start; {} says why", log.display())));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn program(name: &str, user: Option<(u32, u32)>) -> Result<Command, Failure> {
    let mut command = as_user(Command::new(find(name)?), user);
    // The user's own directory is not its business.
    command.current_dir("/");
    Ok(command)
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid).env_remove("HOME");
    }
    command
}

/// Returns the user and group that PostgreSQL runs as, where we are root, which it refuses.
fn user() -> Result<Option<(u32, u32)>, Failure> {
    if !rights::is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    found.map(Some).ok_or_else(|| {
        Failure::because("PostgreSQL does not run as root, and there is no user postgres: install the package postgresql, or run this as another user")
    })
}

/// Returns the path of a program: the newest version that Debian's packages have installed, else one on the path.
fn find(name: &str) -> Result<PathBuf, Failure> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten();
    let version = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let mut versions: Vec<u32> = versions.filter_map(version).collect();
    versions.sort_unstable();
    let of_debian = versions.into_iter().rev().map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    of_debian.chain(on_path).map(|dir| dir.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Failure::because(format!(
            "PostgreSQL's program {name} is not on this machine: install its server (Debian: postgresql), or name a database by url in \
             [hub.database]"
        ))
    })
}
