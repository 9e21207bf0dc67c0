//! Whatever is configured is valid, or each problem has a place in its file; with a drop-in file after a zero.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use outpost::config::{Config, Sources};

fuzz_target!(|text: &str| {
    let (base, drop_in) = text.split_once('\0').unwrap_or((text, ""));
    let mut sources = Sources::of_text(Path::new("agent.toml"), base);
    sources.add_text(Path::new("agent.d/10.toml"), drop_in);
    drop(sources.effective());
    match Config::parse(&sources, |_| "device".to_owned()) {
        Ok(config) => drop(config.run_examples(&sources)),
        Err(problems) => {
            let lines = text.matches('\n').count() + 1;
            assert!(!problems.0.is_empty());
            assert!(problems.0.iter().all(|problem| (1..=lines).contains(&problem.place.line) && problem.place.column >= 1));
        }
    }
});
