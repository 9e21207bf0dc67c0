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
    // There are no pages of `help`, to which others would refer.
    let mut command = without_help(command());
    command.build();
    for page in all(&command) {
        let name = page.get_display_name().unwrap_or("outpost").to_owned();
        let mut text = Vec::new();
        clap_mangen::Man::new(page).title(name.clone()).render(&mut text).unwrap();
        files.push((Path::new("man").join(format!("{name}.1")), text));
    }
    files
}

fn without_help(command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    names
        .into_iter()
        .fold(command.disable_help_subcommand(true), |command, name| command.mut_subcommand(name, without_help))
}

/// A command and all below it.
fn all(command: &clap::Command) -> Vec<clap::Command> {
    std::iter::once(command.clone())
        .chain(command.get_subcommands().filter(|it| !it.is_hide_set()).flat_map(all))
        .collect()
}

#[test]
fn man_pages_refer_to_pages_that_there_are() {
    let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man");
    let pages = std::fs::read_dir(&man).unwrap().map(|page| page.unwrap().path());
    let mut references = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap().replace('\\', "");
        for line in text.lines().filter(|line| line.starts_with("outpost-") && line.ends_with("(1)")) {
            references += 1;
            let name = line.trim_end_matches("(1)");
            assert!(man.join(format!("{name}.1")).exists(), "{}: {line}", page.display());
        }
    }
    assert!(references > 20);
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
