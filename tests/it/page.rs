//! Who may look at the status page, and what a browser without permission gets. `tests/browser` walks the page itself.

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::support::{Running, Setup};

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
