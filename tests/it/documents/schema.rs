//! `docs/agent.schema.json`, with which editors complete `agent.toml`: it has each setting that the program reads, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use outpost::config::{Config, Sources};
use regex_lite::Regex;
use serde_json::{Value, json};

use super::{Page, root};

fn schema() -> Value {
    serde_json::from_str(&Page::read("docs/agent.schema.json").text).unwrap()
}

/// Fails unless the schema finds nothing wrong in a text.
fn accepts(validator: &jsonschema::Validator, name: &str, text: &str) {
    let document: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
    let problems: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{name}: {problems:?}\n{text}");
}

/// The example configuration with the settings that are comments there. Of a setting that a section has more than once, the
/// text has the one with this number.
fn uncommented(example: &str, occurrence: usize) -> String {
    let setting = Regex::new(r"^(?:# )?((\[)|([a-z_]+) = )").unwrap();
    let mut sections = vec![Vec::new()];
    for line in example.lines() {
        let Some(found) = setting.captures(line) else { continue };
        let code = &line[found.get(1).unwrap().start()..];
        if found.get(2).is_some() {
            sections.push(vec![(String::new(), code)]);
        } else {
            sections.last_mut().unwrap().push((found[3].to_owned(), code));
        }
    }
    let lines = sections.iter().flat_map(|section| {
        section.iter().enumerate().filter(|(at, (key, _))| {
            let same = |settings: &[(String, &str)]| settings.iter().filter(|(other, _)| other == key).count();
            let (before, all) = (same(&section[..*at]), same(section));
            before == occurrence.min(all - 1)
        })
    });
    lines.fold(String::new(), |text, (_, (_, line))| format!("{text}{line}\n"))
}

#[test]
fn the_schema_knows_each_setting_of_the_example_configuration() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for occurrence in 0..3 {
        let text = uncommented(include_str!("../../../agent.toml.example"), occurrence);
        assert!(text.contains("\ntime_zone = ") && text.contains("\n[[intake.line]]"), "comments are settings: {text}");
        accepts(&validator, "agent.toml.example", &text);
    }
    for wrong in
        ["[target]\nclient-code = \"acme\"", "[target.quota]\nupdates_per_day = \"7\"", "[log]\nlevel = \"all\""]
    {
        assert!(!validator.is_valid(&toml::from_str(wrong).unwrap()), "{wrong}");
    }
}

#[test]
fn the_schema_finds_nothing_wrong_in_what_the_pages_show() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for page in Page::all() {
        let blocks = page.blocks();
        for block in blocks.iter().filter(|block| block.language == "toml" && block.mark != "event") {
            // What `check` shows has the texts of variables, in which numbers are texts.
            if block.mark != "shown" || block.text.contains("[store]") {
                accepts(&validator, &block.place, &block.text);
            }
        }
    }
    let mut dirs = vec![root().join("docs/examples"), root().join("packaging/config")];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                accepts(&validator, &path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
            }
        }
    }
}

/// A setting of the schema: the sections that it is in, its name, and what it may be.
struct Setting {
    path: Vec<String>,
    definition: Value,
}

/// Collects the settings below a definition, sections too.
fn collect(schema: &Value, definition: &Value, path: &[String], found: &mut Vec<Setting>) {
    let options = definition["oneOf"].as_array().cloned().unwrap_or_default();
    for inner in options.iter().chain([&definition["items"]]).chain([definition]) {
        for (name, definition) in inner["properties"].as_object().into_iter().flatten() {
            let mut definition = definition.clone();
            if let Some(name) = definition["$ref"].as_str() {
                definition = schema["definitions"][name.trim_start_matches("#/definitions/")].clone();
            }
            let path = [path, std::slice::from_ref(name)].concat();
            collect(schema, &definition, &path, found);
            found.push(Setting { path, definition });
        }
    }
}

fn settings() -> Vec<Setting> {
    let (schema, mut found) = (schema(), Vec::new());
    collect(&schema, &schema, &[], &mut found);
    assert!(found.len() > 90, "{}", found.len());
    found
}

/// What the schema must allow a setting to be, by the function with which the program reads it.
fn kinds(reader: &str) -> &'static [&'static str] {
    match reader {
        "text" | "required_text" | "path" | "duration" | "size" | "character" | "one_of" => &["string"],
        "integer" => &["integer"],
        "flag" => &["boolean"],
        "texts" | "tables" => &["array"],
        "table" => &["object"],
        // A secret.
        "source" | "key" => &["string", "object"],
        _ => panic!("{reader}"),
    }
}

/// What a setting may be.
fn allowed(definition: &Value) -> Vec<&str> {
    let options = definition["oneOf"].as_array().into_iter().flatten();
    options.chain([definition]).filter_map(|option| option["type"].as_str()).collect()
}

