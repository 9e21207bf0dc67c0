//! Gives the build the commit that it is of, for `outpost --version`: from `OUTPOST_COMMIT`, else from git, else none.

#![expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn main() {
    println!("cargo:rerun-if-env-changed=OUTPOST_COMMIT");
    println!("cargo:rerun-if-changed=packaging/commit.rs");
    // What changes when the commit does: the branch that is checked out, and where it points.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| std::path::Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let given = std::env::var("OUTPOST_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo:rustc-env=OUTPOST_COMMIT={}", commit.as_deref().unwrap_or("no commit"));
}
