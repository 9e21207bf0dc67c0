//! A device in a directory of its own: what people type there, in processes of their own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Output, Stdio};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{MAPPINGS, write_private};

/// A directory with a configuration that sends nowhere.
pub struct Device {
    pub dir: TempDir,
}

impl Device {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = MAPPINGS.replace("[target]\n", "[target]\nendpoint = \"http://127.0.0.1:9\"\n");
        let config = format!("[agent]\ndata_dir = \"data\"\n[intake.http]\nlisten = \"127.0.0.1:0\"\n{nowhere}");
        std::fs::write(dir.path().join("agent.toml"), config).unwrap();
        Self { dir }
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// A file that this user alone may read.
    pub fn write_private(&self, name: &str, text: &str) {
        write_private(&self.dir.path().join(name), text);
    }

    pub fn outpost(&self, args: &[&str]) -> Output {
        outpost(self.dir.path()).args(args).output().unwrap()
    }

    /// Runs a command that works, and gives what it printed.
    pub fn works(&self, args: &[&str]) -> String {
        let output = self.outpost(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs a command that does not work, and gives its exit code and what it said.
    pub fn fails(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.outpost(args);
        (output.status.code(), text(&output.stderr).replace(&self.dir.path().display().to_string(), "DIR"))
    }

    /// Runs a command, and gives what it printed, whether it worked or not.
    pub fn works_or_not(&self, args: &[&str]) -> String {
        text(&self.outpost(args).stdout)
    }

    pub fn record_use(&self, card: &str) -> String {
        let data = format!("{{\"card\":\"{card}\",\"store\":\"Lund\",\"total\":2}}");
        self.works(&["record", "--type", "com.acme.loyalty.used", "--data", &data])
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.works(&["status", "--json"])).unwrap()
    }

    pub fn run(&self) -> Agent {
        self.run_with(&[])
    }

    /// With further variables of the environment.
    pub fn run_with(&self, environment: &[(&str, &str)]) -> Agent {
        let mut command = self.command();
        command.envs(environment.iter().copied());
        Self::started(command)
    }

    /// As a user whom rights bind: of root's tests, one that owns the device.
    #[cfg(unix)]
    pub fn run_bound(&self) -> Agent {
        /// Nobody.
        const USER: u32 = 65_534;
        let mut command = self.command();
        if outpost::device::rights::is_root() {
            let there = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
            for path in there.chain([self.dir.path().to_owned()]) {
                std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
            }
            std::os::unix::process::CommandExt::uid(&mut command, USER);
            std::os::unix::process::CommandExt::gid(&mut command, USER);
        }
        Self::started(command)
    }

    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_outpost"));
        command.arg("run").current_dir(self.dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    fn started(mut command: std::process::Command) -> Agent {
        let mut child = command.spawn().unwrap();
        // The greeting comes when events are taken.
        BufReader::new(child.stdout.take().unwrap()).lines().next().expect("the agent should start").unwrap();
        Agent(child)
    }
}

/// An agent in a process of its own, killed when dropped.
pub struct Agent(pub Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

pub fn outpost(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
    command.env("TZ", "UTC");
    command.current_dir(dir);
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
