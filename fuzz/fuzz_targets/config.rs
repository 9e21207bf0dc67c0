//! Whatever is configured is valid, or each problem has a place in the file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use outpost::config::Config;

fuzz_target!(|text: &str| {
    let path = Path::new("agent.toml");
    match Config::parse(path, text, |_| "device".to_owned()) {
        Ok(config) => drop(config.run_examples(path, text)),
        Err(problems) => {
            let lines = text.matches('\n').count() + 1;
            assert!(!problems.list.is_empty());
            assert!(problems.list.iter().all(|problem| (1..=lines).contains(&problem.line) && problem.column >= 1));
        }
    }
});
