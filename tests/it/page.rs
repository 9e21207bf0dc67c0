//! Who may look at the status page, and what a browser without permission gets. `tests/browser` walks the page itself.

use std::fs;

use outpost::agent::data_dir::DataDir;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::device::Device;
use crate::support::{PATIENCE, Running, Setup};

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
    let agent = DataDir::new(device.dir.path().join("data")).endpoint().unwrap().http;
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
