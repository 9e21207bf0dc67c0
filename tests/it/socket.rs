//! The Unix socket of the intake.
#![cfg(unix)]

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use outpost::core::tokens::Right;
use outpost::http::socket::bind;
use reqwest::Method;
use serde_json::Value;

use crate::support::{PATIENCE, Running, STRUCTURED, Setup, TOKEN, used};

#[tokio::test]
async fn events_come_over_the_socket_without_a_token() {
    let fixture = Setup::default().start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/intake.sock");
    let endpoint = format!("http://{}", fixture.sandbox_address);
    let mut agent = Running::start(&Setup::default(), dir.path(), &endpoint, Some(&path)).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);

    let client = reqwest::Client::builder().unix_socket(path.as_path()).tls_certs_only([]).build().unwrap();
    let request = client.post("http://localhost/v1/events").header("content-type", STRUCTURED);
    let answer: Value =
        request.body(used("1", "7", "Lund", 1.0).to_string()).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["events"][0]["status"], "recorded");
    fixture.wait_held("7", "visits", "1").await;
    agent.stop().await;
}

#[tokio::test]
async fn over_the_socket_a_program_has_the_right_that_is_set_and_with_a_token_its_own() {
    let fixture = Setup::default().start().await;
    let endpoint = format!("http://{}", fixture.sandbox_address);
    for (right, expected) in [
        (Right::Record, [200, 403, 403, 403]),
        (Right::Read, [403, 200, 403, 403]),
        (Right::Admin, [200, 200, 404, 200]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("intake.sock");
        let setup = Setup { socket_right: right, ..Setup::default() };
        let mut agent = Running::start(&setup, dir.path(), &endpoint, Some(&path)).await;
        let client = reqwest::Client::builder().unix_socket(path.as_path()).tls_certs_only([]).build().unwrap();
        let ask = async |method: Method, path: &str, token: Option<&str>| {
            let mut request = client.request(method, format!("http://localhost{path}"));
            if path == "/v1/events" {
                request = request.header("content-type", STRUCTURED).body(used("1", "7", "Lund", 1.0).to_string());
            }
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            request.send().await.unwrap().status().as_u16()
        };
        let asked = [
            (Method::POST, "/v1/events"),
            (Method::GET, "/v1/status"),
            (Method::DELETE, "/v1/rejected/1"),
            (Method::POST, "/v1/page-codes"),
        ];
        for ((method, path), expected) in asked.iter().zip(expected) {
            assert_eq!(ask(method.clone(), path, None).await, expected, "{right:?} {path}");
        }
        assert_eq!(ask(Method::GET, "/v1/status", Some(TOKEN)).await, 200);
        assert_eq!(ask(Method::POST, "/v1/events", Some("wrong")).await, 401, "a wrong token is not taken for none");
        assert_eq!(ask(Method::GET, "/healthz", None).await, 200);
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced_a_living_one_and_a_file_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intake.sock");
    drop(bind(&path).unwrap());
    let living = bind(&path).unwrap();
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(bind(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(living);

    let file = dir.path().join("precious.txt");
    std::fs::write(&file, "precious").unwrap();
    assert!(bind(&file).unwrap_err().to_string().contains("is not a socket"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn a_socket_whose_file_was_removed_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("intake.sock");
    let mut agent = Running::start(&Setup::default(), dir.path(), "http://127.0.0.1:9", Some(&path)).await;
    std::fs::remove_file(&path).unwrap();
    let client = reqwest::Client::builder().unix_socket(path.as_path()).tls_certs_only([]).build().unwrap();
    let healthy = async {
        while client.get("http://localhost/healthz").send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, healthy).await.expect("the socket is there again");
    agent.stop().await;
}
