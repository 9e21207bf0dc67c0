//! Who may look at the status page, and what a browser without permission gets. `tests/browser` walks the page itself.

use std::fs;

use outpost::agent::data_dir::DataDir;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::device::Device;
use crate::support::{PATIENCE, Running, Setup, noted, used};

/// A browser: it sends no token, and follows nothing by itself.
fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

async fn ask(agent: &Running, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = browser().request(method, agent.url(path));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

async fn code(agent: &Running) -> String {
    let answer = agent.request(Method::POST, "/v1/page-codes").send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["path"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_opens_for_one_browser_and_changes_something_only_from_itself() {
    let fixture = Setup::default().start().await;
    let agent = &fixture.agent;
    let locked = ask(agent, Method::GET, "/", &[]).await;
    assert_eq!(locked.status(), StatusCode::UNAUTHORIZED);
    assert!(locked.text().await.unwrap().contains("This page is locked"));

    let path = code(agent).await;
    let opened = ask(agent, Method::GET, &path, &[]).await;
    assert_eq!((opened.status(), opened.headers()["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/"));
    let cookie = opened.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(ask(agent, Method::GET, &path, &[]).await.status(), StatusCode::UNAUTHORIZED, "a code works once");

    let page = ask(agent, Method::GET, "/", &[("cookie", cookie)]).await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    // A cookie opens the page and not the API.
    assert_eq!(ask(agent, Method::GET, "/v1/status", &[("cookie", cookie)]).await.status(), StatusCode::UNAUTHORIZED);

    let retry = "/page/rejected/1/retry";
    let own = agent.url("");
    for (headers, status) in [
        (vec![("cookie", cookie)], StatusCode::UNAUTHORIZED),
        (vec![("cookie", cookie), ("origin", "null")], StatusCode::FORBIDDEN),
        (vec![("cookie", cookie), ("origin", "http://127.0.0.1:1")], StatusCode::FORBIDDEN),
        (vec![("origin", own.as_str())], StatusCode::UNAUTHORIZED),
        (vec![("cookie", cookie), ("origin", own.as_str())], StatusCode::SEE_OTHER),
    ] {
        assert_eq!(ask(agent, Method::POST, retry, &headers).await.status(), status, "{headers:?}");
    }
}

#[tokio::test]
async fn what_others_write_into_the_page_is_shown_as_text() {
    let fixture = Setup::default().start().await;
    let path = "/page/profile?identity=%3Cscript%3Ealert(1)%3C/script%3E";
    let page = fixture.agent.request(Method::GET, path).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;"), "{page}");
}

#[tokio::test]
async fn a_browser_is_admitted_no_longer_than_the_token_is_valid_with_which_it_was() {
    let device = Device::new();
    let _agent = device.run();
    let agent = DataDir::new(device.dir.path().join("data")).endpoint().unwrap().unwrap().http;
    let ask = async |request: reqwest::RequestBuilder| request.send().await.unwrap();
    let url = |path: &str| format!("http://{agent}{path}");
    let code = async |token: &str| {
        let answer: Value = ask(browser().post(url("/v1/page-codes")).bearer_auth(token)).await.json().await.unwrap();
        answer["path"].as_str().unwrap().to_owned()
    };
    let admitted = async |token: &str| {
        let opened = ask(browser().get(url(&code(token).await))).await;
        opened.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    };
    let status = async |cookie: &str| ask(browser().get(url("/")).header("cookie", cookie)).await.status().as_u16();
    for take_back in [["token", "revoke", "support"].as_slice(), &["token", "rotate", "support"]] {
        let token = device.works(&["token", "create", "support", "--right", "admin"]);
        let (cookie, unused) = (admitted(token.trim()).await, code(token.trim()).await);
        let other = admitted(fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap().trim()).await;
        let mut live = ask(browser().get(url("/page/live")).header("cookie", &cookie)).await;
        assert!(live.chunk().await.unwrap().is_some());
        assert_eq!(status(&cookie).await, 200);
        device.works(take_back);
        assert_eq!((status(&cookie).await, status(&other).await), (401, 200));
        assert_eq!(ask(browser().get(url(&unused))).await.status().as_u16(), 401);
        let ends = async { while live.chunk().await.unwrap().is_some() {} };
        tokio::time::timeout(PATIENCE, ends).await.expect("the stream ends with the token");
        device.outpost(&["token", "revoke", "support"]);
    }
}

/// Five people look at the same device: each reads its verdict, its numbers and its buttons in a language of their own.
#[tokio::test]
async fn the_page_speaks_the_language_of_the_browser() {
    let fixture = Setup { faults: "portal", support: Some("help@acme.example"), ..Setup::default() }.start().await;
    let agent = &fixture.agent;
    agent.record(&noted("1", "7", "a")).await;
    let mut broken = used("2", "8", "Lund", 1.0);
    broken["data"]["total"] = serde_json::json!("much");
    assert_eq!(agent.record(&broken).await["status"], "rejected");
    agent.wait_status(|status| status.link == "blocked").await;
    for (accepted, tag, words) in [
        (
            "en",
            "en",
            ["Something else answers instead of Adobe Target", "Waiting", "Retry all", "Try now", "Support: help@acme"],
        ),
        (
            "de-AT, en;q=0.5",
            "de",
            ["antwortet anstelle von Adobe Target", "Wartend", "Alle erneut", "Jetzt", "Support: "],
        ),
        ("fr", "fr", ["la place d\u{2019}Adobe Target", "En attente", "Tout r", "Essayer", "Assistance"]),
        ("es", "es", ["Algo responde en lugar de Adobe Target", "En espera", "Reintentar todo", "Intentar", "Soporte"]),
        ("sv", "sv", ["svarar i Adobe Targets", "V\u{e4}ntar", "igen med alla", "F\u{f6}rs\u{f6}k nu", "Support: "]),
        (
            "ja",
            "en",
            [
                "Something else answers",
                "1 event or update was rejected",
                "Last hour",
                "in a minute",
                "Client code acme",
            ],
        ),
    ] {
        let request = agent.request(Method::GET, "/").header("accept-language", accepted);
        let page = request.send().await.unwrap().text().await.unwrap();
        assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{accepted}: {page}");
        for word in words {
            assert!(page.contains(word), "{accepted}: {word}\n{page}");
        }
        let locked = ask(agent, Method::GET, "/", &[("accept-language", accepted)]).await.text().await.unwrap();
        assert!(locked.contains(&format!("<html lang=\"{tag}\">")) && locked.contains("outpost status --open"));
    }
}

#[tokio::test]
async fn all_that_is_rejected_is_tried_again_with_one_button() {
    let mut fixture = Setup { faults: "outage", ..Setup::default() }.start().await;
    for id in ["1", "2", "3"] {
        let mut broken = used(id, id, "Lund", 1.0);
        broken["data"]["total"] = serde_json::json!("much");
        assert_eq!(fixture.agent.record(&broken).await["status"], "rejected");
    }
    let retry = async |fixture: &crate::support::Fixture| {
        let own = fixture.agent.url("");
        let request = browser().request(Method::POST, fixture.agent.url("/page/retry-all"));
        let answer = request.bearer_auth(crate::support::TOKEN).header("origin", own).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let place = answer.headers()["location"].to_str().unwrap().to_owned();
        fixture.agent.request(Method::GET, &place).send().await.unwrap().text().await.unwrap()
    };
    assert!(retry(&fixture).await.contains("3 were tried again. 3 are still rejected."));
    let mappings = crate::support::MAPPINGS.replace("data.total | default(0)", "2");
    fixture.restart_with(Setup { mappings, faults: "outage", ..Setup::default() }).await;
    let page = retry(&fixture).await;
    assert!(page.contains("3 were tried again.") && page.contains("Nothing is rejected."), "{page}");
    assert_eq!(fixture.agent.status().await.rejected.events, 0);
}

/// Buttons that would be answered with 403 are not shown.
#[tokio::test]
async fn who_may_only_read_sees_no_button_that_needs_more() {
    let device = crate::device::Device::new();
    let _agent = device.run();
    device.works(&["record", "--type", "com.acme.note", "--data", "{}"]);
    let reader = device.works(&["token", "create", "looker", "--right", "read"]);
    let reader = reader.split_whitespace().find(|word| word.len() > 30).unwrap().to_owned();
    let announced = std::fs::read(device.dir.path().join("data/agent.json")).unwrap();
    let announced: Value = serde_json::from_slice(&announced).unwrap();
    let admin = std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
    let url = format!("http://{}/", announced["http"].as_str().unwrap());
    let page = async |token: &str| browser().get(&url).bearer_auth(token).send().await.unwrap().text().await.unwrap();
    let (all, some) = (page(admin.trim()).await, page(&reader).await);
    for button in ["/page/bundle", "/page/retry-all", "/page/rejected/1/retry"] {
        assert!(all.contains(button) && !some.contains(button), "{button}: {some}");
    }
    assert!(some.contains("com.acme.note"), "what was rejected is shown: {some}");
}

/// The bundle is for whoever may do everything: a token that reads gets none.
#[test]
fn the_bundle_for_support_is_downloaded_from_the_page_by_an_admin_alone() {
    let device = crate::device::Device::new();
    let _agent = device.run();
    let reader = device.works(&["token", "create", "looker", "--right", "read"]);
    let announced = std::fs::read(device.dir.path().join("data/agent.json")).unwrap();
    let announced: Value = serde_json::from_slice(&announced).unwrap();
    let base = format!("http://{}", announced["http"].as_str().unwrap());
    let admin = std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
    let reader = reader.split_whitespace().find(|word| word.len() > 30).unwrap_or_default().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{base}/page/bundle");
        let post = |token: &str| browser().post(&url).bearer_auth(token).header("origin", base.as_str());
        assert_eq!(post(&reader).send().await.unwrap().status(), StatusCode::FORBIDDEN);
        let answer = post(admin.trim()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/zip");
        assert!(
            answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\"outpost-")
        );
        let zip = answer.bytes().await.unwrap();
        assert!(zip.starts_with(b"PK") && zip.windows(11).any(|part| part == b"doctor.json"));
    });
}

#[test]
fn commands_show_times_in_the_zone_of_the_device_and_documents_in_utc() {
    let device = crate::device::Device::new();
    let args = [
        "--type",
        "com.acme.note",
        "--id",
        "a",
        "--time",
        "2026-01-01T00:00:00Z",
        "--data",
        r#"{"card":"7","note":"b"}"#,
    ];
    device.works(&[&["record"], args.as_slice()].concat());
    let explain = |more: &[&str]| {
        let mut command = crate::device::outpost(device.dir.path());
        command.env("TZ", "Europe/Stockholm").args(["explain", "third_party_id:7"]).args(more);
        crate::device::text(&command.output().unwrap().stdout)
    };
    assert!(explain(&[]).contains("event a of 2026-01-01 01:00:00 CET"), "{}", explain(&[]));
    assert!(explain(&["--json"]).contains("2026-01-01T00:00:00Z"));
}