#[test]
fn the_schema_has_each_setting_that_the_program_reads_and_no_other() {
    let reads = Regex::new(
        r#"\b(text|required_text|path|duration|size|character|one_of|integer|flag|texts|tables|table|source|key)\((?:&?section, |&quota, |&)?"([a-z_]+)""#,
    )
    .unwrap();
    // Read by a name that is no literal, each from a list of names.
    let listed = ["third_party_id", "pc_id", "luhn", "ean", "set", "add", "max", "min", "first", "append"];
    let others = ["data_bits", "stop_bits", "baud", "quote", "env", "file", "credential", "dpapi"];
    let settings = settings();
    let mut known: BTreeSet<String> = listed.iter().chain(&others).map(|name| (*name).to_owned()).collect();
    for file in std::fs::read_dir(root().join("src/config")).unwrap() {
        let path = file.unwrap().path();
        // That of the hub's own file.
        if path.ends_with("node.rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for read in reads.captures_iter(code) {
            let (reader, name) = (&read[1], &read[2]);
            let fits = settings.iter().filter(|setting| setting.path.last().unwrap() == name).any(|setting| {
                let allowed = allowed(&setting.definition);
                kinds(reader).iter().all(|kind| allowed.contains(kind))
            });
            assert!(fits, "docs/agent.schema.json has no {name} as {reader} reads it: {:?}", kinds(reader));
            known.insert(name.to_owned());
        }
    }
    assert!(known.len() > 80, "the walk found what is read: {}", known.len());
    for Setting { path, .. } in &settings {
        assert!(known.contains(path.last().unwrap()), "docs/agent.schema.json: nothing reads {}", path.join("."));
    }
}

/// A configuration with one setting, as TOML has it.
fn with(path: &[String], value: &Value) -> Value {
    path.iter().rev().fold(value.clone(), |inner, name| match name.as_str() {
        "mapping" | "line" | "example" => json!({ name: [inner] }),
        _ => json!({ name: inner }),
    })
}

/// A configuration in which a section of a default is in use.
fn in_use(path: &[String]) -> (Value, Vec<String>) {
    let mut document = json!({ "target": { "client_code": "acme" } });
    let section: Vec<&str> = path.iter().map(String::as_str).collect();
    match section[..] {
        ["intake", "folder", ..] => document["intake"]["folder"]["path"] = json!("drop"),
        ["intake", "socket", ..] => document["intake"]["socket"]["path"] = json!("socket"),
        ["hub", ..] => document["hub"] = json!({ "url": "https://hub.example", "token": "t" }),
        ["metrics", ..] => document["metrics"]["push"] = json!("https://collector.example/v1/metrics"),
        _ => {}
    }
    (document, path.to_vec())
}

