//! The first minutes: a configuration from four answers, and what the agent says that runs with it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::device::{Agent, outpost, text};

const ANSWERS: [&str; 8] =
    ["--client-code", "acme", "--event", "com.acme.loyalty.used", "--customer", "card", "--keep", "shop.city"];

#[test]
fn four_answers_or_options_make_a_configuration_that_is_valid() {
    let [by_options, by_answers] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    outpost(by_options.path()).arg("init").args(ANSWERS).assert().success();
    let answers = ANSWERS.iter().skip(1).step_by(2).map(|answer| format!(" {answer} \n")).collect::<String>();
    let said = outpost(by_answers.path()).arg("init").write_stdin(answers).assert().success();
    let said = text(&said.get_output().stdout);
    assert!(said.starts_with("agent.toml is written and valid; 1 example passed."), "{said}");
    let [one, other] =
        [&by_options, &by_answers].map(|dir| std::fs::read_to_string(dir.path().join("agent.toml")).unwrap());
    assert_eq!(one, other);
    assert!(one.contains("set = { lastCity = \"data.shop.city\" }"), "{one}");
    let checked = outpost(by_options.path()).arg("check").assert().success();
    assert!(text(&checked.get_output().stdout).ends_with("agent.toml is valid; 1 example passed\n"));
    // What it prints can be typed.
    let record = said.lines().last().unwrap();
    assert!(!record.contains("--data '"), "other users would see it in the process list: {record}");
    let record = record.replace("outpost record", &format!("'{}' record", env!("CARGO_BIN_EXE_outpost")));
    let recorded =
        std::process::Command::new("sh").args(["-c", &record]).current_dir(by_options.path()).output().unwrap();
    assert!(recorded.status.success(), "{record}: {}", text(&recorded.stderr));
}

#[test]
fn a_first_configuration_overwrites_nothing_and_says_what_an_answer_must_be() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |args: &[&str], code: i32, words: &str| {
        let output = outpost(dir.path()).arg("init").args(args).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.contains(words)), (Some(code), true), "{args:?}: {said}");
        assert!(!dir.path().join("other.toml").exists());
    };
    std::fs::write(dir.path().join("agent.toml"), "mine").unwrap();
    fails(&ANSWERS, 1, "agent.toml cannot be written: it exists already; name another file");
    assert_eq!(std::fs::read_to_string(dir.path().join("agent.toml")).unwrap(), "mine");
    fails(&[&ANSWERS[..6], &["other.toml"]].concat(), 2, "nobody answers; say it with --keep");
    let wrong = |place: usize, answer| {
        let mut answers = ANSWERS.to_vec();
        answers[place] = answer;
        [answers, vec!["other.toml"]].concat()
    };
    fails(&wrong(1, "acme corp"), 2, "client_code in [target] must be letters, digits and hyphens");
    fails(&wrong(5, "the card"), 2, "a field must be a name such as card");
    fails(&wrong(7, "1st"), 2, "found 1st");
}

/// The greeting of an agent with a simulator, at ports of its own.
fn greeting(dir: &std::path::Path, args: &[&str]) -> (Agent, Vec<String>) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_outpost"));
    command.args(["run", "--sandbox", "--sandbox-listen", "127.0.0.1:0"]).args(args).current_dir(dir);
    command.env("XDG_STATE_HOME", dir).env("OUTPOST_INTAKE__HTTP__LISTEN", "127.0.0.1:0");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (mut greeting, agent) = (Vec::new(), Agent(child));
    while !greeting.last().is_some_and(|line: &String| line.contains(" status") && !line.contains("http")) {
        greeting.push(lines.next().expect("a greeting"));
    }
    (agent, greeting)
}

#[tokio::test]
async fn the_first_thing_that_a_sandbox_says_is_a_link_that_opens_the_page_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_agent, greeting) = greeting(dir.path(), &[]);
    let link = greeting[1].trim().strip_prefix("page").expect("the page comes first").trim();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let first = client.get(link).send().await.unwrap();
    assert!(first.status().is_redirection() && first.headers().contains_key("set-cookie"), "{first:?}");
    let second = client.get(link).send().await.unwrap();
    assert!(!second.headers().contains_key("set-cookie"), "{second:?}");
    assert!(greeting.iter().any(|line| line.contains("curl -i -K -")), "{greeting:?}");
}

#[test]
fn what_a_sandbox_says_can_be_tried_fits_the_configuration_that_was_named() {
    let dir = tempfile::tempdir().unwrap();
    outpost(dir.path()).arg("init").args(ANSWERS).assert().success();
    for _ in 0..2 {
        let (_agent, greeting) = greeting(dir.path(), &["-c", "agent.toml"]);
        assert!(!greeting.iter().any(|line| line.contains("com.example")), "{greeting:?}");
        let typed: Vec<&str> =
            greeting.iter().skip_while(|line| !line.starts_with("Try it")).skip(1).map(|line| line.trim()).collect();
        assert_eq!(typed.len(), 4, "{typed:?}");
        // The profile appears as soon as the event was sent.
        let script = format!(
            "{}\n{}\n{}\nuntil {} 2>/dev/null | grep -q sample; do sleep 0.05; done",
            typed[0], typed[1], typed[3], typed[2]
        );
        let mut typing = std::process::Command::new("timeout");
        typing.args(["60", "sh", "-ec", &script]).current_dir(dir.path());
        let output = typing.output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{script}\n{said}\n{}", text(&output.stderr));
        assert!(said.contains("lastCity = sample") && said.contains("0 unmapped"), "{said}");
    }
}
