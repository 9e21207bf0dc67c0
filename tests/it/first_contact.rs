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
    fails(&ANSWERS, 1, "agent.toml exists already, and is left as it is; name another file");
    // Before the first question: no answer is lost.
    fails(&[], 1, "agent.toml exists already");
    assert_eq!(std::fs::read_to_string(dir.path().join("agent.toml")).unwrap(), "mine");
    fails(&[&ANSWERS[..6], &["other.toml"]].concat(), 2, "nobody answers; give --keep");
    let wrong = |place: usize, answer| {
        let mut answers = ANSWERS.to_vec();
        answers[place] = answer;
        [answers, vec!["other.toml"]].concat()
    };
    fails(&wrong(1, "acme corp"), 2, "--client-code: a client code must be letters, digits and hyphens");
    fails(&wrong(3, ""), 2, "--event: a type must be a name such as com.acme.loyalty.used");
    fails(&wrong(5, "the card"), 2, "a field must be a name such as card");
    fails(&wrong(7, "1st"), 2, "found \"1st\"");
    for inside in ["card", "card.number"] {
        fails(&wrong(7, inside), 2, "another field than the customer's number, card");
    }
}

/// An answer that cannot be is asked for again, with the reason; those before it are kept.
#[test]
fn an_answer_that_cannot_be_is_asked_for_again_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let answers = "\nacme corp\nacme\n\ncom.acme.loyalty.used\n\ndata.card\ncard\ndata.store\n";
    let said = outpost(dir.path()).arg("init").write_stdin(answers).assert().success();
    let said = text(&said.get_output().stderr);
    for problem in ["found \"acme corp\"", "a type must be", "a field must be", "another field"] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    assert!(!said.contains("agent.toml:"), "a file that is not written has no lines: {said}");
    let written = std::fs::read_to_string(dir.path().join("agent.toml")).unwrap();
    assert!(written.contains("third_party_id = \"data.card\"") && written.contains("lastStore = \"data.store\""));
    assert!(
        written.contains("expect = { third_party_id = \"123456\", lastStore = \"sample\", visits = \"1\" }"),
        "{written}"
    );
}

#[test]
fn a_command_of_the_built_in_configuration_says_where_it_works_if_no_agent_has_it() {
    let dir = tempfile::tempdir().unwrap();
    outpost(dir.path()).arg("init").args(ANSWERS).assert().success();
    let (_agent, _) = greeting(dir.path(), &["-c", "agent.toml"]);
    let mut record = outpost(dir.path());
    record.env("XDG_STATE_HOME", dir.path()).args(["record", "--sandbox", "--type", "t"]);
    let output = record.assert().success();
    let said = text(&output.get_output().stderr);
    assert!(said.contains("no agent runs with the built-in configuration of --sandbox"), "{said}");
    assert!(said.contains("outpost-sandbox") && said.contains("is reached with -c FILE"), "{said}");
    let mut record = outpost(dir.path());
    let output = record.args(["record", "-c", "agent.toml", "--type", "t"]).assert().success();
    assert!(!text(&output.get_output().stderr).contains("no agent runs"));
}

/// What was tried goes to Adobe Target with the next start without `--sandbox`.
#[test]
fn check_says_that_what_was_tried_would_go_to_target() {
    let dir = tempfile::tempdir().unwrap();
    outpost(dir.path()).arg("init").args(ANSWERS).assert().success();
    let check = || text(&outpost(dir.path()).arg("check").assert().success().get_output().stderr);
    assert!(!check().contains("tried"), "{}", check());
    drop(greeting(dir.path(), &["-c", "agent.toml"]));
    let said = check();
    for words in ["also what was only tried with --sandbox", "https://acme.tt.omtrdc.net", "delete that folder"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// It would make the deliveries void, so that totals are counted twice afterwards.
#[test]
fn a_sandbox_does_not_use_the_store_of_an_agent_that_delivers_to_target() {
    let dir = tempfile::tempdir().unwrap();
    outpost(dir.path()).arg("init").args(ANSWERS).assert().success();
    outpost(dir.path()).args(["record", "--type", "t"]).assert().success();
    let store = rusqlite::Connection::open(dir.path().join("data/outpost.db")).unwrap();
    let delivered = "INSERT INTO counter (name, value) VALUES ('updates_delivered', 2);
                     INSERT INTO destination (id, client_code, endpoint, device_id)
                     VALUES (1, 'acme', 'https://acme.tt.omtrdc.net', 'device')";
    store.execute_batch(delivered).unwrap();
    drop(store);
    let mut run = outpost(dir.path());
    let run = run.args(["run", "--sandbox", "--sandbox-listen", "127.0.0.1:0", "-c", "agent.toml"]);
    let run = run.timeout(crate::support::PATIENCE);
    let said = text(&run.assert().code(2).get_output().stderr);
    assert!(said.contains("delivered 2 updates to https://acme.tt.omtrdc.net"), "{said}");
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
    let _ = rustls::crypto::ring::default_provider().install_default();
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
        // All lines may be pasted at once.
        let script = typed.join("\n");
        let mut typing = std::process::Command::new("timeout");
        typing.args(["60", "sh", "-ec", &script]).current_dir(dir.path());
        let output = typing.output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{script}\n{said}\n{}", text(&output.stderr));
        assert!(said.contains("lastCity = sample") && said.contains("0 unmapped"), "{said}");
        // The simulator has it, and the agent is about to know.
        let is_delivered = ["delivered", "in_flight"].iter().any(|state| said.contains(&format!("state     {state}")));
        assert!(said.contains("\"value\": \"sample\"") && is_delivered, "{said}");
        let data_dir = dir.path().join("data");
        let note = greeting.iter().find(|line| line.contains("note ")).expect("a note on what is kept");
        assert!(note.contains("data") && note.contains("client code acme"), "{note} {data_dir:?}");
    }
}
