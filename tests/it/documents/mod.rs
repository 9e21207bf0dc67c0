//! README and `docs`: links lead somewhere, every page is in the summary, and what a page says is what the program does.

use std::path::{Path, PathBuf};

use regex_lite::Regex;

mod commands;
#[cfg(unix)]
mod followed;
mod reference;
mod schema;

/// Most lines of the README: it is read in one go, and the rest is in `docs`.
const README_LINES_MAX: usize = 150;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document of the repository.
struct Page {
    /// Path from the root, with slashes.
    path: String,
    text: String,
}

impl Page {
    fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// README, and every page of the book.
    fn all() -> Vec<Self> {
        let mut paths = Vec::new();
        let mut dirs = vec![root().join("docs")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|extension| extension == "md") {
                    paths.push(path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        paths.push("README.md".to_owned());
        paths.sort();
        assert!(paths.len() > 15, "the walk found the pages: {paths:?}");
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn is_of_book(&self) -> bool {
        self.path.starts_with("docs/")
    }

    /// The fenced blocks, in their order.
    fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open, mut before) = (Vec::new(), None::<Block>, String::new());
        for (number, line) in self.text.lines().enumerate() {
            let code = line.trim_start();
            match (open.take(), code.strip_prefix("```")) {
                (None, Some(language)) => {
                    let mark = before.strip_prefix("<!-- ").and_then(|mark| mark.strip_suffix(" -->"));
                    open = Some(Block {
                        place: format!("{}:{}", self.path, number + 1),
                        mark: mark.unwrap_or_default().to_owned(),
                        language: language.to_owned(),
                        indent: line.len() - code.len(),
                        text: String::new(),
                    });
                }
                (None, None) => {}
                (Some(block), Some(_)) => {
                    blocks.push(block);
                    before.clear();
                    continue;
                }
                (Some(mut block), None) => {
                    block.text.push_str(line.get(block.indent..).unwrap_or_default());
                    block.text.push('\n');
                    open = Some(block);
                    continue;
                }
            }
            if !code.is_empty() {
                before = code.trim_end().to_owned();
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.path);
        blocks
    }

    /// The text without its fenced blocks.
    fn prose(&self) -> String {
        let mut is_code = false;
        let lines = self.text.lines().filter(|line| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Names that a link to a heading of this page may have.
    fn anchors(&self) -> Vec<String> {
        let headings = self.prose();
        let headings = headings.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// The cells of the rows of the table that follows a mark, without its head.
    fn table(&self, mark: &str) -> Vec<Vec<String>> {
        let mark = format!("<!-- {mark} -->\n");
        let tables = self.text.split(&mark).skip(1);
        let rows = tables.flat_map(|table| table.lines().take_while(|line| line.starts_with('|')).skip(2));
        let cells = |row: &str| {
            let cells = row.trim_matches('|').replace("\\|", "\u{0}");
            cells.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
        };
        let rows: Vec<Vec<String>> = rows.map(cells).collect();
        assert!(!rows.is_empty(), "{} has a table {mark}", self.path);
        rows
    }
}

/// A fenced block.
struct Block {
    /// Page and line, for people.
    place: String,
    /// Comment before it, which says what becomes of it.
    mark: String,
    language: String,
    indent: usize,
    text: String,
}

/// The name of a heading in links, as forges and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|next| next.is_alphanumeric() || matches!(next, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Returns a path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let others = ["SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(Page::read);
    let mut followed = 0;
    for page in Page::all().iter().chain(&others) {
        for found in link.captures_iter(&page.prose()) {
            let target = &found[1];
            if target.starts_with("https://") {
                continue;
            }
            let (path, heading) = target.split_once('#').map_or((target, None), |(path, name)| (path, Some(name)));
            let dir = Path::new(&page.path).parent().unwrap();
            let path = if path.is_empty() { PathBuf::from(&page.path) } else { normal(&dir.join(path)) };
            assert!(root().join(&path).is_file(), "{}: {target} leads nowhere", page.path);
            assert!(
                !page.is_of_book() || path.starts_with("docs"),
                "{}: {target} is outside the book, where its readers cannot follow; name the file instead",
                page.path
            );
            if let Some(heading) = heading {
                let anchors = Page::read(path.to_str().unwrap()).anchors();
                assert!(anchors.iter().any(|anchor| anchor == heading), "{}: {target}: {anchors:?}", page.path);
            }
            followed += 1;
        }
    }
    assert!(followed > 60, "the walk found the links: {followed}");
}

#[test]
fn every_page_is_in_the_summary_and_the_readme_is_short() {
    let summary = Page::read("docs/SUMMARY.md").text;
    for page in Page::all().iter().filter(|page| page.is_of_book() && page.path != "docs/SUMMARY.md") {
        let link = format!("({})", page.path.strip_prefix("docs/").unwrap());
        assert!(summary.contains(&link), "docs/SUMMARY.md does not list {}", page.path);
    }
    let lines = Page::read("README.md").text.lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines, at most {README_LINES_MAX}");
}

#[test]
fn sections_of_the_configuration_are_valid() {
    let mut tried = 0;
    for page in Page::all() {
        for block in page.blocks().iter().filter(|block| block.language == "toml") {
            if matches!(block.mark.as_str(), "shown" | "event") {
                continue;
            }
            let target = if block.text.contains("[target]") { "" } else { "[target]\nclient_code = \"acme\"\n" };
            let sources =
                outpost::config::Sources::of_text(Path::new("agent.toml"), &format!("{}{target}", block.text));
            let config = outpost::config::Config::parse(&sources, |_| "store-42".to_owned());
            let config = config.unwrap_or_else(|problems| panic!("{}: {problems}", block.place));
            config.run_examples(&sources).unwrap_or_else(|problems| panic!("{}: {problems}", block.place));
            tried += 1;
        }
    }
    assert!(tried > 8, "the walk found the sections: {tried}");
}
