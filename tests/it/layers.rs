//! A configuration of several sources: the file, drop-in files beside it, and variables of the environment.

use std::path::Path;

use outpost::config::{Config, Sources};

use crate::device::{Device, outpost, text};

const BASE: &str = r#"
[target]
client_code = "acme"
token = { env = "NOT_SET" }
[target.http]
timeout = "5s"
connections = 2
[[mapping]]
name = "card"
event = "card.*"
identity = { third_party_id = "data.card" }
set = { lastStore = "data.store" }
"#;

fn laid(drop_ins: &[&str]) -> Sources {
    let mut sources = Sources::of_text(Path::new("agent.toml"), BASE);
    for (index, drop_in) in drop_ins.iter().enumerate() {
        sources.add_text(Path::new(&format!("agent.d/{index}.toml")), drop_in);
    }
    sources
}

fn problems(sources: &Sources) -> String {
    Config::parse(sources, |_| String::new()).unwrap_err().to_string()
}

/// A value in braces is one value: else the token would have two places here.
#[test]
fn sections_are_laid_over_each_other_and_values_replace_values() {
    let sources = laid(&[
        "[target]\nclient_code = \"other\"\ntoken = \"t\"\n[target.http]\nconnections = 3\n",
        "[target.http]\nconnections = 7\n[target.quota]\nupdates_per_day = 5\n",
    ]);
    let config = Config::parse(&sources, |_| String::new()).unwrap();
    assert_eq!(config.target.client.destination.client_code(), "other");
    assert!(config.target.client.token.is_some());
    assert_eq!((config.target.client.http.connections, config.target.client.http.timeout.as_secs()), (7, 5));
    assert_eq!(config.target.updates_per_day, 5);
}

#[test]
fn mappings_of_all_files_hold_and_their_names_differ() {
    let mapping = |name: &str| {
        format!(
            "[[mapping]]\nname = \"{name}\"\nevent = \"x\"\nidentity = {{ pc_id = \"data.p\" }}\nset = {{ a = \"data.a\" }}\n"
        )
    };
    let sources = laid(&[&mapping("visit")]);
    let config = Config::parse(&sources, |_| String::new()).unwrap();
    // The token of the base is not there, and that is all.
    assert_eq!(
        config.check_client(&sources).unwrap_err().to_string(),
        "agent.toml:4:9: token in [target]: the environment variable NOT_SET is not set"
    );
    let sources = laid(&["[target]\ntoken = \"t\"\n", &mapping("visit")]);
    let config = Config::parse(&sources, |_| String::new()).unwrap();
    assert!(format!("{:?}", config.mappings).contains("visit"));
    assert!(format!("{:?}", config.mappings).contains("card"));
    assert_eq!(
        problems(&laid(&["[target]\ntoken = \"t\"\n", &mapping("card")])),
        "agent.d/1.toml:2:8: there are two mappings named \"card\""
    );
}

#[test]
fn each_problem_is_named_with_its_file() {
    let sources = laid(&["[target]\ntoken = \"t\"\ncolour = 1\n", "[target.http]\nconnections = \"x\"\n", "[target\n"]);
    let problems = problems(&sources);
    assert_eq!(
        problems.lines().map(|line| line.split(": ").next().unwrap()).collect::<Vec<_>>(),
        ["agent.d/0.toml:3:1", "agent.d/1.toml:2:15", "agent.d/2.toml:1:8"],
        "{problems}"
    );
}

