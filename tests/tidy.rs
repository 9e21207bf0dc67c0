//! The code map in `src/lib.rs` is true: imports go down, there is no ring, and what shall be absent is absent.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file of `src`, without its comments and its unit tests.
struct Source {
    /// Its path below `src`, with slashes.
    path: String,
    code: String,
}

impl Source {
    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path, code: code(&text) });
            }
        }
    }
    assert!(found.len() > 40, "the walk found the sources");
    found
}

/// A text without its unit tests and whole-line comments.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The floor of each top-level module, as `src/lib.rs` declares them.
fn floors() -> BTreeMap<String, u32> {
    let text = include_str!("../src/lib.rs");
    let mut floor = None;
    let mut floors = BTreeMap::new();
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("// Floor ") {
            floor = Some(number.parse().unwrap());
        } else if let Some(module) = line.strip_prefix("pub mod ") {
            floors.insert(module.trim_end_matches(';').to_owned(), floor.unwrap());
        }
    }
    floors
}

/// The top-level modules that each imports.
fn imports(sources: &[Source], floors: &BTreeMap<String, u32>) -> BTreeMap<String, BTreeSet<String>> {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| floors.contains_key(source.module())) {
        let own = imports.entry(source.module().to_owned()).or_default();
        for after in source.code.split("crate::").skip(1) {
            let name: String = after.chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect();
            if floors.contains_key(&name) && name != source.module() {
                own.insert(name);
            }
        }
    }
    imports
}

/// Fails for each line of code that holds one of the words, but for files that may.
fn absent(words: &[&str], may: impl Fn(&Source) -> bool) {
    for source in sources().iter().filter(|source| !may(source)) {
        for line in source.code.lines() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                panic!("src/{}: {word} has no place here: {}", source.path, line.trim());
            }
        }
    }
}

#[test]
fn imports_go_down_and_the_table_shows_every_module() {
    let (sources, floors) = (sources(), floors());
    for (module, imported) in imports(&sources, &floors) {
        for other in imported {
            assert!(floors[&other] <= floors[&module], "{module} imports {other}, which is above it");
        }
    }
    let table: Vec<&str> = include_str!("../src/lib.rs").lines().filter(|line| line.starts_with("//! | ")).collect();
    for (module, floor) in floors {
        let row = table.iter().find(|row| row.starts_with(&format!("//! | {floor} |"))).unwrap();
        assert!(row.contains(&format!("`{module}`")), "{module} is missing on floor {floor} of the table");
    }
}

#[test]
fn imports_have_no_ring() {
    let mut imports = imports(&sources(), &floors());
    while !imports.is_empty() {
        let free: Vec<String> =
            imports.iter().filter(|(_, imported)| imported.is_empty()).map(|(module, _)| module.clone()).collect();
        assert!(!free.is_empty(), "there is a ring in {imports:?}");
        for module in free {
            imports.remove(&module);
            imports.values_mut().for_each(|imported| {
                imported.remove(&module);
            });
        }
    }
}

#[test]
fn sql_is_at_home_in_the_store() {
    absent(&["rusqlite", "SELECT ", "INSERT ", "DELETE FROM"], |source| source.module() == "store");
}

#[test]
fn target_s_host_and_paths_are_at_home_beside_its_client() {
    absent(&["omtrdc", "/m2/"], |source| ["target", "sandbox"].contains(&source.module()));
}

#[test]
fn below_floor_3_nobody_reads_a_clock() {
    let floors = floors();
    let is_above = |source: &Source| floors.get(source.module()).is_none_or(|floor| *floor >= 3);
    absent(&["SystemTime", "Instant", "Timestamp::now", "fastrand"], |source| {
        is_above(source) || source.path == "store/writer.rs"
    });
    absent(&["SystemTime"], is_above);
}

#[test]
fn only_commands_print() {
    absent(&["println!", "eprintln!", "print!(", "dbg!", "todo!", "unimplemented!"], |_| false);
    absent(&["io::stdout", "io::stderr"], |source| ["cli", "logging"].contains(&source.module()));
}

#[test]
fn log_lines_hold_nobody_s_data() {
    for source in sources() {
        for statement in source.code.split("tracing::").skip(1) {
            let Some((macro_name, rest)) = statement.split_once("!(") else { continue };
            if !["error", "warn", "info", "debug", "trace"].contains(&macro_name) {
                continue;
            }
            let fields = rest.split(';').next().unwrap().split('"').step_by(2).collect::<String>();
            for word in ["identity", "key", "value", "token", "secret", "body", "data"] {
                let mut words = fields.split(|next: char| !next.is_alphanumeric() && next != '_');
                assert!(!words.any(|other| other == word), "src/{}: {word} in a log line: {fields}", source.path);
            }
        }
    }
}

#[test]
fn every_threat_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = include_str!("../SECURITY.md");
    let mut named = 0;
    let threats = text.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 3);
    let threats: Vec<&str> = threats.filter(|line| line.contains("::") || line.contains("`tests/")).collect();
    for name in threats.iter().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(|name| name.contains("::")) {
        let (module, test) = name.split_once("::").unwrap();
        let file = if module == "tidy" { "tests/tidy.rs".to_owned() } else { format!("tests/it/{module}.rs") };
        let tests = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
        assert!(tests.contains(&format!("fn {test}(")), "{file} has no test {test}");
        named += 1;
    }
    assert!(named >= 30, "the walk found the threats: {named}");
    let rows = text.split("## Threats").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = rows.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert_eq!(
        rows.len(),
        threats.len(),
        "each threat has a test: {:?}",
        rows.iter().find(|row| !threats.contains(*row))
    );
}

#[test]
fn unsafe_code_is_forbidden() {
    assert!(include_str!("../Cargo.toml").contains("[lints.rust]\nunsafe_code = \"forbid\"\n"));
    for source in sources() {
        assert!(!source.code.contains("unsafe {") && !source.code.contains("allow(unsafe_code"), "{}", source.path);
    }
}
