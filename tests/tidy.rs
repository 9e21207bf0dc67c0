//! The code map in `src/lib.rs` is true: imports go down, there is no ring, and what shall be absent is absent.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file of `src`, without its comments and its unit tests.
struct Source {
    /// Its path below `src`, with slashes.
    path: String,
    code: String,
    /// The same with its comments, as it fills the screen.
    text: String,
}

impl Source {
    /// The folder of `src` that it belongs to.
    fn floor(&self) -> &str {
        self.path.split('/').next().unwrap()
    }

    /// Its module, from the root on.
    fn module(&self) -> Module {
        let path = self.path.strip_suffix(".rs").unwrap();
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').map(str::to_owned).collect()
    }
}

/// A module by its names from the root on.
type Module = Vec<String>;

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
                let text = text.split("\nmod tests {").next().unwrap().to_owned();
                found.push(Source { path, code: code(&text), text });
            }
        }
    }
    assert!(found.len() > 40, "the walk found the sources");
    found
}

/// A text without its whole-line comments.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The folders of `src`, the lowest floor first, as `src/lib.rs` declares them.
fn floors() -> Vec<&'static str> {
    let lines = include_str!("../src/lib.rs").lines();
    lines.filter_map(|line| line.strip_prefix("pub mod ")).map(|module| module.trim_end_matches(';')).collect()
}

/// All modules, and what each re-exports from one of its children.
struct House {
    modules: BTreeSet<Module>,
    exports: BTreeMap<(Module, String), Module>,
}

impl House {
    fn of(sources: &[Source]) -> Self {
        let modules = sources.iter().map(Source::module).collect();
        let mut house = Self { modules, exports: BTreeMap::new() };
        for source in sources {
            let module = source.module();
            for statement in source.code.split("pub use ").skip(1) {
                let statement = statement.split(';').next().unwrap();
                let (child, names) = statement.trim_start_matches("self::").split_once("::").unwrap_or((statement, ""));
                let child: Module = module.iter().cloned().chain([child.to_owned()]).collect();
                let names = names.split(['{', '}', ',', ':']).map(str::trim);
                let names = names.map(|name| name.split(" as ").last().unwrap().to_owned());
                names.for_each(|name| drop(house.exports.insert((module.clone(), name), child.clone())));
            }
        }
        house
    }

    /// The module that a path leads to: one of ours, or where the item behind it is at home.
    fn home(&self, path: &[String]) -> Module {
        let mut home = Module::new();
        for name in path {
            let next: Module = home.iter().chain([name]).cloned().collect();
            if self.modules.contains(&next) {
                home = next;
            } else {
                return self.exports.get(&(home.clone(), name.clone())).unwrap_or(&home).clone();
            }
        }
        home
    }

    /// The modules that a source names, by `crate` or by `super`.
    fn named_by(&self, source: &Source) -> BTreeSet<Module> {
        let mut named = BTreeSet::new();
        for (root, prefix) in [("crate::", Module::new()), ("super::", parent(&source.module()))] {
            // What follows another `super::` is a part of the same path.
            let starts = source.code.match_indices(root).map(|(at, _)| at);
            let is_path = |before: &str| !before.ends_with("super::") && !before.ends_with("pub(in ");
            for at in starts.filter(|at| is_path(&source.code[..*at])) {
                let (mut base, mut rest) = (prefix.clone(), &source.code[at + root.len()..]);
                while let Some(after) = rest.strip_prefix("super::") {
                    (base, rest) = (parent(&base), after);
                }
                for path in paths(rest) {
                    let path: Module = base.iter().cloned().chain(path).collect();
                    named.insert(self.home(&path));
                }
            }
        }
        named
    }
}

fn parent(module: &[String]) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// The paths at the beginning of a text: one, or several in braces.
fn paths(text: &str) -> Vec<Module> {
    let mut path = Module::new();
    let mut rest = text;
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let end = group.find(|next| {
                depth += i32::from(next == '{') - i32::from(next == '}');
                depth == 0
            });
            let mut items = vec![String::new()];
            for next in group[..end.unwrap()].chars() {
                depth += i32::from(next == '{') - i32::from(next == '}');
                match next {
                    ',' if depth == 0 => items.push(String::new()),
                    _ => items.last_mut().unwrap().push(next),
                }
            }
            let each = items.iter().flat_map(|item| paths(item.trim()));
            return each.map(|end| path.iter().cloned().chain(end).collect()).collect();
        }
        let name: String = rest.chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect();
        rest = &rest[name.len()..];
        if !name.is_empty() && name != "self" {
            path.push(name);
        }
        match rest.strip_prefix("::") {
            Some(after) => rest = after,
            None => return vec![path],
        }
    }
}

