//! Gives the build the commit that it is of, for `outpost --version`: from `OUTPOST_COMMIT`, else from git, else none. Packs the
//! documents that the program carries and rarely shows: they take a sixth of the room.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Documents that are packed.
const PACKED: [&str; 2] = ["src/http/openapi.json", "docs/agent.schema.json"];

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn pack(document: &str) -> io::Result<()> {
    let out = std::env::var_os("OUT_DIR").expect("cargo names the directory for what is built");
    let name = Path::new(document).file_name().expect("a file has a name").to_string_lossy();
    let mut encoder = GzEncoder::new(File::create(Path::new(&out).join(format!("{name}.gz")))?, Compression::best());
    encoder.write_all(&fs::read(document)?)?;
    encoder.finish().map(|_| ())
}

fn main() {
    println!("cargo:rerun-if-env-changed=OUTPOST_COMMIT");
    println!("cargo:rerun-if-changed=packaging/build.rs");
    // What changes when the commit does: the branch that is checked out, and where it points.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| std::path::Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let given = std::env::var("OUTPOST_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    for document in PACKED {
        println!("cargo:rerun-if-changed={document}");
        pack(document).expect("a document of the program can be packed");
    }
    println!("cargo:rustc-env=OUTPOST_COMMIT={}", commit.as_deref().unwrap_or("no commit"));
}