#[test]
fn each_default_of_the_schema_is_what_the_program_does_without_the_setting() {
    let mut compared = 0;
    for Setting { path, definition } in settings() {
        // Settings of lists are read with the list, the folder of data differs by system, and a quote that is set is not looked
        // for.
        let default = &definition["default"];
        let is_in_list = path.iter().any(|name| ["line", "mapping"].contains(&name.as_str()));
        if default.is_null() || is_in_list || path == ["agent", "data_dir"] || path.ends_with(&["quote".to_owned()]) {
            continue;
        }
        let (without, path) = in_use(&path);
        let mut set = without.clone();
        let place = path.iter().fold(&mut set, |inner, name| &mut inner[name]);
        *place = default.clone();
        let [without, set] = [&without, &set].map(|document| {
            let sections = document.as_object().unwrap().iter();
            let text =
                sections.fold(String::new(), |text, (name, value)| format!("{text}{name} = {}\n", inline(value)));
            let sources = Sources::of_text(Path::new("agent.toml"), &text);
            format!("{:?}", Config::parse(&sources, |_| "device".to_owned()).unwrap_or_else(|error| panic!("{error}")))
        });
        assert_eq!(without, set, "{}: the default is not {default}", path.join("."));
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

/// Rows of the table of settings, by section.
fn table_of_settings() -> String {
    let mut text = String::new();
    let schema = schema();
    let mut sections = vec![(Vec::new(), schema.clone())];
    while let Some((path, definition)) = sections.pop() {
        let properties = definition["properties"].as_object().into_iter().flatten();
        let (mut rows, mut below) = (String::new(), Vec::new());
        for (name, definition) in properties {
            let is_list = definition["items"]["properties"].is_object();
            if definition["properties"].is_object() || is_list {
                let inner = if is_list { &definition["items"] } else { definition };
                below.push(([path.clone(), vec![(name.clone(), is_list)]].concat(), inner.clone()));
                continue;
            }
            let default = match &definition["default"] {
                Value::Null => String::new(),
                default => format!("`{default}`"),
            };
            let bounds = match (definition["minimum"].as_i64(), definition["maximum"].as_i64()) {
                (Some(least), Some(most)) => format!(" {least} to {most}."),
                _ => String::new(),
            };
            let words = definition["enum"].as_array().into_iter().flatten().map(|word| format!("`{word}`"));
            let words = words.collect::<Vec<_>>().join(", ");
            let words = if words.is_empty() { words } else { format!(" One of {words}.") };
            let secret = if definition["$ref"] == "#/definitions/secret" {
                " A [secret](configuration.md#secrets)."
            } else {
                ""
            };
            let meaning = definition["description"].as_str().unwrap_or_default().replace('|', "\\|");
            assert!(!meaning.is_empty(), "docs/agent.schema.json: {name} has no description");
            rows.push_str(&format!("| `{name}` | {default} | {meaning}{bounds}{words}{secret} |\n"));
        }
        if !rows.is_empty() {
            let name = path.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".");
            let is_list = path.last().is_some_and(|(_, is_list)| *is_list);
            let title = if is_list { format!("[[{name}]]") } else { format!("[{name}]") };
            let about = definition["description"].as_str().map(|words| format!("{words}\n\n")).unwrap_or_default();
            text.push_str(&format!(
                "\n## `{title}`\n\n{about}| setting | default | meaning |\n| --- | --- | --- |\n{rows}"
            ));
        }
        sections.extend(below.into_iter().rev());
    }
    text
}

/// The page is written from the schema: `OUTPOST_WRITE_DOCS=1 cargo test --test it -- documents::` writes it again.
#[test]
fn the_page_of_settings_has_each_setting_of_the_schema_with_its_default() {
    let path = root().join("docs/settings.md");
    let mark = "<!-- From agent.schema.json. -->\n";
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, table) = page.split_once(mark).unwrap();
    let expected = table_of_settings();
    if std::env::var_os("OUTPOST_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{mark}{expected}")).unwrap();
    } else {
        assert_eq!(table, expected, "docs/settings.md is not what docs/agent.schema.json says; see this test");
    }
}

/// A value as TOML has it, with sections in a line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name} = {}", inline(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        plain => plain.to_string(),
    }
}

/// The problems of a configuration that has one setting beside the client code.
fn problems(path: &[String], value: &Value) -> String {
    let mut document = with(path, value);
    if document["target"]["client_code"].is_null() {
        document["target"]["client_code"] = json!("acme");
    }
    // Without it nothing else of the folder is read.
    if path.starts_with(&["intake".to_owned(), "folder".to_owned()]) {
        let folder = &mut document["intake"]["folder"];
        folder["path"] = folder.get("path").cloned().unwrap_or(json!("drop"));
    }
    let sections = document.as_object().unwrap().iter();
    let text = sections.fold(String::new(), |text, (name, value)| format!("{text}{name} = {}\n", inline(value)));
    let sources = Sources::of_text(Path::new("agent.toml"), &text);
    Config::parse(&sources, |_| "device".to_owned())
        .map(|_| String::new())
        .unwrap_or_else(|problems| problems.to_string())
}

#[test]
fn each_setting_of_the_schema_is_where_the_program_reads_it_with_the_same_bounds_and_words() {
    for Setting { path, definition } in settings() {
        let name = path.last().unwrap();
        let told = |value: &Value| problems(&path, value);
        let is_wrong =
            |told: &str| told.contains(&format!("{name} in ")) || told.contains(&format!("unknown key \"{name}\""));
        let kind = definition["type"].as_str().unwrap_or_default();
        let valid = match kind {
            "integer" => definition["maximum"].clone(),
            "boolean" => json!(true),
            "array" | "object" => continue,
            _ => definition["enum"][0].clone(),
        };
        let unknown = format!("unknown key \"{name}\"");
        let sample = if valid.is_null() { json!("x") } else { valid.clone() };
        assert!(!told(&sample).contains(&unknown), "{}: {}", path.join("."), told(&sample));
        if !valid.is_null() {
            assert!(!is_wrong(&told(&valid)), "{}: {}", path.join("."), told(&valid));
        }
        for word in definition["enum"].as_array().into_iter().flatten() {
            assert!(!is_wrong(&told(word)), "{}: {}", path.join("."), told(word));
        }
        if let (Some(least), Some(most)) = (definition["minimum"].as_i64(), definition["maximum"].as_i64()) {
            assert!(is_wrong(&told(&json!(most + 1))), "{}: {} is allowed", path.join("."), most + 1);
            assert!(least == 0 || is_wrong(&told(&json!(least - 1))), "{}: {} is allowed", path.join("."), least - 1);
            assert!(!is_wrong(&told(&json!(least))), "{}: {}", path.join("."), told(&json!(least)));
        }
    }
}