/// Which neighbours import each other, by the folder that they are in: from each child to others of the same folder.
fn neighbours(sources: &[Source]) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
    let house = House::of(sources);
    let mut neighbours: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for source in sources {
        let own = source.module();
        for other in house.named_by(source) {
            let shared = own.iter().zip(&other).take_while(|(one, other)| one == other).count();
            if let (Some(from), Some(to)) = (own.get(shared), other.get(shared)) {
                let folder = neighbours.entry(own[..shared].to_vec()).or_default();
                folder.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    neighbours
}

/// Longest function. Units: lines, a screen.
const FUNCTION_LINES_MAX: usize = 60;

/// Longest file. Units: lines, without its unit tests.
const FILE_LINES_MAX: usize = 400;

/// Functions that are still longer. Entries are only removed: a new one is cut where its responsibility changes.
const LONG_FUNCTIONS: [&str; 0] = [];

/// Files that are still longer. Entries are only removed.
const LONG_FILES: [&str; 0] = [];

/// The functions of a text that rustfmt wrote, each with its lines: they end at the first brace of the same indent.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, after)) = code.split_once("fn ") else { continue };
        let is_word = |word: &str| ["const", "async"].contains(&word) || word.starts_with("pub") || word.ends_with(')');
        let name: String = after.chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect();
        if name.is_empty() || !before.split_whitespace().all(is_word) || code.ends_with([';', '}']) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        // A declaration without a body ends at its own indent too.
        let is_end = |rest: &str| rest == "}" || rest.starts_with(')') && rest.ends_with(';');
        let ends = |line: &&str| line.strip_prefix(indent).is_some_and(is_end);
        let length = lines[first..].iter().position(ends).expect("each function ends") + 1;
        found.push((name, length));
    }
    found
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
fn src_holds_main_lib_and_folders_and_the_table_shows_each() {
    let floors = floors();
    for source in sources() {
        let is_root = ["main.rs", "lib.rs"].contains(&source.path.as_str());
        assert!(is_root || floors.contains(&source.floor()), "src/{} stands on no floor", source.path);
    }
    let table = include_str!("../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    let table: Vec<&str> = table.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(table, floors);
}

#[test]
fn imports_between_folders_go_down() {
    let floors = floors();
    let floor_of = |folder: &str| floors.iter().position(|floor| *floor == folder);
    let (sources, root) = (sources(), Module::new());
    let of_root = &neighbours(&sources)[&root];
    assert!(of_root.len() > 8, "the walk found the imports: {of_root:?}");
    for (folder, imported) in of_root.iter().filter(|(folder, _)| floor_of(folder).is_some()) {
        for other in imported {
            assert!(floor_of(other) < floor_of(folder), "{folder} imports {other}, which is above it");
        }
    }
}

#[test]
fn the_sandbox_borrows_nothing_from_the_client_that_it_tests() {
    let of_root = &neighbours(&sources())[&Module::new()];
    assert!(of_root["sandbox"].contains("core"), "the walk found the imports: {of_root:?}");
    assert!(!of_root["sandbox"].contains("adobe"), "what both read by one rule is wrong in both");
}

#[test]
fn imports_have_no_ring_at_any_level() {
    let neighbours = neighbours(&sources());
    let edges: usize = neighbours.values().flat_map(BTreeMap::values).map(BTreeSet::len).sum();
    assert!(edges > 150, "the walk found the imports: {edges}");
    for (folder, mut imports) in neighbours {
        let imported: BTreeSet<String> = imports.values().flatten().cloned().collect();
        for name in imported {
            imports.entry(name).or_default();
        }
        while !imports.is_empty() {
            let is_free = |(name, imported): (&String, &BTreeSet<String>)| imported.is_empty().then(|| name.clone());
            let free: Vec<String> = imports.iter().filter_map(is_free).collect();
            assert!(!free.is_empty(), "there is a ring in src/{}: {imports:?}", folder.join("/"));
            imports.retain(|name, _| !free.contains(name));
            imports.values_mut().for_each(|imported| imported.retain(|name| !free.contains(name)));
        }
    }
}

/// Folders whose `mod.rs` declares a type that has its methods in the files beside it: those name it.
const METHODS_BESIDE: [&str; 3] = ["forward/core", "inspect/books", "intake/folder"];

#[test]
fn no_file_imports_what_is_at_home_in_the_mod_rs_above_it() {
    let sources = sources();
    let house = House::of(&sources);
    let mut found = Vec::new();
    for source in &sources {
        let own = source.module();
        let above = |other: &Module| !other.is_empty() && other.len() < own.len() && own.starts_with(other);
        for other in house.named_by(source).into_iter().filter(above).map(|other| other.join("/")) {
            if !METHODS_BESIDE.contains(&other.as_str()) {
                found.push(format!("src/{} imports an item of src/{other}/mod.rs, which uses it", source.path));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn functions_fit_a_screen_and_files_are_short() {
    let mut counted = 0;
    for source in sources() {
        let lines = source.text.lines().count();
        // What is short again leaves the list.
        let is_listed = LONG_FILES.contains(&source.path.as_str());
        assert_eq!(is_listed, lines > FILE_LINES_MAX, "src/{}: {lines} lines, at most {FILE_LINES_MAX}", source.path);
        let mut longest: BTreeMap<String, usize> = BTreeMap::new();
        for (name, length) in functions(&source.text) {
            let known = longest.entry(name).or_default();
            *known = length.max(*known);
            counted += 1;
        }
        for (name, length) in longest {
            let is_listed = LONG_FUNCTIONS.contains(&format!("{}::{name}", source.path).as_str());
            let is_long = length > FUNCTION_LINES_MAX;
            assert_eq!(
                is_listed, is_long,
                "src/{}: fn {name}: {length} lines, at most {FUNCTION_LINES_MAX}",
                source.path
            );
        }
    }
    assert!(counted > 1_000, "the walk found the functions: {counted}");
}

#[test]
fn docstrings_name_the_thing_before_they_ask_about_it() {
    const ASK: [&str; 9] = ["What", "Where", "How", "Which", "Whether", "That", "Who", "Whose", "When"];
    for source in sources() {
        let mut before = "";
        for line in source.text.lines().map(str::trim_start) {
            let words = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "));
            let first = words.and_then(|words| words.split_whitespace().next()).unwrap_or_default();
            // A line that goes on with the sentence before it is free.
            let is_start = !before.starts_with("//") || before.ends_with(['.', ':']) || matches!(before, "///" | "//!");
            assert!(!is_start || !ASK.contains(&first), "src/{}: {line}", source.path);
            before = line;
        }
    }
}

#[test]
fn sql_is_at_home_in_the_store() {
    absent(&["rusqlite", "SELECT ", "INSERT ", "DELETE FROM"], |source| ["store", "hub"].contains(&source.floor()));
}

#[test]
fn target_s_host_and_paths_are_at_home_beside_its_client() {
    absent(&["omtrdc", "/m2/"], |source| ["adobe", "sandbox"].contains(&source.floor()));
}

#[test]
fn in_core_and_store_nobody_reads_a_clock() {
    let is_free = |source: &Source| !["core", "store"].contains(&source.floor());
    absent(&["SystemTime", "Instant", "Timestamp::now", "fastrand"], |source| {
        is_free(source) || ["store/group_commit.rs", "store/jobs.rs"].contains(&source.path.as_str())
    });
    absent(&["SystemTime"], is_free);
}

#[test]
fn the_store_s_files_are_opened_in_one_way() {
    absent(&["open_with_flags", "Connection::open(path", "Connection::open(&"], |source| {
        source.path == "store/file.rs"
    });
}

#[test]
fn only_commands_print() {
    absent(&["println!", "eprintln!", "print!(", "dbg!", "todo!", "unimplemented!"], |_| false);
    absent(&["io::stdout", "io::stderr"], |source| source.floor() == "cli" || source.path == "device/logging.rs");
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
