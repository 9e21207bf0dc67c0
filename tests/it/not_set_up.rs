//! What only serves forwarding, or only logging, never keeps a device from recording: it is said, and noticed once it is
//! corrected. `check` says it before.

use outpost::adobe::TlsOptions;
use outpost::core::verdict::Level;
use outpost::device::secret::Secret;
use serde_json::{Value, json};

use crate::device::{Device, outpost, text};
use crate::support::{Running, Setup, noted, write_private};

fn verdict(device: &Device) -> (String, Value) {
    let status = device.status();
    (status["verdict"]["text"].as_str().unwrap().to_owned(), status)
}

/// What `check` says of a configuration, without the folder's name.
fn said(device: &Device, code: i32, variables: &[(&str, &str)]) -> String {
    let output = outpost(device.dir.path()).arg("check").envs(variables.iter().copied()).output().unwrap();
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words}");
    words
}

#[tokio::test]
async fn without_its_token_an_agent_records_and_sends_once_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("target.token");
    let fixture = Setup { token: Some(Secret::File(path.clone())), ..Setup::default() }.start().await;
    assert_eq!(fixture.agent.record(&noted("1", "7", "a")).await["status"], "recorded");
    let status = fixture.agent.wait_status(|status| status.link == "paused").await;
    assert_eq!(status.verdict.level, Level::Attention);
    assert!(status.verdict.text.starts_with("Nothing can be sent to Adobe Target: token in [target]: "), "{status:?}");
    assert_eq!((status.quota.used, status.pending.profiles, status.rejected.updates), (0, 1, 0));
    assert_eq!(fixture.sandbox.target().requests_total(), 0);
    // As an editor of Windows writes it.
    write_private(&path, "\u{feff}t0ken\r\n");
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.verdict.level, status.not_set_up), (Level::Well, None));
}

#[tokio::test]
async fn a_device_with_nothing_to_send_notices_a_file_that_is_corrected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("target.token");
    let fixture = Setup { token: Some(Secret::File(path.clone())), ..Setup::default() }.start().await;
    let status = fixture.agent.status().await;
    assert_eq!((status.link.as_str(), status.verdict.level), ("unknown", Level::Attention));
    write_private(&path, "t0ken\n");
    fixture.agent.wait_status(|status| status.not_set_up.is_none() && status.verdict.level == Level::Well).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_whose_rights_are_corrected_is_noticed() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("client.pem"), dir.path().join("client.key"));
    std::fs::write(&cert, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let tls = TlsOptions { client_cert: Some((cert, key.clone())), ..TlsOptions::default() };
    let mut agent = Running::start(&Setup { tls, ..Setup::default() }, dir.path(), "https://127.0.0.1:9", None).await;
    agent.record(&noted("1", "7", "a")).await;
    let status = agent.wait_status(|status| status.link == "paused").await;
    assert!(status.not_set_up.unwrap().contains("run `chmod 600 "));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    agent.wait_status(|status| status.not_set_up.is_none() && status.link == "offline").await;
    agent.stop().await;
}

#[test]
fn what_serves_forwarding_or_logging_alone_does_not_stop_the_start() {
    for (problem, said) in [
        ("[target]\ntoken = { env = \"NOT_SET\" }\n", "the environment variable NOT_SET is not set"),
        ("[target.http]\nca_file = \"none.pem\"\n", "ca_file in [target.http]: the file none.pem: it cannot be read"),
        ("[target.http]\nproxy = \"socks5://u:s3cret@p:1\"\n", "proxy in [target.http]: SOCKS is not spoken"),
        ("[log]\ndir = \"agent.toml\"\n", "No log files are written: the folder agent.toml cannot be used"),
    ] {
        let device = Device::new();
        std::fs::create_dir(device.dir.path().join("agent.d")).unwrap();
        device.write(
            "agent.d/1.toml",
            &problem.replace("[target.http]", "[target]\nendpoint = \"https://127.0.0.1:9\"\n[target.http]"),
        );
        let agent = device.run();
        device.record_use("7");
        let (words, status) = verdict(&device);
        assert!(words.contains(said), "{problem}: {words}");
        assert_eq!((&status["verdict"]["level"], &status["pending"]["profiles"]), (&json!("attention"), &json!(1)));
        assert!(!status.to_string().contains("s3cret"), "{status}");
        drop(agent);
    }
}

