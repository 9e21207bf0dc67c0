//! Shell completions and man pages under `packaging/`: made from the command line itself, and as new as it is.
//! `packaging/docs` makes them anew.

use std::path::{Path, PathBuf};

use clap_complete::Shell;

fn files() -> Vec<(PathBuf, Vec<u8>)> {
    // Without the commit, which they are committed with.
    let command = || outpost::cli::command().name("outpost").version(env!("CARGO_PKG_VERSION"));
    let mut files = Vec::new();
    for (shell, name) in [(Shell::Bash, "outpost.bash"), (Shell::Zsh, "_outpost"), (Shell::Fish, "outpost.fish")] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "outpost", &mut script);
        files.push((Path::new("completions").join(name), script));
    }
    let mut command = command();
    command.build();
    let pages = command.get_subcommands().filter(|it| it.get_name() != "help").cloned().collect::<Vec<_>>();
    for page in std::iter::once(command).chain(pages) {
        let name = page.get_display_name().unwrap_or("outpost").to_owned();
        let mut text = Vec::new();
        clap_mangen::Man::new(page).title(name.clone()).render(&mut text).unwrap();
        files.push((Path::new("man").join(format!("{name}.1")), text));
    }
    files
}

#[test]
fn the_packages_changelog_tells_of_this_version() {
    let changelog = include_str!("../../packaging/deb/changelog");
    let version = concat!("outpost (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(changelog.starts_with(version), "add the version to packaging/deb/changelog: {version}");
    assert!(include_str!("../../CHANGELOG.md").contains(env!("CARGO_PKG_VERSION")), "add the version to CHANGELOG.md");
}

#[test]
fn completions_and_man_pages_are_as_new_as_the_command_line() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let is_writing = std::env::var_os("OUTPOST_WRITE_DOCS").is_some();
    for (path, content) in files() {
        let path = packaging.join(path);
        if is_writing {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &content).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(found == content, "{} is not as new as the command line; run packaging/docs", path.display());
    }
}