/// With the binary: what is on disk, in its order, and what the environment says.
#[test]
fn check_shows_what_holds_and_where_it_comes_from() {
    let device = Device::new();
    let drop_ins = device.dir.path().join("agent.d");
    std::fs::create_dir(&drop_ins).unwrap();
    device.write("agent.d/20-quota.toml", "[target.quota]\nupdates_per_day = 20\n");
    device.write(
        "agent.d/10-site.toml",
        "[target]\nclient_code = \"site\"\ntoken = \"s3cret\"\n[target.quota]\nupdates_per_day = 10\n",
    );
    // Neither is a drop-in file.
    device.write("agent.d/.30.toml", "no TOML");
    device.write("agent.d/30.toml.dpkg-new", "no TOML");
    let check = |variables: &[(&str, &str)]| {
        outpost(device.dir.path()).arg("check").envs(variables.iter().copied()).output().unwrap()
    };
    let shown = text(&check(&[]).stdout);
    for line in [
        "client_code = \"site\"  # agent.d/10-site.toml:2",
        "token = \"(removed)\"  # agent.d/10-site.toml:3",
        "updates_per_day = 20  # agent.d/20-quota.toml:2",
        "listen = \"127.0.0.1:0\"  # agent.toml:4",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is missing in\n{shown}");
    }
    let shown = text(
        &check(&[
            ("OUTPOST_TARGET__CLIENT_CODE", "1234"),
            ("OUTPOST_TARGET__QUOTA__UPDATES_PER_DAY", "30"),
            ("OUTPOST_TARGET__SHARED_PROFILES", "true"),
            ("OUTPOST_TARGET__TOKEN", "{ file = 'token' }"),
            ("OUTPOST_INTAKE__HTTP__ALLOWED_ORIGINS", "[\"https://kiosk.example\"]"),
            // No part of the configuration: it names no section.
            ("OUTPOST_HOME", "/"),
        ])
        .stderr,
    );
    assert!(shown.contains("OUTPOST_TARGET__TOKEN: token in [target]: the file token cannot be read"), "{shown}");
    device.write_private("token", "t");
    let output = check(&[
        ("OUTPOST_TARGET__CLIENT_CODE", "1234"),
        ("OUTPOST_TARGET__QUOTA__UPDATES_PER_DAY", "30"),
        ("OUTPOST_TARGET__SHARED_PROFILES", "true"),
        ("OUTPOST_TARGET__TOKEN", "{ file = 'token' }"),
    ]);
    let shown = text(&output.stdout);
    for line in [
        "client_code = \"1234\"  # OUTPOST_TARGET__CLIENT_CODE",
        "updates_per_day = \"30\"  # OUTPOST_TARGET__QUOTA__UPDATES_PER_DAY",
        "shared_profiles = \"true\"  # OUTPOST_TARGET__SHARED_PROFILES",
        "token = { file = 'token' }  # OUTPOST_TARGET__TOKEN",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is missing in\n{shown}");
    }
    let said = text(&check(&[("OUTPOST_TARGET__COLOUR", "red"), ("OUTPOST_TARGET__HTTP__CONNECTIONS", "many")]).stderr);
    assert!(said.contains("OUTPOST_TARGET__COLOUR: unknown key \"colour\" in [target]"), "{said}");
    assert!(
        said.contains(
            "OUTPOST_TARGET__HTTP__CONNECTIONS: connections in [target.http] must be a whole number from 1 to 64"
        ),
        "{said}"
    );
}

/// What is shown can be used: it is one file that means the same.
#[test]
fn what_is_shown_is_a_configuration_again() {
    let sources = laid(&[
        "[target]\ntoken = { file = \"x\" }\n[intake.http]\nallowed_origins = [\n  \"https://a.example\", # one\n]\n",
    ]);
    let shown = sources.effective();
    let again = Sources::of_text(Path::new("again.toml"), &shown);
    let plain = |text: &str| text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(plain(&again.effective()), plain(&shown));
    assert!(shown.contains("[[mapping]]\nname = \"card\""), "{shown}");
}

/// What is written to a mount point is hidden when the disk comes. That the agent goes on then is seen in
/// `tests/packaging`, where there are rights to mount one.
#[test]
fn nothing_is_written_while_the_disk_of_the_data_is_not_there() {
    let device = Device::new();
    let disk = device.dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let agent = |disk: &str, data: &str| {
        device.write("agent.d/10.toml", &format!("[agent]\ndata_disk = '{disk}'\ndata_dir = '{data}'\n"));
    };
    std::fs::create_dir(device.dir.path().join("agent.d")).unwrap();
    let disk = disk.to_str().unwrap();
    agent(disk, &format!("{disk}/data"));
    let (code, said) = device.fails(&["record", "--type", "t"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "outpost: the disk of the data directory is not mounted at DIR/disk; mount it, or remove data_disk from [agent]\n"
    );
    assert_eq!(std::fs::read_dir(disk).unwrap().count(), 0);
    agent(disk, "elsewhere");
    let (code, said) = device.fails(&["check"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains(
            "agent.d/10.toml:2:13: data_disk in [agent] must be where the disk is mounted that data_dir is on"
        )
    );
    // The root is always there.
    agent("/", &format!("{disk}/data"));
    device.works(&["record", "--type", "t"]);
}

/// However its section is written, in whichever source.
#[test]
fn no_secret_is_shown() {
    let mut sources = Sources::of_text(
        Path::new("agent.toml"),
        "target = { client_code = \"acme\", http = { proxy = \"http://u:s3cret@p\", timeout = \"5s\" } }\n[store]\nkey = 's3cret'\n",
    );
    let variable = |name: &str, value: &str| (name.into(), value.into());
    let variables = [
        variable("OUTPOST_PRIVACY__KEY", "s3cret"),
        variable("OUTPOST_STORE__OLD_KEY", "\"s3cret\""),
        variable("OUTPOST_LOG__LEVEL", "info"),
    ];
    sources.add_variables(variables.into_iter()).unwrap();
    let shown = sources.effective();
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("proxy = \"(removed)\", timeout = \"5s\""), "{shown}");
    assert_eq!(shown.matches("(removed)").count(), 4, "{shown}");
    assert!(shown.contains("level = \"info\"  # OUTPOST_LOG__LEVEL"), "{shown}");
}

#[test]
fn the_version_says_which_commit_it_is() {
    let version = Device::new().works(&["--version"]);
    assert!(version.starts_with(&format!("outpost {} (", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(version.trim_end().ends_with(')') && !version.contains("()"), "{version}");
}
