//! Pages that are followed: what they have somebody type is typed, in a directory of its own and beside an agent of its own, and
//! what they say is printed is compared.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::commands::calls;
use super::{Page, root};
use crate::device::{Agent, text};
use crate::support::PATIENCE;

/// Data of the event that an agent has whose page records none itself.
const USED: &str = r#"{"card":"123456","store":"Lund","total":99.5}"#;

/// A terminal in a directory of its own, as somebody has it who follows a page.
struct Terminal {
    dir: TempDir,
    agent: Option<Agent>,
    /// Addresses that the pages name, and those that are used instead.
    instead: Vec<(&'static str, String)>,
}

impl Terminal {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), agent: None, instead: Vec::new() }
    }

    /// With the files of an example as they are: it works for everybody, in the folder that it is in.
    fn of_example(folder: &Path) -> Self {
        let terminal = Self::new();
        copy(folder, terminal.dir.path());
        terminal
    }

    /// A text with the addresses of this terminal.
    fn own(&self, text: &str) -> String {
        self.instead.iter().fold(text.to_owned(), |text, (shown, own)| text.replace(shown, own))
    }

    fn command(&self, program: &str) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_outpost")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env("HOME", self.dir.path()).env("TZ", "UTC").stdin(Stdio::null());
        command.env("PATH", format!("{}:{path}", bin.display())).env("OUTPOST_INTAKE__HTTP__LISTEN", "127.0.0.1:0");
        command
    }

    /// Starts the agent of a page, with a simulator, at ports of their own.
    fn start(&mut self, call: &[String], input: Option<&str>) {
        let mut command = self.command(env!("CARGO_BIN_EXE_outpost"));
        command.args(&call[1..]).args(["--sandbox-listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(input) = input {
            command.stdin(File::open(self.dir.path().join(input)).unwrap());
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let greeting: Vec<String> = lines.take_while(|line| !line.starts_with("Try it")).collect();
        self.agent = Some(Agent(child));
        let address = |path: &str| {
            let line = greeting.iter().find(|line| line.contains(path)).unwrap_or_else(|| panic!("{greeting:?}"));
            line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
        };
        self.instead.extend([("127.0.0.1:7717", address("/v1/status")), ("127.0.0.1:7718", address("/sandbox/"))]);
    }

    /// Runs a script that works, and gives what it printed.
    fn run(&self, place: &str, script: &str) -> String {
        self.typed(script).unwrap_or_else(|failure| panic!("{place}: {failure}"))
    }

    /// Runs a script, and gives what it printed.
    fn typed(&self, script: &str) -> Result<String, String> {
        // What is answered with an error is a failure.
        let curl = "curl() { command curl --fail-with-body -sS \"$@\"; }";
        let script = format!("{curl}\n{}", self.own(script));
        let output = self.command("bash").args(["-euo", "pipefail", "-c", &script]).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() { Ok(out) } else { Err(format!("{script}\n{out}\n{err}")) }
    }

    /// Types what a page says, from its first block to its last.
    fn follow(&mut self, page: &Page) {
        let blocks = page.blocks();
        if !blocks.iter().any(|block| block.mark == "agent") {
            std::fs::write(self.dir.path().join("agent.toml"), file_of("README.md", "agent.toml")).unwrap();
            self.start(&["outpost", "run", "--sandbox", "-c", "agent.toml"].map(str::to_owned), None);
            self.run("an event", &format!("outpost record --type com.acme.loyalty.used --data '{USED}'"));
        }
        for (index, block) in blocks.iter().enumerate() {
            let expected = blocks.get(index + 1).filter(|next| next.mark == "prints").map(|next| next.text.as_str());
            let has = |printed: &str, line: &str| printed.contains(line);
            let is_printed = |printed: &str| expected.unwrap_or_default().lines().all(|line| has(printed, line));
            let since = Instant::now();
            match block.mark.as_str() {
                "run" => {
                    let printed = self.run(&block.place, &block.text);
                    assert!(is_printed(&printed), "{}:\n{printed}\nwhere must be:\n{}", block.place, expected.unwrap());
                }
                "run until" => loop {
                    let printed = self.typed(&block.text);
                    if printed.as_ref().is_ok_and(|printed| is_printed(printed)) {
                        break;
                    }
                    assert!(since.elapsed() < PATIENCE, "{}:\n{printed:?}\nwhere must be:\n{expected:?}", block.place);
                },
                "agent" => self.start(&calls(block)[0], block.text.split_once("< ").map(|(_, file)| file.trim())),
                mark => {
                    if let Some(name) = mark.strip_prefix("file: ") {
                        std::fs::write(self.dir.path().join(name), &block.text).unwrap();
                    }
                }
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

/// The file that a page has somebody write.
fn file_of(page: &str, name: &str) -> String {
    let blocks = Page::read(page).blocks();
    let file = blocks.into_iter().find(|block| block.mark == format!("file: {name}"));
    file.unwrap_or_else(|| panic!("{page} has a block {name}")).text
}

fn is_followed(page: &Page) -> bool {
    page.blocks().iter().any(|block| block.mark.starts_with("run"))
}

#[test]
fn what_readme_and_pages_say_can_be_typed() {
    let pages = Page::all().into_iter().filter(|page| is_followed(page) && !page.path.starts_with("docs/examples/"));
    let followed = pages.map(|page| Terminal::new().follow(&page)).count();
    assert!(followed > 5, "the walk found pages with commands: {followed}");
}

#[test]
fn each_example_is_valid_and_does_with_its_input_what_its_page_says() {
    let pages = Page::all().into_iter().filter(|page| page.path.starts_with("docs/examples/") && is_followed(page));
    let follow = |page: Page| {
        let folder = root().join(&page.path);
        Terminal::of_example(folder.parent().unwrap()).follow(&page);
    };
    assert_eq!(pages.map(follow).count(), 5);
}
