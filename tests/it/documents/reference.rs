//! What the pages state: results of expressions, calls of the API, names of tests, and words of the page.

use std::path::Path;

use outpost::config::{Config, Sources};

use super::{Page, root};

/// What an expression gives for the event of the page, or the error.
fn evaluate(event: &str, expression: &str) -> Result<String, String> {
    // An attribute that is something else than expected is told with its value.
    let text = format!(
        "[target]\nclient_code = \"acme\"\n[privacy]\nkey = \"{}\"\n[[mapping]]\nname = \"m\"\nevent = \"*\"\nidentity = {{ \
         third_party_id = \"'x'\" }}\nset = {{ a = '''{expression}''' }}\n[[mapping.example]]\nevent = {event}\nexpect = {{ \
         third_party_id = \"x\", a = \"\\u0001\" }}\n",
        "7".repeat(64)
    );
    let sources = Sources::of_text(Path::new("agent.toml"), &text);
    let config = Config::parse(&sources, |_| "device".to_owned()).map_err(|problems| problems.to_string())?;
    let told = config.run_examples(&sources).unwrap_err().to_string();
    match told.split_once(", got \"") {
        Some((_, value)) => Ok(value.trim_end().trim_end_matches('"').to_owned()),
        None => Err(told),
    }
}

#[test]
fn expressions_give_what_the_reference_says() {
    let page = Page::read("docs/mappings.md");
    let event = page.blocks().into_iter().find(|block| block.mark == "event").unwrap().text;
    let rows = page.table("expressions");
    assert!(rows.len() > 50, "the walk found the expressions: {}", rows.len());
    for row in rows {
        let [expression, expected] = [0, 1].map(|cell| row[cell].trim_matches('`'));
        let found = evaluate(event.trim(), expression);
        match expected.strip_prefix("error: ") {
            Some(words) => {
                let words = words.trim_matches('`').replace('`', "");
                let told = found.expect_err(expression).replace('`', "");
                assert!(told.contains(&words), "{expression}: {told}");
            }
            None => assert_eq!(found.as_deref(), Ok(expected), "{expression}"),
        }
    }
}

#[test]
fn the_reference_names_every_filter_and_test() {
    let page = Page::read("docs/mappings.md");
    let (filters, text) = (page.table("filters"), &page.text);
    for wrong in ["id | nope", "id is nope"] {
        let told = evaluate("{ type = \"t\" }", wrong).unwrap_err();
        let names: Vec<&str> = told.split("there are ").nth(1).unwrap().trim().split(", ").collect();
        assert!(names.len() > 2, "{told}");
        for name in names {
            let is_named = [format!("| {name}"), format!("\\| {name}"), format!("is {name}"), format!("`{name}`")];
            assert!(is_named.iter().any(|words| text.contains(words)), "docs/mappings.md does not name {name}");
            let is_test = wrong.contains(" is ");
            let is_explained =
                |row: &Vec<String>| row[0].contains(&format!("`{name}`")) || row[0].contains(&format!("`{name}("));
            assert!(is_test || filters.iter().any(is_explained), "docs/mappings.md does not say what {name} takes");
        }
    }
}

#[test]
fn the_page_of_the_api_has_every_call() {
    let api: serde_json::Value = serde_json::from_str(include_str!("../../../src/http/openapi.json")).unwrap();
    let mut expected = Vec::new();
    for (path, calls) in api["paths"].as_object().unwrap() {
        let methods =
            calls.as_object().unwrap().keys().filter(|key| ["get", "post", "delete", "put"].contains(&key.as_str()));
        expected.extend(methods.map(|method| format!("`{} {path}`", method.to_uppercase())));
    }
    let mut found: Vec<String> =
        Page::read("docs/http-api.md").table("api").into_iter().map(|row| row[0].clone()).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn each_injected_fault_names_a_test_that_is_there() {
    let rows = Page::read("docs/faults.md").table("faults");
    assert!(rows.len() > 10);
    for row in rows {
        let [fault, .., command, _] = row.as_slice() else { panic!("{row:?}") };
        let command = command.trim_matches('`');
        let Some(name) = command.strip_prefix("it ") else {
            assert_eq!(command, "faults", "{fault}");
            continue;
        };
        let (module, test) = name.split_once("::").unwrap();
        let tests = std::fs::read_to_string(root().join(format!("tests/it/{module}.rs"))).unwrap_or_default();
        assert!(tests.contains("#[test]") || tests.contains("#[tokio::test"), "{fault}: {name}");
        assert!(test.is_empty() || tests.contains(&format!("fn {test}(")), "{fault}: there is no test {name}");
    }
}

#[test]
fn what_the_page_says_is_in_the_troubleshooting_in_its_own_words() {
    let catalogue = ["verdicts", "figures", "page", "answers"]
        .map(|file| std::fs::read_to_string(root().join(format!("src/core/words/{file}.rs"))).unwrap())
        .concat();
    let page = Page::read("docs/operate.md");
    let tables = page.text.split("| what it says | what to do |").skip(1);
    let rows = tables.flat_map(|table| table.lines().skip(1).take_while(|line| line.starts_with('|')));
    let quotes: Vec<&str> =
        rows.skip(1).flat_map(|row| row.split('|').nth(1).unwrap().split('"').skip(1).step_by(2)).collect();
    assert!(quotes.len() > 20, "the walk found the words: {quotes:?}");
    for words in quotes {
        assert!(catalogue.contains(words), "docs/operate.md: the page does not say \"{words}\"");
    }
}