#[test]
fn a_configuration_that_could_not_be_reloaded_is_said_until_it_is_corrected() {
    let device = Device::new();
    let agent = device.run();
    std::fs::create_dir(device.dir.path().join("agent.d")).unwrap();
    device.write("agent.d/1.toml", "[target]\ncolour = 1\n");
    device.fails(&["reload"]);
    let (words, status) = verdict(&device);
    assert!(words.starts_with("The configuration was changed and could not be reloaded"), "{words}");
    assert!(words.contains("agent.d/1.toml:2:1: unknown key \"colour\" in [target]"), "{words}");
    assert_eq!(status["verdict"]["level"], "attention");
    device.write("agent.d/1.toml", "");
    device.works(&["reload"]);
    assert_eq!(device.status()["notices"], Value::Null);
    drop(agent);
}

#[test]
fn check_says_where_what_cannot_be_sent_with_stands() {
    let device = Device::new();
    std::fs::create_dir(device.dir.path().join("agent.d")).unwrap();
    let pem = |cert: &str| std::fs::write(device.dir.path().join("some.pem"), cert).unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = issued.cert.pem();
    for (token, words) in [("", "it is empty"), ("\"t\"", "in quotes"), ("Bearer t", "begins like a header")] {
        device.write_private("token", token);
        device.write("agent.d/1.toml", "[target]\ntoken = { file = \"token\" }\n");
        let said = said(&device, 2, &[]);
        assert!(said.contains("1.toml:2:9: token in [target]: ") && said.contains(words), "{said}");
    }
    let http = "[target]\nendpoint = \"https://127.0.0.1:9\"\n[target.http]\n";
    device.write("agent.d/1.toml", &format!("{http}ca_file = \"some.pem\"\n"));
    for (bytes, words) in [
        ("".to_owned(), "it contains no certificate"),
        (
            format!("{cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "certificate 2 in it is damaged",
        ),
        (issued.signing_key.serialize_pem(), "it contains no certificate"),
    ] {
        pem(&bytes);
        let said = said(&device, 2, &[]);
        assert!(
            said.contains("1.toml:4:11: ca_file in [target.http]: the file some.pem: ") && said.contains(words),
            "{said}"
        );
    }
    pem(&format!("\u{feff}{cert}"));
    said(&device, 0, &[]);
    device.write("agent.d/1.toml", &format!("{http}client_cert = \"some.pem\"\nclient_key = \"key\"\n"));
    for (key, words) in [
        (other.signing_key.serialize_pem(), "it is not the key of client_cert"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned(),
            "it is encrypted",
        ),
        (cert.clone(), "it contains no private key"),
    ] {
        device.write_private("key", &key);
        let said = said(&device, 2, &[]);
        assert!(said.contains("1.toml:5:14: client_key in [target.http]: ") && said.contains(words), "{said}");
    }
    device.write_private("key", &issued.signing_key.serialize_pem());
    said(&device, 0, &[]);
}

#[test]
fn check_names_proxies_that_are_not_used_and_exceptions_that_are_none() {
    let device = Device::new();
    let words = said(&device, 0, &[("HTTPS_PROXY", "http://u:s3cret@proxy.example:3128")]);
    assert!(words.contains("HTTPS_PROXY is set, and not used") && !words.contains("s3cret"), "{words}");
    let proxy = ("OUTPOST_TARGET__HTTP__PROXY", "{ env = \"HTTPS_PROXY\" }");
    let set = ("HTTPS_PROXY", "http://u:s3cret@proxy.example:3128");
    let words = said(&device, 0, &[proxy, set, ("NO_PROXY", "*.acme.example; [::1]:443 localhost")]);
    assert!(!words.contains("no_proxy"), "{words}");
    let words = said(&device, 0, &[proxy, set, ("NO_PROXY", "*.acme.example, <local>")]);
    assert!(words.contains("<local> in no_proxy is no host"), "{words}");
    let words = said(&device, 2, &[proxy, ("HTTPS_PROXY", "http://u:s3cret@p.example/proxy.pac")]);
    assert!(words.contains("OUTPOST_TARGET__HTTP__PROXY: proxy in [target.http]: a PAC file is not run"), "{words}");
    assert!(!words.contains("s3cret"), "{words}");
}

#[test]
fn a_secret_in_a_variable_may_begin_as_anything_and_is_never_quoted_back() {
    let device = Device::new();
    for secret in ["{Sommar2026}", "[Sommar2026", "\"Sommar2026", "{ file = Sommar2026 }"] {
        let password = ("OUTPOST_TARGET__HTTP__PROXY_PASSWORD", secret);
        let variables = [
            password,
            ("OUTPOST_TARGET__HTTP__PROXY_USER", "kiosk"),
            ("OUTPOST_TARGET__HTTP__PROXY", "http://proxy.example:3128"),
        ];
        let words = said(&device, 0, &variables);
        assert!(!words.contains("Sommar2026"), "{words}");
        let shown = outpost(device.dir.path()).arg("check").envs(variables).output().unwrap();
        assert!(!text(&shown.stdout).contains("Sommar2026"), "{}", text(&shown.stdout));
    }
    let words = said(&device, 2, &[("OUTPOST_TARGET__TOKEN", "{fiel=\"Sommar2026\"}")]);
    assert!(words.contains("token in [target] must be a text, { env = ") && !words.contains("Sommar2026"), "{words}");
    let words = said(&device, 2, &[("OUTPOST_TARGET__TOKEN", "{ file = \"none\" }")]);
    assert!(words.contains("OUTPOST_TARGET__TOKEN: token in [target]: the file none cannot be read"), "{words}");
}

#[test]
fn who_asks_an_agent_needs_neither_a_valid_target_nor_its_secrets() {
    let device = Device::new();
    let agent = device.run();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("client_code = \"acme\"", "token = 7"));
    device.record_use("7");
    device.works(&["explain", "third_party_id:7"]);
    device.works(&["rejected", "list"]);
    device.works(&["retry-now"]);
    device.works(&["log", "debug", "--for", "1m"]);
    device.works(&["token", "list"]);
    assert_eq!(device.status()["pending"]["profiles"], 1);
    let (code, words) = device.fails(&["reload"]);
    assert!(code == Some(1) && words.contains("client_code is missing in [target]"), "{code:?} {words}");
    // A till has no configuration at all, and a token of its own.
    let token = std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
    let till = tempfile::tempdir().unwrap();
    write_private(&till.path().join("till.token"), &token);
    let link = device.works(&["status", "--open"]);
    let url = reqwest::Url::parse(link.lines().next().unwrap()).unwrap().origin().ascii_serialization();
    let there = ["--url", url.as_str(), "--token-file", "till.token"];
    let recorded = outpost(till.path())
        .args(["record", "--type", "com.acme.loyalty.used", "--data", "{\"card\":\"8\",\"store\":\"Lund\"}"])
        .args(there)
        .output()
        .unwrap();
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    assert_eq!(device.status()["pending"]["profiles"], 2);
    for url in ["http://shop.example:7717", "https://127.0.0.1:7717", "http://127.0.0.1:7717/v1"] {
        let refused =
            outpost(till.path()).args(["status", "--url", url, "--token-file", "till.token"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{url}");
        assert!(text(&refused.stderr).contains("it must be an address of this device"), "{url}");
    }
    drop(agent);
}

#[test]
fn what_is_no_configuration_is_told_with_what_was_meant() {
    let device = Device::new();
    std::fs::create_dir(device.dir.path().join("agent.d")).unwrap();
    for (toml, words) in [
        ("[log]\nlevel = \u{201c}info\u{201d}\n", "1.toml:2:9: "),
        ("[log]\nlevel = \u{201c}info\u{201d}\n", "quotes must be straight"),
        ("[log]\ndir = \"C:\\logs\"\n", "must be in single quotes"),
        ("[log]\n\n[store]\n[log]\n", "1.toml:4:2: duplicate key; the first is in line 1"),
        ("[log]\nlevel = \"info\"\n\nlevel = \"warn\"\n", "1.toml:4:1: duplicate key; the first is in line 2"),
        ("[intake.http]\nlisten = \"0.0.0.0:37717\"\n", "such as 127.0.0.1:7717; found 0.0.0.0:37717"),
        ("[target.http]\nconnections = 100\n", "must be a whole number from 1 to 64; found 100"),
    ] {
        device.write("agent.d/1.toml", toml);
        let said = said(&device, 2, &[]);
        assert!(said.contains(words), "{toml}: {said}");
    }
    let utf16: Vec<u8> = "\u{feff}[log]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, words) in
        [(utf16.as_slice(), "it is UTF-16; it must be saved as UTF-8"), (b"\n#\xE4\n", "line 2 is not UTF-8")]
    {
        std::fs::write(device.dir.path().join("agent.d/1.toml"), bytes).unwrap();
        let said = said(&device, 2, &[]);
        assert!(said.contains("1.toml cannot be read") && said.contains(words), "{said}");
    }
    device.write("agent.d/1.toml", "\u{feff}[log]\n");
    let variables = [("OUTPOST_TARGET_CLIENT_CODE", "other"), ("OUTPOST_TARGET__QUOTA__UPDATES_PER_DAY", "10_000")];
    let said = said(&device, 0, &variables);
    assert!(
        said.contains("OUTPOST_TARGET_CLIENT_CODE is no part of the configuration")
            && said.contains("OUTPOST_TARGET__CLIENT_CODE"),
        "{said}"
    );
}

#[test]
fn a_port_that_cannot_be_had_is_told_apart() {
    let device = Device::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string()));
    let (code, words) = device.fails(&["run"]);
    assert!(code == Some(1) && words.contains("another program listens there"), "{words}");
}
