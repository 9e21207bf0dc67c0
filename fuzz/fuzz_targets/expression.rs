//! Whatever is written as an expression is refused when it is compiled, or costs bounded work on an event.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use minijinja::Value;
use outpost::core::mapping::expression::Engine;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(None));

static EVENT: LazyLock<Value> = LazyLock::new(|| {
    let event = r#"{"id":"1","source":"/till","type":"t","time":"2026-11-23T10:00:00Z",
        "data":{"card":"123456","store":"Lund","total":99.5,"list":[1,2],"none":null}}"#;
    serde_json::from_str(event).expect("valid")
});

fuzz_target!(|text: &str| {
    if let Ok(expression) = ENGINE.compile(text) {
        let _ = expression.text_value(&EVENT);
        let _ = expression.is_true(&EVENT);
    }
});
