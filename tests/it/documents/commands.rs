//! Commands of the documents: each says whether it is run, and is known to the command line.

use super::{Block, Page};

/// Splits a line of a shell into words; quotes hold words together, and a comment ends the line.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for next in line.chars() {
        match (quote, next) {
            (Some(open), next) if open == next => quote = None,
            (None, '\'' | '"') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (_, next) => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    words
}

/// The calls of `outpost` in a block, with their arguments.
pub(super) fn calls(block: &Block) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for line in block.text.replace("\\\n", " ").lines() {
        let line = words(&line.replace("cargo run --release -- ", "outpost ").replace("runuser -u outpost -- ", ""));
        for call in line.split(|word| matches!(word.as_str(), "|" | "||" | "&&" | ";")) {
            let end = call.iter().position(|word| word.starts_with(['<', '>'])).unwrap_or(call.len());
            if call.first().is_some_and(|program| program == "outpost") {
                calls.push(call[..end].to_vec());
            }
        }
    }
    calls
}

#[test]
fn each_command_says_whether_it_is_run_and_is_known_to_the_command_line() {
    let (mut checked, marks) = (0, ["run", "run until", "agent", "not run: ", "client: "]);
    for page in Page::all() {
        for block in page.blocks().iter().filter(|block| block.language == "sh") {
            assert!(
                marks.iter().any(|mark| block.mark == *mark || mark.ends_with(' ') && block.mark.starts_with(mark)),
                "{}: a comment before the block must say run, run until, agent, or not run and why; found {:?}",
                block.place,
                block.mark
            );
            for call in calls(block) {
                let parsed = outpost::cli::command().try_get_matches_from(&call);
                assert!(parsed.is_ok(), "{}: {call:?}: {}", block.place, parsed.unwrap_err());
                checked += 1;
            }
        }
    }
    assert!(checked > 40, "the walk found the commands: {checked}");
}
